//! What the shell and `man` get.

use sschat_tests::{Host, Terminal};
use tempfile::TempDir;

#[tokio::test]
async fn completions_are_made_for_every_shell() {
    let terminal = Terminal::default();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = terminal.run(&["completions", shell]).await.ok();
        for word in ["register", "publish", "apikey-file"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    terminal
        .run(&["completions", "tcsh"])
        .await
        .refused(2, &["possible values"]);
}

#[tokio::test]
async fn every_command_has_a_page() {
    let terminal = Terminal::default();
    let page = terminal.run(&["man", "room", "create"]).await.ok();
    assert!(page.contains(".TH sschat-room-create 1"), "{page}");
    assert!(page.contains("count"), "{page}");
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    terminal.run(&["man", "--folder", path]).await.ok();
    for name in ["sschat", "sschat-up", "sschat-tail", "sschat-policy-upload"] {
        assert!(folder.path().join(format!("{name}.1")).is_file(), "{name}");
    }
    let unknown = terminal.run(&["man", "rom"]).await;
    unknown.refused(1, &["no command \"rom\"", "--help"]);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let host = Host::plain().await;
    let terminal = Terminal::at(&host);
    let bench = ["bench", "rest", "--connections", "1", "--seconds", "0.01"];
    for line in [&bench[..], &["status"], &["man"], &["completions", "bash"]] {
        let (code, errors) = terminal.run_unread(line).await;
        assert_eq!((code, errors.as_str()), (0, ""), "{line:?}");
    }
}
