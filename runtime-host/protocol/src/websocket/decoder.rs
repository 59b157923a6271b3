//! The incremental decoder. It owns the state between two reads of one connection and nothing else.

use super::{
    Opcode, ProtocolError,
    assembly::{Assembly, Delivered, Ready},
    deflate::Inflater,
    header::{self, Expect, Header, MAX_HEADER},
    mask, utf8,
};
use crate::close;

/// A complete message or control frame, borrowed from the read buffer, the decoder or the inflater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// A text message.
    Text(&'b str),
    /// A binary message.
    Binary(&'b [u8]),
    /// To be answered by a pong with the same payload, at most 125 bytes.
    Ping(&'b [u8]),
    /// A pong, asked for or not.
    Pong(&'b [u8]),
    /// The peer closes, with a code that was checked and a reason. To be answered by a close frame; nothing follows.
    Close(Option<u16>, &'b str),
}

/// What the decoder takes from its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Masked frames.
    Server,
    /// Masked frames, whose messages may be compressed.
    ServerDeflate,
    /// Frames without a mask.
    Client,
    /// Frames without a mask, whose messages may be compressed.
    ClientDeflate,
    /// Nothing: after a close frame or an error whatever arrives is discarded.
    Finished,
}

/// Turns the bytes of one connection into [`Event`]s.
///
/// A message that lies in the read buffer as one whole frame is delivered from there. Any other is assembled in
/// memory that is allocated when its first part comes, grows with what arrives and never beyond the limit, and is
/// released by the call after the one that delivered it. An idle decoder owns no heap memory.
///
/// A compressed message is assembled as it came and inflated in one go when its last byte is there, by the inflater
/// that all connections of a shard share. So a message that stays half sent costs no more than the bytes that were sent.
///
/// ```
/// use sschat_protocol::websocket::{Decoder, Event, Opcode, push_masked_frame};
///
/// let mut read = Vec::new();
/// push_masked_frame(&mut read, Opcode::Text, [1, 2, 3, 4], b"hello");
///
/// let mut decoder = Decoder::new();
/// let (consumed, event) = decoder.decode(&mut read, 65_536)?;
/// assert_eq!(event, Some(Event::Text("hello")));
/// assert_eq!(consumed, read.len());
/// # Ok::<(), sschat_protocol::websocket::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// What is neither between messages nor in the read buffer; `None` most of the time.
    assembly: Option<Box<Assembly>>,
    /// The first bytes of a frame, up to its whole header.
    header: [u8; MAX_HEADER],
    header_len: u8,
    mode: Mode,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// For the server's end of a connection: frames must be masked.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_mode(Mode::Server)
    }

    /// For the client's end of a connection: frames must not be masked.
    #[must_use]
    pub const fn for_client() -> Self {
        Self::with_mode(Mode::Client)
    }

    const fn with_mode(mode: Mode) -> Self {
        Self {
            assembly: None,
            header: [0; MAX_HEADER],
            header_len: 0,
            mode,
        }
    }

    /// Takes compressed messages as well: for a connection that agreed on permessage-deflate.
    ///
    /// They are understood by [`decode_with`](Self::decode_with).
    #[must_use]
    pub const fn with_deflate(mut self) -> Self {
        self.mode = match self.mode {
            Mode::Server | Mode::ServerDeflate => Mode::ServerDeflate,
            Mode::Client | Mode::ClientDeflate => Mode::ClientDeflate,
            Mode::Finished => Mode::Finished,
        };
        self
    }

    /// Consumes bytes from the front of `input` and returns how many, with at most one event.
    ///
    /// Call it again with what is left until nothing is; bytes never have to be kept for a later call. At least one byte
    /// is consumed unless `input` is empty. `limit` is the longest message in bytes and should stay the same for a
    /// connection. Payloads are unmasked in `input` itself. After [`Event::Close`] and after an error everything is
    /// consumed and discarded.
    ///
    /// # Errors
    /// Whatever the peer did wrong, as soon as the bytes seen show it; the same for every way to cut the stream.
    pub fn decode<'b>(
        &'b mut self,
        input: &'b mut [u8],
        limit: usize,
    ) -> Result<(usize, Option<Event<'b>>), ProtocolError> {
        self.step(input, limit, None)
    }

    /// [`decode`](Self::decode) for connections that may have agreed on permessage-deflate.
    ///
    /// `limit` bounds a compressed message twice: in its inflated size, and on the wire a little above it. All
    /// connections of a thread can share an inflater: it keeps nothing between messages.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode). What is wrong inside a compressed message shows when its last byte is there.
    pub fn decode_with<'b>(
        &'b mut self,
        input: &'b mut [u8],
        limit: usize,
        inflater: &'b mut Inflater,
    ) -> Result<(usize, Option<Event<'b>>), ProtocolError> {
        self.step(input, limit, Some(inflater))
    }

    #[inline]
    fn step<'b>(
        &'b mut self,
        input: &'b mut [u8],
        limit: usize,
        inflater: Option<&'b mut Inflater>,
    ) -> Result<(usize, Option<Event<'b>>), ProtocolError> {
        self.release();
        if self.mode == Mode::Finished || input.is_empty() {
            return Ok((input.len(), None));
        }
        let (consumed, ready) = match self.advance(input, limit, inflater.is_some()) {
            Ok(progress) => progress,
            Err(error) => {
                self.fail();
                return Err(error);
            }
        };
        let Self { assembly, mode, .. } = self;
        let (opcode, payload): (Opcode, Result<&'b [u8], _>) = match ready {
            Ready::Nothing => return Ok((consumed, None)),
            Ready::Read(opcode, start, end) => (opcode, Ok(&input[start..end])),
            Ready::Message(opcode) => (opcode, Ok(assembly.as_deref().map_or(&[], |a| &a.payload))),
            Ready::Control(opcode) => (opcode, Ok(assembly.as_deref().map_or(&[], |a| &a.control))),
            Ready::ReadCompressed(opcode, start, end) => {
                (opcode, inflate(inflater, &input[start..end], limit))
            }
            Ready::MessageCompressed(opcode) => {
                // Its inflated form lies elsewhere, so that this one can be freed right away.
                let whole = assembly.take();
                let payload = whole.as_deref().map_or(&[][..], |a| &a.payload);
                (opcode, inflate(inflater, payload, limit))
            }
        };
        let event = payload.and_then(|payload| event(opcode, payload));
        if matches!(event, Ok(Event::Close(..)) | Err(_)) {
            *mode = Mode::Finished;
        }
        Ok((consumed, Some(event?)))
    }

    /// Frees the memory of a message that the last call delivered.
    ///
    /// [`decode`](Self::decode) does this by itself when it is called next, with no bytes too. A caller whose loop ends
    /// when the input does calls this afterwards, so that a quiet connection holds nothing.
    pub fn release(&mut self) {
        let Some(assembly) = &mut self.assembly else {
            return;
        };
        match assembly.delivered.take() {
            _ if self.mode == Mode::Finished => self.assembly = None,
            Some(Delivered::Message) => self.assembly = None,
            Some(Delivered::Control) if assembly.message.is_none() => self.assembly = None,
            Some(Delivered::Control) => assembly.control = Vec::new(),
            None => {}
        }
    }

    /// The heap memory that this decoder holds, in bytes.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let assembly = self.assembly.as_deref();
        assembly.map_or(0, |a| {
            size_of::<Assembly>() + a.payload.capacity() + a.control.capacity()
        })
    }

    fn fail(&mut self) {
        self.assembly = None;
        self.mode = Mode::Finished;
    }

    /// Consumes what can be consumed up to the end of a frame that completes an event.
    fn advance(
        &mut self,
        input: &mut [u8],
        limit: usize,
        inflates: bool,
    ) -> Result<(usize, Ready), ProtocolError> {
        if let Some(assembly) = &mut self.assembly
            && assembly.frame.is_some()
        {
            return assembly.fill(input, limit);
        }
        let (header, start) = match self.header(input, limit, inflates)? {
            (Some(header), start) => (header, start),
            (None, consumed) => return Ok((consumed, Ready::Nothing)),
        };
        let is_whole = header.opcode.is_control() || (header.fin && self.message().is_none());
        if is_whole && let Some(payload) = input[start..].get_mut(..header.len) {
            mask::apply(payload, header.mask);
            let end = start + header.len;
            let ready = match header.compressed {
                true => Ready::ReadCompressed(header.opcode, start, end),
                false => Ready::Read(header.opcode, start, end),
            };
            return Ok((end, ready));
        }
        let assembly = self.assembly.get_or_insert_default();
        assembly.frame = Some(header);
        if !header.opcode.is_control() && assembly.message.is_none() {
            assembly.message = Some(header.opcode);
            assembly.compressed = header.compressed;
        }
        let (filled, ready) = assembly.fill(&mut input[start..], limit)?;
        Ok((start + filled, ready))
    }

    /// Reads a header, from the front of `input` alone or together with the bytes that came before.
    ///
    /// A header at the very end of `input` is left for the next call, when its payload may be there as a whole.
    fn header(
        &mut self,
        input: &[u8],
        limit: usize,
        inflates: bool,
    ) -> Result<(Option<Header>, usize), ProtocolError> {
        let assembled = self.assembly.as_deref();
        let expect = Expect {
            masked: matches!(self.mode, Mode::Server | Mode::ServerDeflate),
            deflate: inflates && matches!(self.mode, Mode::ServerDeflate | Mode::ClientDeflate),
            assembled: assembled.and_then(|a| a.message.map(|_| a.payload.len())),
            limit: assembled.map_or(limit, |a| a.limit(limit)),
        };
        if self.header_len == 0
            && let Some((header, size)) = header::parse(input, &expect)?
            && (size < input.len() || header.len == 0)
        {
            return Ok((Some(header), size));
        }
        let mut consumed = 0;
        loop {
            let len = usize::from(self.header_len);
            let parsed = header::parse(&self.header[..len], &expect)?;
            if let Some((header, _)) = parsed
                && (consumed < input.len() || header.len == 0)
            {
                self.header_len = 0;
                return Ok((Some(header), consumed));
            }
            let Some(&byte) = input.get(consumed) else {
                return Ok((None, consumed));
            };
            self.header[len] = byte;
            self.header_len += 1;
            consumed += 1;
        }
    }

    fn message(&self) -> Option<Opcode> {
        self.assembly.as_deref().and_then(|a| a.message)
    }
}

#[cold]
fn inflate<'b>(
    inflater: Option<&'b mut Inflater>,
    payload: &[u8],
    limit: usize,
) -> Result<&'b [u8], ProtocolError> {
    match inflater {
        Some(inflater) => inflater.inflate(payload, limit),
        // A message that began under `decode_with` and ends under `decode`, which is a mistake of the caller.
        None => Err(ProtocolError::framing("a reserved bit is set")),
    }
}

/// Judges a completed payload. An assembled text was checked before, except for a character cut off at its end.
fn event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    match opcode {
        Opcode::Text => Ok(Event::Text(utf8::whole(payload)?)),
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => close_event(payload),
        // A continuation completes a message of one of the other kinds and is never delivered as such.
        Opcode::Binary | Opcode::Continuation => Ok(Event::Binary(payload)),
    }
}

fn close_event(payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Event::Close(None, "")),
            _ => Err(ProtocolError::framing("close frame with half a code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !close::is_sendable(code) {
        return Err(ProtocolError::framing("close code that may not be sent"));
    }
    let Ok(reason) = str::from_utf8(reason) else {
        return Err(ProtocolError::payload("close reason is not UTF-8"));
    };
    Ok(Event::Close(Some(code), reason))
}
