//! The way to a host: a socket, or TLS over it. Whom this machine trusts, the host's certificate is to be of:
//! `SSL_CERT_FILE` names another file of certificates.

use super::Failure;
use super::client::unreachable;
use super::target::Target;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long the host has to answer a command.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a host.
pub(super) enum Line {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// Bounds the time of one read; `None` for no bound.
    pub(super) fn set_read_timeout(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.set_read_timeout(patience),
            Self::Tls(stream) => stream.get_ref().set_read_timeout(patience),
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// How REST calls speak TLS.
pub(super) fn for_rest() -> ureq::tls::TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let owned = |der: &[u8]| ureq::tls::Certificate::from_der(der).to_owned();
    let roots: Vec<_> = found.iter().map(|it| owned(it)).collect();
    ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider())
        .root_certs(ureq::tls::RootCerts::new_with_certs(&roots))
        .build()
}

fn secure(stream: TcpStream, host: &str) -> Result<Line, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let session = ClientConnection::new(Arc::new(config), name);
    let session = session.map_err(|error| error.to_string())?;
    Ok(Line::Tls(Box::new(StreamOwned::new(session, stream))))
}

/// Connects to a host.
pub(super) fn dial(target: &Target) -> Result<Line, Failure> {
    let failed = |error: &dyn std::fmt::Display| unreachable(&target.url, error);
    let (encrypted, rest) = match target.url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, target.url.trim_start_matches("http://")),
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if digits(port) => (host, port),
        _ if encrypted => (authority, "443"),
        _ => (authority, "80"),
    };
    let addresses = format!("{host}:{port}")
        .to_socket_addrs()
        .map_err(|error| failed(&error))?;
    let mut last = failed(&"the name has no address");
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) if encrypted => return secure(stream, host).map_err(|error| failed(&error)),
            Ok(stream) => return Ok(Line::Plain(stream)),
            Err(error) => last = failed(&error),
        }
    }
    Err(last)
}
