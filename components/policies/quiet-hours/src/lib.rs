//! A policy that lets nobody publish at certain hours of the day.
//!
//! The configuration:
//!
//! ```json
//! {"from": "22:00", "to": "07:00", "utc_offset_minutes": 60, "rooms": ["room_…"]}
//! ```
//!
//! From `from` on it is quiet, and no longer at `to`, by a clock that is ahead of UTC by
//! `utc_offset_minutes` (0 where absent). `rooms` are those it is quiet in; where absent,
//! all are. Without a configuration it is never quiet; one that can't be understood
//! refuses everything.
//!
//! Every decision says when it will change, so that it is asked for twice a day and kept
//! in between; and where no hours matter, the clock is not read, so that it is kept for
//! good. Absent on purpose: summer time, which is a change of the configuration.

#[cfg(target_family = "wasm")]
mod guest;

use serde::{Deserialize, Deserializer, de};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// No place on earth is further from UTC, in minutes.
const OFFSET_LIMIT: i64 = 14 * 60;

/// A verdict, and when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// From this second of the Unix epoch on it is another; absent if the time
    /// has no part in it.
    pub until: Option<u64>,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Allow,
    /// It goes nowhere.
    Deny(Refusal),
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    from: TimeOfDay,
    to: TimeOfDay,
    #[serde(default)]
    utc_offset_minutes: i64,
    rooms: Option<Vec<String>>,
}

/// A time of the day as `hh:mm`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TimeOfDay {
    hour: i64,
    minute: i64,
}

impl TimeOfDay {
    fn seconds(self) -> i64 {
        self.hour * 3_600 + self.minute * 60
    }

    fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str, limit: i64| {
            let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|number| *number < limit);
            number.filter(|_| two)
        };
        Some(Self {
            hour: number(hour, 24)?,
            minute: number(minute, 60)?,
        })
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a time is written 00:00 to 23:59"))
    }
}

/// Judges whether one may publish in `room` now. `now` reads the clock, in seconds since
/// the Unix epoch, and is called only where that matters.
pub fn judge(configuration: Option<&str>, room: &str, now: impl FnOnce() -> u64) -> Decision {
    let Some(configuration) = configuration else {
        return always(Verdict::Allow);
    };
    let settings = match parse(configuration) {
        Ok(settings) => settings,
        Err(what) => {
            let reason = format!("The policy's configuration can't be understood: {what}.");
            return always(deny("bad_configuration", reason));
        }
    };
    let rooms = settings.rooms.as_ref();
    if rooms.is_some_and(|rooms| !rooms.iter().any(|quiet| quiet == room)) {
        return always(Verdict::Allow);
    }
    decide(&settings, now())
}

fn parse(configuration: &str) -> Result<Settings, String> {
    let settings: Settings =
        serde_json::from_str(configuration).map_err(|error| error.to_string())?;
    if settings.from == settings.to {
        return Err("`from` and `to` are the same".to_owned());
    }
    if settings.utc_offset_minutes.abs() > OFFSET_LIMIT {
        return Err("`utc_offset_minutes` is more than 14 hours".to_owned());
    }
    Ok(settings)
}

fn decide(settings: &Settings, now: u64) -> Decision {
    // A remainder of a day always fits.
    let of_day = i64::try_from(now % DAY.unsigned_abs()).unwrap_or_default();
    let local = of_day + settings.utc_offset_minutes * 60;
    let until_next = |time: TimeOfDay| (time.seconds() - local - 1).rem_euclid(DAY) + 1;
    let (to_begin, to_end) = (until_next(settings.from), until_next(settings.to));
    // It is quiet if the end comes before the next beginning.
    let (verdict, change) = if to_end < to_begin {
        let TimeOfDay { hour, minute } = settings.to;
        let reason = format!("It is quiet here until {hour:02}:{minute:02}.");
        (deny("quiet_hours", reason), to_end)
    } else {
        (Verdict::Allow, to_begin)
    };
    Decision {
        verdict,
        until: Some(now.saturating_add(change.unsigned_abs())),
    }
}

fn always(verdict: Verdict) -> Decision {
    Decision {
        verdict,
        until: None,
    }
}

fn deny(code: &'static str, reason: String) -> Verdict {
    Verdict::Deny(Refusal { code, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Midnight by UTC.
    const MIDNIGHT: u64 = 20_000 * 86_400;
    const HOUR: u64 = 3_600;
    const NIGHT: &str = r#"{"from":"22:00","to":"07:00","utc_offset_minutes":60}"#;

    fn code(decision: &Decision) -> &'static str {
        match &decision.verdict {
            Verdict::Allow => "",
            Verdict::Deny(refusal) => refusal.code,
        }
    }

    #[track_caller]
    fn check(configuration: &str, now: u64, expected: &str, until: u64) {
        let decision = judge(Some(configuration), "room_1", || now);
        assert_eq!(code(&decision), expected);
        assert_eq!(decision.until, Some(until));
    }

    #[test]
    fn a_night_begins_and_ends_to_the_second() {
        let (begin, end) = (MIDNIGHT + 21 * HOUR, MIDNIGHT + 30 * HOUR);
        check(NIGHT, begin - 1, "", begin);
        check(NIGHT, begin, "quiet_hours", end);
        check(NIGHT, MIDNIGHT + 24 * HOUR, "quiet_hours", end);
        check(NIGHT, end - 1, "quiet_hours", end);
        check(NIGHT, end, "", begin + 24 * HOUR);
    }

    #[test]
    fn a_midday_rest_lies_within_a_day() {
        let rest = r#"{"from":"13:00","to":"15:30","utc_offset_minutes":-330}"#;
        let (begin, end) = (MIDNIGHT + 18 * HOUR + 1_800, MIDNIGHT + 21 * HOUR);
        check(rest, MIDNIGHT, "", begin);
        check(rest, begin, "quiet_hours", end);
        check(rest, end, "", begin + 24 * HOUR);
    }

    /// Whatever the hours: what is said to hold until then does, and not longer.
    #[test]
    fn a_decision_holds_exactly_as_long_as_it_says() {
        for (from, to, offset) in [
            ("00:00", "00:01", 0),
            ("23:59", "00:00", 840),
            ("12:00", "11:59", -840),
            ("06:00", "18:00", 345),
        ] {
            let configuration =
                format!(r#"{{"from":"{from}","to":"{to}","utc_offset_minutes":{offset}}}"#);
            let at = |now| judge(Some(&configuration), "room_1", || now);
            for now in (MIDNIGHT..MIDNIGHT + 48 * HOUR).step_by(599) {
                let until = at(now).until.unwrap();
                assert_eq!(at(now).verdict, at(until - 1).verdict);
                assert_ne!(at(now).verdict, at(until).verdict);
            }
        }
    }

    #[test]
    fn where_no_hours_matter_the_clock_is_not_read() {
        let never = || -> u64 { panic!("read") };
        assert_eq!(judge(None, "room_1", never), always(Verdict::Allow));
        let elsewhere = r#"{"from":"22:00","to":"07:00","rooms":["room_2"]}"#;
        assert_eq!(
            judge(Some(elsewhere), "room_1", never),
            always(Verdict::Allow)
        );
        for wrong in [
            "{}",
            r#"{"from":"22:00","to":"22:00"}"#,
            r#"{"from":"24:00","to":"07:00"}"#,
            r#"{"from":"7:00","to":"22:00"}"#,
            r#"{"from":"+7:00","to":"22:00"}"#,
            r#"{"from":"22:00","to":"07:00","utc_offset_minutes":900}"#,
            r#"{"from":"22:00","to":"07:00","room":[]}"#,
        ] {
            let decision = judge(Some(wrong), "room_1", never);
            assert_eq!(code(&decision), "bad_configuration", "{wrong}");
            assert_eq!(decision.until, None);
        }
    }

    #[test]
    fn the_end_of_time_is_no_end() {
        let decision = judge(Some(NIGHT), "room_1", || u64::MAX);
        assert_eq!(decision.until, Some(u64::MAX));
    }
}
