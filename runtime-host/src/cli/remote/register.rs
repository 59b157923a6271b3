//! `sschat register`: API keys.

use super::profiles::{self, Profile, Profiles};
use super::shown::{fields, note, print, print_json, said};
use super::target::Secret;
use super::{Client, Failure, HostArgs};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `sschat register`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct RegisterArgs {
    /// Register a key, unless something else is said.
    #[command(subcommand)]
    pub command: Option<KeyCommand>,
    /// A name for the app, for people.
    #[arg(long)]
    pub label: Option<String>,
    /// Users of this app log in with signed tokens only.
    #[arg(long)]
    pub require_token: bool,
    /// A file with the host's admin token, `-` for stdin; where registering needs it.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Keep host and key as a profile of this name, the default one if it is the first.
    #[arg(long, value_name = "NAME")]
    pub save_as: Option<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// What is done with a key that is there.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyCommand {
    /// Show what the key stands for.
    Show,
    /// Delete the key and everything under it: rooms, users, policy, sessions.
    Delete {
        /// Really.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(args: &RegisterArgs) -> anyhow::Result<()> {
    match &args.command {
        None => register(args),
        Some(KeyCommand::Show) => show(args),
        Some(KeyCommand::Delete { yes }) => delete(args, *yes),
    }
}

fn register(args: &RegisterArgs) -> anyhow::Result<()> {
    // What would fail later fails before a key is made that nobody would know.
    let file = profiles::path()?;
    let mut kept = match &args.save_as {
        Some(_) => Profiles::read(&file)?,
        None => Profiles::default(),
    };
    if let Some(name) = &args.save_as
        && kept.profiles.contains_key(name)
    {
        let there =
            format!("there is a profile {name:?} already; `sschat config remove {name}` first");
        return Err(Failure::Usage(there).into());
    }
    let token = args.admin_token_file.as_deref().map(Secret::read);
    let token = token.transpose()?;
    let client = Client::anonymous(args.host.target()?);
    let mut wishes = json!({"require_token": args.require_token});
    if let Some(label) = &args.label {
        wishes["label"] = json!(label);
    }
    let mut headers = vec![("content-type", "application/json")];
    if let Some(token) = &token {
        headers.push(("x-admin-token", token.expose()));
    }
    let body = wishes.to_string();
    let answer = client.call_with("POST", "/api/register", &headers, Some(body.as_bytes()))?;
    if args.host.json {
        print_json(&answer)?;
    } else {
        print(&shown_key(&answer, &["api_key", "app_id", "secret"]))?;
    }
    match &args.save_as {
        None => {
            note("these are shown this once: keep them; --save-as NAME keeps them in a profile")
        }
        Some(name) => {
            let url = client.target().url.clone();
            let profile = Profile::from([
                ("url".to_owned(), url),
                ("apikey".to_owned(), said(&answer["api_key"])),
                ("app".to_owned(), said(&answer["app_id"])),
            ]);
            kept.profiles.insert(name.clone(), profile);
            kept.default.get_or_insert_with(|| name.clone());
            kept.write(&file)?;
            note(&format!(
                "kept as profile {name:?} in {}; the secret is shown this once",
                file.display()
            ));
        }
    }
    Ok(())
}

fn show(args: &RegisterArgs) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    let answer = client.call("GET", &key_path(&client)?)?;
    if args.host.json {
        return print_json(&answer);
    }
    print(&shown_key(&answer, &["app_id", "label", "require_token"]))
}

fn delete(args: &RegisterArgs, yes: bool) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    if !yes {
        let what =
            "this deletes the key with all its rooms, users and sessions; add --yes to do it";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    let answer = client.call("DELETE", &key_path(&client)?)?;
    if args.host.json {
        return print_json(&answer);
    }
    print("the key and everything under it is deleted\n")
}

/// The key's own path.
fn key_path(client: &Client) -> Result<String, Failure> {
    let key = client.target().key()?.expose();
    Ok(format!(
        "/api/register/{}",
        super::client::percent_encoded(key)
    ))
}

fn shown_key(answer: &Value, names: &[&'static str]) -> String {
    let row = |name: &&'static str| (*name, said(&answer[*name]));
    fields(&names.iter().map(row).collect::<Vec<_>>())
}
