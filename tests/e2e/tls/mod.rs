//! TLS and HTTP/2 on the common listener, certificates that change, and proxies in front of it.

mod certificates;
mod http2;
mod proxies;
mod sessions;

use sschat_tests::{Certificates, Chat, Host, Options};

/// A host that speaks TLS, with arguments of one's own.
async fn host_with(certificates: &Certificates, arguments: &[&str]) -> Host {
    let options = Options::new()
        .arg("--tls-cert")
        .arg(certificates.cert())
        .arg("--tls-key")
        .arg(certificates.key())
        .args(arguments);
    Host::start(options).await
}

async fn host(certificates: &Certificates) -> Host {
    host_with(certificates, &[]).await
}

/// Opens a WebSocket by TLS.
async fn open(certificates: &Certificates, host: &Host, path: &str) -> Chat {
    let stream = certificates.connect(host.address(), &["http/1.1"]).await;
    let url = format!("wss://localhost:{}{path}", host.address().port());
    let opened = Chat::over(Box::new(stream.unwrap()), &url, &[]).await;
    opened.expect("the handshake succeeds")
}

/// The digest of the certificate that a new connection is shown.
async fn shown(certificates: &Certificates, host: &Host) -> Vec<u8> {
    let stream = certificates.connect(host.address(), &[]).await.unwrap();
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].to_vec()
}
