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

/// The session ends because this host shuts down (Centrifugo's `shutdown`): reconnect.
pub const SHUTDOWN: u16 = 3001;

/// The peer read too slowly and its outbox is full (Centrifugo's `slow`): reconnect and recover what was missed.
pub const SLOW_CONSUMER: u16 = 3008;

/// The peer did not answer a ping in time (Centrifugo's `no pong`): reconnect.
pub const NO_PONG: u16 = 3012;

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

    const OURS: [u16; 13] = [
        NORMAL,
        GOING_AWAY,
        PROTOCOL_ERROR,
        UNSUPPORTED,
        INVALID_TEXT,
        POLICY,
        TOO_BIG,
        INTERNAL,
        TRY_LATER,
        SHUTDOWN,
        SLOW_CONSUMER,
        NO_PONG,
        REVOKED,
    ];

    #[test]
    fn every_code_of_ours_may_be_sent_and_only_revocation_is_terminal() {
        for code in OURS {
            assert!(is_sendable(code), "{code}");
            assert_eq!(is_terminal(code), code == REVOKED, "{code}");
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
