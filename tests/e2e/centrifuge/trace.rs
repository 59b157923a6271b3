//! What a listener heard, and whether what several of them heard can be true.

use super::position;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How a publication came to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Live,
    Recovered,
}

/// So many publications no answer brings, by their bytes: half of the test's `--queue-limit`.
const ANSWER: u64 = 125;

/// A stretch that the listener was promised to have heard without a gap.
#[derive(Debug, Default)]
struct Stretch {
    /// The offset after which it begins.
    after: u64,
    heard: Vec<(u64, (u64, u64))>,
}

impl Stretch {
    fn top(&self) -> u64 {
        self.heard.last().map_or(self.after, |(offset, _)| *offset)
    }
}

/// Everything that one listener heard.
#[derive(Debug, Default)]
pub(super) struct Trace {
    epoch: String,
    stretches: Vec<Stretch>,
    returns: u32,
    recovered: u32,
    refused: u32,
}

impl Trace {
    /// Where the listener is.
    pub(super) fn position(&self) -> Option<(String, u64)> {
        let stretch = self.stretches.last()?;
        Some((self.epoch.clone(), stretch.top()))
    }

    /// A connect was answered with this subscription. `excused`: there may be a reason not to recover.
    pub(super) fn begin(&mut self, subscription: &Value, excused: bool) {
        let (offset, epoch) = position(subscription);
        let publications = subscription["publications"].as_array();
        if let Some((known, top)) = self.position() {
            self.returns += 1;
            assert_eq!(subscription["was_recovering"], true);
            assert_eq!(epoch, known, "a room keeps its epoch");
            if subscription["recovered"] == true {
                self.recovered += 1;
            } else {
                let reason = excused || offset - top >= ANSWER;
                assert!(reason, "not recovered after {top}: {subscription}");
                assert!(
                    publications.is_none_or(Vec::is_empty),
                    "a part is no recovery"
                );
                assert!(
                    offset >= top,
                    "{offset} after {top}: offsets are not given again"
                );
                self.refused += 1;
                self.stretches.push(Stretch {
                    after: offset,
                    heard: Vec::new(),
                });
            }
        } else {
            self.epoch = epoch;
            self.stretches.push(Stretch {
                after: offset,
                heard: Vec::new(),
            });
        }
        for publication in publications.into_iter().flatten() {
            self.take(publication, Told::Recovered);
        }
    }

    /// A publication came.
    pub(super) fn take(&mut self, publication: &Value, told: Told) {
        let offset = publication["offset"].as_u64().expect("an offset");
        let stretch = self.stretches.last_mut().expect("a session has begun");
        let top = stretch.top();
        assert!(
            offset > top,
            "{offset} after {top} ({told:?}): twice or out of order"
        );
        stretch.heard.push((offset, said(publication)));
    }

    /// Whether it has heard up to there.
    pub(super) fn reached(&self, over: Option<u64>) -> bool {
        let top = self.stretches.last().map(Stretch::top);
        over.zip(top).is_some_and(|(over, top)| top >= over)
    }
}

/// Who said it, and which of theirs it is.
fn said(publication: &Value) -> (u64, u64) {
    let part = |at: usize| publication["data"][at].as_u64().expect("a number");
    (part(0), part(1))
}

/// Fails unless all of this can be true together. `confirmed`: offset, publisher and number of what was acknowledged.
pub(super) fn check(
    traces: &[Trace],
    confirmed: &[(u64, u64, u64)],
    kept: &[Value],
    publishers: u64,
) {
    let kept: BTreeMap<u64, (u64, u64)> = kept
        .iter()
        .map(|it| (it["offset"].as_u64().unwrap(), said(it)))
        .collect();
    // The oldest are gone where the room said more than it keeps: 4 MiB.
    let oldest = kept.keys().next().copied().unwrap_or(u64::MAX);
    assert!(oldest == 1 || kept.len() > 1_500, "{} kept", kept.len());
    for (offset, which, number) in confirmed.iter().filter(|(offset, ..)| *offset >= oldest) {
        let here = kept.get(offset);
        assert_eq!(
            here,
            Some(&(*which, *number)),
            "acknowledged at {offset}, and lost"
        );
    }
    // Under one offset everybody heard the same. What was heard before a kill need not be kept.
    let mut all = kept.clone();
    for (offset, said) in traces
        .iter()
        .flat_map(|it| &it.stretches)
        .flat_map(|it| &it.heard)
    {
        let known = all.entry(*offset).or_insert(*said);
        assert_eq!(known, said, "two publications at {offset}");
    }
    // Each was said once, and in its publisher's order.
    for which in 0..publishers {
        let numbers: Vec<u64> = all
            .values()
            .filter(|said| said.0 == which)
            .map(|said| said.1)
            .collect();
        assert!(
            numbers.is_sorted_by(|one, next| one < next),
            "{which}: {numbers:?}"
        );
    }
    for (listener, trace) in traces.iter().enumerate() {
        for stretch in &trace.stretches {
            let heard: BTreeSet<u64> = stretch.heard.iter().map(|(offset, _)| *offset).collect();
            let missing: Vec<u64> = all
                .range(stretch.after + 1..=stretch.top().max(stretch.after + 1))
                .map(|(offset, _)| *offset)
                .filter(|offset| !heard.contains(offset) && *offset <= stretch.top())
                .collect();
            assert!(
                missing.is_empty(),
                "listener {listener} was not told of {missing:?}"
            );
        }
        println!(
            "listener {listener}: {} heard, back {} times, {} recovered, {} told that they can't be",
            trace
                .stretches
                .iter()
                .map(|it| it.heard.len())
                .sum::<usize>(),
            trace.returns,
            trace.recovered,
            trace.refused
        );
    }
    println!("{} acknowledged, {} kept", confirmed.len(), kept.len());
    let refused = |at: usize| traces[at].refused;
    assert!(refused(0) > 0 && refused(2) > 0, "a kill is told");
    assert!(
        traces[0].recovered > traces[0].refused,
        "a stop in order is recovered from"
    );
}
