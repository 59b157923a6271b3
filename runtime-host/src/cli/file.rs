//! The configuration file of `sschat up` (TOML): every long option is a key, and `[variables]` are the manifest's.
//!
//! What it says stands in the place of the options' defaults: the command line and the environment go before it. A key
//! that does not exist is refused with the nearest that does, and a value as the command line would refuse it.

use super::{Cli, Command};
use crate::manifest::document::unknown;
use crate::manifest::variables::ENVIRONMENT_PREFIX;
use clap::builder::PossibleValue;
use clap::builder::styling::Styles;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::Value;

/// The most bytes of a file.
const LIMIT: u64 = 1 << 20;

/// The key of the manifest's variables.
const VARIABLES: &str = "variables";

/// What is an option and no key: it names this file, or answers and ends.
const NO_KEYS: [&str; 4] = ["config", "help", "version", "variable"];

/// What a file says.
#[derive(Debug, Default)]
struct File {
    /// By the names that the arguments have in clap.
    values: Vec<(String, Vec<String>)>,
    variables: Vec<(String, String)>,
}

/// Reads the command line, and the configuration file that it or the environment names.
///
/// # Errors
/// clap's, also where the file is at fault.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let command = Cli::command();
    let Some(path) = named(&command, &arguments) else {
        return Cli::from_arg_matches(&command.try_get_matches_from(arguments)?);
    };
    let wrong = |reason: String| {
        let told = format!("{}: {reason}\n", path.display());
        clap::Error::raw(ErrorKind::ValueValidation, told)
    };
    let file = read(&path).and_then(|text| File::parse(&command, &text));
    let file = file.map_err(wrong)?;
    let command = ["up", "check"].iter().fold(command, |command, name| {
        command.mut_subcommand(name, |it| file.stand_in(it))
    });
    let mut cli = Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
    let given = match &mut cli.command {
        Command::Up(args) => &mut args.runtime.variables,
        Command::Check(args) => &mut args.runtime.variables,
        _ => return Ok(cli),
    };
    for (name, value) in file.variables {
        let elsewhere = given.iter().any(|(given, _)| *given == name)
            || std::env::var_os(in_environment(&name)).is_some();
        if !elsewhere {
            given.push((name, value));
        }
    }
    Ok(cli)
}

fn in_environment(variable: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", variable.to_uppercase())
}

/// The file that is named, if any. What else is wrong is told later.
fn named(command: &clap::Command, arguments: &[OsString]) -> Option<PathBuf> {
    let lenient = command.clone().ignore_errors(true);
    let matches = lenient.try_get_matches_from(arguments).ok()?;
    let (_, of_command) = matches.subcommand()?;
    let path = of_command.try_get_one::<PathBuf>("config").ok()??;
    Some(path.clone())
}

fn read(path: &Path) -> Result<String, String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if found.len() > LIMIT {
        return Err(format!("the file is larger than {LIMIT} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if found.permissions().mode() & 0o007 != 0 && text.contains("[variables]") {
        // Where nobody reads stderr, nobody can be warned.
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "warning: {0} has variables, perhaps secrets, and everybody may read it; run `chmod o= {0}`\n",
                path.display()
            ),
        );
    }
    Ok(text)
}

fn up(command: &clap::Command) -> Result<&clap::Command, String> {
    command
        .find_subcommand("up")
        .ok_or_else(|| "there is no command `up`".to_owned())
}

/// The options that may stand in a file, by their keys.
fn keys(up: &clap::Command) -> Vec<(&str, &Arg)> {
    let shown = up.get_arguments().filter(|it| !it.is_hide_set());
    let long = shown.filter_map(|it| Some((it.get_long()?, it)));
    long.filter(|(key, _)| !NO_KEYS.contains(key)).collect()
}

impl File {
    fn parse(command: &clap::Command, text: &str) -> Result<Self, String> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())?;
        let up = up(command)?;
        let keys = keys(up);
        let mut file = Self::default();
        for (key, value) in table {
            if key == VARIABLES {
                file.variables = variables(value)?;
                continue;
            }
            let Some((_, option)) = keys.iter().find(|(known, _)| *known == key) else {
                let mut known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
                known.push(VARIABLES);
                return Err(unknown("key", &key, &known));
            };
            let values = texts(&key, option, value)?;
            check(up, &key, option, &values)?;
            file.values.push((option.get_id().to_string(), values));
        }
        Ok(file)
    }

    /// Puts the values in the place of the defaults, where the command has such options.
    fn stand_in(&self, command: clap::Command) -> clap::Command {
        self.values.iter().fold(command, |command, (id, values)| {
            if !command.get_arguments().any(|it| it.get_id() == id.as_str()) {
                return command;
            }
            command.mut_arg(id, |it| it.default_values(values.clone()))
        })
    }
}

/// The words of a value, as they would stand on the command line.
fn texts(key: &str, option: &Arg, value: Value) -> Result<Vec<String>, String> {
    let switch = matches!(option.get_action(), ArgAction::SetTrue);
    let several = matches!(option.get_action(), ArgAction::Append);
    let one = |value: Value| match value {
        Value::Boolean(yes) => Ok(yes.to_string()),
        _ if switch => Err(format!("{key} is true or false")),
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        _ => Err(format!("{key} is a text or a number")),
    };
    match value {
        Value::Array(values) if several => values.into_iter().map(one).collect(),
        Value::Array(_) => Err(format!("{key} has one value")),
        value => Ok(vec![one(value)?]),
    }
}

fn variables(value: Value) -> Result<Vec<(String, String)>, String> {
    let Value::Table(table) = value else {
        return Err("write variables as [variables]".to_owned());
    };
    let text = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        _ => Err(format!("the variable {name} is a text")),
    };
    table.into_iter().map(text).collect()
}

/// Refuses what the command line would refuse.
fn check(up: &clap::Command, key: &str, option: &Arg, values: &[String]) -> Result<(), String> {
    if matches!(option.get_action(), ArgAction::SetTrue) {
        return Ok(());
    }
    let given = values.iter().map(|value| format!("--{key}={value}"));
    let line = std::iter::once("up".to_owned()).chain(given);
    match up.clone().try_get_matches_from(line) {
        Err(error) if is_of_value(error.kind()) => {
            let told = error.to_string();
            let told = told.lines().next().unwrap_or_default();
            Err(told.trim_start_matches("error: ").to_owned())
        }
        _ => Ok(()),
    }
}

fn is_of_value(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidUtf8, InvalidValue, NoEquals, ValueValidation, WrongNumberOfValues};
    matches!(
        kind,
        InvalidUtf8 | InvalidValue | NoEquals | ValueValidation | WrongNumberOfValues
    )
}

/// A file with every key, what it does and its default, all of them commented out.
pub(super) fn example() -> Result<String, String> {
    let command = Cli::command().styles(Styles::plain());
    let mut text = "# The configuration of `sschat up --config FILE`. The command line and the variables SSCHAT_… of the\n\
                    # environment go before it. Printed by `sschat config example`.\n"
        .to_owned();
    for (key, option) in keys(up(&command)?) {
        let help = option.get_long_help().or(option.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        // The default is below.
        let (help, told) = match help.rsplit_once(" [default: ") {
            Some((help, default)) => (help.to_owned(), default.trim_end_matches([']', '.'])),
            None => (help.clone(), ""),
        };
        text.push('\n');
        for line in wrapped(&help) {
            let _ = writeln!(text, "# {line}");
        }
        let possible: Vec<_> = option.get_possible_values();
        let switch = matches!(option.get_action(), ArgAction::SetTrue) || key == "compression";
        if !possible.is_empty() && !switch {
            let names: Vec<&str> = possible.iter().map(PossibleValue::get_name).collect();
            let _ = writeln!(text, "# One of: {}.", names.join(", "));
        }
        let default = option.get_default_values().first();
        let default = default.map(|it| it.to_string_lossy().into_owned());
        let default = default.unwrap_or_else(|| told.to_owned());
        let several = matches!(option.get_action(), ArgAction::Append);
        let _ = match default.as_str() {
            "" if several => writeln!(text, "#{key} = []"),
            words if several => writeln!(text, "# Default: {words}.\n#{key} = []"),
            _ if switch => writeln!(text, "#{key} = false"),
            // What no value says, such as "one per core".
            words if words.contains(' ') => {
                writeln!(text, "# Default: {words}.\n#{key} = \"\"")
            }
            number if number.parse::<u64>().is_ok() => writeln!(text, "#{key} = {number}"),
            other => writeln!(text, "#{key} = \"{other}\""),
        };
    }
    text.push_str("\n# Variables of the manifest, such as who may register.\n#[variables]\n#registration = \"closed\"\n");
    Ok(text)
}

/// Lines of up to a hundred letters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.len() - 1;
        if lines[line].len() + word.len() > 100 {
            lines.push(word.to_owned());
            continue;
        }
        if !lines[line].is_empty() {
            lines[line].push(' ');
        }
        lines[line].push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, more: &[&str]) -> Result<Box<super::super::UpArgs>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sschat.toml");
        std::fs::write(&path, text).unwrap();
        let file = ["sschat", "up", "--config", path.to_str().unwrap()];
        let line = file.iter().chain(more).map(OsString::from).collect();
        match parse(line).map_err(|error| error.to_string())?.command {
            Command::Up(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_goes_before_defaults_and_the_command_line_before_the_file() {
        let text = "listen = \"127.0.0.1:4000\"\nshards = 3\nbuild = true\ncompression = true\n\
                    allow-origin = [\"https://a\", \"https://b\"]\nhistory = \"memory\"\n\
                    [variables]\nregistration = \"closed\"\nadmin_token = \"sesame\"\n";
        let args = with(text, &["--shards", "2", "--variable", "registration=open"]).unwrap();
        assert_eq!(args.listen.port(), 4_000);
        assert_eq!(args.shards, Some(2));
        assert!(args.build && args.compression == Some(true));
        assert_eq!(args.allow_origin, ["https://a", "https://b"]);
        let variables: Vec<_> = args.runtime.variables.iter().map(|(_, it)| it).collect();
        assert_eq!(variables, ["open", "sesame"]);
        assert!(!with("build = false", &[]).unwrap().build);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_nearest_that_is_right() {
        for (text, words) in [
            ("lisen = \"127.0.0.1:1\"", "did you mean \"listen\"?"),
            ("undecided = true", "unknown key"),
            ("config = \"other\"", "unknown key"),
            ("listen = 3000", "invalid value '3000' for '--listen"),
            ("shards = \"many\"", "invalid value 'many' for '--shards"),
            ("history = \"disk\"", "invalid value 'disk' for '--history"),
            ("shards = [1, 2]", "shards has one value"),
            ("build = \"yes\"", "build is true or false"),
            ("[listen]\na = 1", "listen is a text or a number"),
            ("listen = ", "TOML parse error"),
            ("variables = 1", "write variables as [variables]"),
            ("[variables]\na = 1", "the variable a is a text"),
        ] {
            let told = with(text, &[]).unwrap_err();
            assert!(
                told.contains(words) && told.contains("sschat.toml: "),
                "{text}: {told}"
            );
        }
    }

    #[test]
    fn the_example_has_every_key_and_is_taken_as_it_is() {
        let text = example().unwrap();
        assert!(with(&text, &[]).is_ok(), "{text}");
        let command = Cli::command();
        for (key, _) in keys(up(&command).unwrap()) {
            assert!(text.contains(&format!("\n#{key} = ")), "{key}: {text}");
        }
    }
}
