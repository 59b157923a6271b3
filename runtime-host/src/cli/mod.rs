//! The command line: one file per command.
//!
//! Every option can also be given as an environment variable `SSCHAT_…`. Exit codes: 0
//! done, 1 refused or failed with one line that says why, 2 wrong usage, 3 no host answers.

mod build;
mod check;
mod descriptors;
mod dev;
mod explain;
mod file;
mod log;
mod pack;
pub mod remote;
mod shell;
mod transfer;
mod up;

pub use build::BuildError;
pub use dev::DevArgs;
pub use explain::ExplainArgs;
pub use pack::{PackArgs, UnpackArgs};
pub use remote::{Failure, HostArgs, Remote};
pub use shell::{CompletionsArgs, ManArgs};
pub use transfer::{ExportArgs, ImportArgs, StateArgs};

use crate::bench::Bench;
use crate::manifest::settings::{BrokerKind, HistoryKind, HostRole, parse_duration, parse_size};
use crate::wasm::policy::compile_in_child;
use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// SSChat: a multi-tenant real-time pub/sub server whose rules are WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "sschat", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the application.
    Up(Box<UpArgs>),
    /// Run the build command of every component.
    Build(SourceArgs),
    /// Say whether manifest, components and configuration are in order.
    Check(CheckArgs),
    /// Write this program anew with the application in it: one file to copy.
    Pack(PackArgs),
    /// Write the application that this program carries to a folder.
    Unpack(UnpackArgs),
    /// Write all state to a file: of a database as it is at one moment, while a host goes on writing to it. What
    /// rooms keep of what was said is not in it.
    Export(ExportArgs),
    /// Put what was exported into a store, of the same kind or another. No host may have the database open.
    Import(ImportArgs),
    /// Measure a running host.
    Bench(Bench),
    /// Say how a decision of a running host comes about.
    Explain(ExplainArgs),
    /// What acts on a running host.
    #[command(flatten)]
    Remote(Remote),
    /// Print what makes a shell complete this command line.
    Completions(CompletionsArgs),
    /// Print the manual page of a command, or write all of them.
    Man(ManArgs),
    /// Compile a policy from stdin into a cache, within bounds. The host runs this itself.
    #[command(hide = true, name = COMPILE)]
    CompilePolicy {
        /// The folder of the cache.
        cache: PathBuf,
    },
}

/// The command that the host runs to compile an uploaded policy.
pub(crate) const COMPILE: &str = "compile-policy";

/// The manifest, unless another is named.
const MANIFEST: &str = "spin.toml";

/// Where the application is.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// The manifest, or the folder that holds `spin.toml`. Where none is named and none is in this folder, the
    /// application that the program carries (`sschat pack`).
    #[arg(long, short = 'f', env = "SSCHAT_FROM", default_value = MANIFEST)]
    pub from: PathBuf,
}

/// What surrounds the application.
#[derive(Debug, Clone, Args)]
pub struct RuntimeArgs {
    /// A file of options (TOML): every option of `up` is a key without its dashes, and `[variables]` are the
    /// manifest's. The command line and the environment go before it. `sschat config example` prints one with all keys.
    #[arg(long, env = "SSCHAT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Spin's runtime configuration file: which store stands behind a label.
    #[arg(long, env = "SSCHAT_RUNTIME_CONFIG_FILE")]
    pub runtime_config_file: Option<PathBuf>,
    /// The folder for the database and compiled code.
    #[arg(long, env = "SSCHAT_STATE_DIR", default_value = ".sschat")]
    pub state_dir: PathBuf,
    /// A variable of the manifest, name=value. Also SPIN_VARIABLE_NAME in the environment.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub variables: Vec<(String, String)>,
}

/// `sschat check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Where the application is.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What surrounds it.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// `sschat up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where the application is.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What surrounds it.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// An app for development.
    #[command(flatten)]
    pub dev: DevArgs,
    /// Build the components first.
    #[arg(long, env = "SSCHAT_BUILD", value_parser = BoolishValueParser::new())]
    pub build: bool,
    /// The address to listen on.
    #[arg(long, env = "SSCHAT_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The certificate chain in PEM, the host's own first: everybody on --listen speaks TLS then. It is looked at
    /// every few seconds, and a new one is taken without a restart.
    #[arg(long, env = "SSCHAT_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, env = "SSCHAT_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Take the client's address from the PROXY protocol (version 1 or 2), with which every connection on --listen
    /// begins then. For proxies that pass on bytes.
    #[arg(long, env = "SSCHAT_PROXY_PROTOCOL", value_parser = BoolishValueParser::new())]
    pub proxy_protocol: bool,
    /// A proxy, or a network of them (10.0.0.0/8), whose X-Forwarded-For names the client. Repeatable.
    #[arg(long, env = "SSCHAT_TRUSTED_PROXY", value_delimiter = ',', value_parser = parse_net)]
    pub trusted_proxy: Vec<IpNet>,
    /// Registrations of one address in a minute, on this host; 0 for no bound. Programs on this machine are not counted.
    #[arg(long, env = "SSCHAT_REGISTRATIONS_PER_MINUTE", default_value_t = 20)]
    pub registrations_per_minute: u32,
    /// Calls under one API key in a second, on this host; 0 for no bound.
    #[arg(long, env = "SSCHAT_CALLS_PER_SECOND", default_value_t = 0)]
    pub calls_per_second: u32,
    /// The address to serve /metrics on, and nothing else. Without it programs on this
    /// machine find /metrics at --listen, unless they come through a proxy.
    #[arg(long, env = "SSCHAT_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// The form of the log on stderr.
    #[arg(long, env = "SSCHAT_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Let every member of a room publish there without asking whether it may: to measure
    /// what asking costs. On a loopback address only.
    #[arg(long, hide = true, env = "SSCHAT_UNDECIDED", value_parser = BoolishValueParser::new())]
    pub undecided: bool,
    /// Fetch the public keys of user tokens from private addresses and by plain HTTP too. Whoever
    /// registers names the address, so leave this off where strangers do.
    #[arg(long, env = "SSCHAT_PRIVATE_KEY_SERVERS", value_parser = BoolishValueParser::new())]
    pub private_key_servers: bool,
    /// Post events to webhooks at private addresses and by plain HTTP too. Whoever registers names
    /// the address, so leave this off where strangers do.
    #[arg(long, env = "SSCHAT_PRIVATE_WEBHOOKS", value_parser = BoolishValueParser::new())]
    pub private_webhooks: bool,
    /// Serve /websocket/echo too.
    #[arg(long, env = "SSCHAT_DEBUG_ENDPOINTS", value_parser = BoolishValueParser::new())]
    pub debug_endpoints: bool,
    /// An origin that browsers may connect from beside the host itself; `*` for any. Repeatable.
    #[arg(long, env = "SSCHAT_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// How long requests and sessions have to end when the host stops.
    #[arg(long, env = "SSCHAT_DRAIN", default_value = "10s", value_parser = parse_duration)]
    pub drain: Duration,
    /// Threads that serve WebSockets [default: one per core].
    #[arg(long, env = "SSCHAT_SHARDS")]
    pub shards: Option<usize>,
    /// The cores that these threads keep to, one after the other [default: the system's choice].
    #[arg(long, env = "SSCHAT_PIN_CORES", value_delimiter = ',')]
    pub pin_cores: Vec<usize>,
    /// The largest message [default: 64KiB].
    #[arg(long, env = "SSCHAT_MESSAGE_LIMIT", value_parser = parse_size)]
    pub message_limit: Option<u64>,
    /// Let WebSockets agree on compression (permessage-deflate) [default: false].
    #[arg(
        long,
        env = "SSCHAT_COMPRESSION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pub compression: Option<bool>,
    /// Unsent bytes of a connection before it is closed as too slow [default: 1MiB].
    #[arg(long, env = "SSCHAT_QUEUE_LIMIT", value_parser = parse_size)]
    pub queue_limit: Option<u64>,
    /// Online members of a room up to which presence is pushed [default: 256].
    #[arg(long, env = "SSCHAT_PRESENCE_LIMIT")]
    pub presence_limit: Option<u64>,
    /// Where rooms' publications are kept: nowhere, in memory until the host ends, or in the
    /// state folder, so that what was acknowledged survives a crash [default: durable].
    #[arg(long, env = "SSCHAT_HISTORY", value_enum)]
    pub history: Option<HistoryKind>,
    /// How publications and presence reach other hosts: not at all, or by the Redis that holds
    /// the state [default: redis where the state is on one].
    #[arg(long, env = "SSCHAT_BROKER", value_enum)]
    pub broker: Option<BrokerKind>,
    /// The Redis or Redis Cluster by which they reach other hosts: URLs between commas [default: the
    /// Redis that holds the state].
    #[arg(long, env = "SSCHAT_BROKER_URL", hide_env_values = true)]
    pub broker_url: Option<String>,
    /// Which part of the work this host does, where several share it. Needs the state on Redis,
    /// unless it is all.
    #[arg(long, env = "SSCHAT_ROLE", value_enum, default_value_t)]
    pub role: HostRole,
    /// Publications that a room keeps at most [default: 100].
    #[arg(long, env = "SSCHAT_HISTORY_SIZE")]
    pub history_size: Option<u64>,
    /// How long a room keeps a publication [default: 24h].
    #[arg(long, env = "SSCHAT_HISTORY_AGE", value_parser = parse_duration)]
    pub history_age: Option<Duration>,
    /// The largest body of a REST request [default: 1MiB].
    #[arg(long, env = "SSCHAT_BODY_LIMIT", value_parser = parse_size)]
    pub body_limit: Option<u64>,
    /// How long a handshake, a request's head, or each 64 KiB of its body may take [default: 10s].
    #[arg(long, env = "SSCHAT_HANDSHAKE_TIMEOUT", value_parser = parse_duration)]
    pub handshake_timeout: Option<Duration>,
    /// How long a WebSocket may be silent before it is closed [default: 60s].
    #[arg(long, env = "SSCHAT_IDLE_TIMEOUT", value_parser = parse_duration)]
    pub idle_timeout: Option<Duration>,
    /// How long a WebSocket may be silent before it is pinged [default: 25s].
    #[arg(long, env = "SSCHAT_PING_INTERVAL", value_parser = parse_duration)]
    pub ping_interval: Option<Duration>,
    /// How long a component may take for a request [default: 5s].
    #[arg(long, env = "SSCHAT_REQUEST_TIMEOUT", value_parser = parse_duration)]
    pub request_timeout: Option<Duration>,
    /// Requests that a component works on at once, each in an instance of its own [default: 64].
    #[arg(long, env = "SSCHAT_INSTANCES")]
    pub instances: Option<u64>,
    /// Requests that wait for an instance of a component; further ones are refused [default: 1024].
    #[arg(long, env = "SSCHAT_WAITING")]
    pub waiting: Option<u64>,
    /// Requests that an instance answers before it is replaced [default: 128].
    #[arg(long, env = "SSCHAT_INSTANCE_REUSE")]
    pub instance_reuse: Option<u64>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = file::parse(std::env::args_os().collect());
    let outcome = match cli.unwrap_or_else(|error| error.exit()).command {
        Command::Up(args) => up::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Pack(args) => pack::pack(&args),
        Command::Unpack(args) => pack::unpack(&args),
        Command::Export(args) => transfer::export(&args),
        Command::Import(args) => transfer::import(&args),
        Command::Bench(bench) => bench.run(),
        Command::Explain(args) => explain::run(&args),
        Command::Remote(remote) => remote.run(),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::CompilePolicy { cache } => {
            let (word, code) = compile_in_child(&cache);
            println!("{word}");
            return ExitCode::from(code);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads stderr any more, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let failure = error.downcast_ref::<Failure>();
            failure.map_or(ExitCode::FAILURE, |it| ExitCode::from(it.exit_code()))
        }
    }
}

fn parse_net(text: &str) -> Result<IpNet, String> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    alone
        .or_else(|_| text.parse())
        .map_err(|_| "write an address, or a network such as 10.0.0.0/8".to_owned())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write name=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_up_has_an_environment_variable() {
        let command = Cli::command();
        let up = command.find_subcommand("up").unwrap();
        for argument in up.get_arguments() {
            let name = argument.get_id().as_str();
            // Variables have Spin's own names in the environment; help is no option.
            if !matches!(name, "variables" | "help") {
                let expected = format!("SSCHAT_{}", name.to_uppercase());
                assert_eq!(argument.get_env().unwrap().to_str().unwrap(), expected);
            }
        }
    }

    #[test]
    fn variables_are_pairs() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
        assert!(parse_pair("a").is_err());
        assert!(parse_pair("=a").is_err());
    }
}
