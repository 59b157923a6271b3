//! What tenants' backends want to be told: a decision of the authority like any other, so
//! that it is remembered, and ends before a change of the settings is acknowledged.

use super::Policy;
use super::answer::Answer;
use super::memo::Verdict;
use super::trace::Occasion;
use crate::events::{Kind, Settings, Standing, Wish, Wishes};
use crate::wasm::authority::{EventKind, EventSettings, Question};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Refusals that say that nothing is wanted. Any other means that it can't be found out.
const NOTHING: [&str; 2] = ["no_events", "unknown_app"];

impl Standing for Verdict {
    fn holds(&self) -> bool {
        Self::holds(self)
    }
}

impl Wishes for Policy {
    fn of<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<Wish, String>> {
        async move {
            let question = Question::EventsOf(tenant.to_owned());
            let decided = self.decide(question, &Occasion::default()).await;
            let verdict: Arc<Verdict> = decided.map_err(|error| error.to_string())?;
            let settings = match verdict.answer() {
                Some(Answer::Events(settings)) => Some(read(settings)),
                Some(Answer::No(refusal)) if NOTHING.contains(&&*refusal.code) => None,
                Some(Answer::No(refusal)) => return Err(refusal.reason.clone()),
                _ => return Err("the authority does not say".to_owned()),
            };
            Ok(Wish {
                settings,
                standing: verdict,
            })
        }
        .boxed()
    }
}

fn read(settings: &EventSettings) -> Settings {
    let kind = |kind: &EventKind| match kind {
        EventKind::Connect => Kind::Connect,
        EventKind::Disconnect => Kind::Disconnect,
        EventKind::Join => Kind::Join,
        EventKind::Leave => Kind::Leave,
        EventKind::Occupied => Kind::Occupied,
        EventKind::Vacated => Kind::Vacated,
        EventKind::Published => Kind::Published,
    };
    let kinds = settings.kinds.iter().map(kind);
    Settings {
        kinds: kinds.fold(0, |kinds, kind| kinds | kind.bit()),
        url: settings.url.clone(),
        secrets: settings.secrets.clone(),
    }
}
