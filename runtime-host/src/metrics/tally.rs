//! What a shard counts: cells of its own thread, published once a turn.
//!
//! Counting is an addition without a lock or an atomic operation, because the fan-out path
//! counts per recipient. Who asks reads the published values, which are one turn old.
//! On a thread that is no shard's, counting is lost.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted. The first ones go up and down, the others only up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Users that are logged in.
    Sessions,
    /// Rooms that somebody hears on this shard.
    Rooms,
    /// Unsent bytes of all connections.
    QueuedBytes,
    /// Messages of members that were accepted.
    Publications,
    /// Publications on their way to a member, one for each that hears them.
    Deliveries,
    /// Bytes that were read from sockets.
    ReceivedBytes,
    /// Bytes that sockets took.
    SentBytes,
    /// Connections that were closed because they fell behind.
    SlowConsumers,
    /// Publications that a verdict allowed which the session itself holds.
    Held,
}

/// How many figures there are.
const FIGURES: usize = 9;

/// The published figures of a shard. On cache lines of their own, so that one shard's
/// turn does not slow another's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Published([AtomicU64; FIGURES]);

impl Published {
    /// The figure, as of the shard's last turn.
    pub fn get(&self, figure: Figure) -> u64 {
        self.0[figure as usize].load(Ordering::Relaxed)
    }
}

thread_local! {
    static CELLS: [Cell<u64>; FIGURES] = const { [const { Cell::new(0) }; FIGURES] };
    static PUBLISHED: RefCell<Option<Arc<Published>>> = const { RefCell::new(None) };
}

/// Adds to a figure.
#[inline]
pub fn add(figure: Figure, count: u64) {
    CELLS.with(|cells| {
        let cell = &cells[figure as usize];
        cell.set(cell.get().wrapping_add(count));
    });
}

/// Takes from a figure that goes up and down.
#[inline]
pub fn sub(figure: Figure, count: u64) {
    CELLS.with(|cells| {
        let cell = &cells[figure as usize];
        cell.set(cell.get().wrapping_sub(count));
    });
}

/// This thread is the shard whose figures these are.
pub fn attach(published: Arc<Published>) {
    PUBLISHED.with_borrow_mut(|place| *place = Some(published));
}

/// Shows the others what was counted so far.
pub fn publish() {
    PUBLISHED.with_borrow(|published| {
        let Some(published) = published else { return };
        CELLS.with(|cells| {
            for (shown, cell) in published.0.iter().zip(cells) {
                // Not written where nothing changed: a line that others read stays theirs.
                if shown.load(Ordering::Relaxed) != cell.get() {
                    shown.store(cell.get(), Ordering::Relaxed);
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_seen_once_they_are_published() {
        let published = Arc::new(Published::default());
        let shard = Arc::clone(&published);
        let counted = std::thread::spawn(move || {
            attach(Arc::clone(&shard));
            add(Figure::Held, 5);
            add(Figure::Rooms, 2);
            sub(Figure::Rooms, 1);
            let before = shard.get(Figure::Held);
            publish();
            before
        });
        assert_eq!(counted.join().unwrap(), 0);
        assert_eq!(
            published.get(Figure::Held),
            5,
            "the last figure has its place"
        );
        assert_eq!(published.get(Figure::Rooms), 1);
        assert_eq!(published.get(Figure::Sessions), 0);
    }
}
