//! Where Redis is: one, or some of a cluster, which name the others.

use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisError};

/// The most places that a list names.
const MOST: usize = 16;

/// Where to look for Redis, one place after the other.
#[derive(Clone)]
pub(super) struct Places(pub(super) Vec<Client>);

impl Places {
    /// Reads URLs between commas; connects to nothing yet.
    pub(super) fn read(urls: &str) -> Result<Self, String> {
        let clients: Vec<Client> = urls.split(',').map(client).collect::<Result<_, _>>()?;
        match clients.len() {
            1..=MOST => Ok(Self(clients)),
            count => Err(format!("{count} places, of at most {MOST}")),
        }
    }

    /// The places as they are shown to people: without passwords.
    pub(super) fn shown(&self) -> String {
        let shown = |client: &Client| client.get_connection_info().addr().to_string();
        self.0.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

fn client(url: &str) -> Result<Client, String> {
    let unusable = |error: RedisError| error.to_string();
    let info = url.trim().into_connection_info().map_err(unusable)?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("sschat", env!("CARGO_PKG_VERSION"));
    Client::open(info.set_redis_settings(settings)).map_err(unusable)
}

/// The host at which a Redis is.
pub(super) fn host(client: &Client) -> &str {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "localhost",
    }
}

/// The Redis elsewhere that is spoken to as `client` is.
pub(super) fn like(client: &Client, (host, port): (&str, u16)) -> Result<Client, String> {
    let info = client.get_connection_info().clone();
    let host = host.to_owned();
    let address = match info.addr().clone() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure,
            tls_params,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    Client::open(info.set_addr(address)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_places() {
        let places = Places::read("redis://a:1, rediss://user:secret@b:2/0").unwrap();
        assert_eq!(places.shown(), "a:1, b:2");
        assert_eq!(host(&places.0[1]), "b");
        let other = like(&places.0[1], ("c", 3)).unwrap();
        let info = other.get_connection_info();
        assert_eq!(info.addr().to_string(), "c:3");
        assert!(matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
        assert_eq!(info.redis_settings().username(), Some("user"));
        for wrong in ["", ",", "redis://a,", "http://a"] {
            assert!(Places::read(wrong).is_err(), "{wrong}");
        }
        assert!(Places::read(&["redis://a"; MOST + 1].join(",")).is_err());
    }
}
