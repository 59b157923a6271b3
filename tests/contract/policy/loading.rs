//! From bytes to a policy: what is refused and why, and what compiling may cost.

use super::threads::all_threads_answer;
use super::{Shop, World, allows, binary, digest, engines, publish};
use bytes::Bytes;
use sschat_guest_policies::{bombs, policy};
use sschat_tests::within;
use sschat_wasm::policy::{COMPONENT_LIMIT, LoadError, Workshop};
use std::path::Path;

fn unfit(outcome: Result<impl std::fmt::Debug, LoadError>) -> String {
    match outcome {
        Err(LoadError::Unfit(reason)) => reason,
        other => panic!("not unfit: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_policy_is_refused_with_a_reason() {
    let shop = Shop::open();
    let guest = super::guest();
    let half = guest[..guest.len() / 2].to_vec();
    for (name, bytes, words) in [
        ("nothing", Vec::new(), "not a WebAssembly component"),
        (
            "text",
            b"fn main() {}".to_vec(),
            "not a WebAssembly component",
        ),
        ("half", half, "malformed"),
        (
            "core-module",
            policy("core-module"),
            "not a WebAssembly component",
        ),
        ("no-hooks", policy("no-hooks"), "sschat:policy/hooks"),
        ("some-hooks", policy("some-hooks"), "on-login"),
        ("import-sockets", policy("import-sockets"), "wasi:sockets"),
        (
            "import-store",
            policy("import-store"),
            "wasi:keyvalue/store",
        ),
        (
            "import-unknown",
            policy("import-unknown"),
            "example:unheard/of",
        ),
        ("memory-4gib", policy("memory-4gib"), "memory"),
        ("table-bomb", policy("table-bomb"), "table"),
        (
            "functions",
            bombs::empty_functions(100_001),
            "100000 functions",
        ),
        ("nesting", bombs::nesting(20), "nest deeper than 8"),
        ("instances", bombs::instances(200), "128 instances"),
        ("core instances", bombs::instances(100), "instances"),
        ("memories", bombs::memories(5, 1), "memories"),
    ] {
        let reason = unfit(shop.load(bytes).await);
        assert!(reason.contains(words), "{name}: {reason}");
        assert!(reason.len() <= 1_024, "{name}: {} bytes", reason.len());
        assert!(!reason.contains('\n'), "{name}: {reason}");
    }
    let calm = shop.text("allow").await;
    all_threads_answer(&shop, &calm).await;
}

#[tokio::test]
async fn a_component_has_a_largest_size() {
    let shop = Shop::open();
    let mut bytes = policy("allow");
    // A custom section, which is padding that counts.
    let padded = |bytes: &mut Vec<u8>, to: usize| {
        let fill = to - bytes.len() - 6;
        bytes.push(0);
        for shift in [0, 7, 14, 21] {
            bytes.push(((fill >> shift) & 0x7f) as u8 | 0x80);
        }
        bytes.push((fill >> 28) as u8);
        bytes.push(1);
        bytes.resize(to, b'x');
    };
    padded(&mut bytes, COMPONENT_LIMIT);
    let policy = shop.load(bytes.clone()).await.unwrap();
    assert_eq!(policy.bytes(), COMPONENT_LIMIT);
    bytes.push(0);
    let reason = unfit(shop.load(bytes).await);
    assert!(reason.contains("more than 33554432 bytes"), "{reason}");
}

/// Memories are counted together, whether or not one alone would fit.
#[tokio::test]
async fn memories_are_counted_together() {
    let shop = Shop::open();
    // Together with the page of the hooks 48 MiB, and 72 MiB.
    let fits = shop.load(bombs::memories(3, 256)).await.unwrap();
    assert!(allows(&shop.ask("app_1", &fits, publish("room")).await));
    let bomb = shop.load(bombs::memories(3, 384)).await.unwrap();
    let ruling = shop.ask("app_1", &bomb, publish("room")).await;
    let limited = matches!(ruling, Err(sschat_wasm::calls::CallError::Limit(_)));
    assert!(limited, "{ruling:?}");
    all_threads_answer(&shop, &fits).await;
}

/// Instances of the largest kind on every thread leave room for those of others.
#[tokio::test]
async fn the_largest_policies_can_be_called_on_all_threads() {
    let shop = Shop::open();
    let large = shop.load(bombs::memories(3, 256)).await.unwrap();
    for _ in 0..20 {
        all_threads_answer(&shop, &large).await;
    }
}

/// The files of compiled code in a cache.
fn compiled(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap())
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => compiled(&entry.path()),
            false => vec![entry.file_name()],
        })
        // Beside each lies what is known of its use.
        .filter(|name| !name.to_str().unwrap().contains('.'))
        .collect();
    files.sort();
    files
}

/// The host takes from the cache what its child put there: it never compiles itself.
#[tokio::test]
async fn only_the_child_compiles() {
    let cache = tempfile::tempdir().unwrap();
    let shop = Shop::with_cache(cache.path().to_owned());
    assert_eq!(compiled(cache.path()).len(), 0);
    let bytes: Bytes = policy("allow").into();
    // What the child does, alone.
    let child = std::process::Command::new(binary())
        .arg("compile-policy")
        .arg(cache.path())
        .stdin(std::fs::File::open(written(cache.path(), &bytes)).unwrap())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let by_child = compiled(cache.path());
    let loaded = shop.load(bytes.to_vec()).await.unwrap();
    assert!(allows(&shop.ask("app_1", &loaded, publish("room")).await));
    shop.load(bytes.to_vec()).await.unwrap();
    assert_eq!(compiled(cache.path()), by_child);
}

/// Writes `bytes` beside the cache's own folders.
fn written(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join("uploaded.stats");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A cache that keeps nothing would leave compiling to the host.
#[tokio::test]
async fn nothing_is_loaded_where_the_cache_keeps_nothing() {
    let cache = tempfile::tempdir().unwrap();
    // A file where the cache wants its folder.
    let shop = Shop::with_cache(cache.path().to_owned());
    std::fs::write(cache.path().join("modules"), "").unwrap();
    let outcome = shop.load(policy("allow")).await;
    assert!(
        matches!(outcome, Err(LoadError::Unavailable(_))),
        "{outcome:?}"
    );
}

/// A workshop whose child has less processor time, or memory (KiB), than it gives itself.
fn tight(cache: &Path, bound: &str) -> Workshop {
    let script = format!("ulimit {bound}; exec \"$0\" compile-policy \"$1\"");
    let program = binary();
    let arguments = ["-c", &script, program.to_str().unwrap()];
    let engines = engines(cache.to_owned());
    Workshop::new(&engines, "/bin/sh".into(), &arguments, cache.to_owned())
}

/// A component made to exhaust the compiler ends the child alone; calls go on meanwhile.
#[tokio::test]
async fn a_compile_bomb_ends_the_child_alone() {
    let shop = Shop::open();
    let cache = tempfile::tempdir().unwrap();
    let calm = shop.text("allow").await;
    for (bound, bomb) in [
        ("-t 1", bombs::functions(30_000)),
        ("-t 1", bombs::branches(8, 650, 650)),
        ("-v 500000", bombs::branches(8, 650, 650)),
    ] {
        let workshop = tight(cache.path(), bound);
        let digest = digest(&bomb);
        let load = workshop.load(&digest, bomb.into());
        let load = within("the bomb is given up", load);
        tokio::pin!(load);
        let world = World::default();
        let mut calls = 0;
        let outcome = loop {
            // Each in turn, for one alone might use up its share.
            let tenant = format!("app_{}", calls % 100);
            tokio::select! {
                biased;
                outcome = &mut load => break outcome,
                (ruling, _) = shop.ask_in(&world, &tenant, &calm, publish("room")) => {
                    assert!(allows(&ruling), "{ruling:?}");
                    calls += 1;
                }
            }
        };
        assert!(outcome.is_err(), "{bound}: {outcome:?}");
        let reason = unfit(outcome);
        assert!(
            reason.starts_with("compiling it takes more than"),
            "{reason}"
        );
        assert!(calls > 100, "{calls} calls meanwhile");
        // The workshop goes on too.
        let next = workshop.load("", policy("allow").into()).await;
        assert!(next.is_ok(), "{bound}: {next:?}");
    }
    assert!(
        compiled(cache.path()).len() <= 1,
        "of the bombs nothing is kept"
    );
    all_threads_answer(&shop, &calm).await;
}

/// A child that can't be started, or says nothing sensible, is not the component's fault.
#[tokio::test]
async fn a_workshop_without_a_compiler_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let engines = engines(cache.path().to_owned());
    let missing = cache.path().join("missing");
    let workshop = Workshop::new(&engines, missing, &[], cache.path().to_owned());
    let outcome = workshop.load("", policy("allow").into()).await;
    assert!(
        matches!(outcome, Err(LoadError::Unavailable(_))),
        "{outcome:?}"
    );
}
