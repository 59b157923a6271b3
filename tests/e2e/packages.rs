//! One file that is all there is to copy, and the packages that bring it.

use sschat_tests::host::{binary, repository};
use sschat_tests::{App, Chat, Host, Options, Terminal, within};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

/// How long compressing may take on a busy machine.
const PACKING: Duration = Duration::from_secs(180);

/// Members of a host that was started from this program talk.
async fn they_talk(program: &Path) {
    let host = Host::start(Options::new().program(program)).await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    a.say(&room, "carried").await;
    b.expect_message("carried", &alice, &room).await;
}

async fn pack(folder: &TempDir) -> PathBuf {
    let program = folder.path().join("sschat");
    let manifest = repository().join("spin.toml");
    let (manifest, output) = (manifest.to_str().unwrap(), program.to_str().unwrap());
    let (status, said) = Host::run(&["pack", "--from", manifest, "--output", output]).await;
    assert!(status.success(), "{said}");
    assert!(
        said.contains("authority") && said.contains("sha256:"),
        "{said}"
    );
    program
}

async fn run(program: &Path, folder: &Path, arguments: &[&str]) -> (bool, String) {
    let running = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output();
    let done = within("a command ends", running).await.unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

/// In an empty folder, without anything of the repository.
#[tokio::test]
async fn a_program_that_carries_its_application_serves_it_anywhere() {
    let folder = TempDir::new().unwrap();
    let program = pack(&folder).await;
    they_talk(&program).await;
    let empty = TempDir::new().unwrap();
    let (fine, checked) = run(&program, empty.path(), &["check"]).await;
    assert!(fine, "{checked}");
    let (fine, said) = run(&program, empty.path(), &["unpack", "app"]).await;
    assert!(fine, "{said}");
    // What it carries is what was built, byte for byte.
    let (fine, here) = run(&binary(), &repository(), &["check"]).await;
    assert!(fine, "{here}");
    let digests = |said: &str| {
        let lines = said.lines().filter(|line| line.starts_with("sha256:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(digests(&checked), digests(&here));
    assert!(digests(&here).len() >= 6, "{here}");
    let unpacked = empty.path().join("app/spin.toml");
    let ours = std::fs::read(repository().join("spin.toml")).unwrap();
    assert_eq!(std::fs::read(unpacked).unwrap(), ours);
    // A manifest in the folder goes before what is carried.
    std::fs::write(empty.path().join("spin.toml"), "nonsense = 1").unwrap();
    let (fine, said) = run(&program, empty.path(), &["up"]).await;
    assert!(!fine && said.contains("spin.toml"), "{said}");
    let (fine, said) = run(&binary(), folder.path(), &["unpack", "app"]).await;
    assert!(!fine && said.contains("sschat pack"), "{said}");
}

#[tokio::test]
async fn a_damaged_program_says_so() {
    let folder = TempDir::new().unwrap();
    let program = pack(&folder).await;
    let whole = std::fs::metadata(&program).unwrap().len();
    let mut bytes = std::fs::read(&program).unwrap();
    // In the middle of a component.
    let at = usize::try_from(whole).unwrap() - 200_000;
    bytes[at] ^= 0xFF;
    std::fs::write(&program, bytes).unwrap();
    let empty = TempDir::new().unwrap();
    let (fine, said) = run(&program, empty.path(), &["up"]).await;
    assert!(!fine && said.contains("is damaged"), "{said}");
}

/// The Debian package is built, its files lie where they belong, and the program in it serves.
#[tokio::test]
async fn the_debian_package_brings_all_that_a_host_needs() {
    let folder = TempDir::new().unwrap();
    let building = Command::new(repository().join("deploy/debian/build"))
        .arg(binary())
        .arg(folder.path())
        .output();
    let built = tokio::time::timeout(PACKING, building).await;
    let built = built.expect("the package is built in time").unwrap();
    assert!(built.status.success(), "{built:?}");
    let package = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "deb"))
        .unwrap();
    let package = package.to_str().unwrap();
    let tree = folder.path().join("tree");
    let tree = tree.to_str().unwrap();
    let deb = Path::new("dpkg-deb");
    let (fine, said) = run(deb, folder.path(), &["--extract", package, tree]).await;
    assert!(fine, "{said}");
    let (fine, about) = run(deb, folder.path(), &["--info", package]).await;
    assert!(fine && about.contains("Package: sschat"), "{about}");
    assert!(about.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))));
    let has = |path: &str| Path::new(tree).join(path);
    for path in [
        "usr/lib/systemd/system/sschat.service",
        "etc/sschat/sschat.toml",
        "usr/share/man/man1/sschat-up.1.gz",
        "usr/share/bash-completion/completions/sschat",
    ] {
        assert!(has(path).exists(), "{path}");
    }
    they_talk(&has("usr/bin/sschat")).await;
    let terminal = Terminal::default();
    let file = has("etc/sschat/sschat.toml");
    let config = terminal.file("sschat.toml", &std::fs::read_to_string(file).unwrap());
    drop(
        Host::start(
            Options::new()
                .program(has("usr/bin/sschat"))
                .args(&["--config", &config]),
        )
        .await,
    );
    // Where lintian is here it has nothing against it but what concerns Debian's own archive.
    if let Ok(checked) = Command::new("lintian")
        .args(["--fail-on", "error", package])
        .output()
        .await
    {
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{said}");
    }
}
