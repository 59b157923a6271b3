//! How a backend knows that it was this host that told it.

use ring::hmac;
use std::fmt::Write;

/// The header's value: when it was signed, in seconds since 1970, and for each secret the
/// HMAC-SHA256, in hex, of that number, a dot and the body.
pub(super) fn sign(secrets: &[String], time: u64, body: &[u8]) -> String {
    let mut signed = format!("t={time}");
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut tag = hmac::Context::with_key(&key);
        tag.update(time.to_string().as_bytes());
        tag.update(b".");
        tag.update(body);
        signed.push_str(",v1=");
        for byte in tag.sign().as_ref() {
            // Writing to a string does not fail.
            let _ = write!(signed, "{byte:02x}");
        }
    }
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec`.
    #[test]
    fn both_secrets_sign() {
        let secrets = ["whsec".to_owned(), "old".to_owned()];
        let signed = sign(&secrets, 1_700_000_000, b"{}");
        let parts: Vec<_> = signed.split(',').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], "t=1700000000");
        assert_eq!(parts[1], format!("v1={EXPECTED}"));
        assert_ne!(parts[1], parts[2]);
    }

    const EXPECTED: &str = "7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af";
}
