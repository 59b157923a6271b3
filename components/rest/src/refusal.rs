//! Why a request is refused, and the one place where that becomes an answer.

use crate::answer::Answer;
use serde::Serialize;
use sschat_domain::Error;

/// A reasoned no. `code` values are stable and made for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request can't be understood.
    BadRequest {
        /// What exactly is wrong.
        code: &'static str,
        /// The same for people.
        msg: &'static str,
    },
    /// No key, or one that is not known, and which of the two.
    Unauthorized(&'static str),
    /// Understood and not allowed.
    Forbidden {
        /// What exactly is wrong.
        code: &'static str,
        /// The same for people.
        msg: &'static str,
    },
    /// There is no such thing, or it is another tenant's.
    NotFound(&'static str),
    /// As [`Refusal::NotFound`], in the form that `/api/register` has had from the
    /// start: its `status` says `not_found`.
    NoSuchKey,
    /// The path exists, the method does not; these do.
    MethodNotAllowed(&'static str),
    /// Not now: something else came in between, or is needed first.
    Conflict {
        /// What exactly is wrong.
        code: &'static str,
        /// The same for people.
        msg: &'static str,
    },
    /// The body is larger than it may be, and how large that is.
    TooLarge(&'static str),
    /// The application is set up wrongly.
    Misconfigured(&'static str),
    /// The store failed; the request may or may not have taken effect.
    Store(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Cursor => Self::BadRequest {
                code: "bad_cursor",
                msg: "cursor is not one that this listing gave out",
            },
            error => Self::Store(error),
        }
    }
}

#[derive(Serialize)]
struct Body {
    status: &'static str,
    code: &'static str,
    msg: &'static str,
}

impl Refusal {
    /// What is sent.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (http, code, msg) = match *self {
            Self::BadRequest { code, msg } => (400, code, msg),
            Self::Unauthorized(msg) => (401, "unauthorized", msg),
            Self::Forbidden { code, msg } => (403, code, msg),
            Self::NotFound(msg) => (404, "not_found", msg),
            Self::NoSuchKey => (404, "not_found", "no such API key"),
            Self::MethodNotAllowed(_) => (
                405,
                "method_not_allowed",
                "this path does not take that method; see the Allow header",
            ),
            Self::Conflict { code, msg } => (409, code, msg),
            Self::TooLarge(msg) => (413, "too_large", msg),
            Self::Misconfigured(msg) => (500, "misconfigured", msg),
            Self::Store(Error::Record { .. }) => (
                500,
                "unreadable_record",
                "a stored record can't be read by this version",
            ),
            Self::Store(_) => (503, "store_unavailable", "the store can't be reached now"),
        };
        let status = match self {
            Self::NoSuchKey => "not_found",
            _ => "error",
        };
        let mut answer = Answer::json(http, &Body { status, code, msg });
        match self {
            Self::MethodNotAllowed(allow) => answer.header = Some(("allow", allow)),
            Self::Unauthorized(_) => answer.header = Some(("www-authenticate", "Bearer")),
            _ => {}
        }
        answer
    }
}
