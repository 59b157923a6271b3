//! A policy that replaces words in what is published and refuses what is too long.
//!
//! The configuration, every part of which may be left out:
//!
//! ```json
//! {"words": ["darn"], "replacement": "***", "max_length": 2000}
//! ```
//!
//! `words` are whole words, of any case. They are replaced in the texts of a message,
//! whatever JSON it is, and not in the names of its fields, which programs go by; all
//! else stays as the sender wrote it, byte by byte. `max_length` counts the characters of
//! the message as JSON. A configuration that can't be understood refuses everything.
//!
//! Only where there are words or a length is the message looked at; otherwise a verdict
//! is kept for all messages. Absent on purpose: any guess at what a word was meant to be.

mod censor;
#[cfg(target_family = "wasm")]
mod guest;

use censor::{Censor, Unreadable};
use serde::Deserialize;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out as it is.
    Allow,
    /// This JSON text goes out in its place.
    Rewrite(String),
    /// It goes nowhere.
    Deny(Refusal),
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    words: Vec<String>,
    replacement: String,
    max_length: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            replacement: "***".to_owned(),
            max_length: None,
        }
    }
}

/// Judges a message. `payload` reads it, and is called only where that matters.
pub fn judge(configuration: Option<&str>, payload: impl FnOnce() -> String) -> Verdict {
    let settings = match configuration.map_or_else(|| Ok(Settings::default()), serde_json::from_str)
    {
        Ok(settings) => settings,
        Err(error) => return bad_configuration(&error.to_string()),
    };
    if settings.words.is_empty() && settings.max_length.is_none() {
        return Verdict::Allow;
    }
    let Some(censor) = Censor::new(&settings.words, &settings.replacement) else {
        return bad_configuration("a word has letters and digits only");
    };
    let message = payload();
    if let Some(limit) = settings.max_length
        && message.chars().nth(limit).is_some()
    {
        return deny(
            "too_long",
            format!("A message has at most {limit} characters."),
        );
    }
    match censor.apply(&message) {
        Ok(Some(rewritten)) => Verdict::Rewrite(rewritten),
        Ok(None) => Verdict::Allow,
        Err(Unreadable) => deny(
            "unreadable",
            "The message has a text that is none.".to_owned(),
        ),
    }
}

fn bad_configuration(what: &str) -> Verdict {
    let reason = format!("The policy's configuration can't be understood: {what}.");
    deny("bad_configuration", reason)
}

fn deny(code: &'static str, reason: String) -> Verdict {
    Verdict::Deny(Refusal { code, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = r#"{"words":["Darn","naïve"],"replacement":"*\"*"}"#;

    fn judged(configuration: &str, message: &str) -> Verdict {
        judge(Some(configuration), || message.to_owned())
    }

    fn code(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Deny(refusal) => refusal.code,
            _ => "",
        }
    }

    #[test]
    fn without_words_and_length_the_message_is_not_read() {
        let never = || -> String { panic!("read") };
        for configuration in [None, Some("{}"), Some(r#"{"words":[],"replacement":"-"}"#)] {
            assert_eq!(judge(configuration, never), Verdict::Allow);
        }
        assert_eq!(code(&judge(Some("7"), never)), "bad_configuration");
        assert_eq!(
            code(&judge(Some(r#"{"words":["a b"]}"#), never)),
            "bad_configuration"
        );
        assert_eq!(
            code(&judge(Some(r#"{"word":[]}"#), never)),
            "bad_configuration"
        );
    }

    #[test]
    fn words_are_replaced_wherever_a_text_stands() {
        let message = r#" {"a": ["Well, DARN it", 1e400, {"b":"NAÏVE"}], "darn" : "\u0064arn" } "#;
        let expected = r#" {"a": ["Well, *\"* it", 1e400, {"b":"*\"*"}], "darn" : "*\"*" } "#;
        assert_eq!(
            judged(WORDS, message),
            Verdict::Rewrite(expected.to_owned())
        );
    }

    #[test]
    fn what_has_none_of_the_words_is_left_alone() {
        for message in [
            r#""darned""#,
            r#""x_darn""#,
            "[1,null,{}]",
            r#""\\\"darns""#,
        ] {
            assert_eq!(judged(WORDS, message), Verdict::Allow, "{message}");
        }
    }

    #[test]
    fn a_length_counts_characters() {
        let limit = r#"{"max_length":5}"#;
        assert_eq!(judged(limit, "\"äöü\""), Verdict::Allow);
        assert_eq!(code(&judged(limit, "\"äöüß\"")), "too_long");
    }

    #[test]
    fn half_a_character_does_not_hide_a_word() {
        assert_eq!(code(&judged(WORDS, r#""darn \ud800""#)), "unreadable");
        assert_eq!(code(&judged(WORDS, r#""darn"#)), "unreadable");
    }
}
