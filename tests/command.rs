//! The binary's commands, run to their end with an environment of their own.

use crate::deadline::within;
use crate::host::{Host, binary};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Someone at a terminal: a profile file and an environment.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Fails unless the command succeeded; its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Fails unless the command succeeded and printed one JSON value.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Fails unless the command ended with `code` and an error that says all of `words`.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is missing: {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

impl Terminal {
    /// A terminal whose commands go to `host`.
    pub fn at(host: &Host) -> Self {
        let url = format!("http://{}", host.address());
        Self::default().with("SSCHAT_URL", &url)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its profile file is.
    pub fn profiles(&self) -> PathBuf {
        self.folder.path().join("profiles.toml")
    }

    /// Writes a file of its own; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SSCHAT_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("SSCHAT_PROFILES", self.profiles())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "").await
    }

    /// Runs a command with something on its standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let ended = within(&format!("{arguments:?}"), child.wait_with_output()).await;
        let ended = ended.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said {
            code: ended.status.code().unwrap(),
            out: text(ended.stdout),
            err: text(ended.stderr),
        }
    }

    /// Runs a command whose standard output nobody reads; its exit code and standard error.
    pub async fn run_unread(&self, arguments: &[&str]) -> (i32, String) {
        let mut child = self.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let ended = within(&format!("{arguments:?}"), child.wait_with_output()).await;
        let ended = ended.unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        (ended.status.code().unwrap(), errors)
    }

    /// Starts a command, and waits until it says this on standard error.
    pub async fn start(&self, arguments: &[&str], first: &str) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        within(&format!("{arguments:?} says {first:?}"), async {
            while let Some(line) = errors.next_line().await.unwrap() {
                if line.contains(first) {
                    return;
                }
            }
            panic!("{arguments:?} ended without a word of {first:?}");
        })
        .await;
        Running { child, out, errors }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            environment: Vec::new(),
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// The next line of its standard output.
    pub async fn line(&mut self) -> String {
        let line = within("a line is printed", self.out.next_line()).await;
        line.unwrap().expect("the command goes on")
    }

    /// The next line of its standard error.
    pub async fn complaint(&mut self) -> String {
        let line = within("a complaint is printed", self.errors.next_line()).await;
        line.unwrap().expect("the command complains")
    }

    /// Waits for its end; its exit code.
    pub async fn ended(&mut self) -> i32 {
        let status = within("the command ends", self.child.wait()).await;
        status.unwrap().code().unwrap()
    }
}
