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
#[derive(Debug)]
pub(super) struct Trace {
    /// So many publications no answer brings.
    answer: u64,
    epoch: String,
    stretches: Vec<Stretch>,
    returns: u32,
    recovered: u32,
    refused: u32,
}

impl Trace {
    /// Nothing yet. A return that has to bring `answer` publications may be told that it can't recover.
    pub(super) fn new(answer: u64) -> Self {
        Self {
            answer,
            epoch: String::new(),
            stretches: Vec::new(),
            returns: 0,
            recovered: 0,
            refused: 0,
        }
    }

    /// How often it came back, was recovered, and was told that it can't be.
    pub(super) fn returns(&self) -> [u32; 3] {
        [self.returns, self.recovered, self.refused]
    }

    /// How many publications it heard.
    pub(super) fn heard(&self) -> usize {
        self.stretches.iter().map(|it| it.heard.len()).sum()
    }

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
                let reason = excused || offset.saturating_sub(top) >= self.answer;
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

/// Fails unless all of this can be true together; what was said, by offset. `confirmed`: offset, publisher and number
/// of what was acknowledged.
pub(super) fn consistent(
    traces: &[Trace],
    confirmed: &[(u64, u64, u64)],
    kept: &[Value],
) -> BTreeMap<u64, (u64, u64)> {
    let kept: BTreeMap<u64, (u64, u64)> = kept
        .iter()
        .map(|it| (it["offset"].as_u64().unwrap(), said(it)))
        .collect();
    // The oldest are gone where the room said more than it keeps: 4 MiB.
    let oldest = kept.keys().next().copied().unwrap_or(u64::MAX);
    assert!(oldest == 1 || kept.len() > 1_500, "{} kept", kept.len());
    let mut last = BTreeMap::new();
    for (offset, which, number) in confirmed {
        let before = last.insert(*which, (*number, *offset));
        let follows = before.is_none_or(|it| it.0 < *number && it.1 < *offset);
        assert!(
            follows,
            "{which} said {number} at {offset} after {before:?}"
        );
        let here = kept.get(offset);
        assert!(
            *offset < oldest || here == Some(&(*which, *number)),
            "acknowledged at {offset}, and lost"
        );
    }
    // Under one offset everybody heard the same. What was heard before a kill need not be kept.
    let mut all = kept;
    for (offset, said) in traces
        .iter()
        .flat_map(|it| &it.stretches)
        .flat_map(|it| &it.heard)
    {
        let known = all.entry(*offset).or_insert(*said);
        assert_eq!(known, said, "two publications at {offset}");
    }
    let mut once = BTreeSet::new();
    for (offset, said) in &all {
        assert!(once.insert(said), "{said:?} again at {offset}");
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
    }
    all
}

/// The same for a room of one host that was stopped and killed; says what was heard.
pub(super) fn check(
    traces: &[Trace],
    confirmed: &[(u64, u64, u64)],
    kept: &[Value],
    publishers: u64,
) {
    let all = consistent(traces, confirmed, kept);
    // Each is in its publisher's order, also what was not acknowledged.
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
        println!(
            "listener {listener}: {} heard, back {} times, {} recovered, {} told that they can't be",
            trace.heard(),
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

/// What the checker is to find.
mod lies {
    use super::{Told, Trace, consistent};
    use serde_json::{Value, json};

    fn publication(offset: u64) -> Value {
        json!({"offset": offset, "data": [0, offset]})
    }

    /// What a listener hears who comes to an empty room.
    fn heard(offsets: &[u64]) -> Trace {
        let mut trace = Trace::new(u64::MAX);
        let empty = json!({"recoverable": true, "positioned": true, "epoch": "e"});
        trace.begin(&empty, false);
        for offset in offsets {
            trace.take(&publication(*offset), Told::Live);
        }
        trace
    }

    /// Holds it against a history of three, all of them acknowledged.
    fn judge(trace: Trace) {
        let kept: Vec<Value> = (1..=3).map(publication).collect();
        let confirmed: Vec<_> = (1..=3).map(|offset| (offset, 0, offset)).collect();
        consistent(&[trace], &confirmed, &kept);
    }

    #[test]
    fn the_truth_passes() {
        judge(heard(&[1, 2, 3]));
    }

    #[test]
    #[should_panic(expected = "was not told of [2]")]
    fn a_loss_is_found() {
        judge(heard(&[1, 3]));
    }

    #[test]
    #[should_panic(expected = "twice or out of order")]
    fn a_duplicate_is_found() {
        judge(heard(&[1, 2, 2, 3]));
    }

    #[test]
    #[should_panic(expected = "twice or out of order")]
    fn a_reordering_is_found() {
        judge(heard(&[2, 1, 3]));
    }

    #[test]
    #[should_panic(expected = "again at 4")]
    fn what_is_published_twice_is_found() {
        let mut trace = heard(&[1, 2, 3]);
        trace.take(&json!({"offset": 4, "data": [0, 3]}), Told::Live);
        judge(trace);
    }

    #[test]
    #[should_panic(expected = "acknowledged at 4, and lost")]
    fn what_was_acknowledged_and_lost_is_found() {
        let kept: Vec<Value> = (1..=3).map(publication).collect();
        consistent(&[heard(&[1, 2, 3])], &[(4, 0, 4)], &kept);
    }

    #[test]
    #[should_panic(expected = "not recovered after 3")]
    fn a_recovery_that_is_refused_for_no_reason_is_found() {
        let again = json!({"recoverable": true, "positioned": true, "epoch": "e", "offset": 4,
            "was_recovering": true});
        heard(&[1, 2, 3]).begin(&again, false);
    }
}
