//! What a publication may measure.

use crate::{NewPublication, PAYLOAD_LIMIT, PublishError, TAGS_LIMIT, TEXT_LIMIT};

/// Refuses what is over a limit.
pub(crate) fn check(new: &NewPublication) -> Result<(), PublishError> {
    let long = |text: &str| text.len() > TEXT_LIMIT;
    if new.payload.len() > PAYLOAD_LIMIT {
        return Err(PublishError::TooLarge("payload"));
    }
    if new.from.as_deref().is_some_and(long) {
        return Err(PublishError::TooLarge("user"));
    }
    let by = new.by.as_deref();
    if by.is_some_and(|by| long(&by.client) || by.info.as_deref().is_some_and(long)) {
        return Err(PublishError::TooLarge("connection"));
    }
    if new.key.as_deref().is_some_and(long) {
        return Err(PublishError::TooLarge("idempotency key"));
    }
    let tags = new.tags.as_deref().unwrap_or_default();
    if tags.len() > TAGS_LIMIT || tags.iter().any(|(name, value)| long(name) || long(value)) {
        return Err(PublishError::TooLarge("tags"));
    }
    Ok(())
}
