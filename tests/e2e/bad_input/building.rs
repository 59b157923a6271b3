//! `--build`: the components are built first, whatever the machine has and lacks.

use sschat_tests::host::{guests, repository};
use sschat_tests::{Host, Options, Rest};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A folder with a manifest whose one component is built by `cargo`, and a folder `bin` for
/// the programs that the machine is to have.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = std::fs::read_to_string(guests().join("spin.toml")).unwrap();
    let built = "../../target/wasm32-wasip2/component/sschat_guest_rest.wasm";
    let authority = "../../target/wasm32-wasip2/component/sschat_guest_authority.wasm";
    let real = repository().join("target/wasm32-wasip2/component/sschat_guest_authority.wasm");
    let build = "[component.hostile.build]\n\
                 command = \"cargo build --target wasm32-wasip2\"\n";
    let manifest = manifest
        .replace(built, "built.wasm")
        .replace(authority, real.to_str().unwrap());
    std::fs::write(
        folder.path().join("spin.toml"),
        format!("{manifest}\n{build}"),
    )
    .unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["sh", "cp", "cat"] {
        symlink(Path::new("/bin").join(program), bin.join(program)).unwrap();
    }
    folder
}

fn program(project: &tempfile::TempDir, name: &str, script: &str) {
    let path = project.path().join("bin").join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn options(project: &tempfile::TempDir) -> Options {
    let bin = project.path().join("bin");
    Options::new()
        .from(project.path())
        .arg("--build")
        .env("PATH", bin.to_str().unwrap())
}

#[tokio::test]
async fn a_machine_without_cargo() {
    let project = project();
    let (status, said) = Host::refused(options(&project)).await;
    assert!(!status.success(), "{said}");
    for named in ["hostile", "cargo build", "PATH", "rustup.rs"] {
        assert!(said.contains(named), "{named:?} is not named:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_toolchain_without_the_target() {
    let project = project();
    let built = repository().join("target/wasm32-wasip2/component/sschat_guest_rest.wasm");
    program(
        &project,
        "cargo",
        &format!("cp {} built.wasm", built.display()),
    );

    // It cannot be had.
    program(
        &project,
        "rustup",
        "if [ \"$2\" = add ]; then echo 'error: no route to the server' >&2; exit 1; fi",
    );
    let (status, said) = Host::refused(options(&project)).await;
    assert!(!status.success(), "{said}");
    for named in ["no route to the server", "rustup target add wasm32-wasip2"] {
        assert!(said.contains(named), "{named:?} is not named:\n{said}");
    }

    // It can be had, and is asked for.
    program(
        &project,
        "rustup",
        "if [ \"$2\" = add ]; then echo \"$@\" > asked; fi",
    );
    let host = Host::start(options(&project)).await;
    let asked = std::fs::read_to_string(project.path().join("asked")).unwrap();
    assert_eq!(asked.trim(), "target add wasm32-wasip2");
    let rest = Rest::new(host.address());
    assert_eq!(rest.get("/hostile/ok").await.expect(200).text(), "ok");

    // It is there.
    std::fs::remove_file(project.path().join("asked")).unwrap();
    program(
        &project,
        "rustup",
        "if [ \"$2\" = add ]; then echo \"$@\" > asked; else echo wasm32-wasip2; fi",
    );
    Host::start(options(&project)).await;
    assert!(!project.path().join("asked").exists());

    // What cargo says is shown, and where it failed.
    program(
        &project,
        "cargo",
        "echo 'error[E0308]: mismatched types' >&2; exit 101",
    );
    let (status, said) = Host::refused(options(&project)).await;
    assert!(!status.success(), "{said}");
    for named in ["E0308", "hostile", "cargo build", "101"] {
        assert!(said.contains(named), "{named:?} is not named:\n{said}");
    }
}
