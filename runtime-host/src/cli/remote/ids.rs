//! What rooms and users have in common on the command line: they are created, listed,
//! shown and deleted by their ids.

use super::client::{Paging, percent_encoded};
use super::shown::{self, note, print, print_json};
use super::{Client, HostArgs};
use clap::Subcommand;
use serde_json::{Value, json};

/// What is done with rooms, or with users.
#[derive(Debug, Clone, Subcommand)]
pub enum IdCommand {
    /// Make new ones.
    Create {
        /// How many.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
    },
    /// List them.
    List(Paging),
    /// Show one, with what belongs to it.
    Show {
        /// Its id.
        id: String,
        /// How much of it.
        #[command(flatten)]
        paging: Paging,
    },
    /// Delete some, and their memberships.
    Delete {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Rooms or users.
pub(super) struct Kind {
    /// In paths and field names: `room`.
    pub(super) name: &'static str,
    /// The field of a list of them: `rooms`.
    pub(super) plural: &'static str,
    /// The field of what belongs to one: `members`.
    pub(super) inner: &'static str,
}

pub(super) fn run(kind: &Kind, command: &IdCommand, host: &HostArgs) -> anyhow::Result<()> {
    let client = Client::new(host.target()?)?;
    let path = format!("/api/{}", kind.name);
    let heading = kind.name.to_uppercase();
    match command {
        IdCommand::Create { count } => create(kind, &client, *count, host.json),
        IdCommand::List(paging) => {
            let answer = client.list(&path, kind.plural, paging)?;
            show_list(&answer, kind.plural, &heading, host.json)
        }
        IdCommand::Show { id, paging } => {
            let path = format!("{path}/{}", percent_encoded(id));
            let answer = client.list(&path, kind.inner, paging)?;
            show_list(&answer, kind.inner, &kind.inner.to_uppercase(), host.json)
        }
        IdCommand::Delete { ids } => {
            let mut deleted = Vec::new();
            for id in ids {
                let answer = client.call("DELETE", &format!("{path}/{}", percent_encoded(id)))?;
                if !host.json {
                    print(&format!("{} is deleted\n", shown::visible(id)))?;
                }
                deleted.push(answer);
            }
            print_answers(deleted, host.json)
        }
    }
}

fn create(kind: &Kind, client: &Client, count: u32, as_json: bool) -> anyhow::Result<()> {
    let path = format!("/api/{}", kind.name);
    let field = format!("{}_id", kind.name);
    let mut made = Vec::new();
    for _ in 0..count {
        let answer = client.call("POST", &path)?;
        if !as_json {
            print(&format!(
                "{}\n",
                shown::visible(&shown::said(&answer[&field]))
            ))?;
        }
        made.push(answer);
    }
    print_answers(made, as_json)
}

/// Prints what the host answered, for programs: one answer as it is, several as a list.
pub(super) fn print_answers(mut answers: Vec<Value>, as_json: bool) -> anyhow::Result<()> {
    match answers.len() {
        _ if !as_json => Ok(()),
        1 => print_json(&answers.remove(0)),
        _ => print_json(&json!(answers)),
    }
}

/// Prints a list of ids, and on stderr how to get what is left.
pub(super) fn show_list(
    answer: &Value,
    field: &str,
    heading: &str,
    as_json: bool,
) -> anyhow::Result<()> {
    if as_json {
        return print_json(answer);
    }
    let data = &answer["data"];
    let ids = data[field].as_array();
    let rows: Vec<Vec<String>> = ids
        .into_iter()
        .flatten()
        .map(|id| vec![shown::said(id)])
        .collect();
    print(&shown::table(&[heading], &rows))?;
    if let Some(next) = data["next"].as_str() {
        let next = shown::visible(next);
        note(&format!(
            "there are more: --all fetches them, --cursor {next} goes on"
        ));
    }
    Ok(())
}
