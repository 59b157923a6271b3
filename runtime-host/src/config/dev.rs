//! `--dev-app`: what was said of the app of those who name none.

use super::ConfigError;
use crate::cli::UpArgs;
use crate::manifest::settings::HostRole;

/// What was said of the app of those who name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevSettings {
    /// What signs its users' tokens.
    pub secret: Option<String>,
    /// What the server API takes for its key.
    pub api_key: Option<String>,
}

impl DevSettings {
    /// # Errors
    ///
    /// An address that others reach, a host that leaves work to others, or an empty key.
    pub(super) fn new(args: &UpArgs) -> Result<Option<Self>, ConfigError> {
        if !args.dev.dev_app {
            return Ok(None);
        }
        if !args.listen.ip().is_loopback() {
            return Err(ConfigError::DevApp(args.listen));
        }
        if args.role != HostRole::All {
            return Err(ConfigError::DevRole);
        }
        if args.dev.dev_api_key.as_deref() == Some("") {
            let (name, reason) = ("--dev-api-key", "must not be empty".to_owned());
            return Err(ConfigError::Setting { name, reason });
        }
        Ok(Some(Self {
            secret: args.dev.dev_secret.clone(),
            api_key: args.dev.dev_api_key.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::manifest::Settings;
    use clap::Parser;

    fn config(arguments: &[&str]) -> Result<Option<DevSettings>, ConfigError> {
        let arguments = ["sschat", "up"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Up(args) => Config::new(&args, &Settings::default()).map(|it| it.dev_app),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_app_that_is_open_to_all_is_on_loopback_alone() {
        assert_eq!(config(&[]), Ok(None));
        let given = config(&["--dev-app", "--dev-secret", "s", "--dev-api-key", "k"]);
        let wanted = DevSettings {
            secret: Some("s".into()),
            api_key: Some("k".into()),
        };
        assert_eq!(given, Ok(Some(wanted)));
        let reachable = config(&["--dev-app", "--listen", "0.0.0.0:0"]).unwrap_err();
        assert!(matches!(reachable, ConfigError::DevApp(_)), "{reachable}");
        let empty = config(&["--dev-app", "--dev-api-key", ""]).unwrap_err();
        assert_eq!(empty.to_string(), "--dev-api-key must not be empty");
        for alone in ["--dev-secret", "--dev-api-key"] {
            assert!(Cli::try_parse_from(["sschat", "up", alone, "x"]).is_err());
        }
    }
}
