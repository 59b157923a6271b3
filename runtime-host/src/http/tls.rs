//! TLS: the certificate and its key, which may be replaced while the host runs.
//!
//! What is in the files is looked at often. A new pair is taken once it fits together; else the one before stays, and
//! the log says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The protocols of a connection, dearest first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// HTTP/2 over TLS (RFC 9113, section 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// From so long before its end on, the log warns of a certificate, once a day.
const WARNED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Between two warnings.
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain in PEM, the host's own first.
    pub cert: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates can't be read.
    #[error("--tls-cert {0}: {1}")]
    Cert(PathBuf, String),
    /// The key can't be read.
    #[error("--tls-key {0}: {1}")]
    Key(PathBuf, String),
    /// The key is not that of the certificate, or nobody can use it.
    #[error("--tls-key {0} does not fit --tls-cert {1}: {2}")]
    Unfit(PathBuf, PathBuf, rustls::Error),
    /// The library refuses it.
    #[error("TLS can't be begun: {0}")]
    Refused(#[from] rustls::Error),
}

/// A certificate with its key, and from when to when it holds, in seconds since 1970.
#[derive(Debug)]
struct Pair {
    certified: Arc<CertifiedKey>,
    from: u64,
    until: u64,
}

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let cert = |reason: String| TlsError::Cert(files.cert.clone(), reason);
        let chain = CertificateDer::pem_file_iter(&files.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| cert(error.to_string()))?;
        let Some(own) = chain.first() else {
            return Err(cert("no certificate is in it".to_owned()));
        };
        let own = Certificate::from_der(own).map_err(|error| cert(error.to_string()))?;
        let validity = own.tbs_certificate.validity;
        let from = validity.not_before.to_unix_duration().as_secs();
        let until = validity.not_after.to_unix_duration().as_secs();
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| TlsError::Key(files.key.clone(), error.to_string()))?;
        let unfit = |error| TlsError::Unfit(files.key.clone(), files.cert.clone(), error);
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(unfit)?;
        Ok(Self {
            certified: Arc::new(certified),
            from,
            until,
        })
    }

    /// What is wrong with it at this time, or soon.
    fn warns(&self, now: u64) -> Option<String> {
        let left = self.until.saturating_sub(now);
        if now >= self.until {
            Some("the certificate has expired: clients refuse it".to_owned())
        } else if now < self.from {
            Some("the certificate does not hold yet: clients refuse it".to_owned())
        } else if left < WARNED.as_secs() {
            let days = left / (24 * 60 * 60);
            Some(format!("the certificate expires in {days} days"))
        } else {
            None
        }
    }
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What is known of a file without reading it.
type Mark = Option<(SystemTime, u64)>;

fn mark(path: &Path) -> Mark {
    let of = std::fs::metadata(path).ok()?;
    Some((of.modified().ok()?, of.len()))
}

fn marks(files: &TlsFiles) -> [Mark; 2] {
    [mark(&files.cert), mark(&files.key)]
}

/// The pair that is in use.
#[derive(Debug)]
struct Current(RwLock<Arc<Pair>>);

impl Current {
    fn get(&self) -> Arc<Pair> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, pair: Pair) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.get().certified))
    }
}

/// TLS on a listener.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where they can't be read, hold nothing that is understood, or don't fit together. One that has expired is taken
    /// all the same, and the log says so.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let pair = Pair::read(&files)?;
        if let Some(why) = pair.warns(now()) {
            tracing::warn!(file = %files.cert.display(), "{why}");
        }
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self {
            files,
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Until when the certificate in use holds, in seconds since 1970.
    pub fn until(&self) -> u64 {
        self.current.get().until
    }

    /// Looks at the files every few seconds, and takes what is new there. Never ends.
    pub async fn follow(self) {
        let mut taken = marks(&self.files);
        let mut look = tokio::time::interval(LOOK);
        let mut warned = tokio::time::Instant::now();
        loop {
            look.tick().await;
            let found = marks(&self.files);
            if found != taken {
                taken = found;
                self.take();
            }
            if warned.elapsed() >= AGAIN {
                warned = tokio::time::Instant::now();
                if let Some(why) = self.current.get().warns(now()) {
                    tracing::warn!(file = %self.files.cert.display(), "{why}");
                }
            }
        }
    }

    fn take(&self) {
        let file = self.files.cert.display();
        match Pair::read(&self.files) {
            Ok(pair) => {
                match pair.warns(now()) {
                    Some(why) => tracing::warn!(%file, "a new certificate is in use, but {why}"),
                    None => tracing::info!(%file, "a new certificate is in use"),
                }
                self.current.set(pair);
            }
            // The second of both files may be on its way.
            Err(error) => tracing::error!(%error, "the certificate before stays in use"),
        }
    }
}
