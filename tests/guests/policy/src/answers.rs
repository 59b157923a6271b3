//! Modes that give an odd answer, and what an answer is.
//!
//! | mode | what it answers |
//! |---|---|
//! | `allow`, `deny` | yes; no |
//! | `rewrite` | `{"rewritten":true}`, without a look at the payload |
//! | `bad-rewrite`, `big-rewrite` | what is no JSON; a JSON text of 8 MiB |
//! | `long-answer`, `odd-code` | a refusal whose reason has 1 MiB; whose code and reason have characters that break lines and quotes |
//! | `past`, `forever` | yes, until 1970; until the end of time |
//! | `expires` | yes, and a login ends `seconds` (2) from now |
//! | `mute` | yes, and a login may not publish |
//! | `few`, `many` | no decision at all; a million, where one a room is asked for |

use crate::exports::sschat::policy::hooks::{
    Decision, LoginDecision, LoginVerdict, PublishDecision, PublishVerdict, Refinement, Refusal,
    Verdict,
};
use crate::order::Order;
use crate::sschat::policy::clock;

pub(crate) const MODES: &[&str] = &[
    "allow",
    "deny",
    "rewrite",
    "bad-rewrite",
    "big-rewrite",
    "long-answer",
    "odd-code",
    "past",
    "forever",
    "expires",
    "mute",
    "few",
    "many",
];

/// The answer that `mode` names; nothing if it is none of these.
pub(crate) fn give(mode: &str, order: &Order) -> Option<Answer> {
    Some(match mode {
        // Where one decision is asked for, there is nothing to miscount.
        "allow" | "few" | "many" => Answer::allow(),
        "deny" => Answer::deny("denied", "told to deny".to_owned()),
        "rewrite" => Answer::rewrite(r#"{"rewritten":true}"#.to_owned()),
        "bad-rewrite" => Answer::rewrite(r#"{"rewritten":"#.to_owned()),
        "big-rewrite" => Answer::rewrite(format!("\"{}\"", "x".repeat(8 << 20))),
        "long-answer" => Answer::deny("long_answer", "x".repeat(1 << 20)),
        "odd-code" => Answer::deny(
            "\"Odd\r\n\0code\"",
            "a \"reason\"\r\n\u{1b}[31m\0".to_owned(),
        ),
        "past" => Answer::allow().until(0),
        "forever" => Answer::allow().until(u64::MAX),
        "expires" => {
            let end = clock::now() + order.number("seconds", 2);
            Answer {
                expires: Some(end),
                ..Answer::allow().until(end)
            }
        }
        "mute" => Answer {
            mute: true,
            ..Answer::allow()
        },
        _ => return None,
    })
}

/// An answer that fits every hook.
pub(crate) struct Answer {
    verdict: PublishVerdict,
    until: Option<u64>,
    expires: Option<u64>,
    mute: bool,
}

impl Answer {
    pub(crate) fn allow() -> Self {
        Self::of(PublishVerdict::Allow)
    }

    pub(crate) fn deny(code: &str, reason: String) -> Self {
        Self::of(PublishVerdict::Deny(Refusal {
            code: code.to_owned(),
            reason,
        }))
    }

    pub(crate) fn until(self, until: u64) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// As the answer to a call: what would be published, `true`, or why not.
    pub(crate) fn spoken(self) -> Result<String, Refusal> {
        match self.verdict {
            PublishVerdict::Allow => Ok("true".to_owned()),
            PublishVerdict::Rewrite(payload) => Ok(payload),
            PublishVerdict::Deny(refusal) => Err(refusal),
        }
    }

    fn rewrite(payload: String) -> Self {
        Self::of(PublishVerdict::Rewrite(payload))
    }

    fn of(verdict: PublishVerdict) -> Self {
        Self {
            verdict,
            until: None,
            expires: None,
            mute: false,
        }
    }
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Self {
        let verdict = match answer.verdict {
            PublishVerdict::Deny(refusal) => Verdict::Deny(refusal),
            PublishVerdict::Allow | PublishVerdict::Rewrite(_) => Verdict::Allow,
        };
        Self {
            verdict,
            until: answer.until,
        }
    }
}

impl From<Answer> for LoginDecision {
    fn from(answer: Answer) -> Self {
        let verdict = match answer.verdict {
            PublishVerdict::Deny(refusal) => LoginVerdict::Deny(refusal),
            PublishVerdict::Allow | PublishVerdict::Rewrite(_) => LoginVerdict::Allow(Refinement {
                expires: answer.expires,
                may_publish: !answer.mute,
            }),
        };
        Self {
            verdict,
            until: answer.until,
        }
    }
}

impl From<Answer> for PublishDecision {
    fn from(answer: Answer) -> Self {
        Self {
            verdict: answer.verdict,
            until: answer.until,
        }
    }
}
