//! `sschat check`: everything that `up` would refuse, and all of it at once.
//!
//! Looks at manifest, runtime configuration, variables, settings, routes, and at every
//! component: whether its file is there and compiles, whether all its imports are offered,
//! and whether it exports what its role needs. A Redis is asked what it is like, and what may
//! cost data there is said as a warning. Opens no store and writes nothing.

use super::{CheckArgs, Command};
use crate::app::{NO_AUTHORITY, broker_kind, describe_broker, describe_history};
use crate::config::Config;
use crate::digest::sha256;
use crate::http::router::Router;
use crate::manifest::runtime::{RuntimeConfig, StoreConfig};
use crate::manifest::variables::Values;
use crate::manifest::{Component, Manifest, Role};
use crate::mount;
use crate::stdout;
use crate::store::redis;
use crate::wasm::authority::AuthorityPool;
use crate::wasm::engine::{EngineSettings, Engines};
use crate::wasm::rest::{RestComponent, RestLimits, Stores};
use anyhow::bail;
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let manifest = super::pack::manifest(&args.source, &args.runtime.state_dir)?;
    let findings = Check::new(&manifest, args).findings();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            for (name, component) in &manifest.components {
                // It was read a moment ago.
                let bytes = std::fs::read(&component.source)?;
                stdout::say(&format!("sha256:{}  {name}\n", sha256(&bytes)));
            }
            stdout::say(&format!("{}: in order\n", manifest.file.display()));
            Ok(())
        }
        1 => bail!("1 thing is not in order"),
        count => bail!("{count} things are not in order"),
    }
}

/// What is known so far, and what was found to be wrong.
struct Check<'a> {
    manifest: &'a Manifest,
    config: Option<PathBuf>,
    runtime: Option<RuntimeConfig>,
    values: Option<Values>,
    findings: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(manifest: &'a Manifest, args: &CheckArgs) -> Self {
        let mut findings = Vec::new();
        let file = args.runtime.runtime_config_file.as_deref();
        let runtime = RuntimeConfig::read(file, &args.runtime.state_dir);
        let environment = |name: &str| std::env::var(name).ok();
        let values = Values::resolve(manifest, &args.runtime.variables, environment);
        Self {
            manifest,
            config: args.runtime.config.clone(),
            runtime: keep(runtime, &mut findings),
            values: keep(values, &mut findings),
            findings,
        }
    }

    fn findings(mut self) -> Vec<String> {
        self.settings();
        self.routes();
        self.stores();
        if self.manifest.authority().is_none() {
            let file = self.manifest.file.display();
            self.findings.push(format!("{file}: {NO_AUTHORITY}"));
        }
        let engines = Engines::new(&EngineSettings {
            cache: None,
            instances: RestLimits::default().instances as u32,
        });
        if let Some(engines) = keep(engines, &mut self.findings) {
            for (name, component) in &self.manifest.components {
                if let Err(error) = self.component(name, component, &engines) {
                    let (file, line) = (self.manifest.file.display(), component.line);
                    let finding = format!("{file}:{line}: component.{name}: {error:#}");
                    self.findings.push(finding);
                }
            }
        }
        self.findings
    }

    /// The settings of the manifest with the options that `up` has by itself.
    fn settings(&mut self) {
        let mut line = vec![OsString::from("sschat"), "up".into()];
        if let Some(file) = &self.config {
            line.extend(["--config".into(), file.into()]);
        }
        if let Ok(cli) = super::file::parse(line)
            && let Command::Up(args) = cli.command
        {
            let config = Config::new(&args, &self.manifest.settings);
            if let Some(config) = keep(config, &mut self.findings) {
                match broker_kind(config.broker, self.redis()) {
                    Ok(Some(_)) => {
                        stdout::say(&format!("broker: {}\n", describe_broker(&config.history)))
                    }
                    Ok(None) => {
                        stdout::say(&format!("history: {}\n", describe_history(&config.history)))
                    }
                    Err(reason) => self.findings.push(reason.to_owned()),
                }
            }
        }
    }

    /// The URL of the Redis that holds the state, if one does.
    fn redis(&self) -> Option<&str> {
        let (_, authority) = self.manifest.authority()?;
        let label = authority.key_value_stores.first()?;
        match self.runtime.as_ref()?.stores.get(label)? {
            StoreConfig::Redis { url } => Some(url),
            StoreConfig::Sqlite { .. } => None,
        }
    }

    /// What the stores of other processes are like.
    fn stores(&mut self) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        for (label, store) in &runtime.stores {
            let StoreConfig::Redis { url } = store else {
                continue;
            };
            let label = format!("key_value_store.{label}");
            match redis::inspect(url) {
                Ok(found) => {
                    stdout::say(&format!(
                        "{label}: Redis {} at {}\n",
                        found.version, found.address
                    ));
                    for warning in found.warnings {
                        eprintln!("{label}: warning: {warning}");
                    }
                    let errors = found.errors.into_iter();
                    self.findings
                        .extend(errors.map(|error| format!("{label}: {error}")));
                }
                Err(error) => self.findings.push(format!("{label}: {error}")),
            }
        }
    }

    fn routes(&mut self) {
        for trigger in &self.manifest.triggers {
            if let Some(route) = &trigger.route
                && let Err(error) = Router::new([(route.clone(), ())])
            {
                let file = self.manifest.file.display();
                self.findings
                    .push(format!("{file}:{}: {error}", trigger.line));
            }
        }
    }

    fn component(
        &self,
        name: &str,
        component: &Component,
        engines: &Engines,
    ) -> anyhow::Result<()> {
        mount::require_source(component)?;
        if let Some(runtime) = &self.runtime {
            for label in &component.key_value_stores {
                if !runtime.stores.contains_key(label) {
                    bail!(mount::unknown_label(label));
                }
            }
        }
        if component.role == Role::Authority {
            if component.key_value_stores.len() != 1 {
                bail!("the authority is to name one label in key_value_stores");
            }
            let compiled = engines.compile_authority(&component.source)?;
            AuthorityPool::new(engines, &compiled, name, false)?;
            return Ok(());
        }
        let compiled = engines.compile_rest(&component.source)?;
        let values = self.values.clone().unwrap_or_default();
        let grants = match &self.values {
            Some(_) => mount::grants(name, component, Stores::new(), &values)?,
            // Its variables are the finding; what can be said of the component still is.
            None => mount::grants(name, &bare(component), Stores::new(), &values)?,
        };
        RestComponent::new(engines, &compiled, grants, RestLimits::default())?;
        Ok(())
    }
}

/// The component without anything that takes variables.
fn bare(component: &Component) -> Component {
    Component {
        variables: Default::default(),
        allowed_outbound_hosts: Vec::new(),
        ..component.clone()
    }
}

/// The value, or a finding.
fn keep<T, E: std::fmt::Display>(result: Result<T, E>, findings: &mut Vec<String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    }
}
