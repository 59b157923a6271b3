//! The manifest `spin.toml` (version 2), the one description of an application.
//!
//! Spin reads the same file. What Spin knows and this host does not offer is refused
//! with a sentence, never ignored in silence; Spin's own tables for other tools and
//! triggers' settings are left alone. Our settings stand in `tool.sschat` tables, where
//! an unknown key is refused. Values of variables and the runtime configuration file
//! are in [`variables`] and [`runtime`].

pub mod carried;
mod component;
pub(crate) mod document;
pub mod runtime;
pub mod settings;
pub mod variables;

pub use component::{Build, Component, Role};
pub use document::ManifestError;
pub use settings::Settings;
pub use variables::Variable;

use document::{Document, Node, unknown};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's usual name.
pub const FILE_NAME: &str = "spin.toml";

/// An application.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file.
    pub file: PathBuf,
    /// The folder that paths in it are relative to.
    pub folder: PathBuf,
    /// `application.name`.
    pub name: String,
    /// `application.version`; empty if absent.
    pub version: String,
    /// `application.tool.sschat`.
    pub settings: Settings,
    /// `[variables]`.
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]`, in the order of the file.
    pub triggers: Vec<Trigger>,
    /// `[component.*]`.
    pub components: BTreeMap<String, Component>,
}

/// One `[[trigger.http]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The route, or `None` for `{ private = true }`, which no request reaches.
    pub route: Option<String>,
    /// The component that answers.
    pub component: String,
    /// Where the trigger stands.
    pub line: usize,
}

impl Manifest {
    /// Reads a manifest. `path` is the file or the folder that holds it.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let file = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        Self::parse(&Document::read(&file)?, &file)
    }

    fn parse(document: &Document, file: &Path) -> Result<Self, ManifestError> {
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        document.table(|root| {
            check_version(&root)?;
            root.only(&[
                "spin_manifest_version",
                "application",
                "variables",
                "trigger",
                "component",
            ])?;
            let application = root.require("application")?;
            application.only(&[
                "name",
                "version",
                "description",
                "authors",
                "targets",
                "trigger",
                "tool",
            ])?;
            let optional = |name: &str| match application.get(name)? {
                Some(node) => node.string(),
                None => Ok(String::new()),
            };
            let components = read_components(&root, &folder)?;
            Ok(Self {
                file: file.to_owned(),
                name: application.require("name")?.string()?,
                version: optional("version")?,
                settings: match own_table(&application)? {
                    Some(table) => Settings::read(&table)?,
                    None => Settings::default(),
                },
                variables: match root.get("variables")? {
                    Some(table) => variables::read_declared(&table)?,
                    None => BTreeMap::new(),
                },
                triggers: read_triggers(&root, &components)?,
                components,
                folder,
            })
        })
    }

    /// The component with the role `authority`, and its name.
    pub fn authority(&self) -> Option<(&String, &Component)> {
        self.components
            .iter()
            .find(|(_, component)| component.role == Role::Authority)
    }
}

/// The table `tool.sschat` of an application or a component.
fn own_table<'a>(parent: &Node<'a>) -> Result<Option<Node<'a>>, ManifestError> {
    match parent.get("tool")? {
        Some(tools) => tools.get("sschat"),
        None => Ok(None),
    }
}

fn check_version(root: &Node<'_>) -> Result<(), ManifestError> {
    let version = root.require("spin_manifest_version")?;
    match version.integer()? {
        2 => Ok(()),
        other => Err(version.error(format!("version {other} is not supported, version 2 is"))),
    }
}

fn read_components(
    root: &Node<'_>,
    folder: &Path,
) -> Result<BTreeMap<String, Component>, ManifestError> {
    let mut components = BTreeMap::new();
    let mut authority: Option<String> = None;
    let Some(tables) = root.get("component")? else {
        return Ok(components);
    };
    for (name, table) in tables.entries()? {
        let component = Component::read(&table, folder)?;
        if component.role == Role::Authority
            && let Some(other) = authority.replace(name.clone())
        {
            return Err(table.error(format!(
                "only one component can have the role authority, and {other:?} has it"
            )));
        }
        components.insert(name, component);
    }
    Ok(components)
}

fn read_triggers(
    root: &Node<'_>,
    components: &BTreeMap<String, Component>,
) -> Result<Vec<Trigger>, ManifestError> {
    let Some(kinds) = root.get("trigger")? else {
        return Ok(Vec::new());
    };
    let mut triggers = Vec::new();
    for (kind, list) in kinds.entries()? {
        if kind != "http" {
            return Err(list.error("this host has http triggers only"));
        }
        for trigger in list.elements()? {
            triggers.push(read_trigger(&trigger, components)?);
        }
    }
    Ok(triggers)
}

fn read_trigger(
    trigger: &Node<'_>,
    components: &BTreeMap<String, Component>,
) -> Result<Trigger, ManifestError> {
    for (name, node) in trigger.entries()? {
        match name.as_str() {
            "id" | "route" | "component" => {}
            "executor" if is_http_executor(&node)? => {}
            "executor" => return Err(node.error("only the executor of type http is offered")),
            "static_response" | "components" | "dependencies" => {
                return Err(node.error("this host does not offer it"));
            }
            _ => {
                let known = ["id", "route", "component", "executor"];
                return Err(node.error(unknown("key", &name, &known)));
            }
        }
    }
    let component = trigger.require("component")?;
    if component.is_table() {
        return Err(component.error("name a component and describe it in a table [component.…]"));
    }
    let id = component.string()?;
    let Some(target) = components.get(&id) else {
        let known: Vec<&str> = components.keys().map(String::as_str).collect();
        return Err(component.error(unknown("component", &id, &known)));
    };
    if target.role != Role::Rest {
        return Err(component.error(format!(
            "{id:?} has the role authority and answers no requests"
        )));
    }
    Ok(Trigger {
        route: read_route(&trigger.require("route")?)?,
        component: id,
        line: trigger.line(),
    })
}

fn is_http_executor(node: &Node<'_>) -> Result<bool, ManifestError> {
    Ok(node.require("type")?.string()? == "http")
}

fn read_route(route: &Node<'_>) -> Result<Option<String>, ManifestError> {
    if route.is_string() {
        return route.string().map(Some);
    }
    route.only(&["private"])?;
    match route.require("private")?.boolean()? {
        true => Ok(None),
        false => Err(route.error("must be a string or { private = true }")),
    }
}

#[cfg(test)]
mod tests;
