//! What keeps a host from starting, and what it says then.

use sschat_tests::{Host, Options, Rest};

/// A folder with a manifest of this text.
fn manifest(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spin.toml"), text).unwrap();
    folder
}

const GOOD: &str = r#"spin_manifest_version = 2
[application]
name = "x"
[[trigger.http]]
route = "/x"
component = "x"
[component.x]
source = "missing.wasm"
"#;

#[tokio::test]
async fn manifests_and_components_that_are_broken() {
    let cases = [
        ("a missing .wasm", GOOD.to_owned(), vec!["missing.wasm"]),
        (
            "no TOML",
            "spin_manifest_version = = 2".into(),
            vec!["spin.toml", "1"],
        ),
        (
            "version 1",
            GOOD.replace("version = 2", "version = 1"),
            vec!["spin.toml", "spin_manifest_version"],
        ),
        (
            "an unknown component",
            GOOD.replace("component = \"x\"", "component = \"y\""),
            vec!["spin.toml", "y"],
        ),
        (
            "a wrong type",
            GOOD.replace("route = \"/x\"", "route = 1"),
            vec!["spin.toml", "route"],
        ),
        (
            "an unknown setting",
            format!("{GOOD}\n[application.tool.sschat]\nmesage_limit = 1\n"),
            vec!["spin.toml", "mesage_limit"],
        ),
        (
            "a size that is none",
            format!("{GOOD}\n[application.tool.sschat]\nmessage_limit = \"lots\"\n"),
            vec!["message_limit", "lots"],
        ),
    ];
    for (what, text, named) in cases {
        let folder = manifest(&text);
        let (status, said) = Host::refused(Options::new().from(folder.path())).await;
        assert!(!status.success(), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        for name in &named {
            assert!(
                said.contains(name),
                "{what}: {name:?} is not named:\n{said}"
            );
        }
        let from = folder.path().to_str().unwrap().to_owned();
        let (status, said) = Host::run(&["check", "--from", &from]).await;
        assert!(!status.success(), "check: {what}: {said}");
        for name in &named {
            assert!(
                said.contains(name),
                "check: {what}: {name:?} is not named:\n{said}"
            );
        }
    }
    let folder = manifest(GOOD);
    std::fs::write(folder.path().join("missing.wasm"), b"\0asm but not really").unwrap();
    let (status, said) = Host::refused(Options::new().from(folder.path())).await;
    assert!(!status.success());
    assert!(said.contains("missing.wasm"), "{said}");

    let (status, said) = Host::refused(Options::new().from("/nowhere/at/all")).await;
    assert!(!status.success());
    assert!(said.contains("/nowhere/at/all"), "{said}");
    let (status, said) = Host::run(&[
        "check",
        "--from",
        sschat_tests::host::repository().to_str().unwrap(),
    ])
    .await;
    assert!(status.success(), "the repository's own manifest: {said}");
}

#[tokio::test]
async fn a_port_in_use() {
    let host = Host::plain().await;
    let address = host.address().to_string();
    let (status, said) = Host::refused(Options::new().listen(&address)).await;
    assert!(!status.success());
    assert!(said.contains(&address), "{said}");
    assert!(said.contains("in use"), "{said}");
    Rest::new(host.address()).get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    std::fs::write(&file, "a file where a folder should be").unwrap();
    for place in [
        file.clone(),
        file.join("below"),
        "/proc/sschat-state".into(),
    ] {
        let (status, said) = Host::refused(Options::new().state(&place)).await;
        assert!(!status.success(), "{}", place.display());
        assert!(said.contains(place.to_str().unwrap()), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "a file where a folder should be"
    );
}

#[tokio::test]
async fn options_that_are_none() {
    for arguments in [
        &["up", "--listen", "nowhere"][..],
        &["up", "--listen", "127.0.0.1:99999"],
        &["up", "--message-limit", "lots"],
        &["up", "--no-such"],
        &["upp"],
    ] {
        let (status, said) = Host::run(arguments).await;
        assert!(!status.success(), "{arguments:?}");
        assert!(
            said.contains(arguments[arguments.len() - 1]),
            "{arguments:?}: {said}"
        );
    }
}

#[tokio::test]
async fn any_other_address_needs_an_explicit_choice() {
    // Refused before anything listens: open registration is for the loopback.
    let (status, said) = Host::refused(Options::new().listen("0.0.0.0:0")).await;
    assert!(!status.success(), "{said}");
    assert!(said.contains("registration"), "{said}");
}
