//! REST calls on kept-alive connections.

use super::report::Report;
use super::stage::{Stage, Target};
use anyhow::{Context, bail};
use clap::Args;
use hdrhistogram::Histogram;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// GET and POST of a room, one after the other.
#[derive(Debug, Args)]
pub(super) struct Rest {
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How long to measure each.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl Rest {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, 1, 10)?;
        let mut report = Report::default();
        let get = format!("GET /api/room/{}?apikey={}", stage.rooms[0], stage.key);
        let post = format!("POST /api/room?apikey={}", stage.key);
        for (name, line) in [("GET room", get), ("POST room", post)] {
            let before = target.reading()?;
            let times = load(target.address, &line, self.connections, self.seconds)?;
            let after = target.reading()?;
            report.add(name, "", "");
            report.add_real("requests", times.len() as f64 / self.seconds, "/s");
            if let (Some(before), Some(after)) = (before, after) {
                let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
                report.add_real("cpu per request", cpu / times.len() as f64, "µs");
            }
            report.add_times(&times);
        }
        stage.strike(target)?;
        Ok(report)
    }
}

/// Requests on so many kept-alive connections, each with one under way.
pub(super) fn load(
    address: SocketAddr,
    line: &str,
    connections: usize,
    seconds: f64,
) -> anyhow::Result<Histogram<u64>> {
    let request = format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| repeat(address, &request, until)))
            .collect();
        let mut all = Histogram::new(3)?;
        for thread in threads {
            match thread.join() {
                Ok(times) => all.add(times?)?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(all)
    })
}

fn repeat(address: SocketAddr, request: &str, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut times = Histogram::new(3)?;
    let mut buffer = vec![0; 64 << 10];
    while Instant::now() < until {
        let start = Instant::now();
        stream.write_all(request.as_bytes())?;
        respond(&mut stream, &mut buffer)?;
        times.record(start.elapsed().as_nanos() as u64)?;
    }
    Ok(times)
}

/// Reads one response with a Content-Length or in chunks, and checks that it is a success.
fn respond(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..])?;
        if read == 0 {
            bail!("the host closed the connection");
        }
        have += read;
        let text = std::str::from_utf8(&buffer[..have])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{}", head.lines().next().unwrap_or_default());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>())
        });
        let whole = match length {
            Some(length) => body.len() >= length.context("content-length")?,
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return Ok(());
        }
    }
}
