//! How answers are shown: aligned for people, JSON for programs.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;

/// Rows under headings, each column as wide as its widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings = headings.iter().map(ToString::to_string).collect();
    let all: Vec<Vec<String>> = std::iter::once(headings)
        .chain(
            rows.iter()
                .map(|row| row.iter().map(|cell| visible(cell)).collect()),
        )
        .collect();
    let columns = all.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One `name value` a line.
pub(super) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<width$}  {}", visible(value));
    }
    text
}

/// The text without control characters: what others said must not steer a terminal.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Overrides of the direction of writing can make one text look like another.
        let override_ = matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || override_ {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A JSON value as people want to read it: texts without quotes, nothing as a dash.
pub(super) fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Prints to stdout. A reader that has seen enough, such as `head`, is no failure: the
/// process ends.
pub(in crate::cli) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => Ok(outcome?),
    }
}

/// Says something beside the output. Where nobody reads stderr any more it is lost, which is
/// no failure.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a JSON value.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["é".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&["A", "B"], &rows), "A     B\né     1\nlong\n");
        let rows = [("a", "1".to_owned()), ("long", "2".to_owned())];
        assert_eq!(fields(&rows), "a     1\nlong  2\n");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(
            visible("a\u{1b}[31m\n\u{9b}\u{202e}b"),
            "a\\u{1b}[31m\\n\\u{9b}\\u{202e}b"
        );
    }
}
