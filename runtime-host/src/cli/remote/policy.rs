//! `sschat policy`: the rule of an app, and a component of its own.

use super::shown::{fields, print, print_json, said};
use super::{Client, Failure, HostArgs};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The largest file that is sent; the host's own bounds are smaller.
const FILE_LIMIT: u64 = 64 << 20;

/// `sschat policy`.
#[derive(Debug, Clone, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// What is done with the policy of an app.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// Show the rule, the components and what they decided.
    Show,
    /// Choose a built-in rule.
    Rule {
        /// Which.
        #[arg(value_enum)]
        rule: Rule,
    },
    /// Bring a component.
    Upload {
        /// The component, a `.wasm` file.
        file: PathBuf,
        /// Only compare it with what is in force, on real decisions.
        #[arg(long)]
        shadow: bool,
    },
    /// Put the candidate in force.
    Promote,
    /// Drop the candidate.
    Drop,
    /// Go back to the built-in rule.
    Reset,
    /// Show the configuration of the component, or set it from a JSON file.
    Config {
        /// A file with one JSON value.
        #[arg(conflicts_with = "delete")]
        file: Option<PathBuf>,
        /// Take the configuration away.
        #[arg(long)]
        delete: bool,
    },
}

/// The built-in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// Rooms are for their members.
    Members,
    /// Every user may join every room.
    Open,
}

pub(super) fn run(args: &PolicyArgs) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    let path = "/api/policy";
    let answer = match &args.command {
        PolicyCommand::Show => client.call("GET", path)?,
        PolicyCommand::Rule { rule } => {
            let rule = match rule {
                Rule::Members => "members",
                Rule::Open => "open",
            };
            client.call("PUT", &format!("{path}?rule={rule}"))?
        }
        PolicyCommand::Upload { file, shadow } => {
            let mode = if *shadow { "?mode=shadow" } else { "" };
            let headers = [("content-type", "application/wasm")];
            let path = format!("{path}{mode}");
            client.call_with("PUT", &path, &headers, Some(&read(file)?))?
        }
        PolicyCommand::Promote => client.call("POST", &format!("{path}/promote"))?,
        PolicyCommand::Drop => client.call("DELETE", &format!("{path}/candidate"))?,
        PolicyCommand::Reset => client.call("DELETE", path)?,
        PolicyCommand::Config {
            file: None,
            delete: false,
        } => {
            let answer = client.send("GET", &format!("{path}/config"), &[], None)?;
            if answer.status != 200 {
                client.accept(&answer)?;
            }
            return print(&format!(
                "{}\n",
                super::shown::visible(answer.body.trim_end())
            ));
        }
        PolicyCommand::Config {
            file: Some(file), ..
        } => {
            let headers = [("content-type", "application/json")];
            let path = format!("{path}/config");
            client.call_with("PUT", &path, &headers, Some(&read(file)?))?
        }
        PolicyCommand::Config { .. } => client.call("DELETE", &format!("{path}/config"))?,
    };
    if args.host.json {
        return print_json(&answer);
    }
    print(&table(&answer))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("{}: {reason}", file.display()));
    let found = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if found.len() > FILE_LIMIT {
        return Err(wrong("the file is larger than 64 MiB".to_owned()));
    }
    std::fs::read(file).map_err(|error| wrong(error.to_string()))
}

/// The answer for people: what it has of these.
fn table(answer: &Value) -> String {
    let mut rows = vec![("app_id", said(&answer["app_id"]))];
    if let Value::String(rule) = &answer["rule"] {
        rows.push(("rule", rule.clone()));
        for (name, component) in [
            ("active", &answer["active"]),
            ("candidate", &answer["candidate"]),
        ] {
            rows.push((
                name,
                match component["digest"].as_str() {
                    Some(digest) => format!("{digest} ({} bytes)", component["size"]),
                    None => "-".to_owned(),
                },
            ));
        }
    } else {
        rows.push(("configuration", format!("{} bytes", answer["size"])));
    }
    if let Value::Object(figures) = &answer["figures"] {
        rows.push(("figures", Value::Object(figures.clone()).to_string()));
    }
    fields(&rows)
}
