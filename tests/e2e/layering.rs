//! The dependency rules and the limits of style, held by reading the sources.

use sschat_tests::host::repository;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// No file is longer.
const LINES: usize = 400;

/// No function is longer.
const FUNCTION_LINES: usize = 70;

/// Words that say nothing, as part of a name of a file or a type.
const EMPTY_WORDS: [&str; 5] = ["manager", "service", "data", "util", "helper"];

/// All Rust sources below a folder, by their path from the repository's root.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                walk(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    let root = repository();
    let mut found = Vec::new();
    walk(&root.join(folder), &mut found);
    assert!(!found.is_empty(), "nothing in {folder}");
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// The lines that are code: without comments, and without what `#[cfg(test)]` begins.
fn code(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
        .collect()
}

/// Whether `name` stands in `line` as a whole word.
fn names(line: &str, name: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(name)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + name.len()..].starts_with(part))
}

/// Fails if a source outside of `allowed` names one of `words`.
fn only_in(folder: &str, words: &[&str], allowed: &[&str]) {
    let mut wrong = Vec::new();
    let mut used = false;
    for (path, text) in sources(folder) {
        for (number, line) in code(&text) {
            for word in words.iter().filter(|word| names(line, word)) {
                if allowed.iter().any(|place| path.starts_with(place)) {
                    used = true;
                } else {
                    wrong.push(format!("{path}:{number} names {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        used || allowed.is_empty(),
        "{words:?} is named nowhere: the rule is out of date"
    );
}

/// Fails if a source in `folder` uses one of these modules of the host.
fn never_uses(folder: &str, modules: &[&str]) {
    let wrong: Vec<String> = sources(folder)
        .iter()
        .flat_map(|(path, text)| {
            code(text).into_iter().filter_map(move |(number, line)| {
                let module = modules
                    .iter()
                    .find(|module| names(line, &format!("crate::{module}")))?;
                Some(format!("{path}:{number} uses crate::{module}"))
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn wasmtime_is_named_in_its_place_alone() {
    let words = ["wasmtime", "wasmtime_wasi", "wasmtime_wasi_http"];
    only_in("runtime-host", &words, &["runtime-host/wasm/src"]);
}

#[test]
fn a_database_client_is_named_in_its_backend_alone() {
    let sqlite = ["runtime-host/store/src/sqlite"];
    only_in("runtime-host", &["rusqlite"], &sqlite);
    let folders = ["redis/src", "store/src/redis", "src/broker/redis"];
    let redis = folders.map(|folder| format!("runtime-host/{folder}"));
    only_in(
        "runtime-host",
        &["redis::cmd", "RedisError"],
        &redis.each_ref().map(|it| &**it),
    );
}

#[test]
fn components_never_name_the_host() {
    for text in sources("components").values() {
        for (_, line) in code(text) {
            assert!(
                !names(line, "sschat::") && !names(line, "sschat_protocol"),
                "{line}"
            );
        }
    }
    for entry in std::fs::read_dir(repository().join("components")).unwrap() {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        if let Ok(text) = std::fs::read_to_string(&manifest) {
            let parsed: toml::Table = text.parse().unwrap();
            let dependencies = parsed["dependencies"].as_table().unwrap();
            assert!(
                !dependencies.contains_key("sschat"),
                "{}",
                manifest.display()
            );
        }
    }
}

#[test]
fn the_model_and_the_protocol_are_pure() {
    let io = [
        "std::net",
        "std::fs",
        "std::thread",
        "std::time::Instant",
        "std::time::SystemTime",
        "tokio",
        "mio",
    ];
    for folder in ["components/domain/src", "runtime-host/protocol/src"] {
        only_in(folder, &io, &[]);
    }
    for manifest in [
        "components/domain/Cargo.toml",
        "runtime-host/protocol/Cargo.toml",
    ] {
        let text = std::fs::read_to_string(repository().join(manifest)).unwrap();
        let parsed: toml::Table = text.parse().unwrap();
        let dependencies = parsed["dependencies"].as_table().unwrap();
        for name in [
            "tokio", "mio", "hyper", "spin-sdk", "wasmtime", "rusqlite", "rand",
        ] {
            assert!(
                !dependencies.contains_key(name),
                "{manifest} depends on {name}"
            );
        }
    }
}

#[test]
fn the_host_never_parses_a_stored_record() {
    only_in("runtime-host", &["sschat_domain"], &[]);
    let manifest = std::fs::read_to_string(repository().join("runtime-host/Cargo.toml")).unwrap();
    let parsed: toml::Table = manifest.parse().unwrap();
    assert!(
        !parsed["dependencies"]
            .as_table()
            .unwrap()
            .contains_key("sschat-domain")
    );
}

/// `main → app → http, socket → protocol; node → hub, policy, broker, store → domain`.
#[test]
fn dependencies_point_downward() {
    let top = ["app", "cli", "config"];
    let with = |more: &[&'static str]| [&top[..], more].concat();
    never_uses(
        "runtime-host/src/socket",
        &with(&[
            "http", "node", "policy", "store", "broker", "wasm", "manifest",
        ]),
    );
    never_uses(
        "runtime-host/src/broker",
        &with(&[
            "http", "node", "policy", "store", "socket", "wasm", "manifest",
        ]),
    );
    never_uses(
        "runtime-host/src/events",
        &with(&[
            "http", "node", "policy", "socket", "broker", "hub", "wasm", "manifest",
        ]),
    );
    never_uses(
        "runtime-host/src/policy",
        &with(&["http", "node", "socket", "broker", "hub", "manifest"]),
    );
    never_uses("runtime-host/src/node", &with(&["http", "manifest"]));
    never_uses(
        "runtime-host/src/http",
        &with(&["socket", "hub", "broker", "policy"]),
    );
    never_uses(
        "runtime-host/src/manifest",
        &with(&["http", "node", "policy", "broker", "socket", "hub"]),
    );
}

/// The crates below the host: the compiler holds that they don't reach up, this holds
/// that none is made to.
#[test]
fn the_lower_crates_know_nothing_above_them() {
    let crates = [
        ("protocol", &[][..]),
        ("redis", &[]),
        ("store", &["sschat-redis"]),
        ("wasm", &["sschat-store"]),
    ];
    for (name, allowed) in crates {
        let path = repository().join(format!("runtime-host/{name}/Cargo.toml"));
        let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let ours: Vec<&String> = manifest["dependencies"]
            .as_table()
            .unwrap()
            .keys()
            .filter(|dependency| dependency.starts_with("sschat"))
            .collect();
        assert_eq!(ours, allowed, "{name}");
    }
}

/// Fan-out neither awaits nor locks.
#[test]
fn the_hub_neither_awaits_nor_locks() {
    let path = repository().join("runtime-host/src/hub.rs");
    let text = std::fs::read_to_string(path).unwrap();
    for (number, line) in code(&text) {
        for word in ["async", "await", "Mutex", "RwLock", "tokio", "serde_json"] {
            assert!(!names(line, word), "hub.rs:{number}: {line}");
        }
    }
}

/// No test sleeps where an event could be awaited, and one that needs what few machines
/// have says what that is.
#[test]
fn tests_do_not_sleep_and_an_ignored_one_says_why() {
    let (sleep, ignored) = (concat!("sle", "ep("), concat!("#[ign", "ore]"));
    for folder in ["tests", "runtime-host", "components"] {
        for (path, text) in sources(folder) {
            let tests = match text.split_once("#[cfg(test)]") {
                // What is tested, not what tests.
                _ if path.starts_with("tests/guests/") => "",
                _ if path.starts_with("tests/") => &text[..],
                Some((_, tests)) => tests,
                None => "",
            };
            assert!(!tests.contains(sleep), "{path} sleeps");
            assert!(
                !text.contains(ignored),
                "{path} ignores a test without a reason"
            );
        }
    }
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for folder in ["runtime-host", "components", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            if lines > LINES {
                wrong.push(format!("{path} has {lines} lines"));
            }
            let functions = functions(&text)
                .into_iter()
                .filter(|(_, length)| *length > FUNCTION_LINES);
            // A test's dialogue is told in one go.
            let limit = !path.starts_with("tests/") && !path.contains("/tests");
            wrong.extend(
                functions
                    .filter(|_| limit)
                    .map(|(at, length)| format!("{path}:{at}: a function of {length} lines")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where functions begin, and how many lines each has. Sources are formatted, so that a
/// function ends at the first closing brace at its own depth.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines = code(text);
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let head = trimmed
            .trim_start_matches("pub ")
            .trim_start_matches("pub(super) ")
            .trim_start_matches("pub(crate) ");
        let head = head
            .trim_start_matches("const ")
            .trim_start_matches("async ");
        if !head.starts_with("fn ") {
            continue;
        }
        let end = format!("{}}}", " ".repeat(line.len() - trimmed.len()));
        let length = lines[at..].iter().position(|(_, line)| {
            line.trim_end() == end || (line.trim_end().ends_with(';') && names(line, "fn"))
        });
        found.push((*number, length.unwrap_or(0) + 1));
    }
    found
}

#[test]
fn names_say_something() {
    for folder in [
        "runtime-host/src",
        "runtime-host/protocol/src",
        "runtime-host/store/src",
        "runtime-host/wasm/src",
        "components",
    ] {
        for path in sources(folder).keys() {
            let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
            for word in EMPTY_WORDS {
                assert!(
                    !stem
                        .split('_')
                        .any(|part| part.trim_end_matches('s') == word),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn every_module_says_what_it_owns() {
    for folder in ["runtime-host", "components", "tests"] {
        for (path, text) in sources(folder) {
            assert!(
                text.starts_with("//!"),
                "{path} begins without a word about itself"
            );
            assert!(!text.starts_with("//! To come"), "{path} is still to come");
        }
    }
}

/// The ten invariants of the design, as ARCHITECTURE.md lists them, each with what holds it.
#[test]
fn every_invariant_names_what_holds_it() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let section = text
        .split("## Invariants")
        .nth(1)
        .expect("a section on invariants");
    let section = section.split("\n## ").next().unwrap();
    for number in 1..=10 {
        let item = section
            .split(&format!("\n{number}. "))
            .nth(1)
            .unwrap_or_else(|| panic!("invariant {number}"));
        let item = item.split(&format!("\n{}. ", number + 1)).next().unwrap();
        let held = item
            .split("Held by")
            .nth(1)
            .unwrap_or_else(|| panic!("invariant {number}: held by what?"));
        for path in held
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|it| it.contains('/'))
        {
            assert!(
                repository().join(path).exists(),
                "invariant {number} names {path}"
            );
        }
    }
}
