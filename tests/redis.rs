//! A real Redis of a test's own: started on a free port with a folder of its own, stopped,
//! killed and started again as the test likes; and a client that shares no code with the
//! host's.
//!
//! Everything here blocks: it is local, and a test that waits for Redis has nothing else to do.

use crate::certificates::Certificates;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// What Redis says once it serves.
const READY: &str = "Ready to accept connections";

/// How long Redis may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many ports are tried: another process may take one that was free a moment ago.
const PORTS: usize = 8;

/// A running Redis. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    /// The certificates, where it speaks TLS and nothing else.
    tls: Option<Certificates>,
    /// `None` while it is down.
    child: Option<Child>,
}

impl Default for Redis {
    fn default() -> Self {
        Self::start()
    }
}

impl Redis {
    /// Starts an empty Redis that writes everything to an append-only file.
    pub fn start() -> Self {
        Self::start_with(&["--appendonly", "yes"])
    }

    /// Starts an empty Redis with these arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_on(arguments, None)
    }

    /// Starts an empty Redis that speaks TLS alone.
    pub fn start_tls() -> Self {
        Self::start_on(&[], Some(Certificates::new()))
    }

    fn start_on(arguments: &[&str], tls: Option<Certificates>) -> Self {
        let mut redis = Self {
            folder: TempDir::new().unwrap(),
            port: 0,
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            tls,
            child: None,
        };
        for _ in 0..PORTS {
            redis.port = free_port();
            if redis.launch() {
                return redis;
            }
        }
        panic!("redis-server does not start; `tests/run` installs it");
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        match self.tls {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// The certificate of the authority that vouches for a Redis with TLS.
    pub fn authority(&self) -> PathBuf {
        let tls = self.tls.as_ref().expect("it speaks TLS");
        tls.authority()
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("Redis runs").id()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Runs one command over a connection of its own.
    pub fn run(&self, command: &[&str]) -> Reply {
        self.client().run(command)
    }

    /// How often commands of this name were run, as `INFO commandstats` has it.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.run(&["INFO", "commandstats"]).text();
        let prefix = format!("cmdstat_{command}:calls=");
        stats
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .and_then(|rest| rest.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// The ids of the connections whose line in `CLIENT LIST` holds `text`.
    pub fn connections(&self, text: &str) -> Vec<String> {
        let list = self.run(&["CLIENT", "LIST"]).text();
        let lines = list.lines().filter(|line| line.contains(text));
        lines
            .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
            .map(str::to_owned)
            .collect()
    }

    /// Stops the process, as if its machine hung.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets a stopped process go on.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again after [`Redis::kill`], on the same port, with what it had written.
    pub fn restart(&mut self) {
        assert!(self.launch(), "Redis does not come back");
    }

    /// The same, with nothing.
    pub fn restart_empty(&mut self) {
        self.folder = TempDir::new().unwrap();
        self.restart();
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(status.unwrap().success(), "kill -{name} failed");
    }

    /// Starts the process; says whether it serves.
    fn launch(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        match &self.tls {
            None => command.args(["--port", &port]),
            Some(tls) => command
                .args([
                    "--port",
                    "0",
                    "--tls-port",
                    &port,
                    "--tls-auth-clients",
                    "no",
                ])
                .args(["--tls-cert-file".into(), tls.cert()])
                .args(["--tls-key-file".into(), tls.key()])
                .args(["--tls-ca-cert-file".into(), tls.authority()]),
        };
        let mut child = command
            .args(["--bind", "127.0.0.1"])
            .args(["--save", "", "--loglevel", "notice"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed; `tests/run` does that");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (ready, is_ready) = mpsc::channel();
        // Reads to the end, so that Redis never waits for somebody to read what it says.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if line.contains(READY) {
                    let _ = ready.send(());
                }
            }
        });
        let serves = is_ready.recv_timeout(PATIENCE).is_ok();
        if serves {
            self.child = Some(child);
        } else {
            let _ = child.kill();
            let _ = child.wait();
        }
        serves
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What Redis answers, as RESP2 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A short text.
    Status(String),
    /// A refusal.
    Error(String),
    /// A number.
    Number(i64),
    /// Bytes, or none.
    Bulk(Option<Vec<u8>>),
    /// Several, or none.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The text of a reply that is one.
    pub fn text(&self) -> String {
        match self {
            Self::Status(text) => text.clone(),
            Self::Bulk(Some(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }

    /// The number of a reply that is one.
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }
}

/// A connection to a Redis.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Runs one command.
    pub fn run(&mut self, command: &[&str]) -> Reply {
        let command: Vec<&[u8]> = command.iter().map(|it| it.as_bytes()).collect();
        self.send(&command);
        self.receive()
    }

    /// Sends a command of any bytes.
    pub fn send(&mut self, command: &[&[u8]]) {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes).unwrap();
    }

    /// The next reply.
    pub fn receive(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).expect("Redis answers");
        match kind {
            "+" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(rest.parse().unwrap()),
            "$" => Reply::Bulk(length(rest).map(|length| {
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(length);
                bytes
            })),
            "*" => Reply::Array(
                length(rest).map(|length| (0..length).map(|_| self.receive()).collect()),
            ),
            _ => panic!("{line:?} is no reply"),
        }
    }
}

/// A length; a negative one stands for nothing.
fn length(text: &str) -> Option<usize> {
    let length: i64 = text.parse().unwrap();
    usize::try_from(length).ok()
}
