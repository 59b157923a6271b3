//! Where a component may connect to: `allowed_outbound_hosts`, as Spin reads it.
//!
//! An entry is `scheme://host[:port]`. Scheme, host and port may each be `*`, the host
//! may be `*.domain`, an address or a network in CIDR notation, the port a range
//! `first..end` that leaves `end` out. Without a port the scheme's own is meant.
//! Nothing is allowed that no entry allows. Absent on purpose: `self` and service
//! chaining, for a component that wants another one calls it over the network.

use http::uri::{Scheme, Uri};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Why an entry is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is no allowed outbound host: {reason}")]
pub struct AllowedHostError {
    /// The entry as it stands in the manifest.
    pub entry: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The hosts that one component may connect to.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts(Arc<[AllowedHost]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    /// `None` is any.
    scheme: Option<String>,
    host: HostPattern,
    /// `None` is any.
    ports: Option<Range<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// With the leading dot.
    Subdomain(String),
    Name(String),
    Network(IpAddr, u8),
}

impl AllowedHosts {
    /// Reads the entries of one component.
    pub fn parse<I: IntoIterator<Item: AsRef<str>>>(entries: I) -> Result<Self, AllowedHostError> {
        entries
            .into_iter()
            .map(|entry| {
                let entry = entry.as_ref();
                AllowedHost::parse(entry.trim()).map_err(|reason| AllowedHostError {
                    entry: entry.to_owned(),
                    reason,
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(|hosts| Self(hosts.into()))
    }

    /// Whether an HTTP request to `uri` is allowed.
    pub fn allow(&self, uri: &Uri) -> bool {
        let scheme = uri.scheme().unwrap_or(&Scheme::HTTPS).as_str();
        let Some(host) = uri.host() else {
            return false;
        };
        let Some(port) = uri.port_u16().or_else(|| default_port(scheme)) else {
            return false;
        };
        self.0.iter().any(|allowed| {
            allowed.scheme.as_deref().is_none_or(|s| s == scheme)
                && allowed.host.allows(host)
                && allowed.allows_port(port)
        })
    }

    /// Whether a socket may connect to `address`. Only entries with any scheme speak of sockets.
    pub fn allow_socket(&self, address: &SocketAddr) -> bool {
        self.0.iter().any(|allowed| {
            allowed.scheme.is_none()
                && allowed.host.allows_ip(address.ip())
                && allowed.allows_port(address.port())
        })
    }

    /// Whether any socket at all could be allowed.
    pub(super) fn allow_some_socket(&self) -> bool {
        self.0.iter().any(|allowed| allowed.scheme.is_none())
    }
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = entry.split_once("://") else {
            return Err("it must have the form scheme://host[:port], with * for any".into());
        };
        if scheme != "*" && (scheme.is_empty() || !scheme.chars().all(char::is_alphabetic)) {
            return Err(format!("{scheme:?} is no scheme"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest);
        let ports = match port {
            Some("*") => None,
            Some(port) => Some(parse_ports(port)?),
            None => match default_port(scheme) {
                Some(port) => Some(u32::from(port)..u32::from(port) + 1),
                None => {
                    return Err(format!(
                        "the scheme {scheme:?} has no port of its own; name one"
                    ));
                }
            },
        };
        Ok(Self {
            scheme: (scheme != "*").then(|| scheme.to_ascii_lowercase()),
            host: HostPattern::parse(host)?,
            ports,
        })
    }

    fn allows_port(&self, port: u16) -> bool {
        self.ports
            .as_ref()
            .is_none_or(|ports| ports.contains(&u32::from(port)))
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, String> {
        if host == "*" {
            return Ok(Self::Any);
        }
        if host == "self" || host == "self.alt" || host.ends_with(".spin.internal") {
            return Err("requests of the application to itself are not offered here".into());
        }
        if let Some(domain) = host.strip_prefix("*.") {
            check_name(domain)?;
            return Ok(Self::Subdomain(format!(".{}", domain.to_ascii_lowercase())));
        }
        if let Some((address, bits)) = host.split_once('/') {
            let address = parse_ip(address)
                .ok_or_else(|| "a path is not part of an outbound host".to_owned())?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            return match bits.parse::<u8>() {
                Ok(bits) if bits <= longest => Ok(Self::Network(address, bits)),
                _ => Err(format!("{bits:?} is no length of a network prefix")),
            };
        }
        if let Some(address) = parse_ip(host) {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Ok(Self::Network(address, bits));
        }
        check_name(host)?;
        Ok(Self::Name(host.to_ascii_lowercase()))
    }

    fn allows(&self, host: &str) -> bool {
        if let Some(address) = parse_ip(host) {
            return self.allows_ip(address);
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Any => true,
            Self::Subdomain(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            Self::Name(name) => host == *name,
            Self::Network(..) => false,
        }
    }

    fn allows_ip(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Network(network, bits) => in_network(address, *network, *bits),
            Self::Subdomain(_) | Self::Name(_) => false,
        }
    }
}

/// Splits `host:port`, leaving the colons of a bracketed or bare IPv6 address alone.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (rest, None),
    }
}

fn parse_ports(text: &str) -> Result<Range<u32>, String> {
    let port = |text: &str| {
        text.parse::<u16>()
            .map(u32::from)
            .map_err(|_| format!("{text:?} is no port"))
    };
    match text.split_once("..") {
        Some((first, end)) => Ok(port(first)?..port(end)?),
        None => port(text).map(|port| port..port + 1),
    }
}

fn parse_ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn check_name(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    if name.contains('*') {
        return Err("a * stands for a whole host or for the first labels of one".into());
    }
    if !name.split('.').all(is_label) {
        return Err(format!("{name:?} is no host"));
    }
    Ok(())
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same_prefix = |a: u128, b: u128, width: u32| {
        let shift = width - u32::from(bits);
        shift >= width || a >> shift == b >> shift
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => same_prefix(u32::from(a).into(), u32::from(n).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => same_prefix(a.into(), n.into(), 128),
        _ => false,
    }
}

/// The port that Spin takes a scheme to mean.
fn default_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "http" => 80,
        "https" => 443,
        "postgres" => 5432,
        "mysql" => 3306,
        "redis" => 6379,
        "mqtt" => 1883,
        _ => return None,
    })
}

/// Puts [`AllowedHosts`] between a component and the network.
pub(super) struct Outbound {
    pub(super) component: Arc<str>,
    pub(super) allowed: AllowedHosts,
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let uri = request.uri();
        if !self.allowed.allow(uri) {
            tracing::warn!(
                component = &*self.component,
                scheme = uri.scheme_str(),
                host = uri.host(),
                port = uri.port_u16(),
                "an outbound request was refused: the host is not in allowed_outbound_hosts",
            );
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        Box::new(async move {
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((
                response.map(http_body_util::BodyExt::boxed_unsync),
                Box::new(io) as Box<dyn Future<Output = Result<(), Error>> + Send>,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, uri: &str) -> bool {
        AllowedHosts::parse([entry])
            .unwrap()
            .allow(&uri.parse().unwrap())
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let none = AllowedHosts::default();
        assert!(!none.allow(&"https://example.com/".parse().unwrap()));
        assert!(!none.allow_socket(&"127.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn scheme_host_and_port_must_all_match() {
        let entry = "https://example.com";
        assert!(allows(entry, "https://example.com/a?b"));
        assert!(allows(entry, "https://EXAMPLE.com:443/"));
        assert!(!allows(entry, "http://example.com/"));
        assert!(!allows(entry, "https://example.com:8443/"));
        assert!(!allows(entry, "https://example.com.evil.test/"));
        assert!(!allows(entry, "https://sub.example.com/"));
        assert!(allows(
            "http://localhost:8000..8010",
            "http://localhost:8009/"
        ));
        assert!(!allows(
            "http://localhost:8000..8010",
            "http://localhost:8010/"
        ));
    }

    #[test]
    fn wildcards() {
        assert!(allows("*://*:*", "http://anything.test:1234/"));
        assert!(allows("https://*.example.com", "https://a.b.example.com/"));
        assert!(!allows("https://*.example.com", "https://example.com/"));
        assert!(!allows("https://*.example.com", "https://notexample.com/"));
        assert!(allows("http://*:8080", "http://x.test:8080/"));
        assert!(!allows("http://*:8080", "http://x.test/"));
    }

    #[test]
    fn addresses_and_networks() {
        assert!(allows("http://127.0.0.0/8:9000", "http://127.1.2.3:9000/"));
        assert!(!allows("http://127.0.0.0/8:9000", "http://128.0.0.1:9000/"));
        assert!(allows("http://[::1]:9000", "http://[::1]:9000/"));
        assert!(!allows("http://*.1.2.3", "http://127.1.2.3/"));
        let hosts = AllowedHosts::parse(["*://10.0.0.0/8:6379"]).unwrap();
        assert!(hosts.allow_socket(&"10.9.8.7:6379".parse().unwrap()));
        assert!(!hosts.allow_socket(&"11.9.8.7:6379".parse().unwrap()));
        assert!(!hosts.allow_socket(&"10.9.8.7:6380".parse().unwrap()));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "example.com",
            "*",
            "",
            "https://",
            "ht tp://a",
            "foo://example.com",
            "https://example.com/path",
            "https://ex*mple.com",
            "https://a.com:x",
            "https://a.com:70000",
            "http://self",
            "http://10.0.0.0/33:1",
        ] {
            assert!(AllowedHosts::parse([bad]).is_err(), "{bad:?}");
        }
    }
}
