//! Patterns of rooms' names.

/// Whether `text` fits a pattern, in which `*` stands for any text and `?` for a byte.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // Where the last star stood, and how much of the text it took so far.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((from, taken)) = star else {
                    return false;
                };
                star = Some((from, taken + 1));
                (at, read) = (from + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|it| *it == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_globs() {
        let fits = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(fits("*", "") && fits("room_*", "room_1") && fits("a*b*c", "axxbyyc"));
        assert!(fits("?", "a") && fits("a**", "a"));
        assert!(!fits("", "a") && !fits("room_*", "user_1") && !fits("a*b", "abc"));
        assert!(!fits("?", ""));
    }
}
