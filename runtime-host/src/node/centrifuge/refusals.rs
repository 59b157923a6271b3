//! What a refusal of the authority, or of a tenant's policy, is called on this protocol.

use crate::wasm::authority::Refusal;
use sschat_protocol::centrifuge::{Disconnect, Failure};
use std::borrow::Cow;

/// The longest reason of a close frame, in bytes (RFC 6455 §5.5, less the code).
const REASON: usize = 123;

/// What the authority calls a token that ended.
const TOKEN_EXPIRED: &str = "token_expired";

/// What the authority calls any other token that logs nobody in.
const INVALID_TOKEN: &str = "invalid_token";

/// What the authority calls a token that was taken back.
const TOKEN_REVOKED: &str = "token_revoked";

/// What the authority calls a token by a key that nobody told.
const UNKNOWN_KEY: &str = "unknown_signing_key";

/// Refusals that say nothing about the client, which tries again later.
const PASSING: [&str; 3] = ["temporary", "store_unavailable", "unreadable_record"];

/// Why a command is refused.
pub(super) fn failure(refusal: &Refusal) -> Failure {
    if PASSING.contains(&&*refusal.code) {
        return Failure::INTERNAL;
    }
    if refusal.code == TOKEN_EXPIRED {
        return Failure::TOKEN_EXPIRED;
    }
    Failure {
        message: Cow::Owned(refusal.reason.clone()),
        ..Failure::PERMISSION_DENIED
    }
}

/// What a refused connect comes to: an error after which the client comes back, or the end.
pub(super) fn keeps_out(refusal: &Refusal) -> Result<Failure, Disconnect> {
    match &*refusal.code {
        TOKEN_EXPIRED => Ok(Failure::TOKEN_EXPIRED),
        INVALID_TOKEN | UNKNOWN_KEY | TOKEN_REVOKED => Err(Disconnect::INVALID_TOKEN),
        passing if PASSING.contains(&passing) => Ok(Failure::INTERNAL),
        code => Err(reasoned(&Disconnect::PERMISSION_DENIED, code)),
    }
}

/// How a live session ends that lost its login; `refreshing`: by a token that it presented.
pub(super) fn ends_login(refusal: &Refusal, refreshing: bool) -> Disconnect {
    match &*refusal.code {
        TOKEN_EXPIRED => Disconnect::EXPIRED,
        TOKEN_REVOKED => Disconnect::INVALID_TOKEN,
        INVALID_TOKEN | UNKNOWN_KEY if refreshing => Disconnect::INVALID_TOKEN,
        code => reasoned(&Disconnect::REVOKED, code),
    }
}

fn reasoned(disconnect: &Disconnect, code: &str) -> Disconnect {
    Disconnect {
        reason: Cow::Owned(code[..code.floor_char_boundary(REASON)].to_owned()),
        ..disconnect.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str) -> Refusal {
        Refusal {
            code: code.to_owned(),
            reason: "because".to_owned(),
        }
    }

    #[test]
    fn clients_come_back_only_where_that_may_help() {
        assert_eq!(
            keeps_out(&refusal("token_expired")),
            Ok(Failure::TOKEN_EXPIRED)
        );
        assert!(keeps_out(&refusal("store_unavailable")).unwrap().temporary);
        for code in [
            "invalid_token",
            "token_revoked",
            "unknown_user",
            "token_required",
            "banned_by_a_policy",
        ] {
            assert!(
                keeps_out(&refusal(code)).unwrap_err().is_terminal(),
                "{code}"
            );
            assert!(ends_login(&refusal(code), true).is_terminal(), "{code}");
        }
        assert!(!ends_login(&refusal("token_expired"), false).is_terminal());
    }

    #[test]
    fn a_policys_words_reach_the_developer_within_the_frames_limit() {
        let failure = failure(&refusal("not_a_member"));
        assert_eq!((failure.code, &*failure.message), (103, "because"));
        let long = "é".repeat(200);
        let ended = ends_login(&refusal(&long), false);
        assert_eq!(ended.code, Disconnect::REVOKED.code);
        assert!(ended.reason.len() <= REASON && ended.reason.len() > REASON - 2);
    }
}
