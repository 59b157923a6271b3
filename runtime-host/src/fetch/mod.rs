//! Fetching a document that a tenant named, and posting one where a tenant named an
//! address, so that nobody can make the host look around in its own network.
//!
//! The name is resolved here, every address that it has is looked at, and the one that was
//! looked at is connected to. No redirect is followed; the time and the size of an answer
//! are bounded. HTTPS alone, by the roots that the machine trusts (`SSL_CERT_FILE` names
//! others), unless the operator allows private addresses: then HTTP too.

mod address;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
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

/// How long a posted document may take to be answered: a backend may have to store it.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Who posts.
const AGENT: &str = concat!("sschat/", env!("CARGO_PKG_VERSION"));

/// The most bytes of an answer. A key takes some hundred.
const SIZE_LIMIT: usize = 64 << 10;

/// How a server answered what was posted to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub pause: Option<Duration>,
}

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

    /// Posts a JSON document. What is answered is not read, beyond its head.
    ///
    /// # Errors
    /// Where the address may not be asked, can't be reached, or says nothing in time.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Posted> {
        let posted = tokio::time::timeout(TAKEN_WITHIN, self.hand_over(url, headers, body));
        posted.await.context("it took too long")?
    }

    async fn hand_over(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Posted> {
        let uri: Uri = url.parse().context("it is no address")?;
        let mut request = request(Method::POST, &uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, AGENT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let (response, _connection) = self.exchange(&uri, request).await?;
        let pause = response.headers().get(header::RETRY_AFTER);
        let pause = pause.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Posted {
            status: response.status().as_u16(),
            pause: pause.map(Duration::from_secs),
        })
    }

    async fn ask(&self, url: &str) -> anyhow::Result<Bytes> {
        let uri: Uri = url.parse().context("it is no address")?;
        let request = request(Method::GET, &uri)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())?;
        let (response, _connection) = self.exchange(&uri, request).await?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "it answered {status}");
        let body = Limited::new(response.into_body(), SIZE_LIMIT).collect();
        let body = body.await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(body.to_bytes())
    }

    /// Sends a request. The connection ends with the second of what is given back.
    async fn exchange(
        &self,
        uri: &Uri,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(Response<Incoming>, AbortOnDrop)> {
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
            return send(stream, request).await;
        }
        let name = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).context("its host has no name")?;
        let tls = TlsConnector::from(self.tls()?);
        send(tls.connect(name, stream).await?, request).await
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

/// A request as every server takes it.
fn request(method: Method, uri: &Uri) -> http::request::Builder {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
}

/// A task that ends with this.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(Response<Incoming>, AbortOnDrop)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let response = sender.send_request(request).await?;
    Ok((response, connection))
}
