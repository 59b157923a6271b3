//! Policies of shapes that no compiler makes: each is a text beside this file, put together
//! from what is odd about it and from `parts`; those that are odd by their mass are
//! written by [`bombs`].
//!
//! They import nothing of `wasi`, so that whatever bounds them is the host's own. Absent on
//! purpose: what a compiler can make, which is `tests/guests/policy`.

// A failed expectation is how a test answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod bombs;

macro_rules! texts {
    ($folder:literal, $($name:literal)*) => {
        &[$(($name, include_str!(concat!($folder, $name, ".wat")))),*]
    };
}

/// Every policy by its name; the first comment of each says what it does.
pub const POLICIES: &[(&str, &str)] = texts![
    "",
    "allow"
    "amplify-answer"
    "amplify-keys"
    "answer-beyond"
    "composed"
    "core-module"
    "import-sockets"
    "import-store"
    "import-unknown"
    "memory-4gib"
    "no-hooks"
    "own-handles"
    "post-return-loop"
    "realloc-beyond"
    "realloc-loop"
    "some-hooks"
    "start-loop"
    "start-trap"
    "table-bomb"
    "table-grow"
];

/// What the policies have in common.
const PARTS: &[(&str, &str)] = texts!["parts/", "calm" "hooks" "end"];

/// The policy with this name, as bytes to upload.
#[must_use]
pub fn policy(name: &str) -> Vec<u8> {
    let (_, text) = POLICIES
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no policy called {name}"));
    assemble(text)
}

/// The bytes of a text in which `(; include part ;)` stands for a part.
fn assemble(text: &str) -> Vec<u8> {
    let whole = PARTS.iter().fold(text.to_owned(), |text, (name, part)| {
        text.replace(&format!("(; include {name} ;)"), part)
    });
    wat::parse_str(&whole).unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Validator, WasmFeatures};

    fn validate(name: &str, bytes: &[u8]) {
        let mut validator = Validator::new_with_features(WasmFeatures::default());
        let valid = validator.validate_all(bytes).map(|_| ());
        assert!(valid.is_ok(), "{name}: {valid:?}");
    }

    /// What is refused is to be refused for what it asks for, not because it is broken.
    #[test]
    fn every_policy_is_valid() {
        for (name, _) in POLICIES {
            validate(name, &policy(name));
        }
    }

    #[test]
    fn small_bombs_are_valid() {
        validate("functions", &bombs::functions(10));
        validate("branches", &bombs::branches(2, 10, 10));
        validate("memories", &bombs::memories(10, 16));
        validate("instances", &bombs::instances(10));
        validate("nesting", &bombs::nesting(10));
        validate("names", &bombs::names());
        validate("empty functions", &bombs::empty_functions(10));
    }

    #[test]
    fn every_text_is_listed() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let texts = std::fs::read_dir(folder).unwrap().filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|it| it == "wat")
        });
        assert_eq!(texts.count(), POLICIES.len());
    }
}
