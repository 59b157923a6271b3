//! The codes by which clients know what happened, and what to do about it.
//!
//! Numbers, texts and meaning are those of Centrifugo's documentation and of centrifugal/centrifuge (`errors.go`,
//! `disconnect.go`, `unsubscribe.go`), for the SDKs act upon them.

use std::borrow::Cow;

use crate::close;

/// Why a command was refused; the session goes on.
///
/// A *temporary* error tells the SDK to try again by itself: a connection or a subscription after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 100 to 399 are the protocol's; an application may use 400 to 1999.
    pub code: u32,
    /// For the developer of the client.
    pub message: Cow<'static, str>,
    /// Whether the same command may succeed later.
    pub temporary: bool,
}

impl Failure {
    /// 100, temporary: an error of this host; nothing that the client did wrong.
    pub const INTERNAL: Self = Self::temporary(100, "internal server error");
    /// 101: the client is not who may do that.
    pub const UNAUTHORIZED: Self = Self::new(101, "unauthorized");
    /// 102: there is no such channel. (Also where there is one that the client must not know of.)
    pub const UNKNOWN_CHANNEL: Self = Self::new(102, "unknown channel");
    /// 103: the client may not do that. A subscription ends with it: the SDK does not subscribe again by itself.
    pub const PERMISSION_DENIED: Self = Self::new(103, "permission denied");
    /// 104: there is no such method to call.
    pub const METHOD_NOT_FOUND: Self = Self::new(104, "method not found");
    /// 105: subscribe twice.
    pub const ALREADY_SUBSCRIBED: Self = Self::new(105, "already subscribed");
    /// 106: more channels, or more bytes, than allowed.
    pub const LIMIT_EXCEEDED: Self = Self::new(106, "limit exceeded");
    /// 107: a request that makes no sense; to repeat it makes none either.
    pub const BAD_REQUEST: Self = Self::new(107, "bad request");
    /// 108: a feature that is not offered here, or not in this channel.
    pub const NOT_AVAILABLE: Self = Self::new(108, "not available");
    /// 109: the token is too old. The SDK asks the application for a new one and tries again.
    pub const TOKEN_EXPIRED: Self = Self::new(109, "token expired");
    /// 110: the session or subscription is too old, where there is no token.
    pub const EXPIRED: Self = Self::new(110, "expired");
    /// 111, temporary: slow down.
    pub const TOO_MANY_REQUESTS: Self = Self::temporary(111, "too many requests");
    /// 112: what the client wants to go on from is not there: too old, of another epoch, or from the future.
    pub const UNRECOVERABLE_POSITION: Self = Self::new(112, "unrecoverable position");

    /// An error that is not temporary.
    #[must_use]
    pub const fn new(code: u32, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
            temporary: false,
        }
    }

    const fn temporary(code: u32, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
            temporary: true,
        }
    }
}

/// Why a session ends.
///
/// As a WebSocket's close frame, or on the HTTP transports as a push ([`super::Push::Disconnect`]). After
/// [terminal](Disconnect::is_terminal) codes clients stay away, after all others they come back and recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// 3000 to 3999 are the protocol's; an application may use 4000 to 4999.
    pub code: u16,
    /// At most 123 bytes, as RFC 6455 has it.
    pub reason: Cow<'static, str>,
}

impl Disconnect {
    /// 3000: the connection was closed without more to say.
    pub const CONNECTION_CLOSED: Self = Self::new(close::CONNECTION_CLOSED, "connection closed");
    /// 3001: this host shuts down.
    pub const SHUTDOWN: Self = Self::new(close::SHUTDOWN, "shutdown");
    /// 3004: an error of this host.
    pub const SERVER_ERROR: Self = Self::new(close::SERVER_ERROR, "internal server error");
    /// 3005: the token ran out and was not refreshed; come back with a new one.
    pub const EXPIRED: Self = Self::new(close::EXPIRED, "connection expired");
    /// 3006: a subscription ran out that the client can't end by itself.
    pub const SUBSCRIPTION_EXPIRED: Self =
        Self::new(close::SUBSCRIPTION_EXPIRED, "subscription expired");
    /// 3008: the client reads too slowly.
    pub const SLOW: Self = Self::new(close::SLOW_CONSUMER, "slow");
    /// 3009: writing failed.
    pub const WRITE_ERROR: Self = Self::new(close::WRITE_ERROR, "write error");
    /// 3010: the client's position in a channel is lost; come back and recover.
    pub const INSUFFICIENT_STATE: Self = Self::new(close::INSUFFICIENT_STATE, "insufficient state");
    /// 3011: come back, for whatever reason.
    pub const FORCE_RECONNECT: Self = Self::new(close::FORCE_RECONNECT, "force reconnect");
    /// 3012: a ping was not answered in time.
    pub const NO_PONG: Self = Self::new(close::NO_PONG, "no pong");
    /// 3013: far too many commands; come back later.
    pub const TOO_MANY_REQUESTS: Self = Self::new(close::TOO_MANY_REQUESTS, "too many requests");
    /// 3014: forget tokens and positions, then come back.
    pub const STATE_INVALIDATED: Self = Self::new(close::STATE_INVALIDATED, "state invalidated");

    /// 3500, terminal: a token that is forged, not yet valid, of another tenant or for something else.
    pub const INVALID_TOKEN: Self = Self::new(close::INVALID_TOKEN, "invalid token");
    /// 3501, terminal: what the client sent breaks the protocol.
    pub const BAD_REQUEST: Self = Self::new(close::BAD_REQUEST, "bad request");
    /// 3502, terminal: no session was begun in time.
    pub const STALE: Self = Self::new(close::STALE, "stale");
    /// 3503, terminal: stay away.
    pub const FORCE_NO_RECONNECT: Self = Self::new(close::FORCE_NO_RECONNECT, "force disconnect");
    /// 3504, terminal: too many connections of one user.
    pub const CONNECTION_LIMIT: Self = Self::new(close::CONNECTION_LIMIT, "connection limit");
    /// 3505, terminal: more channels than allowed, where the server subscribes the client.
    pub const CHANNEL_LIMIT: Self = Self::new(close::CHANNEL_LIMIT, "channel limit");
    /// 3506, terminal: bytes that are no JSON, for a client that speaks JSON.
    pub const INAPPROPRIATE_PROTOCOL: Self =
        Self::new(close::INAPPROPRIATE_PROTOCOL, "inappropriate protocol");
    /// 3507, terminal: the client may not connect.
    pub const PERMISSION_DENIED: Self = Self::new(close::PERMISSION_DENIED, "permission denied");
    /// 3508, terminal: a feature that is not offered here, where no reply could say so.
    pub const NOT_AVAILABLE: Self = Self::new(close::NOT_AVAILABLE, "not available");
    /// 3509, terminal: too many errors.
    pub const TOO_MANY_ERRORS: Self = Self::new(close::TOO_MANY_ERRORS, "too many errors");
    /// 4501, terminal, SSChat's own: the user, app or key is gone.
    pub const REVOKED: Self = Self::new(close::REVOKED, "revoked");

    /// A code with a reason.
    #[must_use]
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// Whether clients stay away after this code instead of reconnecting by themselves.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        close::is_terminal(self.code)
    }
}

/// Why the server ended a subscription.
///
/// From 2500 on the SDK subscribes again by itself, below it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribed {
    /// 2000 to 2999; an application may use 2100 to 2499 and 2600 to 2999.
    pub code: u32,
    /// For the developer of the client.
    pub reason: Cow<'static, str>,
}

impl Unsubscribed {
    /// 2000: the backend, or the loss of a membership, ended it.
    pub const SERVER: Self = Self::new(2000, "server unsubscribe");
    /// 2500: the position was lost; subscribe again and recover.
    pub const INSUFFICIENT_STATE: Self = Self::new(2500, "insufficient state");
    /// 2501: its token ran out; subscribe again with a new one.
    pub const EXPIRED: Self = Self::new(2501, "subscription expired");
    /// 2502: forget its token and position, then subscribe again.
    pub const STATE_INVALIDATED: Self = Self::new(2502, "state invalidated");

    /// A code with a reason.
    #[must_use]
    pub const fn new(code: u32, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// Whether the SDK subscribes again by itself.
    #[must_use]
    pub const fn is_resubscribed(&self) -> bool {
        self.code >= 2500
    }
}
