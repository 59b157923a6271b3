//! Whose request it is, where proxies stand in between.
//!
//! A proxy tells by the PROXY protocol, before anything else, or in a header. Only what is
//! trusted is believed: else anybody could claim to be anywhere.

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use ppp::HeaderResult;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What proxies append their client's address to.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What version 2 of the PROXY protocol begins with.
const VERSION_2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The most bytes of a line of version 1, with its end.
const LINE: usize = 107;

/// Bytes that version 2 may add: addresses and what else a proxy knows. More is refused.
const ADDED: usize = 2 << 10;

/// Proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Every connection begins with the PROXY protocol.
    pub protocol: bool,
    /// Whose `X-Forwarded-For` counts.
    pub trusted: Vec<IpNet>,
}

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// The client that a request is of, if a proxy that is trusted names it: the last that no trusted one vouches for.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if self.trusted.is_empty() || !self.trusts(peer) {
            return None;
        }
        let mut named = Vec::new();
        for value in headers.get_all(FORWARDED_FOR) {
            named.extend(value.to_str().ok()?.split(',').map(str::trim));
        }
        let mut client = None;
        for name in named.into_iter().rev() {
            // Behind what is no address, nobody is to be believed.
            let address: IpAddr = name.trim_matches(['[', ']']).parse().ok()?;
            client = Some(address.to_canonical());
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Reads the header of the PROXY protocol, version 1 or 2, and nothing behind it. The client that it names; none where
/// the proxy speaks for itself.
///
/// # Errors
/// The socket's, and where there is no such header.
pub(super) async fn announced(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = vec![0; VERSION_2.len()];
    stream.read_exact(&mut head).await?;
    if head == VERSION_2 {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let added = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if added > ADDED {
            return Err(malformed("the header of the PROXY protocol is too long"));
        }
        head.extend_from_slice(&rest);
        let begin = head.len();
        head.resize(begin + added, 0);
        stream.read_exact(&mut head[begin..]).await?;
    } else {
        while !head.ends_with(b"\n") {
            if head.len() >= LINE {
                return Err(malformed("no header of the PROXY protocol"));
            }
            head.push(stream.read_u8().await?);
        }
    }
    let wrong = || malformed("the header of the PROXY protocol is not understood");
    match HeaderResult::parse(&head) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            ppp::v1::Addresses::Tcp4(it) => Some((it.source_address, it.source_port).into()),
            ppp::v1::Addresses::Tcp6(it) => Some((it.source_address, it.source_port).into()),
            ppp::v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == ppp::v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            ppp::v2::Addresses::IPv4(it) => Some((it.source_address, it.source_port).into()),
            ppp::v2::Addresses::IPv6(it) => Some((it.source_address, it.source_port).into()),
            ppp::v2::Addresses::Unspecified | ppp::v2::Addresses::Unix(_) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> Option<String> {
        let proxies = Proxies {
            protocol: false,
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let found = proxies.client(peer.parse().unwrap(), &headers);
        found.map(|address| address.to_string())
    }

    #[test]
    fn the_last_that_no_trusted_proxy_vouches_for_is_the_client() {
        let found = |peer, forwarded: &[&str]| client(peer, forwarded);
        assert_eq!(found("10.1.1.1", &["1.2.3.4"]).unwrap(), "1.2.3.4");
        assert_eq!(
            found("10.1.1.1", &["6.6.6.6, 1.2.3.4, 10.2.2.2"]).unwrap(),
            "1.2.3.4"
        );
        assert_eq!(
            found("::1", &["6.6.6.6", "2001:db8::1"]).unwrap(),
            "2001:db8::1"
        );
        assert_eq!(found("::ffff:10.1.1.1", &["1.2.3.4"]).unwrap(), "1.2.3.4");
        assert_eq!(found("10.1.1.1", &["10.3.3.3"]).unwrap(), "10.3.3.3");
        assert_eq!(found("9.9.9.9", &["1.2.3.4"]), None);
        assert_eq!(found("10.1.1.1", &[]), None);
        assert_eq!(found("10.1.1.1", &["1.2.3.4, unknown"]), None);
    }
}
