//! `sschat pack` and `sschat unpack`: an application in the program itself, so that one file is all there is to copy.

use super::SourceArgs;
use crate::manifest::Manifest;
use crate::manifest::carried::Carried;
use crate::stdout;
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};

/// `sschat pack`.
#[derive(Debug, Clone, Args)]
pub struct PackArgs {
    /// Where the application is.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The program that is written: this one, with the manifest and the components that it names.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// `sschat unpack`.
#[derive(Debug, Clone, Args)]
pub struct UnpackArgs {
    /// The folder that the manifest and the components are written to, for `spin up` or to look at.
    pub folder: PathBuf,
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's file")
}

/// What this program carries.
fn carried() -> anyhow::Result<Option<Carried>> {
    let program = program()?;
    Carried::of(&program).with_context(|| program.display().to_string())
}

pub(super) fn pack(args: &PackArgs) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.source.from)?;
    let app = Carried::gather(&manifest)?;
    app.append(&program()?, &args.output)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    let mut told = format!("{} carries {}\n", args.output.display(), manifest.name);
    for (path, digest) in app.files() {
        told.push_str(&format!("  sha256:{digest}  {path}\n"));
    }
    stdout::say(&told);
    Ok(())
}

pub(super) fn unpack(args: &UnpackArgs) -> anyhow::Result<()> {
    let app = carried()?
        .context("this program carries no application; `sschat pack` writes one that does")?;
    let folder = args.folder.display();
    app.unpack(&args.folder)
        .with_context(|| format!("cannot write to {folder}"))?;
    stdout::say(&format!("{folder} has {} files\n", app.files().count()));
    Ok(())
}

/// The manifest that is meant: the one that is named or lies in this folder; else the one that the program carries.
///
/// # Errors
/// Where there is none, or it can't be read.
pub(super) fn manifest(source: &SourceArgs, state_dir: &Path) -> anyhow::Result<Manifest> {
    let default = source.from.as_os_str() == super::MANIFEST;
    if default
        && !source.from.exists()
        && let Some(app) = carried()?
    {
        let file = app.settle(state_dir).with_context(|| {
            let folder = state_dir.display();
            format!("cannot unpack to {folder}; choose another with --state-dir")
        })?;
        return Ok(Manifest::read(&file)?);
    }
    Ok(Manifest::read(&source.from)?)
}
