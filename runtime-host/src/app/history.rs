//! The history of rooms: where it is kept, by the settings.

use super::terms::HistoryTerms;
use crate::broker::{Keeping, Receipts, Retention};
use crate::config::HistorySettings;
use crate::manifest::settings::HistoryKind;
use crate::metrics::history::{Counted, CountedSink, HistoryFigures};
use crate::node::Post;
use crate::policy::Policy;
use anyhow::Context;
use sschat_history::{DurableHistory, History, MemoryHistory, OpenError, Options, system_clock};
use std::path::Path;
use std::sync::Arc;

/// The history's folder within the state folder.
const FOLDER: &str = "history";

/// Memory for the payloads of a history that is in memory alone.
const MEMORY: u64 = 256 << 20;

/// Opens the history; nothing where none is kept.
pub(super) fn open(
    settings: &HistorySettings,
    state_dir: &Path,
    post: &Post,
    figures: &Arc<HistoryFigures>,
    policy: &Arc<Policy>,
) -> anyhow::Result<Option<Keeping<Post>>> {
    let receipts = Arc::new(Receipts::new(post.clone()));
    tracing::info!("{}", describe(settings));
    let history: Arc<dyn History> = match settings.kind {
        HistoryKind::None => return Ok(None),
        HistoryKind::Memory => Arc::new(MemoryHistory::new(MEMORY, system_clock())),
        HistoryKind::Durable => {
            let options = Options::new(state_dir.join(FOLDER));
            let sink = CountedSink::new(Arc::clone(&receipts) as _, Arc::clone(figures));
            let opened = DurableHistory::open(options, Arc::new(sink));
            Arc::new(opened.map_err(explained)?)
        }
    };
    let retention = Retention {
        count: settings.size,
        age: settings.age,
        ..Retention::default()
    };
    Ok(Some(Keeping {
        history: Arc::new(Counted::new(history, Arc::clone(figures))),
        retention,
        terms: Some(Arc::new(HistoryTerms::new(Arc::clone(policy), retention))),
        receipts,
        runtime: tokio::runtime::Handle::try_current().context("no runtime")?,
    }))
}

/// Says what would help where that is known.
fn explained(error: OpenError) -> anyhow::Error {
    let advice = match &error {
        OpenError::InUse { .. } => {
            "another sschat runs on this state folder; give each host one of its own with --state-dir"
        }
        OpenError::Damaged { .. } => "move the folder away to begin with an empty history",
        OpenError::Folder { .. } | OpenError::Foreign { .. } => {
            "choose another folder with --state-dir, or --history memory"
        }
    };
    anyhow::Error::new(error).context(advice)
}

/// The history in a sentence.
pub(crate) fn describe(settings: &HistorySettings) -> String {
    let (size, age) = (settings.size, settings.age);
    match settings.kind {
        HistoryKind::None => "rooms keep no history: who was away missed what was said".to_owned(),
        HistoryKind::Memory => format!(
            "rooms keep up to {size} publications for {age:?} in memory: all is lost when the \
             host ends, acknowledged or not"
        ),
        HistoryKind::Durable => format!(
            "rooms keep up to {size} publications for {age:?} in the state folder: what was \
             acknowledged survives a crash"
        ),
    }
}
