//! What is wrong with a configuration.

use std::net::SocketAddr;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nobody chose who may register on an address that others reach.
    #[error(
        "{0} can be reached from other machines, so say who may register: \
         --variable registration=open, --variable registration=closed, \
         or --variable registration=token with --variable admin_token=…"
    )]
    RegistrationOpen(SocketAddr),
    /// Decisions are switched off where others could connect.
    #[error(
        "--undecided is for measuring on a loopback address; {0} can be reached from elsewhere"
    )]
    Undecided(SocketAddr),
    /// An app that is open to all, where others could connect.
    #[error(
        "--dev-app is for development on a loopback address; {0} can be reached from elsewhere"
    )]
    DevApp(SocketAddr),
    /// An app to be registered where no component is.
    #[error("--dev-app needs a host that does everything: leave --role out")]
    DevRole,
    /// A setting has a value that cannot work.
    #[error("{name} {reason}")]
    Setting {
        /// The option's name.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}
