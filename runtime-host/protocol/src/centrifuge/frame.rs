//! The commands of a frame, one at a time.

use super::{
    Format,
    command::{Command, Envelope},
    json,
    malformed::Malformed,
    protobuf,
};

/// The most commands in one frame.
///
/// A client that comes back subscribes to all its channels in one frame, so this is well above what sessions may have;
/// it bounds the work that one frame can ask for.
pub const MAX_COMMANDS: u32 = 10_000;

/// The commands of one frame, read one after the other as they are asked for.
///
/// JSON: an object a line; one newline may end the last. Protobuf: a length, as a varint, before each command. Nothing
/// is read ahead, so that a frame whose first command ends the session costs no more than that. After an error there is
/// nothing more to come.
///
/// ```
/// use sschat_protocol::centrifuge::{Commands, Format, Request};
///
/// let frame = b"{\"id\":1,\"connect\":{}}\n{}";
/// let mut commands = Commands::new(Format::Json, frame);
/// assert_eq!(commands.next().unwrap().unwrap().id, 1);
/// assert_eq!(commands.rest(), b"{}");
/// assert_eq!(commands.next().unwrap().unwrap().request, Request::Pong);
/// assert!(commands.next().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    format: Format,
    rest: &'a [u8],
    /// How many more there may be.
    left: u32,
    /// Whether nothing has been read yet: an empty frame is an error, the end of one is not.
    fresh: bool,
}

impl<'a> Commands<'a> {
    /// The commands in `frame`: the payload of a WebSocket message or the body of a request, whole.
    #[must_use]
    pub const fn new(format: Format, frame: &'a [u8]) -> Self {
        Self {
            format,
            rest: frame,
            left: MAX_COMMANDS,
            fresh: true,
        }
    }

    /// What was not read yet, which makes a frame of its own unless it is empty.
    ///
    /// Whoever must wait after a command keeps this for later.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn read(&mut self) -> Result<Command<'a>, Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed::TooMany)?;
        let mut envelope = Envelope::default();
        match self.format {
            Format::Json => {
                let line = self.line();
                if line.is_empty() {
                    return Err(Malformed::Empty);
                }
                let line = simdutf8::basic::from_utf8(line).map_err(|_| Malformed::Utf8)?;
                json::read(line, &mut envelope)?;
            }
            Format::Protobuf => {
                let command = protobuf::delimited(&mut self.rest)?;
                protobuf::read(command, &mut envelope)?;
            }
        }
        Ok(envelope.into_command())
    }

    fn line(&mut self) -> &'a [u8] {
        let mut parts = self.rest.splitn(2, |byte| *byte == b'\n');
        let line = parts.next().unwrap_or_default();
        self.rest = parts.next().unwrap_or_default();
        line
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let fresh = std::mem::take(&mut self.fresh);
        if self.rest.is_empty() {
            return fresh.then_some(Err(Malformed::Empty));
        }
        let command = self.read();
        if command.is_err() {
            self.rest = &[];
        }
        Some(command)
    }
}
