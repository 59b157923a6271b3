//! Which publications a subscriber wants, by their tags.
//!
//! A filter comes with a subscription (`tf`) and is kept as long as it lasts; [`Filter::check`] says once whether it
//! makes sense, [`Filter::matches`] is then asked for each publication. Numbers are compared as 64-bit floats.

use std::borrow::Cow;

use super::wire::{Field, Message, Sink, Value};

/// The most values of one comparison, and the most filters inside another.
///
/// Filters are evaluated for each publication and subscriber: what costs more belongs into channels.
const MAX_WIDE: usize = 64;

/// The most comparisons and combinations of one filter altogether, for the same reason.
const MAX_NODES: usize = 64;

/// A condition on tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter<'a> {
    /// `and`, `or`, `not`, or empty for a comparison.
    pub op: Cow<'a, str>,
    /// The tag that is compared.
    pub key: Cow<'a, str>,
    /// How: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`, `gt` or `gte`.
    pub cmp: Cow<'a, str>,
    /// With what.
    pub val: Cow<'a, str>,
    /// With which, for `in` and `nin`.
    pub vals: Vec<Cow<'a, str>>,
    /// What `and`, `or` and `not` are about.
    pub nodes: Vec<Filter<'a>>,
}

impl<'a> Message<'a> for Filter<'a> {
    const FIELDS: &'static [Field] = &[
        (1, "op"),
        (2, "key"),
        (3, "cmp"),
        (4, "val"),
        (5, "vals"),
        (6, "nodes"),
    ];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.op = value.text()?,
            2 => self.key = value.text()?,
            3 => self.cmp = value.text()?,
            4 => self.val = value.text()?,
            5 => value.texts(&mut self.vals, MAX_WIDE)?,
            6 => value.messages(&mut self.nodes, MAX_WIDE)?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl Filter<'_> {
    pub(super) fn write<S: Sink>(sink: &mut S, it: &Filter<'_>) {
        sink.text((1, "op"), &it.op);
        sink.text((2, "key"), &it.key);
        sink.text((3, "cmp"), &it.cmp);
        sink.text((4, "val"), &it.val);
        sink.texts((5, "vals"), &it.vals);
        sink.messages((6, "nodes"), &it.nodes, Filter::write);
    }

    /// Whether the filter makes sense; a subscription with another is refused with 107.
    #[must_use]
    pub fn check(&self) -> bool {
        self.count() <= MAX_NODES && self.makes_sense()
    }

    /// The filter and all within it.
    fn count(&self) -> usize {
        1 + self.nodes.iter().map(Filter::count).sum::<usize>()
    }

    fn makes_sense(&self) -> bool {
        let nodes = self.nodes.iter().all(Filter::makes_sense);
        match self.op.as_ref() {
            "" => self.nodes.is_empty() && self.compares(),
            "and" | "or" => nodes && !self.nodes.is_empty(),
            "not" => nodes && self.nodes.len() == 1,
            _ => false,
        }
    }

    fn compares(&self) -> bool {
        match self.cmp.as_ref() {
            "eq" | "neq" | "sw" | "ew" | "ct" | "lt" | "lte" | "gt" | "gte" => {
                !self.val.is_empty() && self.vals.is_empty()
            }
            "in" | "nin" => self.val.is_empty() && !self.vals.is_empty(),
            "ex" | "nex" => self.val.is_empty() && self.vals.is_empty(),
            _ => false,
        }
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_owned(self) -> Filter<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Filter {
            op: owned(self.op),
            key: owned(self.key),
            cmp: owned(self.cmp),
            val: owned(self.val),
            vals: self.vals.into_iter().map(owned).collect(),
            nodes: self.nodes.into_iter().map(Filter::into_owned).collect(),
        }
    }

    /// Whether a publication with these tags is wanted. What does not make sense wants nothing.
    #[must_use]
    pub fn matches(&self, tags: &[(&str, &str)]) -> bool {
        match self.op.as_ref() {
            "" => {
                let mut found = tags.iter().filter(|(key, _)| *key == self.key);
                self.holds(found.next().map(|(_, value)| *value))
            }
            "and" => self.nodes.iter().all(|node| node.matches(tags)),
            "or" => self.nodes.iter().any(|node| node.matches(tags)),
            "not" => self.nodes.first().is_some_and(|node| !node.matches(tags)),
            _ => false,
        }
    }

    fn holds(&self, tag: Option<&str>) -> bool {
        let is = |test: fn(&str, &str) -> bool| tag.is_some_and(|tag| test(tag, &self.val));
        let listed = || {
            self.vals
                .iter()
                .any(|value| value == tag.unwrap_or_default())
        };
        match self.cmp.as_ref() {
            "eq" => is(|tag, value| tag == value),
            "neq" => !is(|tag, value| tag == value),
            "in" => listed(),
            "nin" => !listed(),
            "ex" => tag.is_some(),
            "nex" => tag.is_none(),
            "sw" => is(|tag, value| tag.starts_with(value)),
            "ew" => is(|tag, value| tag.ends_with(value)),
            "ct" => is(|tag, value| tag.contains(value)),
            "lt" => is(|tag, value| number(tag) < number(value)),
            "lte" => is(|tag, value| number(tag) <= number(value)),
            "gt" => is(|tag, value| number(tag) > number(value)),
            "gte" => is(|tag, value| number(tag) >= number(value)),
            _ => false,
        }
    }
}

/// Not a number: a value that no comparison holds for.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}
