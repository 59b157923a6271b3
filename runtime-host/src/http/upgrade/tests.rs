//! Which origins may connect, and which endpoints there are.

use super::*;

fn allow(listed: &[&str], origin: Option<&str>, host: &str) -> bool {
    let listed: Vec<String> = listed.iter().map(|&origin| origin.to_owned()).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, origin.parse().unwrap());
    }
    Origins::new(&listed).allow(&headers)
}

#[test]
fn by_default_only_the_same_host_is_allowed() {
    assert!(allow(&[], None, "a.test:3000"));
    assert!(allow(&[], Some("http://a.test:3000"), "a.test:3000"));
    assert!(allow(&[], Some("http://A.test"), "a.test"));
    assert!(allow(&[], Some("http://a.test"), "a.test:80"));
    assert!(allow(&[], Some("https://a.test"), "a.test"));
    assert!(allow(&[], Some("http://[::1]:3000"), "[::1]:3000"));
    for origin in [
        "http://a.test:3001",
        "http://b.test:3000",
        "http://a.test.evil:3000",
        "https://a.test",
        "null",
        "",
    ] {
        assert!(!allow(&[], Some(origin), "a.test:3000"), "{origin}");
    }
}

#[test]
fn listed_origins_are_allowed_beside_the_same_host() {
    let listed = ["https://app.test/"];
    assert!(allow(&listed, Some("https://app.test"), "a.test"));
    assert!(allow(&listed, Some("http://a.test"), "a.test"));
    assert!(!allow(&listed, Some("http://app.test"), "a.test"));
    assert!(allow(&["*"], Some("http://anything"), "a.test"));
    assert!(allow(&["*"], Some("null"), "a.test"));
}

#[test]
fn two_origins_are_none() {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, "a.test".parse().unwrap());
    headers.append(header::ORIGIN, "http://a.test".parse().unwrap());
    headers.append(header::ORIGIN, "http://b.test".parse().unwrap());
    assert!(!Origins::default().allow(&headers));
}

#[test]
fn a_host_for_development_takes_pages_of_its_machine() {
    let origins = Origins::default().with_loopback(true);
    let allow = |origin: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:3000".parse().unwrap());
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        origins.allow(&headers)
    };
    for origin in [
        "http://localhost",
        "http://LOCALHOST:5173",
        "https://127.0.0.1:8443",
        "http://[::1]:8080",
        "http://app.localhost:1234",
    ] {
        assert!(allow(origin), "{origin}");
    }
    for origin in [
        "null",
        "http://localhost.evil.test",
        "http://evil.test:127",
        "http://evil.test?://localhost",
        "http://127.0.0.1.evil.test:80",
        "localhost",
    ] {
        assert!(!allow(origin), "{origin}");
    }
}

#[test]
fn the_subprotocol_names_the_format() {
    let choose = |offers: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offers.parse().unwrap());
        let json = centrifuge::Format::Json;
        subprotocol(&headers, Endpoint::Centrifuge { format: json })
    };
    let protobuf = centrifuge::Format::Protobuf;
    let (endpoint, answer) = choose("x, centrifuge-protobuf");
    assert_eq!(endpoint, Endpoint::Centrifuge { format: protobuf });
    assert_eq!(answer.unwrap(), "centrifuge-protobuf");
    assert_eq!(choose("x, y").1, None);
}

#[test]
fn endpoints_and_their_parameters() {
    let polling = |format| Some(Endpoint::Polling { format });
    let at = Endpoint::at;
    assert_eq!(at("/websocket/polling", None), polling(Format::Json));
    let text = at("/websocket/polling", Some("app=x&format=text"));
    assert_eq!(text, polling(Format::Text));
    let other = at("/websocket/polling", Some("format=xml"));
    assert_eq!(other, polling(Format::Json));
    let sdk = |format| Some(Endpoint::Centrifuge { format });
    let (json, protobuf) = (centrifuge::Format::Json, centrifuge::Format::Protobuf);
    assert_eq!(at("/connection/websocket", Some("app=x")), sdk(json));
    let named = at("/connection/websocket", Some("app=x&format=protobuf"));
    assert_eq!(named, sdk(protobuf));
    let old = at("/connection/websocket", Some("cf_protocol=protobuf"));
    assert_eq!(old, sdk(protobuf));
    assert_eq!(at("/websocket/echo", None), Some(Endpoint::Echo));
    assert_eq!(at("/websocket", None), None);
}
