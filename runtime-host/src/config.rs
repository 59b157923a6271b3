//! The configuration of a host: command line over environment over manifest over default.
//!
//! Command line and environment are one source here, for clap reads both. What the
//! options mean is documented where they are declared, in [`crate::cli`].

mod dev;
mod error;

pub use dev::DevSettings;
pub use error::ConfigError;

use crate::cli::UpArgs;
use crate::http::tls::TlsFiles;
use crate::http::upgrade::Origins;
use crate::http::{self, Proxies, Rates};
use crate::manifest::Settings;
use crate::manifest::settings::{BrokerKind, HistoryKind, HostRole};
use crate::manifest::variables::Values;
use crate::wasm::rest::RestLimits;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// The variable of the manifest that says who may register.
pub const REGISTRATION: &str = "registration";

/// The largest message, unless set otherwise.
pub const MESSAGE_LIMIT: u64 = 64 << 10;

/// Unsent bytes of one connection, unless set otherwise.
pub const QUEUE_LIMIT: u64 = 1 << 20;

/// Online members of a room up to which presence is pushed, unless set otherwise.
pub const PRESENCE_LIMIT: u64 = 256;

/// The largest body of a REST request, unless set otherwise: requests carry ids, not content.
pub const BODY_LIMIT: u64 = 1 << 20;

/// Publications that a room keeps, unless set otherwise.
pub const HISTORY_SIZE: u64 = 100;

/// How long a room keeps a publication, unless set otherwise, in seconds: a day.
pub const HISTORY_AGE: u64 = 24 * 60 * 60;

/// The most publications that a room can be asked to keep: what one recovery may carry.
const HISTORY_MOST: u64 = 1_000_000;

/// The most instances, waiting requests and requests an instance that can be asked for.
const REST_MOST: usize = 65_536;

/// HTTP connections at once.
const CONNECTIONS: usize = 16_384;

/// Everything a host needs to know beside the manifest.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate of TLS, where it is spoken.
    pub tls: Option<TlsFiles>,
    /// Where to serve metrics alone, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// For the database and compiled code.
    pub state_dir: PathBuf,
    /// Bounds of HTTP.
    pub http: http::Limits,
    /// Bounds of REST components.
    pub rest: RestLimits,
    /// Bounds of WebSocket connections.
    pub socket: SocketSettings,
    /// The cores that shards keep to, one after the other; none for the system's choice.
    pub pin_cores: Vec<usize>,
    /// Who may connect from a browser.
    pub origins: Origins,
    /// Whether a WebSocket may agree on compression.
    pub compression: bool,
    /// How rooms' publications are kept.
    pub history: HistorySettings,
    /// Whether key servers may have private addresses, and speak HTTP.
    pub private_key_servers: bool,
    /// Whether webhooks may have private addresses, and speak HTTP.
    pub private_webhooks: bool,
    /// How publications reach other hosts, where that was said.
    pub broker: Option<BrokerKind>,
    /// By which Redis, if not that of the state.
    pub broker_url: Option<String>,
    /// Which part of the work this host does.
    pub role: HostRole,
    /// Whether `/websocket/echo` exists.
    pub debug_endpoints: bool,
    /// How long requests and sessions have to end when the host stops.
    pub drain: Duration,
    /// The app of those who name none, where there is one.
    pub dev_app: Option<DevSettings>,
}

/// How rooms' publications are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistorySettings {
    /// Where.
    pub kind: HistoryKind,
    /// Publications of a room at most.
    pub size: u32,
    /// The age at which one is gone.
    pub age: Duration,
}

/// Bounds of WebSocket connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketSettings {
    /// Threads that serve connections.
    pub shards: usize,
    /// The largest message, in bytes.
    pub message_limit: usize,
    /// Unsent bytes of one connection before it is closed.
    pub queue_limit: usize,
    /// Online members of a room up to which presence is pushed.
    pub presence_limit: usize,
    /// How long a connection may be silent before it is closed.
    pub idle_timeout: Duration,
    /// How long a connection may be silent before it is pinged.
    pub ping_interval: Duration,
    /// Members publish without being asked whether they may: for measuring.
    pub undecided: bool,
}

impl Config {
    /// Joins the options, the manifest's settings and the defaults.
    pub fn new(args: &UpArgs, settings: &Settings) -> Result<Self, ConfigError> {
        let size = |name, given: Option<u64>, set: Option<u64>, default: u64| {
            let value = given.or(set).unwrap_or(default);
            match usize::try_from(value) {
                Ok(size) if size > 0 => Ok(size),
                _ => Err(ConfigError::Setting {
                    name,
                    reason: "must be more than 0".to_owned(),
                }),
            }
        };
        let time = |given: Option<Duration>, set: Option<Duration>, default: u64| {
            given.or(set).unwrap_or(Duration::from_secs(default))
        };
        let socket = SocketSettings {
            shards: args.shards.unwrap_or_else(cores).max(1),
            message_limit: size(
                "--message-limit",
                args.message_limit,
                settings.message_limit,
                MESSAGE_LIMIT,
            )?,
            queue_limit: size(
                "--queue-limit",
                args.queue_limit,
                settings.queue_limit,
                QUEUE_LIMIT,
            )?,
            presence_limit: size(
                "--presence-limit",
                args.presence_limit,
                settings.presence_limit,
                PRESENCE_LIMIT,
            )?,
            idle_timeout: time(args.idle_timeout, settings.idle_timeout, 60),
            ping_interval: time(args.ping_interval, settings.ping_interval, 25),
            undecided: args.undecided,
        };
        check_socket(&socket)?;
        if args.undecided && !args.listen.ip().is_loopback() {
            return Err(ConfigError::Undecided(args.listen));
        }
        let dev_app = DevSettings::new(args)?;
        let allowed = match args.allow_origin.as_slice() {
            [] => settings.allow_origins.as_deref().unwrap_or_default(),
            given => given,
        };
        Ok(Self {
            listen: args.listen,
            tls: tls(args)?,
            metrics_listen: args.metrics_listen,
            state_dir: args.runtime.state_dir.clone(),
            http: http_limits(args, settings, socket.message_limit),
            rest: rest_limits(args, settings)?,
            socket,
            pin_cores: args.pin_cores.clone(),
            origins: Origins::new(allowed).with_loopback(dev_app.is_some()),
            compression: args.compression.or(settings.compression).unwrap_or(false),
            history: history(args, settings)?,
            private_key_servers: args.private_key_servers,
            private_webhooks: args.private_webhooks,
            broker: args.broker.or(settings.broker),
            broker_url: args.broker_url.clone(),
            role: args.role,
            debug_endpoints: args.debug_endpoints,
            drain: args.drain,
            dev_app,
        })
    }

    /// Refuses an address that others reach while nobody chose who may register there.
    pub fn check_registration(&self, declared: bool, values: &Values) -> Result<(), ConfigError> {
        let reachable = !self.listen.ip().is_loopback();
        if reachable && declared && !values.is_explicit(REGISTRATION) {
            return Err(ConfigError::RegistrationOpen(self.listen));
        }
        Ok(())
    }
}

fn tls(args: &UpArgs) -> Result<Option<TlsFiles>, ConfigError> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        })),
        (None, None) => Ok(None),
        // On the command line clap says so.
        _ => Err(ConfigError::Setting {
            name: "--tls-cert",
            reason: "needs --tls-key, and that needs it".to_owned(),
        }),
    }
}

fn http_limits(args: &UpArgs, settings: &Settings, message: usize) -> http::Limits {
    let body = args.body_limit.or(settings.body_limit);
    let head = args.handshake_timeout.or(settings.handshake_timeout);
    http::Limits {
        connections: CONNECTIONS,
        message,
        body: body.unwrap_or(BODY_LIMIT),
        rates: Rates {
            registrations: NonZeroU32::new(args.registrations_per_minute),
            calls: NonZeroU32::new(args.calls_per_second),
        },
        proxies: Proxies {
            protocol: args.proxy_protocol,
            trusted: args.trusted_proxy.clone(),
        },
        head: head.unwrap_or(Duration::from_secs(10)),
    }
}

fn rest_limits(args: &UpArgs, settings: &Settings) -> Result<RestLimits, ConfigError> {
    let number = |name, given: Option<u64>, set: Option<u64>, least: usize, default: usize| {
        let Some(value) = given.or(set) else {
            return Ok(default);
        };
        let value = usize::try_from(value).ok();
        let fits = |value: &usize| (least..=REST_MOST).contains(value);
        value.filter(fits).ok_or_else(|| ConfigError::Setting {
            name,
            reason: format!("must be from {least} to {REST_MOST}"),
        })
    };
    let RestLimits {
        instances,
        waiting,
        reuse,
        budget,
    } = RestLimits::default();
    let (args_reuse, set_reuse) = (args.instance_reuse, settings.instance_reuse);
    Ok(RestLimits {
        instances: number(
            "--instances",
            args.instances,
            settings.instances,
            1,
            instances,
        )?,
        waiting: number("--waiting", args.waiting, settings.waiting, 0, waiting)?,
        reuse: number("--instance-reuse", args_reuse, set_reuse, 1, reuse)?,
        budget: args
            .request_timeout
            .or(settings.request_timeout)
            .unwrap_or(budget),
    })
}

fn history(args: &UpArgs, settings: &Settings) -> Result<HistorySettings, ConfigError> {
    let size = args.history_size.or(settings.history_size);
    let size = size.unwrap_or(HISTORY_SIZE);
    let fits = (1..=HISTORY_MOST).contains(&size);
    let wrong = |name, reason| ConfigError::Setting { name, reason };
    let size = u32::try_from(size).ok().filter(|_| fits).ok_or_else(|| {
        let reason = format!("must be from 1 to {HISTORY_MOST}; --history none keeps nothing");
        wrong("--history-size", reason)
    })?;
    let age = args.history_age.or(settings.history_age);
    let age = age.unwrap_or(Duration::from_secs(HISTORY_AGE));
    if age.is_zero() {
        let reason = "must be more than 0; --history none keeps nothing".to_owned();
        return Err(wrong("--history-age", reason));
    }
    Ok(HistorySettings {
        kind: args.history.or(settings.history).unwrap_or_default(),
        size,
        age,
    })
}

fn check_socket(socket: &SocketSettings) -> Result<(), ConfigError> {
    if socket.queue_limit < socket.message_limit {
        return Err(ConfigError::Setting {
            name: "--queue-limit",
            reason: format!(
                "must be at least --message-limit ({} bytes), or no large message could be delivered",
                socket.message_limit
            ),
        });
    }
    if socket.ping_interval >= socket.idle_timeout {
        return Err(ConfigError::Setting {
            name: "--ping-interval",
            reason: "must be shorter than --idle-timeout, or silent clients would be lost".into(),
        });
    }
    Ok(())
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn up(arguments: &[&str]) -> UpArgs {
        let arguments = ["sschat", "up"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Up(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn decisions_are_switched_off_on_loopback_alone() {
        let settings = Settings::default();
        assert!(Config::new(&up(&["--undecided"]), &settings).is_ok());
        let reachable = up(&["--undecided", "--listen", "0.0.0.0:0"]);
        let refused = Config::new(&reachable, &settings).unwrap_err();
        assert!(matches!(refused, ConfigError::Undecided(_)), "{refused}");
    }

    #[test]
    fn options_win_over_the_manifest_and_that_over_defaults() {
        let settings = Settings {
            message_limit: Some(1_000),
            presence_limit: Some(7),
            ..Settings::default()
        };
        let config = Config::new(&up(&["--message-limit", "2KiB"]), &settings).unwrap();
        assert_eq!(config.socket.message_limit, 2_048);
        assert_eq!(config.socket.presence_limit, 7);
        assert_eq!(config.socket.queue_limit, 1 << 20);
        assert_eq!(config.http.head, Duration::from_secs(10));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        let config = |arguments: &[&str]| Config::new(&up(arguments), &Settings::default());
        let error = config(&["--queue-limit", "1KiB"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--queue-limit must be at least")
        );
        assert!(config(&["--ping-interval", "2m"]).is_err());
        assert!(config(&["--message-limit", "0"]).is_err());
        assert!(config(&["--instances", "0"]).is_err());
        assert!(config(&["--instances", "65537"]).is_err());
        assert_eq!(config(&["--waiting", "0"]).unwrap().rest.waiting, 0);
        assert!(config(&["--history-size", "0"]).is_err());
        assert!(config(&["--history-size", "4294967296"]).is_err());
        assert!(config(&["--history-age", "0"]).is_err());
    }

    #[test]
    fn a_reachable_address_needs_a_choice() {
        let config = |listen| Config::new(&up(&["--listen", listen]), &Settings::default());
        let nothing = Values::default();
        let loopback = config("127.0.0.1:3000").unwrap();
        assert_eq!(loopback.check_registration(true, &nothing), Ok(()));
        let v6 = config("[::1]:3000").unwrap();
        assert_eq!(v6.check_registration(true, &nothing), Ok(()));
        let open = config("0.0.0.0:3000").unwrap();
        let error = open.check_registration(true, &nothing).unwrap_err();
        assert!(error.to_string().contains("--variable registration=closed"));
        assert_eq!(open.check_registration(false, &nothing), Ok(()));
    }
}
