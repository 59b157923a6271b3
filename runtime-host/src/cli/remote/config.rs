//! `sschat config`: the profiles of this user.

use super::Failure;
use super::profiles::{self, Profiles};
use super::shown::{note, print, print_json, table};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// `sschat config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is done with profiles.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print where the profile file is.
    Path,
    /// List the profiles; keys are not shown.
    Show,
    /// Make a profile, or change what is given of it.
    Set {
        /// Its name.
        name: String,
        /// The host.
        #[arg(long)]
        url: Option<String>,
        /// A file with the API key, read each time.
        #[arg(long, value_name = "FILE")]
        apikey_file: Option<String>,
        /// The user to log in as.
        #[arg(long)]
        user: Option<String>,
        /// A file with a token to log in with, read each time.
        #[arg(long, value_name = "FILE")]
        token_file: Option<String>,
        /// The app's public id.
        #[arg(long)]
        app: Option<String>,
    },
    /// Make a profile the default one.
    Use {
        /// Its name.
        name: String,
    },
    /// Print a configuration file of `sschat up` with every key, what it does and its default.
    Example,
    /// Remove a profile.
    Remove {
        /// Its name.
        name: String,
    },
}

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let file = profiles::path()?;
    if matches!(args.command, ConfigCommand::Path) {
        return match args.json {
            true => print_json(&json!({"path": file})),
            false => print(&format!("{}\n", file.display())),
        };
    }
    if matches!(args.command, ConfigCommand::Example) {
        let text = crate::cli::file::example();
        return print(&text.map_err(Failure::Usage)?);
    }
    let mut profiles = Profiles::read(&file)?;
    match &args.command {
        ConfigCommand::Path | ConfigCommand::Example | ConfigCommand::Show => {
            return show(&profiles, args.json);
        }
        ConfigCommand::Set {
            name,
            url,
            apikey_file,
            user,
            token_file,
            app,
        } => {
            let given = [
                ("url", url),
                ("apikey_file", apikey_file),
                ("user", user),
                ("token_file", token_file),
                ("app", app),
            ];
            let profile = profiles.profiles.entry(name.clone()).or_default();
            for (key, value) in given {
                if let Some(value) = value {
                    profile.insert(key.to_owned(), value.clone());
                    // A key belongs to its host: it does not move on to another.
                    if key == "apikey_file" || key == "url" {
                        profile.remove("apikey");
                    }
                }
            }
            profiles.default.get_or_insert_with(|| name.clone());
        }
        ConfigCommand::Use { name } => {
            profiles.get(name)?;
            profiles.default = Some(name.clone());
        }
        ConfigCommand::Remove { name } => {
            profiles.get(name)?;
            profiles.profiles.remove(name);
            if profiles.default.as_deref() == Some(name) {
                profiles.default = None;
            }
        }
    }
    profiles.write(&file)?;
    show(&profiles, args.json)
}

fn show(profiles: &Profiles, as_json: bool) -> anyhow::Result<()> {
    let default = |name: &str| profiles.default.as_deref() == Some(name);
    if as_json {
        let shown: serde_json::Map<String, Value> = profiles
            .profiles
            .iter()
            .map(|(name, profile)| {
                let mut shown = json!(profile);
                if profile.contains_key("apikey") {
                    shown["apikey"] = json!("…");
                }
                (name.clone(), shown)
            })
            .collect();
        return print_json(&json!({"default": profiles.default, "profiles": shown}));
    }
    let rows: Vec<Vec<String>> = profiles
        .profiles
        .iter()
        .map(|(name, profile)| {
            let set = |key: &str| profile.get(key).cloned().unwrap_or_else(|| "-".to_owned());
            let key = match (profile.contains_key("apikey"), profile.get("apikey_file")) {
                (true, _) => "kept here".to_owned(),
                (false, Some(file)) => file.clone(),
                (false, None) => "-".to_owned(),
            };
            let mark = if default(name) { "*" } else { "" };
            vec![
                mark.to_owned(),
                name.clone(),
                set("url"),
                key,
                set("user"),
                set("app"),
            ]
        })
        .collect();
    if rows.is_empty() {
        note(
            "there is no profile yet: `sschat register --save-as NAME` or `sschat config set NAME --url …`",
        );
    }
    print(&table(
        &["", "PROFILE", "URL", "API KEY", "USER", "APP"],
        &rows,
    ))
}
