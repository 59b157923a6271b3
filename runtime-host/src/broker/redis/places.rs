//! Where to look for Redis: one place, or some of a cluster, which name the others.

use sschat_redis::Place;

/// The most places that a list names.
const MOST: usize = 16;

/// Where to look, one place after the other.
pub(super) struct Places(pub(super) Vec<Place>);

impl Places {
    /// Reads URLs between commas; connects to nothing yet.
    pub(super) fn read(urls: &str) -> Result<Self, String> {
        let mut parts: Vec<String> = Vec::new();
        for part in urls.split(',') {
            match parts.last_mut() {
                // Another Sentinel of the same URL.
                Some(url) if url.contains("+sentinel://") && !part.contains("://") => {
                    url.push(',');
                    url.push_str(part);
                }
                _ => parts.push(part.to_owned()),
            }
        }
        if parts.len() > MOST {
            return Err(format!("at most {MOST} places"));
        }
        let places = parts.iter().map(|url| Place::read(url));
        places.collect::<Result<_, _>>().map(Self)
    }

    /// The places as they are shown to people: without passwords.
    pub(super) fn shown(&self) -> String {
        let shown = self.0.iter().map(Place::to_string);
        shown.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_places() {
        let shown = |urls| Places::read(urls).unwrap().shown();
        assert_eq!(shown("redis://a:1, rediss://user:secret@b:2/0"), "a:1, b:2");
        let sentinels = "redis+sentinel://a,b/main";
        assert_eq!(shown(sentinels), "main of the Sentinels a:26379,b:26379");
        for wrong in ["", ",", "redis://a,", "http://a"] {
            assert!(Places::read(wrong).is_err(), "{wrong}");
        }
        assert!(Places::read(&["redis://a"; MOST + 1].join(",")).is_err());
    }
}
