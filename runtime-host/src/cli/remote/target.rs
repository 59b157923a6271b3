//! Which host, which key and which user a command is for.

use super::Failure;
use super::profiles::{self, Profile, Profiles};
use clap::Args;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The host that is asked where none is named.
const DEFAULT_URL: &str = "http://127.0.0.1:3000";

/// The largest file of a key or a token: a token with many claims is a few KiB.
const SECRET_LIMIT: u64 = 64 << 10;

/// Which host, and with which key.
#[derive(Debug, Clone, Default, Args)]
pub struct HostArgs {
    /// The host [env: SSCHAT_URL] [default: http://127.0.0.1:3000].
    #[arg(long, global = true, help_heading = "Host")]
    pub url: Option<String>,
    /// A file with the API key, `-` for stdin. Else the variable SSCHAT_APIKEY or the profile.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Host",
        conflicts_with = "apikey"
    )]
    pub apikey_file: Option<PathBuf>,
    /// The API key itself. Everybody on this machine can see it in the list of processes:
    /// use --apikey-file, the variable SSCHAT_APIKEY or a profile instead.
    #[arg(long, global = true, value_name = "KEY", help_heading = "Host")]
    pub apikey: Option<String>,
    /// The profile to take them from [env: SSCHAT_PROFILE]. See `sschat config`.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Host")]
    pub profile: Option<String>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

/// As which user a command connects.
#[derive(Debug, Clone, Default, Args)]
pub struct UserArgs {
    /// The user to log in as [env: SSCHAT_USER].
    #[arg(long, conflicts_with = "token_file")]
    pub user: Option<String>,
    /// A file with a signed token to log in with, `-` for stdin. Else the variable SSCHAT_TOKEN.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The app's public id, for tokens that do not name it.
    #[arg(long)]
    pub app: Option<String>,
}

/// A key or a token: it is not shown by mistake.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// Takes what can stand in a header.
    pub(super) fn new(text: &str, from: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::Usage(format!("{from} is empty")));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "holds more than one word; only the key or token itself may stand there";
            return Err(Failure::Usage(format!("{from} {reason}")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads a file, or stdin where it is `-`.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let mut text = String::new();
        let read = match name.as_str() {
            "-" => std::io::stdin()
                .take(SECRET_LIMIT)
                .read_to_string(&mut text),
            _ => std::fs::File::open(file)
                .and_then(|file| file.take(SECRET_LIMIT).read_to_string(&mut text)),
        };
        read.map_err(|error| Failure::Usage(format!("{name} can't be read: {error}")))?;
        Self::new(&text, &name)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A host, and what is known for it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Target {
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) key: Option<Secret>,
    pub(super) profile: Profile,
}

/// How a user logs in.
#[derive(Debug, Clone)]
pub(super) enum Login {
    User(String),
    Token(Secret),
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl HostArgs {
    /// The host that the options, the environment and the profiles lead to.
    pub(in crate::cli) fn target(&self) -> Result<Target, Failure> {
        let (profile, asked_for) = self.profile()?;
        let set = |name: &str| profile.get(name).cloned();
        // A profile that was asked for on this very line wins over what lies about in the environment.
        let environment = |name| variable(name).filter(|_| !asked_for);
        let given = self.url.clone().or_else(|| environment("SSCHAT_URL"));
        let url = given
            .clone()
            .or_else(|| set("url"))
            .unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = checked_url(&url)?;
        let key = if let Some(file) = &self.apikey_file {
            Some(Secret::read(file)?)
        } else if let Some(key) = &self.apikey {
            Some(Secret::new(key, "--apikey")?)
        } else if let Some(key) = environment("SSCHAT_APIKEY") {
            Some(Secret::new(&key, "SSCHAT_APIKEY")?)
        } else if belongs(&profile, given.as_deref()) {
            of_profile(&profile)?
        } else {
            None
        };
        Ok(Target { url, key, profile })
    }

    /// The profile, and whether it was named by an option.
    fn profile(&self) -> Result<(Profile, bool), Failure> {
        let profiles = Profiles::read(&profiles::path()?)?;
        let named = self.profile.clone().or_else(|| variable("SSCHAT_PROFILE"));
        let name = named.or_else(|| profiles.default.clone());
        let profile = match name {
            Some(name) => profiles.get(&name)?.clone(),
            None => Profile::new(),
        };
        Ok((profile, self.profile.is_some()))
    }
}

/// Whether a profile's key may be sent to `url`: a key goes to no host but its own.
fn belongs(profile: &Profile, url: Option<&str>) -> bool {
    let own = profile.get("url").map_or(DEFAULT_URL, String::as_str);
    url.is_none_or(|url| url.trim_end_matches('/') == own.trim_end_matches('/'))
}

fn of_profile(profile: &Profile) -> Result<Option<Secret>, Failure> {
    if let Some(key) = profile.get("apikey") {
        return Secret::new(key, "the profile's apikey").map(Some);
    }
    let file = profile.get("apikey_file");
    file.map(|file| Secret::read(Path::new(file))).transpose()
}

impl Target {
    /// The API key, or a message that says how to give one.
    pub(super) fn key(&self) -> Result<&Secret, Failure> {
        self.key.as_ref().ok_or_else(|| {
            Failure::Usage(format!(
                "no API key is given for {}; use --apikey-file FILE, the variable SSCHAT_APIKEY or a \
                 profile, or get one: sschat register --save-as NAME",
                self.url
            ))
        })
    }

    /// How the user logs in, and the app, if it is named. Nothing where no user is named.
    pub(super) fn login_if_any(
        &self,
        args: &UserArgs,
    ) -> Result<Option<(Login, Option<String>)>, Failure> {
        let set = |name: &str| self.profile.get(name).cloned();
        let app = args.app.clone().or_else(|| set("app"));
        let login = if let Some(user) = &args.user {
            Login::User(user.clone())
        } else if let Some(file) = &args.token_file {
            Login::Token(Secret::read(file)?)
        } else if let Some(token) = variable("SSCHAT_TOKEN") {
            Login::Token(Secret::new(&token, "SSCHAT_TOKEN")?)
        } else if let Some(user) = variable("SSCHAT_USER").or_else(|| set("user")) {
            Login::User(user)
        } else if let Some(file) = set("token_file") {
            Login::Token(Secret::read(Path::new(&file))?)
        } else {
            return Ok(None);
        };
        Ok(Some((login, app)))
    }

    /// What is said where a command needs a user and none is named.
    pub(super) fn nobody() -> Failure {
        Failure::Usage(
            "say as whom: --user USER or --token-file FILE; `sschat user create` makes a user"
                .to_owned(),
        )
    }
}

fn checked_url(url: &str) -> Result<String, Failure> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match authority {
        Some(authority) if !authority.is_empty() && !url.contains(['?', '#', '@', ' ']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::Usage(format!(
            "{url:?} is no address of a host; write it like {DEFAULT_URL}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_to_no_host_but_its_own() {
        let profile = Profile::from([("url".to_owned(), "http://a.test/".to_owned())]);
        assert!(belongs(&profile, None));
        assert!(belongs(&profile, Some("http://a.test")));
        assert!(!belongs(&profile, Some("http://b.test")));
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(checked_url("http://a.test/p/").unwrap(), "http://a.test/p");
        for wrong in ["a.test", "http://", "http://a b", "http://u@h", "ws://a"] {
            assert!(checked_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(checked_url("https://a.test").unwrap(), "https://a.test");
    }

    #[test]
    fn secrets_are_one_word_and_are_not_shown() {
        let secret = Secret::new(" apikey_1\n", "f").unwrap();
        assert_eq!(secret.expose(), "apikey_1");
        assert!(!format!("{secret:?}").contains("apikey_1"));
        assert!(Secret::new("\n", "f").is_err());
        let told = Secret::new("a b", "f").unwrap_err().to_string();
        assert!(!told.contains("a b"), "{told}");
    }
}
