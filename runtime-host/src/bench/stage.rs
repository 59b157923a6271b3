//! Sets the stage of a scenario: a key, rooms, users and memberships.

use super::dialect::{Dialect, Said};
use super::fleet::{Fleet, Heard};
use super::process::{self, Reading};
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests under way at once while the stage is set; concurrent writes share a commit.
const SETTERS: usize = 32;

/// Handshakes and logins under way at once.
const ENTERING: usize = 256;

/// How long the whole entry may take.
const ENTRY: Duration = Duration::from_secs(120);

/// The host under measurement.
pub(super) struct Target {
    url: String,
    pub(super) address: SocketAddr,
    pub(super) pid: Option<u32>,
    /// Whether connections offer compression.
    pub(super) compression: bool,
    agent: ureq::Agent,
    /// A second host.
    also: Option<Box<Target>>,
}

impl Target {
    pub(super) fn new(url: &str, pid: Option<u32>, compression: bool) -> anyhow::Result<Self> {
        let authority = url
            .strip_prefix("http://")
            .context("the url must begin with http://")?
            .trim_end_matches('/');
        let address = authority
            .to_socket_addrs()
            .with_context(|| format!("{authority} is no address"))?
            .next()
            .with_context(|| format!("{authority} has no address"))?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(SETTERS)
            .max_idle_connections_per_host(SETTERS)
            .build();
        Ok(Self {
            url: format!("http://{authority}"),
            address,
            pid,
            compression,
            agent: config.into(),
            also: None,
        })
    }

    /// The host together with a second one.
    pub(super) fn and_also(mut self, url: Option<&str>) -> anyhow::Result<Self> {
        let also = url.map(|url| Self::new(url, None, self.compression));
        self.also = also.transpose()?.map(Box::new);
        Ok(self)
    }

    /// The second host, where there is one.
    pub(super) fn also(&self) -> Option<&Self> {
        self.also.as_deref()
    }

    /// Where a client connects.
    fn address_of(&self, client: usize) -> SocketAddr {
        let also = self.also().filter(|_| client % 2 == 1);
        also.map_or(self.address, |also| also.address)
    }

    pub(super) fn reading(&self) -> anyhow::Result<Option<Reading>> {
        self.pid.map(process::read).transpose()
    }

    /// One REST call; its body.
    pub(super) fn call(&self, method: &str, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let mut response = match method {
            "GET" => self.agent.get(&url).call(),
            "POST" => self.agent.post(&url).send_empty(),
            "PUT" => self.agent.put(&url).send_empty(),
            _ => self.agent.delete(&url).call(),
        }
        .with_context(|| format!("{method} {path}"))?;
        let body: Value = response.body_mut().read_json()?;
        if !response.status().is_success() {
            bail!("{method} {path} was answered {}: {body}", response.status());
        }
        Ok(body)
    }

    /// `PUT` with a body.
    pub(super) fn put(&self, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.url);
        accepted(self.agent.put(&url).send(body).context("PUT")?)
    }

    /// `POST` with a body of JSON.
    pub(super) fn post(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.url);
        let request = self.agent.post(&url).content_type("application/json");
        accepted(request.send(body).context("POST")?)
    }

    fn made(&self, path: &str, field: &str) -> anyhow::Result<String> {
        text(&self.call("POST", path)?, field)
    }
}

fn accepted(mut response: http::Response<ureq::Body>) -> anyhow::Result<()> {
    if !response.status().is_success() {
        let why = response.body_mut().read_to_string()?;
        bail!("a request was answered {}: {why}", response.status());
    }
    Ok(())
}

/// A field of an answer.
fn text(body: &Value, field: &str) -> anyhow::Result<String> {
    let text = body[field].as_str().map(str::to_owned);
    text.with_context(|| format!("no {field} in {body}"))
}

/// Runs `work` for 0..count on several threads.
pub(super) fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let mut all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SETTERS.min(count))
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return anyhow::Ok(done);
                        }
                        done.push((index, work(index)?));
                    }
                })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            match thread.join() {
                Ok(done) => all.extend(done?),
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}

/// A key with rooms and users; each user is a member of one room.
pub(super) struct Stage {
    pub(super) key: String,
    /// The app's public id.
    pub(super) app: String,
    pub(super) rooms: Vec<String>,
    /// User ids, room by room.
    pub(super) users: Vec<String>,
}

impl Stage {
    /// Makes `rooms` rooms of `members` users.
    pub(super) fn set(target: &Target, rooms: usize, members: usize) -> anyhow::Result<Self> {
        let registered = target.call("POST", "/api/register")?;
        let (key, app) = (text(&registered, "api_key")?, text(&registered, "app_id")?);
        let made = |path: &str, field| target.made(&format!("{path}?apikey={key}"), field);
        let rooms = in_parallel(rooms, |_| made("/api/room", "room_id"))?;
        let users = in_parallel(rooms.len() * members, |index| {
            let user = made("/api/user", "user_id")?;
            let room = &rooms[index / members];
            target.call("PUT", &format!("/api/room/{room}/{user}/add?apikey={key}"))?;
            Ok(user)
        })?;
        Ok(Self {
            key,
            app,
            rooms,
            users,
        })
    }

    /// Makes another room, of some of the users.
    pub(super) fn share(&self, target: &Target, users: &[&str]) -> anyhow::Result<()> {
        let key = &self.key;
        let room = target.made(&format!("/api/room?apikey={key}"), "room_id")?;
        for user in users {
            target.call("PUT", &format!("/api/room/{room}/{user}/add?apikey={key}"))?;
        }
        Ok(())
    }

    /// Takes everything away again.
    pub(super) fn strike(self, target: &Target) -> anyhow::Result<()> {
        target.call("DELETE", &format!("/api/register/{}", self.key))?;
        Ok(())
    }
}

/// Who enters, and how.
pub(super) struct Entering<'a> {
    pub(super) dialect: Dialect,
    /// The app's public id.
    pub(super) app: &'a str,
    pub(super) users: usize,
    /// How many may be between their connection's beginning and the answer to their login at once.
    pub(super) at_once: usize,
}

impl<'a> Entering<'a> {
    pub(super) fn new(dialect: Dialect, stage: &'a Stage) -> Self {
        Self {
            dialect,
            app: &stage.app,
            users: stage.users.len(),
            at_once: ENTERING,
        }
    }
}

/// How everybody's entry went.
pub(super) struct Entry {
    /// From the first connection to the last answer.
    pub(super) took: Duration,
    /// From each connection's beginning to the answer to its login, in nanoseconds.
    pub(super) times: Histogram<u64>,
}

/// Connects and logs in every user; client number i is user number i.
pub(super) fn enter(fleet: &mut Fleet, target: &Target, users: &[String]) -> anyhow::Result<Entry> {
    let login = |user: usize| Dialect::Seed.login(&users[user], None);
    let entering = Entering {
        dialect: Dialect::Seed,
        app: "",
        users: users.len(),
        at_once: ENTERING,
    };
    enter_as(fleet, target, &entering, login, |_, _| {})
}

/// As [`enter`], into an app by a protocol and with logins of it; gives each its answer.
pub(super) fn enter_as(
    fleet: &mut Fleet,
    target: &Target,
    entering: &Entering<'_>,
    login: impl Fn(usize) -> Vec<u8>,
    mut answered: impl FnMut(usize, &[u8]),
) -> anyhow::Result<Entry> {
    let (dialect, users) = (entering.dialect, entering.users);
    let start = Instant::now();
    let mut times = Histogram::new_with_bounds(1, 1_000_000_000_000, 3)?;
    let mut begun = Vec::with_capacity(users);
    let mut inside = 0;
    while inside < users {
        while begun.len() < users && begun.len() - inside < entering.at_once {
            let address = target.address_of(begun.len());
            begun.push(Instant::now());
            fleet.connect(address, &dialect.path(entering.app), target.compression)?;
        }
        let mut refused = None;
        fleet.turn(Duration::from_millis(100), |fleet, client, heard| {
            let Some(message) = heard.message() else {
                match heard {
                    Heard::Open => fleet.send_as(client, dialect.opcode(), &login(client)),
                    _ => refused = Some("closed".to_owned()),
                }
                return;
            };
            dialect.read(message, |said| match said {
                Said::Begun(answer) => {
                    inside += 1;
                    // The histogram's bounds hold every time that an entry can last.
                    let _ = times.record(begun[client].elapsed().as_nanos() as u64);
                    answered(client, answer);
                }
                Said::Refused(why) => refused = Some(why.into_owned()),
                Said::Ping(pong) => fleet.send_as(client, dialect.opcode(), pong),
                Said::Publication(..) | Said::Accepted(_) | Said::Other => {}
            });
        })?;
        if let Some(refused) = refused {
            bail!("a login was refused: {refused}");
        }
        if start.elapsed() > ENTRY {
            bail!("only {inside} of {users} are in after {ENTRY:?}");
        }
    }
    Ok(Entry {
        took: start.elapsed(),
        times,
    })
}
