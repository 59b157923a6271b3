//! `sschat completions` and `sschat man`: made from the same declarations that parse the
//! command line, so that they never tell of another one.

use super::Cli;
use super::remote::print;
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

/// `sschat completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `sschat man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The command, such as `room create`; the program itself if none is named.
    #[arg(conflicts_with = "folder")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder, as `sschat-room-create.1`.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sschat", &mut script);
    print(&String::from_utf8(script)?)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let mut root = Cli::command().disable_help_subcommand(true);
    if let Some(folder) = &args.folder {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(root, folder))
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        return Ok(());
    }
    root.build();
    let mut command = &root;
    let mut name = "sschat".to_owned();
    for word in &args.command {
        command = command
            .find_subcommand(word)
            .with_context(|| format!("{name} has no command {word:?}; see `{name} --help`"))?;
        name = format!("{name} {word}");
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    print(&String::from_utf8(page)?)
}
