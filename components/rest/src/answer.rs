//! Answers: a status and a JSON body.

use crate::refusal::Refusal;
use serde::Serialize;

/// What a handler returns.
pub type Outcome = Result<Answer, Refusal>;

/// A status, at most one header of its own, and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// A header beside those that every answer has.
    pub header: Option<(&'static str, &'static str)>,
    /// The JSON text.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with this body.
    #[must_use]
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        // Bodies are plain structs with text keys, which JSON can always express.
        Self {
            status,
            header: None,
            body: serde_json::to_vec(body).unwrap_or_default(),
        }
    }

    /// 200 with this body.
    ///
    /// # Errors
    ///
    /// None; the type is that of a handler.
    pub fn ok<T: Serialize>(body: &T) -> Outcome {
        Ok(Self::json(200, body))
    }

    /// 201 with this body.
    ///
    /// # Errors
    ///
    /// None; the type is that of a handler.
    pub fn created<T: Serialize>(body: &T) -> Outcome {
        Ok(Self::json(201, body))
    }
}
