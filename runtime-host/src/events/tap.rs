//! Where the events of one tenant come together.
//!
//! A tap knows what its tenant wants for as long as that stands. While it does not know,
//! events wait in it, bounded, until [`super::learning`] has found out.

use super::event::{self, Event, Kind};
use super::{Events, Settings, Standing};
use bytes::Bytes;
use sschat_history::{Ack, NewPublication, RoomLog};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes of events that wait until it is known what the tenant wants: a busy tenant's of a
/// second. Past it they are dropped, and counted.
const WAITING_BYTES: usize = 4 << 20;

/// What a waiting event takes beside its bytes.
const OVERHEAD: usize = 64;

/// Streams that read one tenant's events at once.
pub(super) const STREAMS: usize = 16;

/// The token of what nobody waits for.
pub(super) const NOBODY: u64 = 0;

/// Never a count of changes.
const NEVER: u64 = u64::MAX;

/// See the module's documentation.
pub struct Tap {
    pub(super) events: Arc<Events>,
    pub(super) tenant: Box<str>,
    /// What is wanted, as of `seen`.
    kinds: AtomicU8,
    /// The count of changes at which that was last seen to stand.
    seen: AtomicU64,
    state: Mutex<State>,
    /// Counts what those who wait for something look at.
    pub(super) signal: watch::Sender<u64>,
    /// The offset up to which the webhook took everything.
    pub(super) delivered: AtomicU64,
    pub(super) streams: Arc<tokio::sync::Semaphore>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) known: Option<Known>,
    /// Open while anything was wanted.
    pub(super) log: Option<Arc<RoomLog>>,
    waiting: Vec<(Kind, Bytes)>,
    waiting_bytes: usize,
    /// Events that could not be kept since the last one that was.
    lost: u64,
    pub(super) learning: bool,
    pub(super) delivering: bool,
}

/// What a tenant wants, and where it is kept.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) standing: Arc<dyn Standing>,
    pub(super) wanted: Option<Wanted>,
}

/// Settings that want anything.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) settings: Arc<Settings>,
    pub(super) log: Arc<RoomLog>,
}

impl Tap {
    pub(super) fn new(events: Arc<Events>, tenant: &str) -> Self {
        Self {
            events,
            tenant: tenant.into(),
            kinds: AtomicU8::new(0),
            seen: AtomicU64::new(NEVER),
            state: Mutex::default(),
            signal: watch::Sender::new(0),
            delivered: AtomicU64::new(0),
            streams: Arc::new(tokio::sync::Semaphore::new(STREAMS)),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant wants to be told of this, or may. Where nothing changed since it
    /// was last asked, this reads three numbers.
    #[inline]
    pub fn wants(&self, kind: Kind) -> bool {
        if self.seen.load(Ordering::Acquire) == self.events.changes() {
            return self.kinds.load(Ordering::Relaxed) & kind.bit() != 0;
        }
        self.look().is_none_or(|kinds| kinds & kind.bit() != 0)
    }

    /// What is wanted, if that is known and stands.
    fn look(&self) -> Option<u8> {
        // Read first: a change that ends what stands is counted after it did.
        let count = self.events.changes();
        let state = self.state();
        let known = state.standing()?;
        self.note(known, count);
        Some(known.kinds())
    }

    fn note(&self, known: &Known, count: u64) {
        self.kinds.store(known.kinds(), Ordering::Relaxed);
        self.seen.store(count, Ordering::Release);
    }

    /// Tells the tenant, if it wants to be told.
    pub fn tell(self: &Arc<Self>, kind: Kind, event: &Event<'_>) {
        if self.wants(kind) {
            self.put(kind, event, NOBODY);
        }
    }

    /// The same for what the caller saw that [`Tap::wants`]. `token` is given to the
    /// history's sink where the answer is `true`: once the event is durable.
    pub fn put(self: &Arc<Self>, kind: Kind, event: &Event<'_>, token: u64) -> bool {
        let payload = event::encode(kind, event);
        let mut state = self.state();
        let Some(known) = state.standing() else {
            self.wait(&mut state, kind, payload);
            return false;
        };
        if known.kinds() & kind.bit() == 0 {
            return false;
        }
        let Some(Wanted { settings, log }) = known.wanted.clone() else {
            return false;
        };
        let ack = self.append(&mut state, &log, payload, token);
        if settings.url.is_some() {
            self.start_delivery(&mut state);
        }
        drop(state);
        self.stir();
        ack == Some(Ack::Later)
    }

    fn wait(self: &Arc<Self>, state: &mut State, kind: Kind, payload: Bytes) {
        let cost = payload.len() + OVERHEAD;
        if state.waiting_bytes + cost > WAITING_BYTES {
            state.lost += 1;
            self.events.figures.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            state.waiting_bytes += cost;
            state.waiting.push((kind, payload));
        }
        self.start_learning(state);
    }

    fn append(
        &self,
        state: &mut State,
        log: &Arc<RoomLog>,
        payload: Bytes,
        token: u64,
    ) -> Option<Ack> {
        let figures = &self.events.figures;
        let publish = |payload, token| {
            let new = NewPublication {
                payload,
                ..NewPublication::default()
            };
            self.events.history.publish(log, new, token).ok()
        };
        if state.lost > 0 && publish(event::lost(Some(state.lost)), NOBODY).is_some() {
            state.lost = 0;
        }
        let published = match state.lost {
            0 => publish(payload, token),
            _ => None,
        };
        let counted = match published {
            Some(_) => &figures.kept,
            None => {
                state.lost += 1;
                &figures.dropped
            }
        };
        counted.fetch_add(1, Ordering::Relaxed);
        published.map(|it| it.ack)
    }

    /// Takes in what was learned, as of this count of changes, and what waited for it.
    /// `false` where it stands no more.
    pub(super) fn learned(self: &Arc<Self>, known: Known, count: u64) -> bool {
        let mut state = self.state();
        if !known.standing.holds() {
            return false;
        }
        state.waiting_bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        state.log = known.wanted.as_ref().map(|it| Arc::clone(&it.log));
        match &known.wanted {
            None => state.lost = 0,
            Some(Wanted { settings, log }) => {
                for (kind, payload) in waiting {
                    if settings.kinds & kind.bit() != 0 {
                        self.append(&mut state, log, payload, NOBODY);
                    }
                }
                if settings.url.is_some() {
                    self.start_delivery(&mut state);
                }
            }
        }
        self.note(&known, count);
        state.known = Some(known);
        state.learning = false;
        drop(state);
        self.stir();
        true
    }

    /// What the tenant wants, once that is known.
    pub(super) async fn known(self: &Arc<Self>) -> Known {
        let mut signal = self.signal.subscribe();
        loop {
            {
                let mut state = self.state();
                if let Some(known) = state.standing() {
                    return known.clone();
                }
                self.start_learning(&mut state);
            }
            // The sender is here.
            let _ = signal.changed().await;
        }
    }

    /// Lets those look who wait for something.
    pub(super) fn stir(&self) {
        self.signal
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Events that the webhook has not taken yet.
    pub(super) fn pending(&self) -> usize {
        let state = self.state();
        match &state.log {
            Some(log) if state.delivering => log.kept_after(self.delivered.load(Ordering::Relaxed)),
            _ => 0,
        }
    }
}

impl State {
    /// What is known and stands.
    pub(super) fn standing(&self) -> Option<&Known> {
        self.known.as_ref().filter(|known| known.standing.holds())
    }
}

impl Known {
    fn kinds(&self) -> u8 {
        self.wanted.as_ref().map_or(0, |it| it.settings.kinds)
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
