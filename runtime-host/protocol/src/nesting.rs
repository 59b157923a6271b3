//! How deep a JSON text is nested, without recursion.

/// Whether arrays and objects in `json`, which must be valid, are nested deeper than `limit`.
#[must_use]
pub fn exceeds(json: &str, limit: usize) -> bool {
    // Each level takes two bytes, so that no short message needs to be looked at, and a scalar has no level.
    if json.len() <= 2 * limit || !json.starts_with(['[', '{']) {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        ["[".repeat(depth), "]".repeat(depth)].concat()
    }

    #[test]
    fn the_limit_is_exact() {
        for limit in [1, 2, 100] {
            assert!(!exceeds(&nested(limit), limit));
            assert!(exceeds(&nested(limit + 1), limit));
        }
        assert!(exceeds(r#"{"a":[{"b":[]}]}"#, 3));
        assert!(!exceeds(r#"{"a":[{"b":[]}]}"#, 4));
    }

    #[test]
    fn siblings_and_brackets_in_strings_do_not_count() {
        assert!(!exceeds(r#"[[],[],{},{},[],[]]"#, 2));
        assert!(!exceeds(r#"["[[[[[[[[","\"[[[[","\\","{{{{"]"#, 1));
        assert!(exceeds(r#"["\\",[[1]],"padding"]"#, 2));
    }
}
