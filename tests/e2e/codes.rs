//! The README names every error code that a client can meet.

use regex_lite::Regex;
use sschat_tests::host::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where codes are made. The last is the list of which not every one is used.
const PLACES: [&str; 3] = ["components", "runtime-host/src", CODES];
const CODES: &str = "runtime-host/protocol/src/seed/command.rs";

/// How a code stands in the sources.
const FORMS: [&str; 6] = [
    r#"\bcode: "([a-z_]+)""#,
    r#"\(\s*[45]\d\d,\s*"([a-z_]+)""#,
    r#"StatusCode::[A-Z_]+,\s*"([a-z_]+)""#,
    r#"\brefusal\(\s*"([a-z_]+)""#,
    r#"=> \("([a-z]+_[a-z]+)", ""#,
    r#"reply::\w+\(StatusCode::\w+, "([a-z_]+)""#,
];

fn sources(place: &Path, found: &mut BTreeMap<String, String>) {
    if place.is_dir() {
        if !place.ends_with("tests") {
            for entry in std::fs::read_dir(place).unwrap() {
                sources(&entry.unwrap().path(), found);
            }
        }
    } else if place.extension().is_some_and(|it| it == "rs") && !place.ends_with("tests.rs") {
        let text = std::fs::read_to_string(place).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        found.insert(place.to_str().unwrap().to_owned(), code);
    }
}

#[test]
fn the_readme_names_every_error_code() {
    let root = repository();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let named: BTreeSet<&str> = readme.split('`').skip(1).step_by(2).collect();
    let mut all = BTreeMap::new();
    for place in PLACES {
        sources(&root.join(place), &mut all);
    }
    let mut codes = BTreeMap::new();
    for (path, text) in &all {
        for form in FORMS {
            for found in Regex::new(form).unwrap().captures_iter(text) {
                codes.insert(found[1].to_owned(), path.clone());
            }
        }
    }
    let wire = Regex::new(r#"Self::(\w+) => "([a-z_]+)","#).unwrap();
    for found in wire.captures_iter(&all[root.join(CODES).to_str().unwrap()]) {
        let variant = format!("ErrorCode::{}", &found[1]);
        if all.values().any(|text| text.contains(&variant)) {
            codes.insert(found[2].to_owned(), CODES.to_owned());
        }
    }
    assert!(codes.len() > 40, "the forms are out of date: {codes:#?}");
    let missing: Vec<_> = codes
        .iter()
        .filter(|(code, _)| !named.contains(code.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in the README: {missing:#?}");
}
