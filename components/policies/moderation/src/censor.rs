//! Replaces words in the texts of a JSON value, and leaves everything else as it is.

use std::collections::BTreeSet;

/// The message has a text that can't be read, so no word in it could be found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// What to replace, and by what.
pub(crate) struct Censor<'a> {
    /// In lower case.
    words: BTreeSet<String>,
    replacement: &'a str,
}

impl<'a> Censor<'a> {
    /// `None` if one of the words could never be found as a whole word.
    pub(crate) fn new(words: &[String], replacement: &'a str) -> Option<Self> {
        let whole = |word: &String| !word.is_empty() && word.chars().all(is_part_of_word);
        words.iter().all(whole).then(|| Self {
            words: words.iter().map(|word| word.to_lowercase()).collect(),
            replacement,
        })
    }

    /// The JSON text with the words replaced; `None` if it has none of them.
    pub(crate) fn apply(&self, json: &str) -> Result<Option<String>, Unreadable> {
        let mut written = String::new();
        // What is written already; the rest of the text is as it was.
        let mut done = 0;
        let mut at = 0;
        while let Some(start) = json[at..].find('"').map(|found| at + found) {
            let end = end_of_text(json, start).ok_or(Unreadable)?;
            at = end;
            if json[end..].trim_start().starts_with(':') {
                continue;
            }
            let text: String = serde_json::from_str(&json[start..end]).map_err(|_| Unreadable)?;
            if let Some(clean) = self.clean(&text) {
                written.push_str(&json[done..start]);
                written.push_str(&serde_json::Value::String(clean).to_string());
                done = end;
            }
        }
        if done == 0 {
            return Ok(None);
        }
        written.push_str(&json[done..]);
        Ok(Some(written))
    }

    fn clean(&self, text: &str) -> Option<String> {
        let mut clean = String::new();
        let mut found = false;
        let mut rest = text;
        while !rest.is_empty() {
            let word = prefix(rest, is_part_of_word);
            if self.words.contains(&word.to_lowercase()) {
                found = true;
                clean.push_str(self.replacement);
            } else {
                clean.push_str(word);
            }
            rest = &rest[word.len()..];
            let between = prefix(rest, |character| !is_part_of_word(character));
            clean.push_str(between);
            rest = &rest[between.len()..];
        }
        found.then_some(clean)
    }
}

fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The longest beginning of `text` all of whose characters are `such`.
fn prefix(text: &str, such: impl Fn(char) -> bool) -> &str {
    let end = text.find(|character| !such(character));
    &text[..end.unwrap_or(text.len())]
}

/// Where the JSON text that begins at `start` ends, past its closing quote.
fn end_of_text(json: &str, start: usize) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
