//! The frames of a turn, and the copies of them that are kept beyond it.

use super::Piece;
use std::cell::OnceCell;
use std::rc::Rc;

/// The frames of a turn.
#[derive(Default)]
pub(super) struct Log {
    pub(super) bytes: Vec<u8>,
    /// The copy for those who keep it beyond the turn.
    pub(super) kept: OnceCell<Rc<[u8]>>,
}

/// The bytes behind the pieces of a turn.
pub struct Logs {
    pub(super) logs: Vec<Log>,
}

impl Default for Logs {
    fn default() -> Self {
        let logs = vec![Log::default()];
        Self { logs }
    }
}

impl Logs {
    /// The bytes of a piece.
    pub fn bytes(&self, piece: &Piece) -> &[u8] {
        &self.logs[piece.log as usize].bytes[piece.start as usize..piece.end as usize]
    }

    /// The whole log that a piece is a range of, to keep beyond the turn.
    pub fn share(&self, piece: &Piece) -> Rc<[u8]> {
        let log = &self.logs[piece.log as usize];
        Rc::clone(log.kept.get_or_init(|| Rc::from(&log.bytes[..])))
    }

    /// The length of that log.
    pub fn length(&self, piece: &Piece) -> usize {
        self.logs[piece.log as usize].bytes.len()
    }

    /// The log for appending. Copies are made only inside `settle`, which takes them away at its end.
    pub(super) fn open(&mut self, log: u32) -> &mut Vec<u8> {
        &mut self.logs[log as usize].bytes
    }
}
