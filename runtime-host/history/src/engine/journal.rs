//! The engine's journal, looked at before the engine opens it.
//!
//! The engine stops at the first batch that it cannot read: it refuses to open where the
//! checksum is wrong, and silently cuts the rest off where the form is. Neither will do.
//! Each batch is flushed before the next is written, so after a power cut only the last
//! can be incomplete: that one is cut off here. An unreadable batch with a readable one
//! behind it is damage, and is reported. Sequence numbers, which no checksum covers and
//! which decide what is newest, must ascend.
//!
//! The format (version 3 of fjall): a batch is `1, u32 items, u64 sequence number`, the
//! items, and `3, u64 XXH3 of the items' bytes, "FJL", 3`. An item is `2, u8 kind, u8
//! compression, u64 space, u16 key length, u32 value length, u32 stored length, key,
//! value` or `4, u64 space`. A file is filled up with zeros.

use super::{MARK_BYTES, MARK_KEY};
use crate::OpenError;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

/// Bytes of a batch before its first item.
const START_BYTES: usize = 13;
/// Bytes of an item before its key.
const ITEM_BYTES: usize = 21;

/// Takes the engine's own lock for as long as the journal is looked at; `None` if there
/// is no journal yet.
pub(super) fn lock(log: &Path) -> fjall::Result<Option<File>> {
    let path = log.join("lock");
    if !path.exists() {
        return Ok(None);
    }
    let file = File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(fjall::Error::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Cuts off what a power cut left incomplete; says so if anything else is wrong.
pub(super) fn mend(log: &Path, mark: &[u8; MARK_BYTES]) -> Result<(), OpenError> {
    let failed = |source| OpenError::Folder {
        folder: log.to_owned(),
        source,
    };
    let mut journals: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(log).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse().ok());
        if let Some(number) = number {
            journals.push((number, path));
        }
    }
    journals.sort();
    let count = journals.len();
    let mut next = 0;
    for (at, (_, path)) in journals.into_iter().enumerate() {
        let bytes = std::fs::read(&path).map_err(failed)?;
        let sound = sound(&bytes, &mut next);
        let rest = &bytes[sound..];
        if rest.iter().all(|byte| *byte == 0) {
            continue;
        }
        let sealed = at + 1 < count;
        if sealed || followed(rest, mark) {
            let reason = format!("what was written at byte {sound} cannot be read");
            return Err(OpenError::Damaged { path, reason });
        }
        tracing::warn!(
            journal = %path.display(),
            position = sound,
            "an incomplete commit group, never acknowledged, is cut off"
        );
        let file = File::options().write(true).open(&path).map_err(failed)?;
        file.set_len(sound as u64).map_err(failed)?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// How many bytes at the beginning are whole batches, each with a sequence number of at
/// least `next`, which becomes the one after the last.
fn sound(bytes: &[u8], next: &mut u64) -> usize {
    let mut at = 0;
    while let Some((length, number)) = batch(&bytes[at..]) {
        if number < *next {
            break;
        }
        *next = number.saturating_add(1);
        at += length;
    }
    at
}

/// The length and sequence number of the batch at the beginning of `bytes`, if it is whole.
fn batch(bytes: &[u8]) -> Option<(usize, u64)> {
    let number = |at: usize, length: usize| -> Option<usize> {
        let mut padded = [0; 8];
        padded[..length].copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
        usize::try_from(u64::from_le_bytes(padded)).ok()
    };
    if *bytes.first()? != START {
        return None;
    }
    let mut at = START_BYTES;
    for _ in 0..number(1, 4)? {
        match *bytes.get(at)? {
            ITEM => {
                let (key, stored) = (number(at + 11, 2)?, number(at + 17, 4)?);
                at += ITEM_BYTES + key + stored;
            }
            CLEAR => at += 9,
            _ => return None,
        }
    }
    let items = bytes.get(START_BYTES..at)?;
    if *bytes.get(at)? != END || bytes.get(at + 9..at + 13)? != TRAILER {
        return None;
    }
    let sum = xxhash_rust::xxh3::xxh3_64(items);
    let sequence = u64::from_le_bytes(bytes.get(5..START_BYTES)?.try_into().ok()?);
    (bytes.get(at + 1..at + 9)? == sum.to_le_bytes()).then_some((at + 13, sequence))
}

/// Whether a commit group of this history, whole, comes after the beginning of `rest`.
/// Found by its mark, which is secret: a payload cannot pretend to be one.
fn followed(rest: &[u8], mark: &[u8; MARK_BYTES]) -> bool {
    let before = START_BYTES + ITEM_BYTES + MARK_KEY.len();
    let mut from = 0;
    while let Some(found) = find(&rest[from..], mark) {
        let at = from + found;
        let start = at.checked_sub(before);
        if start.is_some_and(|start| batch(&rest[start..]).is_some()) {
            return true;
        }
        from = at + 1;
    }
    false
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(bytes: Vec<u8>, count in 0u32..4) {
            let mut batch = vec![START];
            batch.extend(count.to_le_bytes());
            batch.extend([0; 8]);
            batch.extend(&bytes);
            prop_assert!(sound(&batch, &mut 0) <= batch.len());
            prop_assert!(sound(&bytes, &mut 0) <= bytes.len());
        }
    }
}
