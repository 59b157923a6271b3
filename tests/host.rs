//! The real binary, run as a child process on a free port of the loopback.

use crate::deadline::within;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot};

/// What precedes the port in the line that says where the host listens.
const BANNERS: [&str; 2] = ["http://127.0.0.1:", "https://127.0.0.1:"];

/// How a host is to be started.
#[derive(Debug, Default)]
pub struct Options {
    from: Option<PathBuf>,
    listen: Option<String>,
    state: Option<PathBuf>,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    before: Option<String>,
    program: Option<PathBuf>,
}

impl Options {
    /// `sschat up` on the repository's own `spin.toml`, a free port and a fresh state folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an argument after `up`.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Runs another program, in an empty folder and with the application that it carries.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Adds arguments after `up`.
    pub fn args(self, arguments: &[&str]) -> Self {
        arguments.iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Takes another manifest, or the folder it is in.
    pub fn from(mut self, manifest: impl Into<PathBuf>) -> Self {
        self.from = Some(manifest.into());
        self
    }

    /// Listens there instead of on a free port.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Keeps state there instead of in a folder that ends with the host.
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// Has a shell do this before it becomes the host.
    pub fn after(mut self, script: &str) -> Self {
        self.before = Some(script.into());
        self
    }

    fn command(&self, fresh: &Path) -> Command {
        let mut command = match &self.before {
            None => Command::new(self.program.clone().unwrap_or_else(binary)),
            Some(script) => {
                let mut shell = Command::new("sh");
                let script = format!("{script} && exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(binary());
                shell
            }
        };
        command.arg("up");
        match &self.program {
            None => command
                .arg("--from")
                .arg(self.from.clone().unwrap_or_else(repository)),
            Some(_) => command.current_dir(fresh),
        };
        command
            .arg("--listen")
            .arg(self.listen.as_deref().unwrap_or("127.0.0.1:0"))
            .arg("--state-dir")
            .arg(self.state.as_deref().unwrap_or(fresh))
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// A running host. Dropping it kills it, as `kill -9` does.
#[derive(Debug)]
pub struct Host {
    child: Child,
    address: SocketAddr,
    output: Output,
    _state: TempDir,
}

/// What a process has said so far, standard output and error in one.
#[derive(Debug, Clone, Default)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

impl Output {
    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Collects the lines of `stream`; the first that holds the banner is also sent to `address`.
    fn collect(
        &self,
        stream: impl AsyncRead + Send + Unpin + 'static,
        mut address: Option<oneshot::Sender<SocketAddr>>,
    ) -> tokio::task::JoinHandle<()> {
        let collected = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(found) = listening(&line)
                    && let Some(waiting) = address.take()
                {
                    // The starter may have given up.
                    let _ = waiting.send(found);
                }
                collected.lines.lock().unwrap().push(line);
                collected.more.notify_waiters();
            }
        })
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = BANNERS.iter().find_map(|it| line.split_once(it))?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("127.0.0.1:{port}").parse().ok()
}

impl Host {
    /// Starts a host and waits until it says where it listens.
    pub async fn start(options: Options) -> Self {
        let state = fresh_state();
        let mut child = options.command(state.path()).spawn().unwrap();
        let output = Output::default();
        let (found, address) = oneshot::channel();
        let out = output.collect(child.stdout.take().unwrap(), Some(found));
        let err = output.collect(child.stderr.take().unwrap(), None);
        match within("a host starts", address).await {
            Ok(address) => Self {
                child,
                address,
                output,
                _state: state,
            },
            Err(_) => {
                // Standard output ended without the line: the host gave up.
                let status = within("a host that gave up ends", child.wait()).await;
                let _ = tokio::join!(out, err);
                panic!("the host did not start ({status:?}):\n{}", output.text());
            }
        }
    }

    /// Starts a host with the repository's manifest and defaults.
    pub async fn plain() -> Self {
        Self::start(Options::new()).await
    }

    /// Starts a host that is expected to refuse: its exit status and everything it said.
    pub async fn refused(options: Options) -> (ExitStatus, String) {
        let state = fresh_state();
        let mut child = options.command(state.path()).spawn().unwrap();
        let output = Output::default();
        let (found, address) = oneshot::channel();
        let out = output.collect(child.stdout.take().unwrap(), Some(found));
        let err = output.collect(child.stderr.take().unwrap(), None);
        let status = tokio::select! {
            status = within("a host refuses to start", child.wait()) => status.unwrap(),
            Ok(address) = address => panic!("the host listens on {address} where it should refuse:\n{}", output.text()),
        };
        let _ = tokio::join!(out, err);
        (status, output.text())
    }

    /// Runs another subcommand of the binary to its end.
    pub async fn run(arguments: &[&str]) -> (ExitStatus, String) {
        let done = Command::new(binary())
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let done = within("a subcommand ends", done).await.unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status, String::from_utf8_lossy(&said).into_owned())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        self.output.text()
    }

    /// Waits until it has said this.
    pub async fn says(&self, text: &str) {
        within(&format!("the host says {text:?}"), async {
            loop {
                let more = self.output.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if self.said().contains(text) {
                    return;
                }
                more.await;
            }
        })
        .await;
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the host runs")
    }

    /// Resident memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Sends a signal by its name, as `kill -NAME` does.
    pub async fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(
            within("kill", sent).await.unwrap().success(),
            "kill -{name} failed"
        );
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the host ends", self.child.wait()).await.unwrap()
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.ended().await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- the host at {} said:\n{}\n---",
                self.address,
                self.said()
            );
        }
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// A folder below `target/artifacts` for what tests leave behind.
pub fn artifacts(name: &str) -> PathBuf {
    let folder = built().parent().unwrap().join("artifacts").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder of the built guests that misbehave, with their manifests.
pub fn guests() -> PathBuf {
    repository().join("tests/guests")
}

/// An empty state folder, but for compiled code, which all hosts of all tests share.
fn fresh_state() -> TempDir {
    let state = TempDir::new().unwrap();
    std::os::unix::fs::symlink(artifacts("code-cache"), state.path().join("cache")).unwrap();
    state
}

/// The folder that cargo builds into, for this profile.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_path_buf()
}

/// The host under test: the one built beside this test, or another by `SSCHAT_BINARY`.
pub fn binary() -> PathBuf {
    let path =
        std::env::var_os("SSCHAT_BINARY").map_or_else(|| built().join("sschat"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing; `tests/run` builds it and runs the tests",
        path.display()
    );
    path
}
