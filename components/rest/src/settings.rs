//! Documents of settings: known fields alone, and what is near to an unknown one.

use crate::refusal::Refusal;
use serde_json::{Map, Value};
use sschat_domain::settings::{History, Limits, RoomSettings, Settings};

/// Refuses an unknown field by naming one that is known.
macro_rules! fields {
    ($($name:literal)*) => {
        const FIELDS: &[(&str, Refusal)] = &[$((
            $name,
            Refusal::BadRequest {
                code: "unknown_setting",
                msg: concat!("there is no such setting; the nearest is ", $name),
            },
        )),*];
    };
}
fields!("limits" "history" "require_token" "channels" "message_size" "queue_size"
    "channel_length" "commands_per_second" "size" "age");

const BAD: Refusal = Refusal::BadRequest {
    code: "bad_settings",
    msg: r#"settings are an object {"limits"?: {…}, "history"?: {"size"?, "age"?}, "require_token"?}"#,
};
const BAD_ROOM: Refusal = Refusal::BadRequest {
    code: "bad_settings",
    msg: r#"a room's settings are an object {"history"?: {"size"?, "age"?}}"#,
};
const BAD_NUMBER: Refusal = Refusal::BadRequest {
    code: "bad_settings",
    msg: "a size or number of the settings is out of its range",
};

/// The least queue, in bytes: below it a burst in a lively room would end its sessions.
const QUEUE: u32 = 64 << 10;

/// What a body says that a tenant chooses.
///
/// # Errors
///
/// Another form, an unknown field, or a number that is none.
pub fn settings(body: &[u8]) -> Result<Settings, Refusal> {
    let document = object(body, &BAD)?;
    known(&document, &["limits", "history", "require_token"])?;
    let none = Map::new();
    let limits = part(&document, "limits", &none, &BAD)?;
    known(
        limits,
        &[
            "channels",
            "message_size",
            "queue_size",
            "channel_length",
            "commands_per_second",
        ],
    )?;
    let require_token = match document.get("require_token") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(wanted)) => Some(*wanted),
        Some(_) => return Err(BAD),
    };
    Ok(Settings {
        limits: Limits {
            channels: number(limits, "channels", 0)?,
            message_size: number(limits, "message_size", 1)?,
            queue_size: number(limits, "queue_size", QUEUE)?,
            channel_length: number(limits, "channel_length", 1)?,
            commands_per_second: number(limits, "commands_per_second", 1)?,
        },
        history: history(part(&document, "history", &none, &BAD)?)?,
        require_token,
    })
}

/// What a body says that a tenant chooses for a room.
///
/// # Errors
///
/// As [`settings`].
pub fn room_settings(body: &[u8]) -> Result<RoomSettings, Refusal> {
    let document = object(body, &BAD_ROOM)?;
    known(&document, &["history"])?;
    let none = Map::new();
    let history = history(part(&document, "history", &none, &BAD_ROOM)?)?;
    Ok(RoomSettings { history })
}

fn history(wanted: &Map<String, Value>) -> Result<History, Refusal> {
    known(wanted, &["size", "age"])?;
    Ok(History {
        size: number(wanted, "size", 0)?,
        age: number(wanted, "age", 0)?,
    })
}

fn object(body: &[u8], bad: &Refusal) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body).map_err(|_| bad.clone())
}

fn part<'a>(
    document: &'a Map<String, Value>,
    name: &str,
    none: &'a Map<String, Value>,
    bad: &Refusal,
) -> Result<&'a Map<String, Value>, Refusal> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(none),
        Some(Value::Object(part)) => Ok(part),
        Some(_) => Err(bad.clone()),
    }
}

fn number(part: &Map<String, Value>, name: &str, least: u32) -> Result<Option<u32>, Refusal> {
    let value = part.get(name).filter(|value| !value.is_null());
    let number = |value: &Value| value.as_u64().and_then(|number| number.try_into().ok());
    match value.map(number) {
        None => Ok(None),
        Some(Some(number)) if number >= least => Ok(Some(number)),
        Some(_) => Err(BAD_NUMBER),
    }
}

/// Refuses the first field that is not known here.
fn known(part: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    let Some(unknown) = part.keys().find(|name| !names.contains(&&***name)) else {
        return Ok(());
    };
    let here = FIELDS.iter().filter(|(name, _)| names.contains(name));
    let nearest = here.min_by_key(|(name, _)| distance(unknown, name));
    Err(nearest.map_or(BAD, |(_, refusal)| refusal.clone()))
}

/// How many letters have to be changed, added or left out to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    // No known name is longer; what is cut off is far away anyhow.
    let one: Vec<char> = one.chars().take(32).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (at, letter) in other.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (index, known) in one.iter().enumerate() {
            let changed = diagonal + usize::from(*known != letter);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[one.len()]
}
