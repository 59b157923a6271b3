//! The profile file: hosts and keys by name, in TOML.
//!
//! ```toml
//! default = "local"
//!
//! [profiles.local]
//! url = "http://127.0.0.1:3000"
//! apikey = "apikey_…"
//! ```
//!
//! A key that is not known is refused with the nearest one that is. The file is written as
//! its owner's alone, and as a whole: what another program reads is the old or the new one.
//! Absent on purpose: comments survive no change made by `sschat config`.

use super::Failure;
use super::shown::note;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The keys of a profile.
pub(super) const KEYS: [&str; 6] = ["url", "apikey", "apikey_file", "user", "token_file", "app"];

/// The keys of the file.
const TOP: [&str; 2] = ["default", "profiles"];

/// The largest file that is read: thousands of profiles.
const FILE_LIMIT: u64 = 1 << 20;

/// One profile: its keys, all of [`KEYS`].
pub(super) type Profile = BTreeMap<String, String>;

/// The whole file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Profiles {
    pub(super) default: Option<String>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// Where the file is: `SSCHAT_PROFILES`, else in the user's folder for configuration.
pub(super) fn path() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("SSCHAT_PROFILES") {
        return Ok(path.into());
    }
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".config")));
    match folder {
        Some(folder) => Ok(folder.join("sschat/profiles.toml")),
        None => Err(Failure::Usage(
            "no home folder is known; name the profile file by SSCHAT_PROFILES".to_owned(),
        )),
    }
}

impl Profiles {
    /// Reads the file; one that is not there is empty.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |reason: String| Failure::Usage(format!("{}: {reason}", path.display()));
        let found = match std::fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(wrong(error.to_string())),
        };
        if found.len() > FILE_LIMIT {
            return Err(wrong("the file is larger than 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let parsed = Self::parse(&text).map_err(wrong)?;
        let open = found.permissions().mode() & 0o077 != 0;
        let keys = |profile: &Profile| profile.contains_key("apikey");
        if open && parsed.profiles.values().any(keys) {
            let path = path.display();
            note(&format!(
                "warning: {path} holds API keys and others may read it; run `chmod 600 {path}`"
            ));
        }
        Ok(parsed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())?;
        let mut parsed = Self::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("default", toml::Value::String(name)) => parsed.default = Some(name),
                ("default", _) => return Err("default is the name of a profile".to_owned()),
                ("profiles", toml::Value::Table(profiles)) => {
                    for (name, value) in profiles {
                        let profile = profile(&name, value)?;
                        parsed.profiles.insert(name, profile);
                    }
                }
                ("profiles", _) => return Err("write profiles as [profiles.NAME]".to_owned()),
                (key, _) => return Err(unknown(key, &TOP)),
            }
        }
        Ok(parsed)
    }

    /// The profile of this name.
    pub(super) fn get(&self, name: &str) -> Result<&Profile, Failure> {
        self.profiles.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let next = match (nearest(name, &names), names.is_empty()) {
                (Some(near), _) => format!("did you mean {near:?}?"),
                (None, true) => format!("there is none yet; `sschat config set {name} --url …`"),
                (None, false) => format!("there are: {}", names.join(", ")),
            };
            Failure::Usage(format!("there is no profile {name:?}; {next}"))
        })
    }

    /// Writes the file anew.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let written = self.try_write(path);
        written.map_err(|error| {
            Failure::Usage(format!("{} can't be written: {error}", path.display()))
        })
    }

    fn try_write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        let outcome = file
            .write_all(self.text().as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&beside, path));
        if outcome.is_err() {
            // What is half written is of no use; the first error is the one that counts.
            let _ = std::fs::remove_file(&beside);
        }
        outcome
    }

    fn text(&self) -> String {
        let mut table = toml::Table::new();
        if let Some(default) = &self.default {
            table.insert("default".to_owned(), default.clone().into());
        }
        let profiles: toml::Table = self
            .profiles
            .iter()
            .map(|(name, profile)| {
                let keys = profile.iter();
                let keys: toml::Table = keys
                    .map(|(key, value)| (key.clone(), value.clone().into()))
                    .collect();
                (name.clone(), toml::Value::Table(keys))
            })
            .collect();
        table.insert("profiles".to_owned(), profiles.into());
        table.to_string()
    }
}

fn profile(name: &str, value: toml::Value) -> Result<Profile, String> {
    let toml::Value::Table(table) = value else {
        return Err(format!("profiles.{name} is to be a table"));
    };
    let mut profile = Profile::new();
    for (key, value) in table {
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("profiles.{name}: {}", unknown(&key, &KEYS)));
        }
        let toml::Value::String(text) = value else {
            return Err(format!("profiles.{name}.{key} is to be a text"));
        };
        profile.insert(key, text);
    }
    Ok(profile)
}

/// The refusal of a key that is not known.
fn unknown(key: &str, valid: &[&str]) -> String {
    match nearest(key, valid) {
        Some(near) => format!("unknown key {key:?}; did you mean {near:?}?"),
        None => format!("unknown key {key:?}; valid are {}", valid.join(", ")),
    }
}

/// The candidate that is reached by the fewest changes, if these are at most a third of the word.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let best = candidates
        .iter()
        .min_by_key(|candidate| distance(word, candidate))?;
    let bound = (word.chars().count() / 3).max(2);
    (distance(word, best) <= bound).then_some(best)
}

/// How many characters must be added, taken away or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, there) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *there);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_told_with_the_nearest_key() {
        let wrong = |text| Profiles::parse(text).unwrap_err();
        let told = wrong("[profiles.a]\napikeyfile = \"x\"");
        assert_eq!(
            told,
            "profiles.a: unknown key \"apikeyfile\"; did you mean \"apikey_file\"?"
        );
        assert!(wrong("defualt = \"a\"").contains("did you mean \"default\"?"));
        assert!(wrong("colour = 1").contains("valid are default, profiles"));
        assert!(wrong("[profiles.a]\nurl = 1").contains("is to be a text"));
        assert!(wrong("profiles = 1").contains("[profiles.NAME]"));
        assert!(wrong("[profiles.a\n").contains("line 1"));
    }

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/profiles.toml");
        let mut profiles = Profiles::read(&path).unwrap();
        assert_eq!(profiles, Profiles::default());
        let profile = Profile::from([("url".to_owned(), "http://a \"b\"".to_owned())]);
        profiles.profiles.insert("näme".to_owned(), profile);
        profiles.default = Some("näme".to_owned());
        profiles.write(&path).unwrap();
        profiles.write(&path).unwrap();
        assert_eq!(Profiles::read(&path).unwrap(), profiles);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let others = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(others, 1);
    }

    #[test]
    fn an_unknown_profile_is_told_with_the_nearest() {
        let profiles = Profiles::parse("[profiles.staging]\n[profiles.local]").unwrap();
        let told = |name| profiles.get(name).unwrap_err().to_string();
        assert!(told("stagging").contains("did you mean \"staging\"?"));
        assert!(told("x").contains("there are: local, staging"));
    }
}
