//! What holds in a room by the settings of its tenant, and for how long.

use super::answer::Answer;
use super::memo::{Ends, Leave};
use super::trace::Occasion;
use super::{Policy, Undecided};
use crate::wasm::authority::{Question, Terms};
use std::fmt;
use std::sync::Arc;

/// For how long terms hold: until something changes that they were read from.
pub struct Until {
    /// Absent where what was said may not be used again.
    leave: Option<Leave>,
    ends: Arc<Ends>,
}

impl Until {
    /// Whether they hold. Neither waits nor reads the store.
    pub fn holds(&mut self) -> bool {
        self.leave
            .as_mut()
            .is_some_and(|leave| leave.holds(&self.ends))
    }
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Until")
    }
}

impl Policy {
    /// What holds in a room; nothing of its own where there is no such tenant.
    ///
    /// # Errors
    /// Where it can't be decided now.
    pub async fn terms(&self, tenant: &str, room: &str) -> Result<(Terms, Until), Undecided> {
        let question = Question::TermsOf(tenant.to_owned(), room.to_owned());
        let verdict = self.decide(question, &Occasion::default()).await?;
        let terms = match verdict.answer() {
            Some(Answer::Terms(terms)) => *terms,
            _ => Terms::default(),
        };
        let until = Until {
            leave: Leave::of(&verdict),
            ends: self.ends(),
        };
        Ok((terms, until))
    }
}
