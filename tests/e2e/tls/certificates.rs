//! Certificates that are replaced while the host runs, that are rubbish, and that are over.

use super::{host, open, shown};
use sschat_tests::chat::POLLING;
use sschat_tests::{Certificates, Host, Options};

#[tokio::test]
async fn a_new_certificate_is_shown_and_rubbish_is_not() {
    let certificates = Certificates::new();
    let host = host(&certificates).await;
    let mut before = open(&certificates, &host, POLLING).await;
    let first = shown(&certificates, &host).await;
    certificates.renew(1);
    host.says("a new certificate is in use").await;
    let second = shown(&certificates, &host).await;
    assert_ne!(first, second);
    // It expires soon, which the operator is told.
    host.says("the certificate expires in 0 days").await;
    std::fs::write(certificates.cert(), "rubbish").unwrap();
    host.says("the certificate before stays in use").await;
    assert_eq!(shown(&certificates, &host).await, second);
    certificates.renew(2);
    // A key that is another's: one of both files has been replaced.
    let key = std::fs::read(certificates.key()).unwrap();
    std::fs::remove_file(certificates.key()).unwrap();
    std::fs::write(certificates.key(), key).unwrap();
    before.send_text("{}").await;
    assert_eq!(before.next().await["type"], "error");
}

#[tokio::test]
async fn a_certificate_that_is_over_is_told_of() {
    let certificates = Certificates::new();
    certificates.renew(-1);
    let host = host(&certificates).await;
    host.says("the certificate has expired").await;
    // Whoever checks does not come in.
    let refused = certificates.connect(host.address(), &[]).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn what_can_not_be_used_is_refused_at_once() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    let with = |cert: std::path::PathBuf, key: std::path::PathBuf| {
        Host::refused(
            Options::new()
                .arg("--tls-cert")
                .arg(cert)
                .arg("--tls-key")
                .arg(key),
        )
    };
    for (cert, key, words) in [
        (certificates.cert(), other.key(), "does not fit --tls-cert"),
        (
            certificates.path("absent"),
            certificates.key(),
            "--tls-cert",
        ),
        (
            certificates.cert(),
            certificates.path("absent"),
            "--tls-key",
        ),
        (
            certificates.key(),
            certificates.key(),
            "no certificate is in it",
        ),
        (certificates.cert(), certificates.cert(), "--tls-key"),
    ] {
        let (status, said) = with(cert, key).await;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let alone = Options::new().arg("--tls-cert").arg(certificates.cert());
    let (status, said) = Host::refused(alone).await;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("--tls-key"), "{said}");
}
