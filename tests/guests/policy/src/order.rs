//! What a call is told to do, by a name among its arguments or by the configuration.

use crate::exports::sschat::policy::hooks::Identity;
use crate::sschat::policy::configuration;
use crate::{answers, faults, sights};
use serde_json::Value;

/// Which hook was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Login,
    Join,
    Publish,
    Presence,
    Call,
}

/// The order of one call.
pub(crate) struct Order {
    mode: String,
    /// Read already where the configuration gave the order.
    configuration: Option<Value>,
}

impl Order {
    /// The order for `who`, about the user or room `about`.
    ///
    /// Where a name gives it, the configuration is not read: that would be noted.
    pub(crate) fn of(hook: Hook, who: &Identity, about: &str) -> Self {
        let named = [about, &who.user].into_iter().find(|name| is_mode(name));
        if let Some(mode) = named {
            return Self {
                mode: mode.to_owned(),
                configuration: None,
            };
        }
        let configuration = read();
        let mode = match &configuration {
            Value::String(mode) if hook == Hook::Publish => mode,
            Value::Object(_) if meant(&configuration, hook, who, about) => {
                configuration["mode"].as_str().unwrap_or("allow")
            }
            _ => "allow",
        };
        Self {
            mode: mode.to_owned(),
            configuration: Some(configuration),
        }
    }

    pub(crate) fn mode(&self) -> &str {
        &self.mode
    }

    /// A setting of the configuration as text, or `default`.
    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.setting(name, |value| value.as_str().map(str::to_owned))
            .unwrap_or_else(|| default.to_owned())
    }

    /// A setting of the configuration as a number, or `default`.
    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.setting(name, Value::as_u64).unwrap_or(default)
    }

    fn setting<T>(&self, name: &str, read_as: impl Fn(&Value) -> Option<T>) -> Option<T> {
        match &self.configuration {
            Some(known) => read_as(&known[name]),
            None => read_as(&read()[name]),
        }
    }
}

pub(crate) fn is_mode(name: &str) -> bool {
    [faults::MODES, sights::MODES, answers::MODES]
        .iter()
        .any(|modes| modes.contains(&name))
}

/// The configuration: JSON, or else a bare name.
fn read() -> Value {
    configuration::get().map_or(Value::Null, |text| {
        serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.trim().to_owned()))
    })
}

/// Whether an order of the configuration is about this call.
fn meant(order: &Value, hook: Hook, who: &Identity, about: &str) -> bool {
    let hook_meant = match order["hook"].as_str() {
        Some("any") => true,
        Some("login") => hook == Hook::Login,
        Some("join") => hook == Hook::Join,
        Some("presence") => hook == Hook::Presence,
        _ => hook == Hook::Publish,
    };
    let only = order["only"].as_str();
    hook_meant && only.is_none_or(|only| only == about || only == who.user)
}
