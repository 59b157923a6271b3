//! What a user is called: the id of a registered user, or, where the tenant's rule is
//! `open`, whatever a connection calls itself.

use sschat_domain::UserId;
use std::fmt;

/// The longest name that a connection may give itself, in characters.
pub const NAME_LIMIT: usize = 64;

/// A user's name. Only an [`Name::Id`] can belong to a registered user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Has the form of a registered user's id.
    Id(UserId),
    /// Is given by the connection itself; empty for one that gave none.
    Bare(String),
}

impl Name {
    /// Who gave no name.
    pub const ANONYMOUS: Self = Self::Bare(String::new());

    /// Parses a name that was given: 1 to [`NAME_LIMIT`] letters, digits and `_.:@-`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = text.parse() {
            return Some(Self::Id(id));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte);
        let fits = (1..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(allowed);
        fits.then(|| Self::Bare(text.to_owned()))
    }

    /// The id under which a registered user of this name would be found.
    #[must_use]
    pub fn id(&self) -> Option<UserId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Bare(_) => None,
        }
    }

    /// The name that a connection gave itself, where it has not the form of an id.
    #[must_use]
    pub fn bare(&self) -> Option<&str> {
        match self {
            Self::Id(_) => None,
            Self::Bare(name) => Some(name),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Bare(name) => name.fmt(f),
        }
    }
}
