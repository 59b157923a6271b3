//! `sschat build`: runs the build command of every component, as `spin build` does.
//!
//! Commands run one after the other, each through the shell in the component's folder;
//! equal ones run once. Their output goes to the terminal as it comes.

use super::SourceArgs;
use crate::manifest::{Build, Manifest};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The target that Rust components are built for.
const WASM_TARGET: &str = "wasm32-wasip2";

/// The exit status by which a shell says that it did not find a program.
const NOT_FOUND: i32 = 127;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The shell could not be started.
    #[error("component {component:?}: cannot run `{command}` in {workdir}: {source}")]
    Start {
        /// The component.
        component: String,
        /// Its command.
        command: String,
        /// Where it was to run.
        workdir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The command failed; it said why itself.
    #[error("component {component:?}: `{command}` failed with {status}")]
    Failed {
        /// The component.
        component: String,
        /// Its command.
        command: String,
        /// The exit status.
        status: std::process::ExitStatus,
    },
    /// The shell did not find the command's program.
    #[error(
        "component {component:?}: `{command}` needs a program that is not on the PATH; \
         Rust and cargo come from https://rustup.rs"
    )]
    NotFound {
        /// The component.
        component: String,
        /// Its command.
        command: String,
    },
    /// The target is missing and cannot be added.
    #[error(
        "the Rust target {WASM_TARGET} is missing and could not be added: {0}; add it with `rustup target add {WASM_TARGET}`"
    )]
    Target(String),
}

pub(super) fn run(args: &SourceArgs) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.from)?;
    Ok(build(&manifest)?)
}

/// Builds every component that has a build command.
pub(super) fn build(manifest: &Manifest) -> Result<(), BuildError> {
    let builds: Vec<(&String, &Build)> = manifest
        .components
        .iter()
        .filter_map(|(name, component)| Some((name, component.build.as_ref()?)))
        .collect();
    if builds.iter().any(|(_, build)| is_cargo_for_wasm(build)) {
        ensure_target(manifest)?;
    }
    let mut done: Vec<&Build> = Vec::new();
    for (index, (name, build)) in builds.iter().enumerate() {
        let place = format!("[{}/{}]", index + 1, builds.len());
        if done.contains(build) {
            eprintln!("{place} {name}: built already by the same command");
            continue;
        }
        let started = Instant::now();
        for command in &build.commands {
            eprintln!("{place} {name}: {command}");
            run_command(name, command, build)?;
        }
        eprintln!("{place} {name}: built in {:.1?}", started.elapsed());
        done.push(build);
    }
    Ok(())
}

fn run_command(component: &str, command: &str, build: &Build) -> Result<(), BuildError> {
    let status = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(&build.workdir)
        .status()
        .map_err(|source| BuildError::Start {
            component: component.to_owned(),
            command: command.to_owned(),
            workdir: build.workdir.clone(),
            source,
        })?;
    if status.success() {
        return Ok(());
    }
    if status.code() == Some(NOT_FOUND) {
        return Err(BuildError::NotFound {
            component: component.to_owned(),
            command: command.to_owned(),
        });
    }
    Err(BuildError::Failed {
        component: component.to_owned(),
        command: command.to_owned(),
        status,
    })
}

fn is_cargo_for_wasm(build: &Build) -> bool {
    let is_cargo = |command: &String| command.contains("cargo") && command.contains(WASM_TARGET);
    build.commands.iter().any(is_cargo)
}

/// Adds the target through rustup. Without rustup cargo itself says what it misses.
fn ensure_target(manifest: &Manifest) -> Result<(), BuildError> {
    let rustup = |arguments: &[&str]| {
        Command::new("rustup")
            .args(arguments)
            .current_dir(&manifest.folder)
            .output()
    };
    let Ok(installed) = rustup(&["target", "list", "--installed"]) else {
        return Ok(());
    };
    let installed = String::from_utf8_lossy(&installed.stdout);
    if installed.lines().any(|target| target.trim() == WASM_TARGET) {
        return Ok(());
    }
    eprintln!("adding the Rust target {WASM_TARGET}");
    match rustup(&["target", "add", WASM_TARGET]) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr);
            let reason = reason.lines().last().unwrap_or("rustup failed");
            Err(BuildError::Target(reason.to_owned()))
        }
        Err(error) => Err(BuildError::Target(error.to_string())),
    }
}
