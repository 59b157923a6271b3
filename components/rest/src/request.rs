//! A request, parsed once.

use crate::query::Query;
use crate::refusal::Refusal;
use std::future::Future;

/// The largest body that is read as a whole, in bytes. What handlers read is a few
/// hundred.
pub const BODY_LIMIT: usize = 64 << 10;

/// The longest path, in bytes. The longest that means anything is below 150.
pub const PATH_LIMIT: usize = 512;

/// The methods that a handler may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD, which is answered alike; the host leaves out the body.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// Any other.
    Other,
}

impl Method {
    /// Parses the name of a method.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// A request with all that handlers look at. Its `Debug` form is left out on
/// purpose, for it carries keys.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// The parameters.
    pub query: Query,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `X-API-Key`.
    pub api_key: Option<String>,
    /// The value of `X-Admin-Token`.
    pub admin_token: Option<String>,
    /// How many bytes the body has, where the request says so.
    pub length: Option<u64>,
    /// The body, at most [`BODY_LIMIT`] bytes; empty where it is a [`Body`].
    pub body: Vec<u8>,
}

/// The body of a request, for handlers that read it part by part.
pub trait Body {
    /// The next part, which is not empty, or `None` once the body was received whole.
    ///
    /// # Errors
    ///
    /// A body that broke off.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Refusal>>;
}

/// The segments of a path behind the route of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// The collection.
    All,
    /// One segment.
    One(&'a str),
    /// Two segments.
    Two(&'a str, &'a str),
    /// Three segments.
    Three(&'a str, &'a str, &'a str),
}

impl Request {
    /// The segments behind `base`. One slash at the end is forgiven.
    ///
    /// # Errors
    ///
    /// A path that is none of ours.
    pub fn route(&self, base: &str) -> Result<Route<'_>, Refusal> {
        let missing = Refusal::NotFound("no such path");
        if self.path.len() > PATH_LIMIT {
            return Err(missing);
        }
        let rest = self.path.strip_prefix(base).ok_or(missing.clone())?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Ok(Route::All);
        }
        let mut segments = rest.strip_prefix('/').ok_or(missing.clone())?.split('/');
        let mut next = || segments.next();
        match (next(), next(), next(), next()) {
            (Some(one), None, ..) => Ok(Route::One(one)),
            (Some(one), Some(two), None, _) => Ok(Route::Two(one, two)),
            (Some(one), Some(two), Some(three), None) => Ok(Route::Three(one, two, three)),
            _ => Err(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split() {
        let route = |path: &str| {
            let request = Request {
                method: Method::Get,
                path: path.to_owned(),
                query: Query::default(),
                authorization: None,
                api_key: None,
                admin_token: None,
                length: None,
                body: Vec::new(),
            };
            request
                .route("/api/room")
                .map(|route| format!("{route:?}"))
                .ok()
        };
        assert_eq!(route("/api/room").as_deref(), Some("All"));
        assert_eq!(route("/api/room/").as_deref(), Some("All"));
        assert_eq!(route("/api/room/a").as_deref(), Some(r#"One("a")"#));
        assert_eq!(
            route("/api/room/a/b/c").as_deref(),
            Some(r#"Three("a", "b", "c")"#)
        );
        assert_eq!(route("/api/room//b").as_deref(), Some(r#"Two("", "b")"#));
        for path in ["/api/rooms", "/api/roo", "/api/room/a/b/c/d", "/"] {
            assert_eq!(route(path), None, "{path}");
        }
        assert_eq!(route(&format!("/api/room/{}", "x".repeat(600))), None);
    }
}
