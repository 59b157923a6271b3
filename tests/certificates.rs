//! Certificates of a test's own authority, made by openssl, and connections that trust it.

use crate::deadline::within;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Makes an authority `ca.pem`.
const AUTHORITY: &str = "set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req -x509 $key -days 2 -keyout ca.key -out ca.pem -subj '/CN=Test authority'";

/// Makes a certificate for this machine that the authority vouches for, for so many days; negative ones are over.
const CERTIFY: &str = "set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req $key -keyout new.key -out request.pem -subj '/CN=localhost'
echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' > names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days $DAYS -extfile names -out new.pem";

/// A folder with an authority, and a certificate with its key.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificates {
    /// An authority, and a certificate for `localhost` and 127.0.0.1 that holds for two days.
    pub fn new() -> Self {
        let certificates = Self(TempDir::new().unwrap());
        certificates.run(AUTHORITY, 0);
        certificates.renew(2);
        certificates
    }

    /// Puts another certificate and its key in the place of those before, for so many days.
    pub fn renew(&self, days: i32) {
        self.run(CERTIFY, days);
        std::fs::rename(self.path("new.key"), self.key()).unwrap();
        std::fs::rename(self.path("new.pem"), self.cert()).unwrap();
    }

    fn run(&self, script: &str, days: i32) {
        let made = Command::new("sh")
            .args(["-c", script])
            .env("DAYS", days.to_string())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "openssl makes certificates: {made:?}"
        );
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The certificate.
    pub fn cert(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Its private key.
    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Connects by TLS, trusting the authority alone, and offers these protocols (ALPN).
    ///
    /// # Errors
    /// Why the handshake failed.
    pub async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.authority()).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let stream = within("connect", TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        within("a TLS handshake", connecting).await
    }
}
