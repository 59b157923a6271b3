//! `[component.*]`: where a component comes from and what it is granted.

use super::document::{ManifestError, Node, unknown};
use super::own_table;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a component is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// It answers HTTP requests.
    #[default]
    Rest,
    /// It answers the host's questions about logins, rooms and messages.
    Authority,
}

/// Whether an instance of the authority may answer many calls, because it keeps nothing
/// from one to the next. Otherwise each call gets a fresh one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reuse {
    /// It may not.
    #[default]
    Never,
    /// `true`: whatever stands in the file was built from the shipped sources.
    Always,
    /// The component with this SHA-256 may, 64 lower-case hex digits; another one in its
    /// place may not.
    Digest(String),
}

impl Reuse {
    /// Whether it covers these bytes of a component.
    pub fn covers(&self, component: &[u8]) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Digest(digest) => *digest == crate::digest::sha256(component),
        }
    }
}

/// One component.
#[derive(Debug, Clone)]
pub struct Component {
    /// The `.wasm` file.
    pub source: PathBuf,
    /// `key_value_stores`: labels.
    pub key_value_stores: Vec<String>,
    /// `allowed_outbound_hosts`, before templates are filled in.
    pub allowed_outbound_hosts: Vec<String>,
    /// `variables`: name to template.
    pub variables: BTreeMap<String, String>,
    /// `environment`.
    pub environment: BTreeMap<String, String>,
    /// `build`.
    pub build: Option<Build>,
    /// `tool.sschat.role`.
    pub role: Role,
    /// `tool.sschat.sweep`: a path that the host POSTs to after a deletion and at start-up
    /// until the component answers `{"more":false}`.
    pub sweep: Option<String>,
    /// `tool.sschat.keeps_policies`: tenants' policies are uploaded to it, and the host
    /// checks them on the way.
    pub keeps_policies: bool,
    /// `tool.sschat.reuse`.
    pub reuse: Reuse,
    /// `tool.sschat.reads`: what the keys begin with that the authority reads. A store that
    /// others write to follows no others, and lets it read no others. Empty: all keys.
    pub reads: Vec<String>,
    /// Where the table stands.
    pub line: usize,
}

/// How a component is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Commands for a shell, run one after the other.
    pub commands: Vec<String>,
    /// The folder to run them in.
    pub workdir: PathBuf,
}

impl Component {
    pub(super) fn read(table: &Node<'_>, folder: &Path) -> Result<Self, ManifestError> {
        refuse_what_is_not_offered(table)?;
        let own = own_table(table)?;
        let mut component = Self {
            source: folder.join(read_source(&table.require("source")?)?),
            key_value_stores: strings(table, "key_value_stores")?,
            allowed_outbound_hosts: strings(table, "allowed_outbound_hosts")?,
            variables: string_map(table, "variables")?,
            environment: string_map(table, "environment")?,
            build: match table.get("build")? {
                Some(build) => Some(Build::read(&build, folder)?),
                None => None,
            },
            role: Role::default(),
            sweep: None,
            reuse: Reuse::default(),
            keeps_policies: false,
            reads: Vec::new(),
            line: table.line(),
        };
        if let Some(own) = own {
            own.only(&["role", "sweep", "reuse", "keeps_policies", "reads"])?;
            component.reads = strings(&own, "reads")?;
            if let Some(role) = own.get("role")? {
                component.role = read_role(&role)?;
            }
            if let Some(reuse) = own.get("reuse")? {
                component.reuse = read_reuse(&reuse)?;
            }
            if let Some(keeps) = own.get("keeps_policies")? {
                component.keeps_policies = keeps.boolean()?;
            }
            if let Some(sweep) = own.get("sweep")? {
                component.sweep = Some(read_sweep(&sweep)?);
            }
        }
        Ok(component)
    }
}

fn refuse_what_is_not_offered(table: &Node<'_>) -> Result<(), ManifestError> {
    const KNOWN: [&str; 17] = [
        "source",
        "description",
        "variables",
        "environment",
        "files",
        "exclude_files",
        "allowed_http_hosts",
        "allowed_outbound_hosts",
        "key_value_stores",
        "sqlite_databases",
        "ai_models",
        "targets",
        "build",
        "tool",
        "dependencies_inherit_configuration",
        "dependencies",
        "profile",
    ];
    table.only(&KNOWN)?;
    let refused = [
        (
            "files",
            "components get no files here; put what they need into the component",
        ),
        (
            "allowed_http_hosts",
            "it is out of date; use allowed_outbound_hosts",
        ),
        ("sqlite_databases", "this host offers key-value stores only"),
        ("ai_models", "this host offers no models"),
        ("dependencies", "compose the component when it is built"),
    ];
    for (name, reason) in refused {
        let Some(node) = table.get(name)? else {
            continue;
        };
        let empty = if node.is_array() {
            node.elements()?.is_empty()
        } else {
            node.entries()?.is_empty()
        };
        if !empty {
            return Err(node.error(reason));
        }
    }
    Ok(())
}

fn read_source(source: &Node<'_>) -> Result<String, ManifestError> {
    if source.is_string() {
        return source.string();
    }
    if source.get("url")?.is_some() {
        return Err(source
            .error("components are not downloaded; fetch the file and give its path as a string"));
    }
    if source.get("package")?.is_some() || source.get("registry")?.is_some() {
        return Err(source.error(
            "components are not taken from a registry; pull the package and give the path of the file as a string",
        ));
    }
    Err(source.error("must be the path of a .wasm file"))
}

fn read_role(role: &Node<'_>) -> Result<Role, ManifestError> {
    match role.string()?.as_str() {
        "rest" => Ok(Role::Rest),
        "authority" => Ok(Role::Authority),
        other => Err(role.error(unknown("role", other, &["rest", "authority"]))),
    }
}

fn read_reuse(reuse: &Node<'_>) -> Result<Reuse, ManifestError> {
    if !reuse.is_string() {
        return Ok(match reuse.boolean()? {
            true => Reuse::Always,
            false => Reuse::Never,
        });
    }
    let digest = reuse.string()?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(hex) {
        return Ok(Reuse::Digest(digest));
    }
    Err(reuse.error("must be true, false or a SHA-256 in 64 lower-case hex digits"))
}

fn read_sweep(sweep: &Node<'_>) -> Result<String, ManifestError> {
    let path = sweep.string()?;
    match path.parse::<http::uri::PathAndQuery>() {
        Ok(_) if path.starts_with('/') => Ok(path),
        _ => Err(sweep.error("must be a path that begins with /")),
    }
}

impl Build {
    fn read(table: &Node<'_>, folder: &Path) -> Result<Self, ManifestError> {
        table.only(&["command", "workdir", "watch"])?;
        let command = table.require("command")?;
        let commands = if command.is_string() {
            vec![command.string()?]
        } else {
            command.strings()?
        };
        let workdir = match table.get("workdir")? {
            Some(workdir) => folder.join(workdir.string()?),
            None => folder.to_owned(),
        };
        Ok(Self { commands, workdir })
    }
}

fn strings(table: &Node<'_>, name: &str) -> Result<Vec<String>, ManifestError> {
    match table.get(name)? {
        Some(list) => list.strings(),
        None => Ok(Vec::new()),
    }
}

fn string_map(table: &Node<'_>, name: &str) -> Result<BTreeMap<String, String>, ManifestError> {
    match table.get(name)? {
        Some(map) => map
            .entries()?
            .into_iter()
            .map(|(name, value)| Ok((name, value.string()?)))
            .collect(),
        None => Ok(BTreeMap::new()),
    }
}
