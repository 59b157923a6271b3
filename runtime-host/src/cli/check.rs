//! `sschat check`: everything that `up` would refuse, and all of it at once.

use super::CheckArgs;
use crate::app;
use crate::manifest::Manifest;
use anyhow::bail;

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let manifest = Manifest::read(&args.source.from)?;
    let findings = app::check(&manifest, &args.runtime);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("{}: in order", manifest.file.display());
            Ok(())
        }
        1 => bail!("1 thing is not in order"),
        count => bail!("{count} things are not in order"),
    }
}
