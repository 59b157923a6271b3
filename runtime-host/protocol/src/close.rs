//! The close codes that SSChat sends, and which codes a peer may send (RFC 6455 §7.4).
//!
//! Codes from 3000 on follow the ranges that the Centrifuge client SDKs act upon: after 3500..=3999 and 4500..=4999 a
//! client must not come back by itself ([`is_terminal`]), after every other code it reconnects and recovers. SSChat
//! keeps to these ranges on all its endpoints, so that one rule serves every client.

/// The purpose of the connection is fulfilled; also the answer to a close frame without a code.
pub const NORMAL: u16 = 1000;

/// This host is draining: reconnect, another one (or its successor) will answer.
pub const GOING_AWAY: u16 = 1001;

/// The peer broke RFC 6455 framing.
pub const PROTOCOL_ERROR: u16 = 1002;

/// A message of a type that the endpoint does not take: a binary message on a text protocol.
pub const UNSUPPORTED: u16 = 1003;

/// A text message or a close reason that is not UTF-8.
pub const INVALID_TEXT: u16 = 1007;

/// A limit that is not a size was broken, such as too many commands, or no login in the time allowed for it.
pub const POLICY: u16 = 1008;

/// A message longer than the endpoint's limit.
pub const TOO_BIG: u16 = 1009;

/// An error inside this host; nothing that the peer did wrong.
pub const INTERNAL: u16 = 1011;

/// This host takes no more connections for now: reconnect later.
pub const TRY_LATER: u16 = 1013;

/// The connection was closed, and nothing is known about why (Centrifugo's `connection closed`): reconnect.
pub const CONNECTION_CLOSED: u16 = 3000;

/// The session ends because this host shuts down (Centrifugo's `shutdown`): reconnect.
pub const SHUTDOWN: u16 = 3001;

/// An error inside this host (Centrifugo's `internal server error`): reconnect.
pub const SERVER_ERROR: u16 = 3004;

/// The session's token ran out (Centrifugo's `connection expired`): reconnect with a new one.
pub const EXPIRED: u16 = 3005;

/// A subscription ran out that the server made (Centrifugo's `subscription expired`): reconnect.
pub const SUBSCRIPTION_EXPIRED: u16 = 3006;

/// The peer read too slowly and its outbox is full (Centrifugo's `slow`): reconnect and recover what was missed.
pub const SLOW_CONSUMER: u16 = 3008;

/// Nothing can be written (Centrifugo's `write error`): reconnect.
pub const WRITE_ERROR: u16 = 3009;

/// The peer's position in a channel is lost (Centrifugo's `insufficient state`): reconnect and recover.
pub const INSUFFICIENT_STATE: u16 = 3010;

/// Reconnect, for whatever reason (Centrifugo's `force reconnect`).
pub const FORCE_RECONNECT: u16 = 3011;

/// The peer did not answer a ping in time (Centrifugo's `no pong`): reconnect.
pub const NO_PONG: u16 = 3012;

/// The peer sends far too many commands (Centrifugo's `too many requests`): reconnect, later.
pub const TOO_MANY_REQUESTS: u16 = 3013;

/// The peer's tokens and positions are void (Centrifugo's `state invalidated`): drop them and reconnect.
pub const STATE_INVALIDATED: u16 = 3014;

/// Terminal: the token is not valid (Centrifugo's `invalid token`).
pub const INVALID_TOKEN: u16 = 3500;

/// Terminal: the peer broke the protocol (Centrifugo's `bad request`).
pub const BAD_REQUEST: u16 = 3501;

/// Terminal: no session was begun in time (Centrifugo's `stale`).
pub const STALE: u16 = 3502;

/// Terminal: stay away (Centrifugo's `force disconnect`).
pub const FORCE_NO_RECONNECT: u16 = 3503;

/// Terminal: too many connections (Centrifugo's `connection limit`).
pub const CONNECTION_LIMIT: u16 = 3504;

/// Terminal: too many channels (Centrifugo's `channel limit`).
pub const CHANNEL_LIMIT: u16 = 3505;

/// Terminal: what is to be sent can't be said in the peer's format (Centrifugo's `inappropriate protocol`).
pub const INAPPROPRIATE_PROTOCOL: u16 = 3506;

/// Terminal: the peer may not connect (Centrifugo's `permission denied`).
pub const PERMISSION_DENIED: u16 = 3507;

/// Terminal: a feature that is not offered (Centrifugo's `not available`).
pub const NOT_AVAILABLE: u16 = 3508;

/// Terminal: too many errors (Centrifugo's `too many errors`).
pub const TOO_MANY_ERRORS: u16 = 3509;

/// Terminal: the session's user, app or key is gone, so that coming back with the same credentials is pointless.
///
/// From the range of application codes that end a client for good; a code of 4000..=4499 would make the SDKs try again.
pub const REVOKED: u16 = 4501;

/// Whether a well-behaved client stays away after this code instead of reconnecting by itself.
#[must_use]
pub const fn is_terminal(code: u16) -> bool {
    matches!(code, 3500..=3999 | 4500..=4999)
}

/// Whether a peer may put this code into a close frame.
///
/// RFC 6455 §7.4 with the codes that IANA registered since (1012 to 1014). 1004 to 1006 and 1015 are never sent.
#[must_use]
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETURNING: [u16; 21] = [
        NORMAL,
        GOING_AWAY,
        PROTOCOL_ERROR,
        UNSUPPORTED,
        INVALID_TEXT,
        POLICY,
        TOO_BIG,
        INTERNAL,
        TRY_LATER,
        CONNECTION_CLOSED,
        SHUTDOWN,
        SERVER_ERROR,
        EXPIRED,
        SUBSCRIPTION_EXPIRED,
        SLOW_CONSUMER,
        WRITE_ERROR,
        INSUFFICIENT_STATE,
        FORCE_RECONNECT,
        NO_PONG,
        TOO_MANY_REQUESTS,
        STATE_INVALIDATED,
    ];

    const TERMINAL: [u16; 11] = [
        INVALID_TOKEN,
        BAD_REQUEST,
        STALE,
        FORCE_NO_RECONNECT,
        CONNECTION_LIMIT,
        CHANNEL_LIMIT,
        INAPPROPRIATE_PROTOCOL,
        PERMISSION_DENIED,
        NOT_AVAILABLE,
        TOO_MANY_ERRORS,
        REVOKED,
    ];

    #[test]
    fn every_code_of_ours_may_be_sent_and_lies_in_its_range() {
        for code in RETURNING {
            assert!(is_sendable(code) && !is_terminal(code), "{code}");
        }
        for code in TERMINAL {
            assert!(is_sendable(code) && is_terminal(code), "{code}");
        }
    }

    #[test]
    fn reserved_codes_are_refused() {
        for code in [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert!(!is_sendable(code), "{code}");
        }
    }
}
