//! Profiles: hosts and keys by name.

use sschat_tests::{Host, Terminal};

#[tokio::test]
async fn a_profile_holds_host_and_key() {
    let host = Host::plain().await;
    let url = format!("http://{}", host.address());
    let terminal = Terminal::default();
    let line = ["register", "--save-as", "here", "--url", &url];
    let said = terminal.run(&line).await;
    assert!(said.err.contains("kept as profile \"here\""), "{said:?}");
    let room = terminal.run(&["room", "create"]).await.ok();
    let listed = terminal
        .run(&["room", "list", "--profile", "here"])
        .await
        .ok();
    assert!(listed.contains(room.trim_end()), "{listed}");
    let shown = terminal.run(&["config", "show"]).await.ok();
    assert!(
        shown.contains(&format!("*  here     {url}  kept here")),
        "{shown}"
    );
    let shown = terminal.run(&["config", "show", "--json"]).await.json();
    assert_eq!(shown["default"], "here");
    assert_eq!(shown["profiles"]["here"]["apikey"], "…");
    terminal
        .run(&line)
        .await
        .refused(2, &["already", "config remove here"]);
    // A key is sent to no host but its own.
    let elsewhere = ["room", "list", "--url", "http://127.0.0.1:9"];
    terminal
        .run(&elsewhere)
        .await
        .refused(2, &["no API key is given for http://127.0.0.1:9"]);
    terminal.run(&["config", "remove", "here"]).await.ok();
    terminal
        .run(&["room", "list"])
        .await
        .refused(2, &["no API key"]);
}

#[tokio::test]
async fn a_key_in_a_file_of_its_own_serves_too() {
    let host = Host::plain().await;
    let terminal = Terminal::at(&host);
    let made = terminal.run(&["register", "--json"]).await.json();
    let key = terminal.file("key", made["api_key"].as_str().unwrap());
    let url = format!("http://{}", host.address());
    let set = ["config", "set", "x", "--url", &url, "--apikey-file", &key];
    terminal.run(&set).await.ok();
    terminal.run(&["config", "use", "x"]).await.ok();
    terminal.run(&["room", "list"]).await.ok();
    let path = terminal.run(&["config", "path"]).await.ok();
    assert_eq!(path.trim_end(), terminal.profiles().to_str().unwrap());
}

#[tokio::test]
async fn typos_are_told_with_what_is_near() {
    let terminal = Terminal::default();
    let unknown = terminal.run(&["status", "--profile", "here"]).await;
    unknown.refused(2, &["no profile \"here\"", "sschat config set here"]);
    terminal.file("profiles.toml", "[profiles.staging]\napi_key = \"k\"\n");
    let typo = terminal.run(&["status"]).await;
    typo.refused(
        2,
        &[
            "profiles.toml",
            "unknown key \"api_key\"",
            "did you mean \"apikey\"?",
        ],
    );
    terminal.file(
        "profiles.toml",
        "[profiles.staging]\nurl = \"http://a.test\"\n",
    );
    let near = terminal.run(&["status", "--profile", "stagin"]).await;
    near.refused(2, &["did you mean \"staging\"?"]);
    terminal.file("profiles.toml", "[profiles.staging\n");
    terminal
        .run(&["status"])
        .await
        .refused(2, &["profiles.toml", "line 1"]);
    terminal.file(
        "profiles.toml",
        "default = \"staging\"\n[profiles.staging]\napikey = \"k\"\n",
    );
    let open = terminal.run(&["config", "show"]).await;
    assert!(open.err.contains("chmod 600"), "{open:?}");
}
