//! What a connection sent in part: a message between its frames, a frame between two reads.

use super::{Opcode, ProtocolError, deflate, header::Header, mask, utf8};

/// A message or frame that is partly there.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The frame whose payload is not complete, if any; `len` counts what is missing, `mask` is turned to match.
    pub(super) frame: Option<Header>,
    /// Text or binary once the first frame of a message has begun.
    pub(super) message: Option<Opcode>,
    /// Whether that message is compressed; `payload` is then, too.
    pub(super) compressed: bool,
    pub(super) payload: Vec<u8>,
    /// How much of `payload` is known to be UTF-8; used for text only.
    pub(super) checked: usize,
    /// The payload of a control frame that is partly there.
    pub(super) control: Vec<u8>,
    /// What the last call delivered from here and the next one releases.
    pub(super) delivered: Option<Delivered>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Delivered {
    Message,
    Control,
}

/// Where a completed payload lies.
pub(super) enum Ready {
    Nothing,
    /// In the read buffer, between these offsets.
    Read(Opcode, usize, usize),
    ReadCompressed(Opcode, usize, usize),
    Message(Opcode),
    MessageCompressed(Opcode),
    Control(Opcode),
}

impl Assembly {
    /// The most bytes that the payload may have.
    pub(super) fn limit(&self, limit: usize) -> usize {
        match self.compressed {
            true => deflate::wire_limit(limit),
            false => limit,
        }
    }

    /// Takes what `input` has of the current frame.
    pub(super) fn fill(
        &mut self,
        input: &mut [u8],
        limit: usize,
    ) -> Result<(usize, Ready), ProtocolError> {
        let Some(mut frame) = self.frame.take() else {
            return Ok((0, Ready::Nothing));
        };
        let count = frame.len.min(input.len());
        let piece = &mut input[..count];
        mask::apply(piece, frame.mask);
        frame.mask = mask::advance(frame.mask, count);
        frame.len -= count;
        if frame.opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else {
            self.append(piece, limit)?;
        }
        if frame.len > 0 {
            self.frame = Some(frame);
            return Ok((count, Ready::Nothing));
        }
        Ok((count, self.complete(&frame)))
    }

    /// Adds to the message, and checks it as far as it is there.
    pub(super) fn append(&mut self, piece: &[u8], limit: usize) -> Result<(), ProtocolError> {
        let len = self.payload.len() + piece.len();
        if len > self.payload.capacity() {
            // Doubling keeps many small pieces cheap; beyond the limit nothing can come.
            let limit = self.limit(limit);
            let capacity = len.max(2 * self.payload.capacity()).min(limit.max(len));
            self.payload.reserve_exact(capacity - self.payload.len());
        }
        self.payload.extend_from_slice(piece);
        if self.message == Some(Opcode::Text) && !self.compressed {
            self.checked += utf8::prefix(&self.payload[self.checked..])?;
        }
        Ok(())
    }

    /// The payload of `frame` is complete.
    pub(super) fn complete(&mut self, frame: &Header) -> Ready {
        if frame.opcode.is_control() {
            self.delivered = Some(Delivered::Control);
            return Ready::Control(frame.opcode);
        }
        match self.message {
            Some(opcode) if frame.fin => {
                self.delivered = Some(Delivered::Message);
                match self.compressed {
                    true => Ready::MessageCompressed(opcode),
                    false => Ready::Message(opcode),
                }
            }
            _ => Ready::Nothing,
        }
    }
}
