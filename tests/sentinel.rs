//! A real Sentinel of a test's own, over a real primary and its replica.
//!
//! Everything here blocks, as in [`crate::redis`].

use crate::redis::{Redis, free_port};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start, to know the replica, or to make that the primary.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Sentinel, and what it watches. Dropping it kills all of it.
#[derive(Debug)]
pub struct Sentinel {
    /// The first primary, and its replica.
    pub nodes: [Redis; 2],
    port: u16,
    child: Child,
    /// The lines of its log.
    said: mpsc::Receiver<String>,
    _folder: TempDir,
}

impl Default for Sentinel {
    fn default() -> Self {
        Self::start()
    }
}

impl Sentinel {
    /// Starts an empty primary, a replica that has caught up, and a Sentinel that knows both.
    pub fn start() -> Self {
        let primary = Redis::start();
        let port = primary.port().to_string();
        let replica =
            Redis::start_with(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
        let (folder, own) = (TempDir::new().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {own}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        );
        std::fs::write(&file, settings).unwrap();
        let mut child = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, said) = mpsc::channel();
        std::thread::spawn(move || {
            // The test may be over.
            for text in output.lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        let sentinel = Self {
            nodes: [primary, replica],
            port: own,
            child,
            said,
            _folder: folder,
        };
        sentinel.says("+slave ");
        sentinel
    }

    /// `redis+sentinel://…`
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.port)
    }

    /// Waits until what was written to the first primary is at the replica, too; then kills the primary. Ends once the
    /// replica has taken over.
    pub fn fail_over(&mut self) {
        assert_eq!(self.nodes[0].run(&["WAIT", "1", "10000"]).number(), 1);
        self.nodes[0].kill();
        self.says("+switch-master ");
    }

    /// Waits until it says this.
    fn says(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left).expect(text);
            if line.contains(text) {
                return;
            }
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
