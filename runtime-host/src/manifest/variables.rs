//! Variables of the application: declared in the manifest, set from outside, filled into
//! the templates of components.
//!
//! A value comes from `--variable name=value`, else from the environment variable
//! `SPIN_VARIABLE_NAME`, else from the declared default. Providers such as Vault are absent.

use super::document::{ManifestError, Node, unknown};
use super::{Component, Manifest};
use crate::wasm::is_valid_name;
use std::collections::{BTreeMap, HashMap};

/// The prefix of environment variables that set variables.
pub const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// A declared variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The value if none is given.
    pub default: Option<String>,
    /// Whether it must not be shown.
    pub secret: bool,
}

/// Why variables could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// A value was given for a name that the manifest does not declare.
    #[error("--variable {0}")]
    Undeclared(String),
    /// There is neither a value nor a default.
    #[error(
        "the variable {name:?} has no value: give it with --variable {name}=… or {ENVIRONMENT_PREFIX}{upper}"
    )]
    Missing {
        /// The variable.
        name: String,
        /// Its name in the environment.
        upper: String,
    },
    /// A template is broken or names a variable that is not declared.
    #[error("{place}: {reason}")]
    Template {
        /// The key in the manifest.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// The values of all variables of an application.
#[derive(Clone, Default)]
pub struct Values {
    values: HashMap<String, String>,
    explicit: Vec<String>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secret.
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Values {
    /// Finds the value of every declared variable.
    pub fn resolve(
        manifest: &Manifest,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, VariableError> {
        let known: Vec<&str> = manifest.variables.keys().map(String::as_str).collect();
        for (name, _) in given {
            if !known.contains(&name.as_str()) {
                let message = unknown("variable", name, &known);
                return Err(VariableError::Undeclared(format!("{name}: {message}")));
            }
        }
        let mut values = Self::default();
        for (name, declared) in &manifest.variables {
            let upper = name.to_uppercase();
            let given = given.iter().rev().find(|(key, _)| key == name);
            let outside = given
                .map(|(_, value)| value.clone())
                .or_else(|| environment(&format!("{ENVIRONMENT_PREFIX}{upper}")));
            if outside.is_some() {
                values.explicit.push(name.clone());
            }
            let Some(value) = outside.or_else(|| declared.default.clone()) else {
                let name = name.clone();
                return Err(VariableError::Missing { name, upper });
            };
            values.values.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether the value was given from outside rather than being the default.
    pub fn is_explicit(&self, name: &str) -> bool {
        self.explicit.iter().any(|explicit| explicit == name)
    }

    /// A component's own variables.
    pub fn of_component(
        &self,
        name: &str,
        component: &Component,
    ) -> Result<HashMap<String, String>, VariableError> {
        component
            .variables
            .iter()
            .map(|(key, template)| {
                let place = format!("component.{name}.variables.{key}");
                Ok((key.clone(), self.fill(&place, template)?))
            })
            .collect()
    }

    /// A component's outbound hosts, templates filled in.
    pub fn outbound_hosts(
        &self,
        name: &str,
        component: &Component,
    ) -> Result<Vec<String>, VariableError> {
        let place = format!("component.{name}.allowed_outbound_hosts");
        component
            .allowed_outbound_hosts
            .iter()
            .map(|template| self.fill(&place, template))
            .collect()
    }

    /// Replaces every `{{ name }}` of a template.
    fn fill(&self, place: &str, template: &str) -> Result<String, VariableError> {
        let broken = |reason: String| VariableError::Template {
            place: place.to_owned(),
            reason,
        };
        let mut filled = String::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(broken("a {{ has no }}".to_owned()));
            };
            let Some(value) = self.get(name.trim()) else {
                let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
                return Err(broken(unknown("variable", name.trim(), &known)));
            };
            filled.push_str(text);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

pub(super) fn read_declared(table: &Node<'_>) -> Result<BTreeMap<String, Variable>, ManifestError> {
    let mut variables = BTreeMap::new();
    for (name, node) in table.entries()? {
        if !is_valid_name(&name) {
            return Err(node.error("a name is made of lower-case words joined by _"));
        }
        node.only(&["description", "required", "default", "secret"])?;
        let flag = |key: &str| match node.get(key)? {
            Some(flag) => flag.boolean(),
            None => Ok(false),
        };
        let (required, secret) = (flag("required")?, flag("secret")?);
        let default = match node.get("default")? {
            Some(default) => Some(default.string()?),
            None => None,
        };
        if !required && default.is_none() {
            return Err(node.error("it needs either a default or required = true"));
        }
        variables.insert(name, Variable { default, secret });
    }
    Ok(variables)
}
