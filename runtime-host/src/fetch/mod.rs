//! Fetching a document that a tenant named, so that nobody can make the host look around
//! in its own network.
//!
//! The name is resolved here, every address that it has is looked at, and the one that was
//! looked at is connected to. No redirect is followed; the time and the size of an answer
//! are bounded. HTTPS alone, by the roots that the machine trusts (`SSL_CERT_FILE` names
//! others), unless the operator allows private addresses: then HTTP too.

mod address;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a whole fetch may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The most bytes of an answer. A key takes some hundred.
const SIZE_LIMIT: usize = 64 << 10;

/// Fetches documents.
#[derive(Default)]
pub struct Fetcher {
    /// Private addresses may be asked, and by plain HTTP.
    allow_private: bool,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Fetcher {
    /// `allow_private`: addresses of private networks and of this machine may be asked, and
    /// by HTTP.
    pub fn new(allow_private: bool) -> Self {
        Self {
            allow_private,
            tls: OnceLock::new(),
        }
    }

    /// The document at this address.
    ///
    /// # Errors
    /// Where it may not be asked, can't be reached, or answers otherwise than with 200.
    pub async fn fetch(&self, url: &str) -> anyhow::Result<Bytes> {
        let fetched = tokio::time::timeout(WITHIN, self.ask(url));
        fetched.await.context("it took too long")?
    }

    async fn ask(&self, url: &str) -> anyhow::Result<Bytes> {
        let uri: Uri = url.parse().context("it is no address")?;
        let host = uri.host().context("it names no host")?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.allow_private => false,
            _ => bail!("only https is asked"),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect(self.resolve(host, port).await?)
            .await
            .context("it can't be reached")?;
        if !secure {
            return get(stream, &uri).await;
        }
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).context("its host has no name")?;
        let tls = TlsConnector::from(self.tls()?);
        get(tls.connect(name, stream).await?, &uri).await
    }

    /// One address, of a host all of whose addresses may be asked.
    async fn resolve(&self, host: &str, port: u16) -> anyhow::Result<SocketAddr> {
        let host = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.context("its host is unknown")?.collect();
        let allowed = |found: &SocketAddr| self.allow_private || address::is_public(found.ip());
        ensure!(found.iter().all(allowed), "its address is private");
        found.first().copied().context("its host has no address")
    }

    fn tls(&self) -> anyhow::Result<Arc<ClientConfig>> {
        if let Some(known) = self.tls.get() {
            return Ok(Arc::clone(known));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        ensure!(!roots.is_empty(), "this machine trusts nobody");
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

async fn get<S>(stream: S, uri: &Uri) -> anyhow::Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "it answered {status}");
        let body = Limited::new(response.into_body(), SIZE_LIMIT).collect();
        let body = body.await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(body.to_bytes())
    }
    .await;
    connection.abort();
    answered
}
