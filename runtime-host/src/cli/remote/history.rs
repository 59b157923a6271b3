//! `sschat history`: what was said in a room, as far as it is kept.

use super::client::percent_encoded;
use super::shown::{note, print, print_json, said, table};
use super::{Client, HostArgs};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;

/// `sschat history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The room.
    pub room: String,
    /// The most publications, up to 1,000 [default: 100].
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub limit: Option<u16>,
    /// Only what comes after this offset; before it with --reverse.
    #[arg(long, value_name = "OFFSET")]
    pub since: Option<u64>,
    /// The epoch that --since is of: it is refused where the room began anew.
    #[arg(long, requires = "since")]
    pub epoch: Option<String>,
    /// From the newest to the oldest.
    #[arg(long)]
    pub reverse: bool,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

pub(super) fn run(args: &HistoryArgs) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    let answer = client.call("GET", &path(args))?;
    if args.host.json {
        return print_json(&answer);
    }
    let page = &answer["data"];
    let rows: Vec<Vec<String>> = page["publications"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            let time = it["time"].as_u64().map_or_else(String::new, written);
            vec![
                said(&it["offset"]),
                time,
                said(&it["from"]),
                said(&it["data"]),
            ]
        })
        .collect();
    print(&table(&["OFFSET", "TIME", "FROM", "MESSAGE"], &rows))?;
    tell_rest(page, args);
    Ok(())
}

fn path(args: &HistoryArgs) -> String {
    let mut path = format!("/api/room/{}/history", percent_encoded(&args.room));
    let mut mark = '?';
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(path, "{mark}{name}={}", percent_encoded(&value));
            mark = '&';
        }
    };
    add("limit", args.limit.map(|limit| limit.to_string()));
    add("since", args.since.map(|since| since.to_string()));
    add("epoch", args.epoch.clone());
    add("reverse", args.reverse.then(|| "true".to_owned()));
    path
}

/// Says what a reader of the table would not see: that something is missing, or that there is more.
fn tell_rest(page: &Value, args: &HistoryArgs) {
    if page["complete"] == false {
        note("some of it is not kept any more, or was lost in a crash");
    }
    let last = page["publications"].as_array().and_then(|all| all.last());
    let last = last.and_then(|last| last["offset"].as_u64());
    let (Some(last), Some(top)) = (last, page["offset"].as_u64()) else {
        return;
    };
    if !args.reverse && last < top {
        let epoch = said(&page["epoch"]);
        note(&format!("there is more: --since {last} --epoch {epoch}"));
    }
}

/// A time as RFC 3339 has it, in UTC, from milliseconds since 1970.
fn written(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z")
}

/// The date of a day since 1970 in the Gregorian calendar, which repeats itself every 400 years of 146,097 days. The
/// year is taken to begin in March, so that the leap day is its last.
fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between the March 1st of the year 0 and 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30 and 31 days, over and over: 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(written(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(written(1_709_251_200_001), "2024-03-01T00:00:00.001Z");
        assert_eq!(written(4_107_542_399_000), "2100-02-28T23:59:59.000Z");
        assert_eq!(written(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_asked_for_is_in_the_query() {
        let args = HistoryArgs {
            room: "a/b".to_owned(),
            limit: Some(2),
            since: Some(7),
            epoch: None,
            reverse: true,
            host: HostArgs::default(),
        };
        let wanted = "/api/room/a%2Fb/history?limit=2&since=7&reverse=true";
        assert_eq!(path(&args), wanted);
    }
}
