//! The text format of Prometheus, version 0.0.4.

use crate::store::latency::{BOUNDS, Latency};
use std::fmt::{Display, Write};

/// The media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label of a sample and its value.
pub type Label<'a> = (&'static str, &'a str);

/// A text in the making.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// The finished text.
    pub fn finish(self) -> String {
        self.0
    }

    /// Begins a metric that only goes up; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, help, "counter")
    }

    /// Begins a metric that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, help, "gauge")
    }

    /// Begins a metric of durations in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        self.metric(name, help, "histogram")
    }

    fn metric(&mut self, name: &'static str, help: &str, kind: &str) -> Metric<'_> {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Metric {
            text: &mut self.0,
            name,
        }
    }
}

/// A metric whose samples are being written.
pub struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Metric<'_> {
    /// The one sample of a metric without labels.
    pub fn value(self, value: impl Display) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    /// A sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: impl Display) -> &mut Self {
        self.write("", labels, None, value);
        self
    }

    /// The samples of a histogram.
    pub fn latency(&mut self, labels: &[Label<'_>], latency: &Latency) -> &mut Self {
        let seen = latency.seen();
        let mut below = 0;
        for (count, bound) in seen.counts.iter().zip(BOUNDS) {
            below += count;
            let bound = bound.as_secs_f64().to_string();
            self.write("_bucket", labels, Some(&bound), below);
        }
        let all: u64 = seen.counts.iter().sum();
        self.write("_bucket", labels, Some("+Inf"), all);
        self.write("_sum", labels, None, seen.sum.as_secs_f64());
        self.write("_count", labels, None, all);
        self
    }

    fn write(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        bound: Option<&str>,
        value: impl Display,
    ) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let bound = bound.map(|bound| ("le", bound));
        let mut opened = false;
        for (name, value) in labels.iter().copied().chain(bound) {
            self.text.push(if opened { ',' } else { '{' });
            opened = true;
            let _ = write!(self.text, "{name}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if opened {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.gauge("a", "Help.").value(1);
        let mut metric = text.counter("b_total", "More.");
        metric.sample(&[("x", "q\"\\\n"), ("y", "1")], 2);
        let wanted = "# HELP a Help.\n# TYPE a gauge\na 1\n# HELP b_total More.\n\
                      # TYPE b_total counter\nb_total{x=\"q\\\"\\\\\\n\",y=\"1\"} 2\n";
        assert_eq!(text.finish(), wanted);
    }

    #[test]
    fn buckets_hold_all_that_is_not_longer() {
        let latency = Latency::default();
        latency.record(Duration::from_micros(10));
        latency.record(Duration::from_secs(100));
        let mut text = Text::default();
        text.histogram("d_seconds", "D.").latency(&[], &latency);
        let text = text.finish();
        assert!(
            text.contains("d_seconds_bucket{le=\"0.00001\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("d_seconds_bucket{le=\"10\"} 1\n"), "{text}");
        assert!(text.contains("d_seconds_bucket{le=\"+Inf\"} 2\n"), "{text}");
        assert!(text.contains("d_seconds_count 2\n"), "{text}");
        assert!(text.contains("d_seconds_sum 100.00001\n"), "{text}");
    }
}
