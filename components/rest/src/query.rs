//! The query of a request: the parameters that handlers know, each at most once.

use crate::refusal::Refusal;

/// The most ids in one page of a listing, and how many there are if the request
/// does not say.
const PAGE_LIMIT: usize = 1_000;

/// The parameters of a query. Others are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The API key, as it was given.
    pub apikey: Option<String>,
    /// Whether it was given more than once.
    pub apikey_doubled: bool,
    /// Where a listing goes on.
    pub cursor: Option<String>,
    /// How many ids a listing has.
    pub limit: Option<String>,
    /// What an uploaded policy is for.
    pub mode: Option<String>,
    /// The built-in rule that is chosen.
    pub rule: Option<String>,
}

/// Which page of a listing is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery<'a> {
    /// Where it begins.
    pub cursor: Option<&'a str>,
    /// The most ids, 1 to 1,000.
    pub limit: usize,
}

impl Query {
    /// Parses the text after `?`, as HTML forms encode it.
    ///
    /// # Errors
    ///
    /// Broken percent-encoding, or a known parameter given twice.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for part in text.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (place, msg) = match decode(name)?.as_str() {
                "apikey" => {
                    query.apikey_doubled = query.apikey.is_some();
                    // One that says something is not covered up by one that does not.
                    let kept = query.apikey.take().filter(|kept| !kept.is_empty());
                    query.apikey = Some(kept.map_or_else(|| decode(value), Ok)?);
                    continue;
                }
                "cursor" => (&mut query.cursor, "cursor is given more than once"),
                "limit" => (&mut query.limit, "limit is given more than once"),
                "mode" => (&mut query.mode, "mode is given more than once"),
                "rule" => (&mut query.rule, "rule is given more than once"),
                _ => continue,
            };
            if place.is_some() {
                return Err(Refusal::BadRequest {
                    code: "bad_query",
                    msg,
                });
            }
            *place = Some(decode(value)?);
        }
        Ok(query)
    }

    /// The page that is asked for.
    ///
    /// # Errors
    ///
    /// A limit that is no number from 1 to 1,000.
    pub fn page(&self) -> Result<PageQuery<'_>, Refusal> {
        let limit = match &self.limit {
            None => PAGE_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE_LIMIT).contains(limit) && !text.starts_with('+'))
                .ok_or(Refusal::BadRequest {
                    code: "bad_limit",
                    msg: "limit is a number from 1 to 1000",
                })?,
        };
        Ok(PageQuery {
            cursor: self.cursor.as_deref(),
            limit,
        })
    }
}

/// A segment of a path without its percent-encoding; `+` stands for itself there.
///
/// # Errors
///
/// Broken percent-encoding.
pub fn segment(text: &str) -> Result<String, Refusal> {
    decode(&text.replace('+', "%2B"))
}

fn decode(text: &str) -> Result<String, Refusal> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let broken = || Refusal::BadRequest {
        code: "bad_query",
        msg: "the query is not percent-encoded UTF-8",
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let high = digit().ok_or_else(broken)?;
                let low = digit().ok_or_else(broken)?;
                u8::try_from(high * 16 + low).map_err(|_| broken())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apikey(text: &str) -> Result<Option<String>, Refusal> {
        Query::parse(text).map(|query| query.apikey)
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(apikey(""), Ok(None));
        assert_eq!(apikey("apikey=a%2Fb+c&x=1"), Ok(Some("a/b c".to_owned())));
        assert_eq!(apikey("x=%41&%61pikey=k"), Ok(Some("k".to_owned())));
        assert_eq!(apikey("apikey="), Ok(Some(String::new())));
        assert_eq!(apikey("apikey"), Ok(Some(String::new())));
    }

    #[test]
    fn broken_or_doubled_parameters_are_refused() {
        for text in [
            "apikey=%",
            "apikey=%4",
            "apikey=%zz",
            "apikey=%ff",
            "apikey=%+1",
        ] {
            assert_eq!(apikey(text).unwrap_err().answer().status, 400, "{text}");
        }
        assert!(Query::parse("cursor=a&cursor=a").is_err());
        for text in [
            "apikey=a&apikey=a",
            "apikey=&apikey=a",
            "apikey=a&x=1&apikey",
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!(
                (query.apikey.as_deref(), query.apikey_doubled),
                (Some("a"), true)
            );
        }
    }

    #[test]
    fn limits_are_bounded() {
        let limit = |text: &str| {
            let query = Query::parse(text).unwrap();
            query.page().map(|page| page.limit).ok()
        };
        assert_eq!(limit(""), Some(1000));
        assert_eq!(limit("limit=1"), Some(1));
        assert_eq!(limit("limit=1000"), Some(1000));
        for text in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=",
            "limit=%2B5",
            "limit=1e3",
        ] {
            assert_eq!(limit(text), None, "{text}");
        }
    }
}
