//! The parts of an event's way that need no host.

use super::event::{self, Event, Kind};
use super::packing::{id, position, told};
use sschat_history::{Epoch, Page, Position, Publication, UNSYNCED_LIMIT};
use std::sync::Arc;

const EPOCH: Epoch = Epoch(0x5f0c);

fn page(offsets: &[u64]) -> Page {
    let publication = |offset: &u64| {
        Arc::new(Publication {
            offset: *offset,
            time: 1_000 + offset,
            payload: event::encode(Kind::Join, &Event::default()),
            from: None,
            by: None,
            tags: None,
        })
    };
    Page {
        publications: offsets.iter().map(publication).collect(),
        top: Position {
            epoch: EPOCH,
            offset: offsets.last().copied().unwrap_or(0),
        },
        complete: true,
    }
}

fn shown(offsets: &[u64], since: u64) -> Vec<(u64, String, u64)> {
    let kind = |object: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(object).unwrap();
        value["kind"].as_str().unwrap().to_owned()
    };
    let told = told(&page(offsets), since);
    let each = told.iter();
    each.map(|it| (it.position.offset, kind(&it.object), it.missing))
        .collect()
}

#[test]
fn a_gap_is_told_where_it_is() {
    let join = |offset| (offset, "join".to_owned(), 0);
    let lost = |offset, missing| (offset, "lost".to_owned(), missing);
    assert_eq!(shown(&[1, 2], 0), [join(1), join(2)]);
    assert_eq!(shown(&[4, 5], 1), [lost(3, 2), join(4), join(5)]);
    let crashed = UNSYNCED_LIMIT + 3;
    assert_eq!(
        shown(&[2, crashed], 1),
        [join(2), lost(crashed - 1, 0), join(crashed)]
    );
    assert_eq!(shown(&[], 7), []);
}

#[test]
fn an_event_is_one_json_object() {
    let event = Event {
        room: Some("r\"\n"),
        user: Some(""),
        client: None,
        place: Some((7, EPOCH)),
        said: Some(r#"{"a":[1]}"#),
    };
    let text = [&b"{"[..], &event::encode(Kind::Published, &event)].concat();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let expected = serde_json::json!({
        "kind": "published", "room": "r\"\n", "offset": 7, "epoch": EPOCH.to_string(),
        "data": {"a": [1]},
    });
    assert_eq!(value, expected);
}

#[test]
fn an_id_has_one_form() {
    let place = Position {
        epoch: EPOCH,
        offset: 42,
    };
    assert_eq!(id(place), "0000000000005f0c-42");
    assert_eq!(position(&id(place)), Some(place));
    for other in [
        "",
        "-",
        "5f0c-42",
        "0000000000005f0c-042",
        "0000000000005F0C-42",
        "0000000000005f0c-+1",
    ] {
        assert_eq!(position(other), None, "{other}");
    }
}
