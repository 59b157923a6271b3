//! Addresses that tenants name for the host to ask.

/// Whether this has the form of an address of HTTP, without user and fragment. Which
/// addresses are asked is the host's word; here only the form is looked at.
#[must_use]
pub fn is_address(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        plain && !host.is_empty() && !host.contains('@') && !rest.contains('#')
    })
}
