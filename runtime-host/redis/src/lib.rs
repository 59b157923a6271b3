//! Where Redis is: at an address, or where [Sentinels] say that the primary is.
//!
//! Absent on purpose: connections that last. Who has one asks again, by [`Place::client`], once it ended.
//!
//! [Sentinels]: https://redis.io/docs/latest/develop/reference/sentinel-clients/

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError,
};
use std::fmt;
use std::time::Duration;

/// How long a Sentinel may take to be reached, and to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The port of a Sentinel that is named without one.
const SENTINEL_PORT: u16 = 26_379;

/// The most Sentinels that a URL names.
const MOST: usize = 16;

/// Where a Redis is.
#[derive(Debug, Clone)]
pub struct Place(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Fixed(Client),
    Watched(Watched),
}

/// A primary that Sentinels watch over.
#[derive(Debug, Clone)]
struct Watched {
    sentinels: Vec<ConnectionInfo>,
    name: String,
    /// How the primary is spoken to, wherever it is.
    primary: ConnectionInfo,
}

impl Place {
    /// Reads a URL; connects to nothing yet. Either `redis://[user[:password]@]host[:port][/database]` (`rediss://` for
    /// TLS), or `redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/name[/database]` (`rediss+sentinel://`),
    /// where the hosts are Sentinels and `name` is what they call the primary. Both are spoken to alike; a Sentinel that
    /// does not take the password is asked without.
    ///
    /// # Errors
    /// Where it can't be used, and why.
    pub fn read(url: &str) -> Result<Self, String> {
        let url = url.trim();
        for (scheme, plain) in [
            ("redis+sentinel://", "redis://"),
            ("rediss+sentinel://", "rediss://"),
        ] {
            if let Some(rest) = url.strip_prefix(scheme) {
                return watched(plain, rest).map(Kind::Watched).map(Self);
            }
        }
        Ok(Self(Kind::Fixed(open(info(url)?)?)))
    }

    /// The client for where it is now. Sentinels are asked each time, one after the other.
    ///
    /// # Errors
    /// Where none of them can be asked, or none knows it.
    pub async fn client(&self) -> Result<Client, String> {
        let watched = match &self.0 {
            Kind::Fixed(client) => return Ok(client.clone()),
            Kind::Watched(watched) => watched,
        };
        let mut failed = String::new();
        for sentinel in &watched.sentinels {
            match primary_by(sentinel, &watched.name).await {
                Ok((host, port)) => return open(at(&watched.primary, &host, port)),
                Err(reason) => failed = format!("Sentinel at {}: {reason}", sentinel.addr()),
            }
        }
        Err(failed)
    }
}

/// For people: without passwords.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(client) => client.get_connection_info().addr().fmt(f),
            Kind::Watched(watched) => {
                write!(f, "{} of the Sentinels", watched.name)?;
                for (index, sentinel) in watched.sentinels.iter().enumerate() {
                    let joint = if index == 0 { ' ' } else { ',' };
                    write!(f, "{joint}{}", sentinel.addr())?;
                }
                Ok(())
            }
        }
    }
}

/// The Redis elsewhere that is spoken to as `client` is.
///
/// # Errors
/// Where the address can't be used.
pub fn elsewhere(client: &Client, host: &str, port: u16) -> Result<Client, String> {
    open(at(client.get_connection_info(), host, port))
}

/// The host at which a Redis is.
pub fn host(client: &Client) -> &str {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "localhost",
    }
}

fn told(error: RedisError) -> String {
    error.to_string()
}

fn open(info: ConnectionInfo) -> Result<Client, String> {
    Client::open(info).map_err(told)
}

fn info(url: &str) -> Result<ConnectionInfo, String> {
    let info = url.into_connection_info().map_err(told)?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("sschat", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(settings))
}

fn at(like: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match like.addr().clone() {
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
    like.clone().set_addr(address)
}

/// Reads what stands behind the scheme.
fn watched(scheme: &str, rest: &str) -> Result<Watched, String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, database) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() {
        return Err("behind the Sentinels stands the name of the primary: …/name".to_owned());
    }
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
        None => (String::new(), authority),
    };
    let sentinels: Vec<ConnectionInfo> = hosts
        .split(',')
        .map(|host| {
            let bare = host.rsplit(']').next().unwrap_or(host);
            match bare.contains(':') {
                true => info(&format!("{scheme}{credentials}{host}")),
                false => info(&format!("{scheme}{credentials}{host}:{SENTINEL_PORT}")),
            }
        })
        .collect::<Result<_, _>>()?;
    if sentinels.len() > MOST {
        return Err(format!("at most {MOST} Sentinels"));
    }
    Ok(Watched {
        sentinels,
        name: name.to_owned(),
        primary: info(&format!("{scheme}{credentials}primary:1/{database}"))?,
    })
}

/// Where a Sentinel says that the primary is.
async fn primary_by(sentinel: &ConnectionInfo, name: &str) -> Result<(String, u16), String> {
    let mut connection = match connect(sentinel.clone()).await {
        Ok(connection) => connection,
        // Sentinels have passwords of their own, or none.
        Err(_) if sentinel.redis_settings().password().is_some() => {
            let bare = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
            connect(sentinel.clone().set_redis_settings(bare)).await?
        }
        Err(reason) => return Err(reason),
    };
    let mut ask = redis::cmd("SENTINEL");
    ask.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer: Option<(String, u16)> = ask.query_async(&mut connection).await.map_err(told)?;
    answer.ok_or_else(|| format!("it knows no primary named {name}"))
}

async fn connect(info: ConnectionInfo) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let client = open(info)?;
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    connecting.await.map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels(url: &str) -> Watched {
        match Place::read(url).unwrap().0 {
            Kind::Watched(watched) => watched,
            Kind::Fixed(_) => panic!("{url}"),
        }
    }

    #[test]
    fn an_address_is_a_place() {
        let place = Place::read(" rediss://user:secret@b:2/3 ").unwrap();
        assert_eq!(place.to_string(), "b:2");
        let Kind::Fixed(client) = place.0 else {
            panic!("it is fixed");
        };
        assert_eq!(host(&client), "b");
        let other = elsewhere(&client, "c", 3).unwrap();
        let info = other.get_connection_info();
        assert!(matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
        assert_eq!(info.addr().to_string(), "c:3");
        assert_eq!(info.redis_settings().username(), Some("user"));
        assert_eq!(info.redis_settings().db(), 3);
    }

    #[test]
    fn sentinels_are_a_place() {
        let watched = sentinels("redis+sentinel://:secret@a,b:5,[::1]/main/2");
        let shown: Vec<_> = watched
            .sentinels
            .iter()
            .map(|it| it.addr().to_string())
            .collect();
        assert_eq!(shown, ["a:26379", "b:5", "::1:26379"]);
        assert_eq!(watched.name, "main");
        assert_eq!(watched.primary.redis_settings().db(), 2);
        for all in watched.sentinels.iter().chain([&watched.primary]) {
            assert_eq!(all.redis_settings().password(), Some("secret"));
        }
        let place = Place::read("rediss+sentinel://:secret@a,b/main").unwrap();
        assert_eq!(place.to_string(), "main of the Sentinels a:26379,b:26379");
        let tls = sentinels("rediss+sentinel://a/main");
        assert!(matches!(tls.primary.addr(), ConnectionAddr::TcpTls { .. }));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let many = format!("redis+sentinel://{}/main", ["a"; MOST + 1].join(","));
        for wrong in [
            "",
            "http://a",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+sentinel:///main",
            "redis+sentinel://a,,b/main",
            "redis+sentinel://a:port/main",
            "redis+sentinel://a/main/x",
            &many,
        ] {
            assert!(Place::read(wrong).is_err(), "{wrong}");
        }
    }
}
