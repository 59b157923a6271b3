//! Everything that a client can do wrong, and the code that says so.

use std::time::Instant;

use sschat_protocol::centrifuge::{
    Command, Commands, Delta, Format, MAX_COMMANDS, Malformed, Publish, Request, session::Settings,
};

use crate::node::Talk;

/// What a frame gives as the first of a session, and how many commands came before that.
fn malformed(format: Format, frame: &[u8]) -> Option<(usize, Malformed)> {
    let mut commands = Commands::new(format, frame);
    let at = commands.position(|command| command.is_err())?;
    assert!(commands.next().is_none(), "nothing comes after an error");
    let mut again = Commands::new(format, frame).skip(at);
    Some((at, again.next().unwrap().unwrap_err()))
}

fn protobuf(frame: &[u8]) -> Malformed {
    malformed(Format::Protobuf, frame).expect("an error").1
}

#[test]
fn malformed_varints_and_lengths_that_lie() {
    assert_eq!(protobuf(b""), Malformed::Empty);
    assert_eq!(protobuf(&[0x80]), Malformed::Varint);
    assert_eq!(protobuf(&[0xff; 11]), Malformed::Varint);
    assert_eq!(
        protobuf(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]),
        Malformed::Varint
    );
    assert_eq!(protobuf(&[1]), Malformed::Length);
    assert_eq!(
        protobuf(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        Malformed::Length
    );
    // A command of three bytes whose message claims more than the command has.
    assert_eq!(protobuf(&[3, 0x22, 9, 0]), Malformed::Length);
    assert_eq!(protobuf(&[2, 0x08, 0x80]), Malformed::Varint);
    // Field 0, groups, and wire types that are not the field's.
    assert_eq!(protobuf(&[2, 0x00, 0]), Malformed::Tag);
    assert_eq!(protobuf(&[1, 0x23]), Malformed::Tag);
    assert_eq!(protobuf(&[2, 0x20, 1]), Malformed::Tag);
    assert_eq!(protobuf(&[3, 0x0a, 1, 1]), Malformed::Tag);
    // A channel that is not UTF-8.
    assert_eq!(protobuf(&[5, 0x2a, 3, 0x0a, 1, 0xff]), Malformed::Utf8);
    // Fields that nobody knows are skipped, of every type.
    let unknown = [15, 0xa0, 6, 5, 0xa1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 7];
    let command = Commands::new(Format::Protobuf, &unknown)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!((command.id, command.request), (7, Request::Pong));
}

#[test]
fn lines_that_are_no_command() {
    for frame in [
        "",
        "\n",
        "\n\n",
        " ",
        "null",
        "[]",
        "1",
        "\"x\"",
        "{",
        "{}}",
        "{\"id\":1",
        "{\"id\":-1}",
        "{\"id\":1.5}",
        "{\"id\":4294967296}",
        "{\"id\":\"1\"}",
        "{\"id\":1,\"connect\":1}",
        "{\"id\":1,\"connect\":{},\"publish\":{}}",
        "{\"id\":1,\"connect\":{},\"connect\":{}}",
        "{\"id\":1,\"subscribe\":{\"channel\":1}}",
        "{\"id\":1,\"history\":{\"since\":{\"offset\":-1}}}",
        "{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":}}",
        "{\"id\":1,\"publish\":{\"channel\":\"a\",\"data\":{a:1}}}",
        "{\"id\":1,\"connect\":{\"headers\":[]}}",
        "{} {}",
    ] {
        let (at, error) = malformed(Format::Json, frame.as_bytes()).expect(frame);
        assert_eq!((at, error.disconnect().code), (0, 3501), "{frame}");
        assert!(error.to_string().len() < 200);
    }
    let (_, error) = malformed(Format::Json, b"{\"id\":1,\"rpc\":{\"method\":\"\xff\"}}").unwrap();
    assert_eq!(error, Malformed::Utf8);
    // One newline may end the last line, and an empty line in between may not be.
    assert_eq!(malformed(Format::Json, b"{}\n{}\n"), None);
    assert_eq!(
        malformed(Format::Json, b"{}\n\n{}"),
        Some((1, Malformed::Empty))
    );
    assert_eq!(
        malformed(Format::Json, b"{}\n\n"),
        Some((1, Malformed::Empty))
    );
}

#[test]
fn a_megabyte_of_newlines_costs_no_more_than_one() {
    for frame in [
        vec![b'\n'; 1 << 20],
        vec![0; 1 << 20],
        b"{}\n".repeat(1 << 18),
    ] {
        for format in [Format::Json, Format::Protobuf] {
            let started = Instant::now();
            let mut talk = Talk::new(format, Settings::default());
            talk.frame(&frame);
            assert_eq!(talk.code(), Some(3501));
            assert!(talk.said.is_empty());
            assert!(
                started.elapsed().as_millis() < 500,
                "{:?}",
                started.elapsed()
            );
        }
    }
    let many = b"{}\n".repeat(1 << 18);
    let (at, error) = malformed(Format::Json, &many).unwrap();
    assert_eq!((at, error), (MAX_COMMANDS as usize, Malformed::TooMany));
}

#[test]
fn nesting_does_not_reach_the_stacks_end() {
    let deep = |open: &str, close: &str| [open.repeat(200_000), close.repeat(200_000)].concat();
    for request in [
        format!(r#"{{"id":2,"unknown":{}}}"#, deep("[", "]")),
        format!(
            r#"{{"id":2,"publish":{{"channel":"a","unknown":{}}}}}"#,
            deep("{\"a\":", "}")
        ),
        format!(
            r#"{{"id":2,"subscribe":{{"channel":"a","tf":{}}}}}"#,
            deep("{\"nodes\":[", "]}")
        ),
        format!(
            r#"{{"id":2,"publish":{{"channel":"a","data":{}}}}}"#,
            deep("[", "]")
        ),
    ] {
        let mut talk = Talk::connected();
        talk.frame(request.as_bytes());
        assert!(talk.code().is_some() || !talk.said.is_empty());
    }
    let mut filter = Vec::new();
    for _ in 0..2000 {
        let mut outer = vec![0x32];
        let mut length = filter.len();
        while length >= 0x80 {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend_from_slice(&filter);
        filter = outer;
    }
    let mut command = Vec::new();
    for (tag, inner) in [(0x6a, &filter), (0x2a, &Vec::new())] {
        let inner = if command.is_empty() {
            inner.clone()
        } else {
            command.clone()
        };
        command = vec![tag];
        command.extend_from_slice(&[(inner.len() & 0x7f) as u8 | 0x80, (inner.len() >> 7) as u8]);
        command.extend_from_slice(&inner);
    }
    let mut frame = vec![
        (command.len() & 0x7f) as u8 | 0x80,
        (command.len() >> 7) as u8,
    ];
    frame.extend_from_slice(&command);
    assert_eq!(protobuf(&frame), Malformed::Nesting);
}

#[test]
fn lists_and_maps_are_bounded() {
    let many =
        |entry: fn(usize) -> String, count| (0..count).map(entry).collect::<Vec<_>>().join(",");
    let header = |at| format!(r#""h{at}":"v""#);
    let sub = |at| format!(r#""c{at}":{{"offset":1}}"#);
    let connect =
        |name: &str, entries: String| format!(r#"{{"id":1,"connect":{{"{name}":{{{entries}}}}}}}"#);
    for (frame, fine) in [
        (connect("headers", many(header, 64)), true),
        (connect("headers", many(header, 65)), false),
        (connect("subs", many(sub, 10_000)), true),
        (connect("subs", many(sub, 10_001)), false),
    ] {
        assert_eq!(malformed(Format::Json, frame.as_bytes()).is_none(), fine);
        let mut binary = Vec::new();
        if let Some(Ok(command)) = Commands::new(Format::Json, frame.as_bytes()).next() {
            command.encode(Format::Protobuf, &mut binary);
            assert_eq!(malformed(Format::Protobuf, &binary), None);
        }
    }
}

#[test]
fn commands_out_of_order_end_the_session() {
    let ends = |frame: &str| {
        let mut talk = Talk::new(Format::Json, Settings::default());
        talk.frame(frame.as_bytes());
        assert_eq!(talk.code(), Some(3501), "{frame}");
    };
    // Before connect.
    for request in [
        "\"id\":1,\"subscribe\":{\"channel\":\"a\"}",
        "\"id\":1,\"ping\":{}",
        "\"send\":{}",
        "",
        "\"id\":0,\"connect\":{}",
        "\"connect\":{}",
    ] {
        ends(&format!("{{{request}}}"));
    }
    // After it: twice, a pong unasked for, no id, an id again, nothing asked for, and what only makes sense elsewhere.
    for request in [
        "\"id\":2,\"connect\":{}",
        "",
        "\"subscribe\":{\"channel\":\"a\"}",
        "\"id\":1,\"ping\":{}",
        "\"id\":2",
        "\"id\":2,\"subscribe\":{}",
        "\"id\":2,\"publish\":{\"data\":1}",
        "\"id\":2,\"unsubscribe\":{}",
        "\"id\":2,\"presence\":{}",
        "\"id\":2,\"history\":{}",
        "\"id\":2,\"refresh\":{\"token\":\"t\"}",
        "\"id\":2,\"sub_refresh\":{}",
        "\"id\":2,\"subscribe\":{\"channel\":\"a\",\"delta\":\"xdelta\"}",
    ] {
        ends(&format!("{{\"id\":1,\"connect\":{{}}}}\n{{{request}}}"));
    }
    // A refused connect leaves nothing to ask for.
    ends("{\"id\":1,\"connect\":{\"token\":\"expired\"}}\n{\"id\":2,\"ping\":{}}");
}

#[test]
fn ids_may_come_out_of_order_but_not_again() {
    let mut talk = Talk::connected();
    for id in [5, 3, 4, 60, 2, 59] {
        let said = talk.lines(&format!(r#"{{"id":{id},"ping":{{}}}}"#));
        assert_eq!(said.len(), 1, "{id}");
    }
    talk.frame(br#"{"id":59,"ping":{}}"#);
    assert_eq!(talk.code(), Some(3501));
}

#[test]
fn what_is_wrong_with_one_command_leaves_the_session() {
    let mut talk = Talk::connected();
    for (request, code) in [
        (r#""subscribe":{"channel":"closed"}"#, 103),
        (r#""rpc":{}"#, 104),
        (r#""sub_refresh":{"channel":"none","token":"t"}"#, 103),
        (
            r#""history":{"channel":"a","since":{"offset":18446744073709551615}}"#,
            112,
        ),
    ] {
        let id = 10 + code;
        let mut fresh = Talk::connected();
        let said = fresh.lines(&format!(r#"{{"id":{id},{request}}}"#));
        assert!(
            said[0].contains(&format!(r#""error":{{"code":{code},"#)),
            "{said:?}"
        );
        assert_eq!(fresh.code(), None);
    }
    talk.lines(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    assert_eq!(
        talk.lines(r#"{"id":3,"subscribe":{"channel":"a"}}"#),
        [r#"{"id":3,"error":{"code":105,"message":"already subscribed"}}"#]
    );
}

#[test]
fn a_publication_that_is_no_json_is_refused_in_protobuf_too() {
    for (json_only, data, refused) in [
        (true, &b"{\"a\":"[..], true),
        (true, b"\xff", true),
        (true, b"", true),
        (true, b"{\"a\":1}", false),
        (false, b"\xff\n", false),
        (false, b"", true),
    ] {
        let settings = Settings {
            json_only,
            ..Settings::default()
        };
        let mut talk = Talk::new(Format::Protobuf, settings);
        let mut frame = vec![4, 0x08, 1, 0x22, 0];
        let publish = Publish {
            channel: "a".into(),
            data,
            kind: 0,
        };
        let command = Command {
            id: 2,
            request: Request::Publish(publish),
        };
        command.encode(Format::Protobuf, &mut frame);
        talk.frame(&frame);
        let said = String::from_utf8_lossy(&talk.said[0]).contains("bad request");
        assert_eq!((said, talk.code()), (refused, None), "{data:?}");
    }
}

#[test]
fn names_of_deltas_are_known_or_not() {
    let offered = |name: &str| {
        let frame = format!(r#"{{"id":1,"subscribe":{{"channel":"a","delta":"{name}"}}}}"#);
        let command = Commands::new(Format::Json, frame.as_bytes()).next();
        match command.unwrap().unwrap().request {
            Request::Subscribe(subscribe) => subscribe.delta,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(offered(""), Delta::None);
    assert_eq!(offered("fossil"), Delta::Fossil);
    assert_eq!(offered("Fossil"), Delta::Unknown);
}
