//! Figures, as a table for people or a JSON object for programs.

use crate::stdout;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// The figures of one run, in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(&'static str, Value, &'static str)>,
}

impl Report {
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>, unit: &'static str) {
        self.rows.push((name, value.into(), unit));
    }

    /// Adds a figure rounded to three decimals.
    pub(super) fn add_real(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.add(name, json!((value * 1_000.0).round() / 1_000.0), unit);
    }

    /// A figure that was added; 0 where none has that name.
    pub(super) fn value(&self, name: &str) -> f64 {
        let row = self.rows.iter().find(|(row, ..)| *row == name);
        row.and_then(|(_, value, _)| value.as_f64()).unwrap_or(0.0)
    }

    /// The unit of a figure that was added.
    pub(super) fn unit(&self, name: &str) -> &'static str {
        let row = self.rows.iter().find(|(row, ..)| *row == name);
        row.map_or("", |(_, _, unit)| unit)
    }

    /// Adds the percentiles of a histogram of nanoseconds, in microseconds.
    pub(super) fn add_times(&mut self, times: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            let value = times.value_at_quantile(quantile) as f64 / 1_000.0;
            self.add_real(name, value, "µs");
        }
    }

    /// One object; figures after a heading are in an object of that name.
    fn json(&self) -> Value {
        let mut all = Map::new();
        let mut heading = None;
        for (name, value, unit) in &self.rows {
            if value == "" && unit.is_empty() {
                heading = Some(*name);
                all.insert((*name).to_owned(), json!({}));
                continue;
            }
            let figure = json!({"value": value, "unit": unit});
            let section = match heading.and_then(|heading| all.get_mut(heading)) {
                Some(Value::Object(section)) => section,
                _ => &mut all,
            };
            section.insert((*name).to_owned(), figure);
        }
        Value::Object(all)
    }

    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            return stdout::say(&format!("{}\n", self.json()));
        }
        let width = self.rows.iter().map(|(name, ..)| name.len()).max();
        for (name, value, unit) in &self.rows {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            stdout::say(&format!(
                "{name:width$}  {value:>14} {unit}\n",
                width = width.unwrap_or(0)
            ));
        }
    }
}
