//! Recover or be told: what a subscriber who comes back is owed.
//!
//! Offsets of a channel count up by one in an epoch. Whoever holds everything up to an offset has recovered if what
//! follows is there without a gap up to the newest. All else, a position of another epoch or from the future included,
//! is no recovery, and nothing is delivered that would hide that.

use super::{Publication, Subscription};

/// A position in a channel, as a client claims it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position<'a> {
    /// The epoch; empty: whichever it is.
    pub epoch: &'a str,
    /// The offset of the last publication that the client has.
    pub offset: u64,
}

/// Whether `publications` are all that follows `offset`, up to `newest`.
#[must_use]
pub fn is_complete(offset: u64, publications: &[Publication<'_>], newest: u64) -> bool {
    let mut last = offset;
    for publication in publications {
        match last.checked_add(1) {
            Some(next) if next == publication.offset => last = next,
            _ => return false,
        }
    }
    last == newest
}

impl<'a> Subscription<'a> {
    /// The result of a subscribe that asked to recover from `claimed`, in a channel that is at `newest` of `epoch` and
    /// still has `publications`, which it says follow `claimed`.
    #[must_use]
    pub fn recovering(
        claimed: Position<'_>,
        epoch: &'a str,
        newest: u64,
        publications: &'a [Publication<'a>],
    ) -> Self {
        let recovered = (claimed.epoch.is_empty() || claimed.epoch == epoch)
            && is_complete(claimed.offset, publications, newest);
        Self {
            recoverable: true,
            positioned: true,
            was_recovering: true,
            recovered,
            epoch,
            offset: if recovered { claimed.offset } else { newest },
            publications: if recovered { publications } else { &[] },
            ..Self::default()
        }
    }
}
