//! The hosts, each with a relay of its own to the one Redis, and what is done to them.

use sschat_tests::{Host, Options, Redis, Relay, Way};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::block_in_place;

/// How many there are.
pub(super) const HOSTS: usize = 3;

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A host is killed, and later started again.
    Kill(usize),
    /// A host stands still for a moment.
    Stop(usize),
    /// For longer than its lease: the others take it for dead.
    Freeze(usize),
    /// What a host says does not come to Redis.
    Mute(usize),
    /// What Redis says does not come to a host.
    Deaf(usize),
    /// Neither, for longer than the lease of a host; what was on its way is lost.
    Apart(usize),
    /// A host's connections to Redis end.
    Reset(usize),
    /// Redis is killed, and started again.
    Redis,
    /// Redis is, and a host with it.
    Both(usize),
}

impl Fault {
    /// All that happens, in this order.
    pub(super) const ALL: [Self; 9] = [
        Self::Kill(0),
        Self::Mute(1),
        Self::Stop(2),
        Self::Deaf(0),
        Self::Redis,
        Self::Apart(1),
        Self::Reset(2),
        Self::Freeze(0),
        Self::Both(2),
    ];

    /// For how many seconds' publications of two hosts' members it lasts. The faults of Redis last until it is missed.
    pub(super) fn lasts(self) -> usize {
        match self {
            Self::Redis | Self::Both(_) | Self::Reset(_) => 0,
            Self::Kill(_) | Self::Stop(_) => 1,
            Self::Mute(_) | Self::Deaf(_) => 4,
            Self::Apart(_) | Self::Freeze(_) => 11,
        }
    }
}

/// Where the hosts are that connections are made to.
pub(super) type Places = [Option<SocketAddr>; HOSTS];

pub(super) struct Hosts {
    redis: Redis,
    relays: Vec<Relay>,
    folder: TempDir,
    hosts: Vec<Option<Host>>,
    places: watch::Sender<Places>,
}

impl Hosts {
    /// All of them, on a Redis that loses nothing that it acknowledged.
    pub(super) async fn start() -> Self {
        let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let mut all = Self {
            folder: TempDir::new().unwrap(),
            relays: Vec::new(),
            hosts: Vec::new(),
            places: watch::Sender::default(),
            redis,
        };
        for which in 0..HOSTS {
            let relay = Relay::to(all.redis.port()).await;
            let url = format!("redis://127.0.0.1:{}", relay.port());
            let config = format!("[key_value_store.default]\ntype = \"redis\"\nurl = {url:?}\n");
            std::fs::write(all.folder.path().join(which.to_string()), config).unwrap();
            all.relays.push(relay);
            all.hosts.push(None);
            all.launch(which).await;
        }
        all
    }

    async fn launch(&mut self, which: usize) {
        let config = self.folder.path().join(which.to_string());
        let options = Options::new().arg("--runtime-config-file").arg(config);
        let host = Host::start(options.arg("--shards=1").arg("--history-size=1000000")).await;
        self.serves(which, Some(host.address()));
        self.hosts[which] = Some(host);
    }

    async fn kill(&mut self, which: usize) {
        self.serves(which, None);
        self.hosts[which].take().expect("it runs").kill().await;
    }

    fn serves(&self, which: usize, address: Option<SocketAddr>) {
        self.places.send_modify(|places| places[which] = address);
    }

    /// A host that runs.
    pub(super) fn host(&self, which: usize) -> &Host {
        self.hosts[which].as_ref().expect("it runs")
    }

    /// Where they are, from now on.
    pub(super) fn seen(&self) -> watch::Receiver<Places> {
        self.places.subscribe()
    }

    /// Those that serve.
    pub(super) fn living(&self) -> Vec<SocketAddr> {
        self.places.borrow().iter().copied().flatten().collect()
    }

    /// Lets it happen.
    pub(super) async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(which) => self.kill(which).await,
            Fault::Stop(which) | Fault::Freeze(which) => {
                self.serves(which, None);
                self.host(which).signal("STOP").await;
            }
            Fault::Mute(which) => self.relays[which].hold(&[Way::There]),
            Fault::Deaf(which) => self.relays[which].hold(&[Way::Back]),
            Fault::Apart(which) => self.relays[which].hold(&[Way::There, Way::Back]),
            Fault::Reset(which) => self.relays[which].reset(),
            Fault::Redis => block_in_place(|| self.redis.kill()),
            Fault::Both(which) => {
                block_in_place(|| self.redis.kill());
                self.kill(which).await;
            }
        }
    }

    /// Makes good what can be.
    pub(super) async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(which) => self.launch(which).await,
            Fault::Stop(which) | Fault::Freeze(which) => {
                self.host(which).signal("CONT").await;
                self.serves(which, Some(self.host(which).address()));
            }
            Fault::Mute(which) | Fault::Deaf(which) => self.relays[which].release(),
            Fault::Apart(which) => {
                self.relays[which].reset();
                self.relays[which].release();
            }
            Fault::Reset(_) => {}
            Fault::Redis => block_in_place(|| self.redis.restart()),
            Fault::Both(which) => {
                block_in_place(|| self.redis.restart());
                self.launch(which).await;
            }
        }
    }
}
