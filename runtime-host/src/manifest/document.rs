//! A TOML file whose every value knows where it stands.
//!
//! All configuration files are read through this, so that each error names file, line
//! and key, and an unknown key is answered with the nearest one that exists.

use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Something in a configuration file is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The dotted path of the key; empty where no key is meant.
    pub key: String,
    /// What is wrong, and where possible what to write instead.
    pub message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ManifestError {}

/// The text of one file.
#[derive(Debug)]
pub(crate) struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    pub(crate) fn read(file: &Path) -> Result<Self, ManifestError> {
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Self::new(file, text)),
            Err(error) => Err(ManifestError {
                file: file.to_owned(),
                line: 0,
                key: String::new(),
                message: format!("cannot be read: {error}"),
            }),
        }
    }

    pub(crate) fn new(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            text,
        }
    }

    /// Hands the whole file to `read` as one table.
    pub(crate) fn table<T>(
        &self,
        read: impl FnOnce(Node<'_>) -> Result<T, ManifestError>,
    ) -> Result<T, ManifestError> {
        let parsed = DeTable::parse(&self.text).map_err(|error| ManifestError {
            file: self.file.clone(),
            line: error.span().map_or(0, |span| self.line(span.start)),
            key: String::new(),
            message: error.message().replace('\n', ", "),
        })?;
        let start = parsed.span().start;
        read(Node {
            document: self,
            key: String::new(),
            start,
            value: &DeValue::Table(parsed.into_inner()),
        })
    }

    fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// One value of a document.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    document: &'a Document,
    key: String,
    start: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn line(&self) -> usize {
        self.document.line(self.start)
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> ManifestError {
        ManifestError {
            file: self.document.file.clone(),
            line: self.line(),
            key: self.key.clone(),
            message: message.into(),
        }
    }

    fn expected(&self, what: &str) -> ManifestError {
        self.error(format!("must be {what}, not {}", self.value.type_str()))
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(crate) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    pub(crate) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(crate) fn string(&self) -> Result<String, ManifestError> {
        match self.value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.expected("a string")),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, ManifestError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    pub(crate) fn integer(&self) -> Result<u64, ManifestError> {
        self.value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| self.expected("a whole number of at least 0"))
    }

    /// The elements of an array.
    pub(crate) fn elements(&self) -> Result<Vec<Node<'a>>, ManifestError> {
        let Some(array) = self.value.as_array() else {
            return Err(self.expected("a list"));
        };
        let elements = array.iter().enumerate().map(|(index, value)| Node {
            document: self.document,
            key: format!("{}[{index}]", self.key),
            start: value.span().start,
            value: value.get_ref(),
        });
        Ok(elements.collect())
    }

    pub(crate) fn strings(&self) -> Result<Vec<String>, ManifestError> {
        self.elements()?.iter().map(Node::string).collect()
    }

    /// The entries of a table.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Node<'a>)>, ManifestError> {
        let Some(table) = self.value.as_table() else {
            return Err(self.expected("a table"));
        };
        let entries = table.iter().map(|(name, value)| {
            let name: &str = name.get_ref();
            (
                name.to_owned(),
                self.child(name, value.span().start, value.get_ref()),
            )
        });
        Ok(entries.collect())
    }

    /// The value of `name` in a table.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Node<'a>>, ManifestError> {
        let Some(table) = self.value.as_table() else {
            return Err(self.expected("a table"));
        };
        Ok(table.iter().find_map(|(key, value)| {
            (key.get_ref().as_ref() as &str == name)
                .then(|| self.child(name, value.span().start, value.get_ref()))
        }))
    }

    /// The value of `name` in a table, which must have one.
    pub(crate) fn require(&self, name: &str) -> Result<Node<'a>, ManifestError> {
        self.get(name)?
            .ok_or_else(|| self.error(format!("{name:?} is missing")))
    }

    /// Refuses keys that are not among `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ManifestError> {
        for (name, node) in self.entries()? {
            if !known.contains(&name.as_str()) {
                return Err(node.error(unknown("key", &name, known)));
            }
        }
        Ok(())
    }

    fn child(&self, name: &str, start: usize, value: &'a DeValue<'a>) -> Node<'a> {
        let key = match self.key.as_str() {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        Node {
            document: self.document,
            key,
            start,
            value,
        }
    }
}

/// "unknown key …", with the nearest of `known`.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {what} {name:?}; did you mean {near:?}?"),
        None if known.is_empty() => format!("unknown {what} {name:?}"),
        None => format!("unknown {what} {name:?}; there are {}", known.join(", ")),
    }
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .min()?;
    // Beyond a third of the word it is another word and no slip.
    (distance <= name.len().max(near.len()).div_ceil(3)).then_some(near)
}

/// How many letters must be inserted, removed or replaced to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        let known = ["source", "environment", "build"];
        assert_eq!(nearest("sorce", &known), Some("source"));
        assert_eq!(nearest("enviroment", &known), Some("environment"));
        assert_eq!(nearest("xyzzy", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn errors_know_their_line_and_key() {
        let text = "a = 1\n\n[b]\nc = \"x\"\n";
        let document = Document::new(Path::new("f.toml"), text.to_owned());
        let error = document
            .table(|root| root.require("b")?.require("c")?.integer())
            .unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (4, "b.c"));
        let error = Document::new(Path::new("f.toml"), "a = \n".to_owned())
            .table(|_| Ok(()))
            .unwrap_err();
        assert_eq!(error.line, 1);
    }
}
