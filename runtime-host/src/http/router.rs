//! Which component answers a path, exactly as Spin's HTTP trigger decides it.
//!
//! A route is a path, a path with `:name` segments, or either with the suffix `/...`,
//! which also takes the bare path. Slashes at both ends do not matter. Where several
//! routes match, the first differing segment decides: exact before `:name` before
//! `/...`; so the longest prefix wins. Of two equal routes the last one counts.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A route that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the route {route:?}: {reason}")]
pub struct RouteError {
    /// The route as written.
    pub route: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Routes and what they lead to, in order of precedence.
#[derive(Debug, Clone)]
pub struct Router<T> {
    routes: Vec<Route<T>>,
}

#[derive(Debug, Clone)]
struct Route<T> {
    /// As written in the manifest.
    raw: String,
    /// Absolute and without a slash at its end: what Spin calls the based route.
    based: String,
    segments: Vec<Segment>,
    wildcard: bool,
    target: T,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Exact(String),
    Param(String),
}

/// A route that a path matched.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'r, 'p, T> {
    /// What the route leads to.
    pub target: &'r T,
    /// The route as written in the manifest.
    pub raw: &'r str,
    /// The route as an absolute path.
    pub based: &'r str,
    /// The route without `/...`.
    pub prefix: &'r str,
    /// What `/...` stood for, with its leading slash; empty for the bare path and for
    /// routes without it.
    pub trailing: Cow<'p, str>,
    /// What each `:name` stood for.
    pub params: Vec<(&'r str, &'p str)>,
}

impl<T> Router<T> {
    /// Builds the table. Also returns the routes that a later equal one replaced.
    pub fn new(
        routes: impl IntoIterator<Item = (String, T)>,
    ) -> Result<(Self, Vec<String>), RouteError> {
        let mut table: Vec<Route<T>> = Vec::new();
        let mut duplicates = Vec::new();
        for (raw, target) in routes {
            let route = Route::parse(raw, target)?;
            let same = |other: &Route<T>| {
                other.segments == route.segments && other.wildcard == route.wildcard
            };
            if let Some(place) = table.iter().position(same) {
                duplicates.push(std::mem::replace(&mut table[place], route).raw);
            } else {
                table.push(route);
            }
        }
        table.sort_by(Route::precedence);
        Ok((Self { routes: table }, duplicates))
    }

    /// The best route for a path.
    pub fn find<'r, 'p>(&'r self, path: &'p str) -> Option<Match<'r, 'p, T>> {
        self.routes.iter().find_map(|route| route.matches(path))
    }

    /// All routes as written, in order of precedence.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &T)> {
        self.routes.iter().map(|r| (r.raw.as_str(), &r.target))
    }
}

impl<T> Route<T> {
    fn parse(raw: String, target: T) -> Result<Self, RouteError> {
        let wrong = |reason| RouteError {
            route: raw.clone(),
            reason,
        };
        let absolute = format!("/{}", raw.trim_start_matches('/'));
        let based = absolute.strip_suffix('/').unwrap_or(&absolute).to_owned();
        let plain = based
            .strip_suffix("/...")
            .or_else(|| based.strip_suffix("/*"));
        let wildcard = plain.is_some();
        let path = plain.unwrap_or(&based).trim_matches('/');
        let mut segments = Vec::new();
        if !path.is_empty() {
            for segment in path.split('/') {
                segments.push(match segment.strip_prefix(':') {
                    Some("") => return Err(wrong("a : must be followed by a name")),
                    Some(name) => Segment::Param(name.to_owned()),
                    None if segment.contains('*') || segment == "..." => {
                        return Err(wrong("/... can only stand at the end"));
                    }
                    None => Segment::Exact(segment.to_owned()),
                });
            }
        }
        Ok(Self {
            segments,
            wildcard,
            target,
            based,
            raw,
        })
    }

    /// Less means: tried earlier.
    fn precedence(&self, other: &Self) -> Ordering {
        let kinds = |route: &Self| -> Vec<u8> {
            let mut kinds: Vec<u8> = route
                .segments
                .iter()
                .map(|segment| match segment {
                    Segment::Exact(_) => 0,
                    Segment::Param(_) => 1,
                })
                .collect();
            if route.wildcard {
                kinds.push(2);
            }
            kinds
        };
        kinds(self).cmp(&kinds(other))
    }

    fn matches<'r, 'p>(&'r self, path: &'p str) -> Option<Match<'r, 'p, T>> {
        let trimmed = path.trim_matches('/');
        let mut params = Vec::new();
        let mut rest = Some(trimmed).filter(|rest| !rest.is_empty());
        for segment in &self.segments {
            let (head, tail) = match rest?.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (rest?, None),
            };
            match segment {
                Segment::Exact(exact) if exact == head => {}
                Segment::Exact(_) => return None,
                Segment::Param(name) => params.push((name.as_str(), head)),
            }
            rest = tail;
        }
        if rest.is_some() && !self.wildcard {
            return None;
        }
        Some(Match {
            target: &self.target,
            raw: &self.raw,
            based: &self.based,
            prefix: self.raw.strip_suffix("/...").unwrap_or(&self.raw),
            trailing: match self.wildcard {
                true => trailing(rest, path.ends_with('/')),
                false => Cow::Borrowed(""),
            },
            params,
        })
    }
}

fn trailing(rest: Option<&str>, slash: bool) -> Cow<'static, str> {
    match (rest, slash) {
        (None, false) => Cow::Borrowed(""),
        (None, true) => Cow::Borrowed("/"),
        (Some(rest), false) => Cow::Owned(format!("/{rest}")),
        (Some(rest), true) => Cow::Owned(format!("/{rest}/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&'static str]) -> Router<&'static str> {
        let routes = routes.iter().map(|route| ((*route).to_owned(), *route));
        Router::new(routes).unwrap().0
    }

    fn target(router: &Router<&'static str>, path: &str) -> Option<&'static str> {
        router.find(path).map(|found| *found.target)
    }

    #[test]
    fn exact_routes_match_exactly() {
        let r = router(&["/foo", "/foo/bar", "/"]);
        assert_eq!(target(&r, "/foo"), Some("/foo"));
        assert_eq!(target(&r, "/foo/"), Some("/foo"));
        assert_eq!(target(&r, "/foo/bar"), Some("/foo/bar"));
        assert_eq!(target(&r, "/"), Some("/"));
        assert_eq!(target(&r, "/foo/bar/baz"), None);
        assert_eq!(target(&r, "/fo"), None);
        assert_eq!(target(&r, "/Foo"), None);
    }

    #[test]
    fn a_wildcard_takes_its_bare_path_and_all_below() {
        let r = router(&["/api/room/..."]);
        for path in ["/api/room", "/api/room/", "/api/room/x", "/api/room/x/y/"] {
            assert_eq!(target(&r, path), Some("/api/room/..."), "{path}");
        }
        assert_eq!(target(&r, "/api/rooms"), None);
        assert_eq!(target(&r, "/api"), None);
        let all = router(&["/..."]);
        assert_eq!(target(&all, "/"), Some("/..."));
        assert_eq!(target(&all, "/a/b"), Some("/..."));
    }

    #[test]
    fn the_longest_prefix_wins_in_any_order() {
        for routes in [
            ["/one/...", "/one/two/...", "/one/two/three/..."],
            ["/one/two/three/...", "/one/two/...", "/one/..."],
        ] {
            let r = router(&routes);
            assert_eq!(
                target(&r, "/one/two/three/four"),
                Some("/one/two/three/...")
            );
            assert_eq!(target(&r, "/one/two/3"), Some("/one/two/..."));
            assert_eq!(target(&r, "/one"), Some("/one/..."));
        }
    }

    #[test]
    fn exact_beats_param_beats_wildcard() {
        let r = router(&["/a/...", "/a/:id", "/a/me", "/:any/me"]);
        assert_eq!(target(&r, "/a/me"), Some("/a/me"));
        assert_eq!(target(&r, "/a/you"), Some("/a/:id"));
        assert_eq!(target(&r, "/a/you/too"), Some("/a/..."));
        assert_eq!(target(&r, "/b/me"), Some("/:any/me"));
        let r = router(&["/...", "/one"]);
        assert_eq!(target(&r, "/one"), Some("/one"));
    }

    #[test]
    fn a_match_says_what_stood_where() {
        let r = router(&["/users/:user/rooms/..."]);
        let found = r.find("/users/u1/rooms/r1/x").unwrap();
        assert_eq!(found.params, [("user", "u1")]);
        assert_eq!(found.trailing, "/r1/x");
        assert_eq!(found.prefix, "/users/:user/rooms");
        assert_eq!(r.find("/users/u1/rooms/r1/").unwrap().trailing, "/r1/");
        assert_eq!(r.find("/users/u1/rooms").unwrap().trailing, "");
        assert_eq!(r.find("/users/u1/rooms/").unwrap().trailing, "/");
    }

    #[test]
    fn of_equal_routes_the_last_counts() {
        let routes = [("/foo", 1), ("/bar", 2), ("/foo", 3)];
        let routes = routes.map(|(route, target)| (route.to_owned(), target));
        let (router, duplicates) = Router::new(routes).unwrap();
        assert_eq!(duplicates, ["/foo"]);
        assert_eq!(router.find("/foo").map(|found| *found.target), Some(3));
    }

    #[test]
    fn broken_routes_are_refused() {
        for bad in ["/:", "/a/*/b", "/.../a"] {
            assert!(Router::new([(bad.to_owned(), ())]).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_compared_as_they_are() {
        // Dots and percent signs mean nothing to the router; components see the same path.
        let r = router(&["/api/room/...", "/secret"]);
        assert_eq!(target(&r, "/api/room/../../secret"), Some("/api/room/..."));
        assert_eq!(target(&r, "/%73ecret"), None);
    }
}
