//! Differences of publications in the format of Fossil's delta, which the SDKs apply where `delta: "fossil"` was agreed.
//!
//! A delta is the length of the new text, then copies from the old one (`size@offset,`) and new bytes (`size:bytes`),
//! then a checksum (`sum;`); numbers are in base 64. It is cut between characters only, so that the delta of two UTF-8
//! texts is one too and fits into a JSON string.
//!
//! A subscriber's first publication is whole ([`Payload::Base`]), and so is the first after a gap; each later one may be
//! the difference to the one before. Whoever keeps the order makes one delta for all who have the one before.
//!
//! Absent on purpose: applying deltas, which clients do.

use super::Payload;

/// The longest texts that are compared, in bytes. What a publication may measure is less.
const MAX_SIZE: usize = 1 << 20;

/// What is looked up in the old text, in bytes. Whatever is shorter is not worth a copy.
const BLOCK: usize = 16;

/// How many places with the same hash are looked at: repetitive texts must not cost the square of their size.
const MAX_PLACES: usize = 16;

/// How many bytes of a character follow its first one; so a copy of a block loses less than half of it.
const MAX_CONTINUATION: usize = 3;

/// No place.
const NOWHERE: u32 = u32::MAX;

/// What a subscriber with deltas gets who has `previous`, or nothing yet. `buffer` keeps the delta.
pub fn payload<'b>(
    previous: Option<&[u8]>,
    payload: &'b [u8],
    buffer: &'b mut Vec<u8>,
) -> Payload<'b> {
    match previous.and_then(|previous| create(previous, payload)) {
        Some(delta) => {
            *buffer = delta;
            Payload::Delta(buffer)
        }
        None => Payload::Base(payload),
    }
}

/// The delta that makes `target` out of `source`; `None` if it would be no shorter than `target`, or where one of them
/// is too long to look. Takes time and memory in proportion to their sizes.
#[must_use]
pub fn create(source: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if source.len().max(target.len()) > MAX_SIZE {
        return None;
    }
    let mut delta = Delta {
        target,
        out: Vec::with_capacity(64),
        done: 0,
    };
    delta.number(target.len());
    delta.out.push(b'\n');
    // Most changes are in one place: what is before and after it needs no search.
    let before = same(source.iter(), target.iter());
    if before >= BLOCK {
        delta.copy(&Copy::new(0, 0, before).between_characters(target));
    }
    let after = same(source.iter().rev(), target[delta.done..].iter().rev());
    let after = if after >= BLOCK { after } else { 0 };
    delta.search(&Places::of(source), target.len() - after);
    if after > 0 {
        let end = Copy::new(source.len() - after, target.len() - after, after);
        delta.copy(&end.between_characters(target));
    }
    delta.end();
    (delta.out.len() < target.len()).then_some(delta.out)
}

/// A delta while it is made.
struct Delta<'t> {
    target: &'t [u8],
    out: Vec<u8>,
    /// How much of the target it makes so far.
    done: usize,
}

impl Delta<'_> {
    /// Makes the target up to `end`, or a little less, of what is found in the source.
    fn search(&mut self, places: &Places<'_>, end: usize) {
        let target = &self.target[..end];
        let mut at = self.done;
        let mut hash = Hash::of(&target[at..]);
        // A delta as long as the target is of no use.
        while at + BLOCK <= end && self.out.len() < self.target.len() {
            if let Some(copy) = places.longest(hash.value(), target, at, self.done) {
                self.copy(&copy.between_characters(self.target));
                at = self.done;
                hash = Hash::of(&target[at..]);
            } else {
                if let Some(next) = target.get(at + BLOCK) {
                    hash.roll(target[at], *next);
                }
                at += 1;
            }
        }
    }

    fn copy(&mut self, copy: &Copy) {
        self.insert(copy.target);
        self.number(copy.size);
        self.out.push(b'@');
        self.number(copy.source);
        self.out.push(b',');
        self.done += copy.size;
    }

    /// What no copy makes.
    fn insert(&mut self, end: usize) {
        if end > self.done {
            self.number(end - self.done);
            self.out.push(b':');
            self.out.extend_from_slice(&self.target[self.done..end]);
            self.done = end;
        }
    }

    fn end(&mut self) {
        self.insert(self.target.len());
        self.number(checksum(self.target) as usize);
        self.out.push(b';');
    }

    fn number(&mut self, value: usize) {
        const DIGITS: &[u8; 64] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
        let digits = (usize::BITS - value.leading_zeros()).div_ceil(6).max(1);
        for digit in (0..digits).rev() {
            self.out.push(DIGITS[value >> (6 * digit) & 63]);
        }
    }
}

/// The sum of the big-endian words, the last one filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_be_bytes(word)
    };
    bytes.chunks(4).map(word).fold(0, u32::wrapping_add)
}

/// Bytes of the target that stand in the source too.
struct Copy {
    source: usize,
    target: usize,
    size: usize,
}

impl Copy {
    const fn new(source: usize, target: usize, size: usize) -> Self {
        Self {
            source,
            target,
            size,
        }
    }

    /// As much of it as begins and ends between two characters. Of bytes that are no text it leaves a few too many out.
    fn between_characters(mut self, target: &[u8]) -> Self {
        let inside = |at: usize| target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        for _ in 0..MAX_CONTINUATION {
            let skipped = usize::from(inside(self.target));
            self.source += skipped;
            self.target += skipped;
            self.size -= skipped;
            self.size -= usize::from(inside(self.target + self.size));
        }
        self
    }
}

/// Where the blocks of the source are, by their hash.
struct Places<'s> {
    source: &'s [u8],
    /// The latest block with a hash.
    heads: Vec<u32>,
    /// The block before with the same hash, by block.
    before: Vec<u32>,
}

impl<'s> Places<'s> {
    fn of(source: &'s [u8]) -> Self {
        let blocks = source.len() / BLOCK;
        let mut places = Self {
            source,
            heads: vec![NOWHERE; blocks.next_power_of_two()],
            before: Vec::with_capacity(blocks),
        };
        for (number, block) in (0_u32..).zip(source.chunks_exact(BLOCK)) {
            let head = places.slot(Hash::of(block).value());
            places.before.push(places.heads[head]);
            places.heads[head] = number;
        }
        places
    }

    fn slot(&self, hash: u32) -> usize {
        // Spread over the high bits: sums of bytes are small.
        (hash.wrapping_mul(0x9e37_79b1) >> 7) as usize & (self.heads.len() - 1)
    }

    /// The longest copy around `at`, reaching back to `done` at most.
    fn longest(&self, hash: u32, target: &[u8], at: usize, done: usize) -> Option<Copy> {
        let mut block = self.heads[self.slot(hash)];
        let mut longest: Option<Copy> = None;
        for _ in 0..MAX_PLACES {
            if block == NOWHERE {
                break;
            }
            let start = block as usize * BLOCK;
            let after = same(self.source[start..].iter(), target[at..].iter());
            if after >= BLOCK {
                let before = same(
                    self.source[..start].iter().rev(),
                    target[done..at].iter().rev(),
                );
                let size = before + after;
                if longest.as_ref().is_none_or(|it| it.size < size) {
                    longest = Some(Copy::new(start - before, at - before, size));
                }
            }
            block = self.before[block as usize];
        }
        longest
    }
}

fn same<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

/// A hash of [`BLOCK`] bytes that moves on by one byte in constant time: their sum, and the sum weighted by place.
struct Hash {
    sum: u16,
    weighted: u16,
}

impl Hash {
    /// Of the first [`BLOCK`] bytes.
    fn of(bytes: &[u8]) -> Self {
        let mut hash = Self {
            sum: 0,
            weighted: 0,
        };
        for byte in bytes.iter().take(BLOCK) {
            hash.sum = hash.sum.wrapping_add((*byte).into());
            hash.weighted = hash.weighted.wrapping_add(hash.sum);
        }
        hash
    }

    fn roll(&mut self, first: u8, next: u8) {
        let first = u16::from(first);
        self.sum = self.sum.wrapping_sub(first).wrapping_add(next.into());
        let gone = first.wrapping_mul(BLOCK as u16);
        self.weighted = self.weighted.wrapping_sub(gone).wrapping_add(self.sum);
    }

    fn value(&self) -> u32 {
        u32::from(self.sum) << 16 | u32::from(self.weighted)
    }
}
