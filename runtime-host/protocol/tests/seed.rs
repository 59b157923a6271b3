//! The seed's protocol as clients see it: every command, every refusal, every output.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use sschat_protocol::seed::{self, Command, ErrorCode, Format, MAX_DEPTH, parse};

fn refused(text: &str) -> ErrorCode {
    let refused = parse(text).expect_err(text);
    assert!(
        !refused.text.is_empty() && refused.text.len() <= 200,
        "{refused}"
    );
    refused.code
}

fn encode(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before ".to_vec();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("before ").expect("appended").to_owned()
}

fn decoded(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let text = encode(write);
    serde_json::from_str(&text).expect(&text)
}

fn as_text(msg_raw: &str) -> String {
    encode(|out| seed::message_text(out, msg_raw))
}

fn nested(depth: usize) -> String {
    ["[".repeat(depth), "]".repeat(depth)].concat()
}

fn room_command(msg: &str) -> String {
    format!(r#"{{"command":"room","room":"r","msg":{msg}}}"#)
}

#[test]
fn login_takes_a_user_a_token_or_both() {
    let login = |text| match parse(text) {
        Ok(Command::Login { user, token }) => (
            user.map(Cow::into_owned).unwrap_or_default(),
            token.map(Cow::into_owned).unwrap_or_default(),
        ),
        other => panic!("{text}: {other:?}"),
    };
    let pair = |user: &str, token: &str| (user.to_owned(), token.to_owned());
    assert_eq!(
        login(r#"{"command":"login","user":"user_1"}"#),
        pair("user_1", "")
    );
    assert_eq!(
        login(r#"{"token":"a.b.c","command":"login"}"#),
        pair("", "a.b.c")
    );
    let both = r#" { "command" : "login" , "user":"u","token":"t" } "#;
    assert_eq!(login(both), pair("u", "t"));
    assert_eq!(
        login(r#"{"command":"login","user":"u","token":null}"#),
        pair("u", "")
    );
    assert_eq!(refused(r#"{"command":"login"}"#), ErrorCode::BadRequest);
    assert_eq!(
        refused(r#"{"command":"login","user":null}"#),
        ErrorCode::BadRequest
    );
    assert_eq!(
        refused(r#"{"command":"login","user":7}"#),
        ErrorCode::BadRequest
    );
}

#[test]
fn ping_takes_a_user() {
    assert!(matches!(
        parse(r#"{"command":"ping","user":"user_1","more":[1,{}]}"#),
        Ok(Command::Ping {
            user: Cow::Borrowed("user_1")
        })
    ));
    assert_eq!(refused(r#"{"command":"ping"}"#), ErrorCode::BadRequest);
    assert_eq!(
        refused(r#"{"command":"ping","user":["u"]}"#),
        ErrorCode::BadRequest
    );
}

#[test]
fn a_message_keeps_its_bytes_whatever_it_is() {
    for msg in [
        r#""Hello""#,
        "null",
        "true",
        "-1.50E+3",
        "123456789012345678901234567890",
        "{ \"b\" : 1,\n\t\"a\":\t[ ] , \"b\":2 }",
        r#""\u00e9\ud83d\ude00\/""#,
        r#""\ud800""#,
        "[]",
    ] {
        let orders = [
            room_command(msg),
            format!("\n{{ \"msg\" : {msg} , \"room\":\"r\", \"command\":\"room\" }}"),
        ];
        for text in orders {
            let Ok(Command::Room { room, msg: raw }) = parse(&text) else {
                panic!("{text}");
            };
            assert!(matches!(room, Cow::Borrowed("r")));
            assert_eq!(raw.get(), msg);
        }
    }
    assert_eq!(
        refused(r#"{"command":"room","msg":1}"#),
        ErrorCode::BadRequest
    );
    assert_eq!(
        refused(r#"{"command":"room","room":"r"}"#),
        ErrorCode::BadRequest
    );
    assert_eq!(
        refused(r#"{"command":"room","room":null,"msg":1}"#),
        ErrorCode::BadRequest
    );
}

#[test]
fn names_may_be_written_with_escapes() {
    let text = r#"{"\u0063ommand":"r\u006fom","room":"\"\u20ac\n","msg":0}"#;
    let Ok(Command::Room { room, .. }) = parse(text) else {
        panic!("{text}");
    };
    assert_eq!(room, "\"€\n");
}

#[test]
fn what_is_not_json_is_told_from_json_of_another_shape() {
    for text in [
        "",
        " ",
        "hello",
        "{",
        r#"{"command":"login","user":"u"} x"#,
        r#"{"command":"login","user":"u",}"#,
        r#"{command:"login"}"#,
        r#"{"command":5, broken"#,
        r#"{"command":"room","room":"r","msg":}"#,
        r#"{"command":"room","room":"r","msg":01}"#,
        "{\"command\":\"room\",\"room\":\"r\",\"msg\":\"a\nb\"}",
        "{\"command\":\"room\",\"room\":\"r\u{0}\",\"msg\":1}",
        "\u{feff}{}",
    ] {
        assert_eq!(refused(text), ErrorCode::BadJson, "{text}");
    }
    for text in [
        "[]",
        "5",
        "null",
        r#""login""#,
        "{}",
        r#"{"command":5}"#,
        r#"{"command":{"command":"login"}}"#,
        r#"{"Command":"login","user":"u"}"#,
        r#"[{"command":"login","user":"u"}]"#,
    ] {
        assert_eq!(refused(text), ErrorCode::BadRequest, "{text}");
    }
    for command in ["", "logout", "LOGIN", "login "] {
        let text = json!({"command": command, "user": "u"}).to_string();
        assert_eq!(refused(&text), ErrorCode::UnknownCommand, "{text}");
    }
}

#[test]
fn a_field_given_twice_is_refused() {
    for text in [
        r#"{"command":"login","command":"login","user":"u"}"#,
        r#"{"command":"login","user":"u","user":"v"}"#,
        r#"{"command":"login","user":null,"user":"v"}"#,
        r#"{"command":"room","room":"r","msg":1,"msg":2}"#,
        r#"{"command":"room","room":"r","room":"r","msg":2}"#,
    ] {
        assert_eq!(refused(text), ErrorCode::BadRequest, "{text}");
    }
}

#[test]
fn a_refusal_does_not_return_the_message() {
    let long = json!("x".repeat(60_000)).to_string();
    assert_eq!(refused(&long), ErrorCode::BadRequest);
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let deepest = room_command(&nested(MAX_DEPTH));
    assert!(parse(&deepest).is_ok());
    assert!(
        serde_json::from_str::<Value>(&deepest).is_ok(),
        "common parsers can read it"
    );
    assert_eq!(
        refused(&room_command(&nested(MAX_DEPTH + 1))),
        ErrorCode::BadRequest
    );

    let deep = nested(100_000);
    let opening = "[".repeat(100_000);
    let objects = [
        r#"{"a":"#.repeat(100_000),
        "1".to_owned(),
        "}".repeat(100_000),
    ]
    .concat();
    assert_eq!(refused(&room_command(&deep)), ErrorCode::BadRequest);
    assert_eq!(refused(&room_command(&objects)), ErrorCode::BadRequest);
    assert_eq!(refused(&room_command(&opening)), ErrorCode::BadJson);
    assert_eq!(refused(&deep), ErrorCode::BadRequest);
    assert_eq!(refused(&opening), ErrorCode::BadJson);
    assert_eq!(
        refused(&format!(r#"{{"command":{deep}}}"#)),
        ErrorCode::BadRequest
    );

    // In a field that nobody looks at it does no harm.
    let ignored = format!(r#"{{"x":{deep},"command":"ping","user":"u"}}"#);
    assert!(matches!(parse(&ignored), Ok(Command::Ping { .. })));
}

#[test]
fn outputs_are_what_the_specification_shows() {
    let message = encode(|out| seed::message(out, r#"{"a": 1}"#, "user_1", "room_1"));
    let expected = r#"{"type":"message","data":{"a": 1},"from":"user_1","to":"room_1"}"#;
    assert_eq!(message, expected);
    assert_eq!(
        encode(|out| seed::presence(out, true, "user_1")),
        r#"{"type":"presense","data":"online","from":"user_1"}"#
    );
    assert_eq!(
        encode(|out| seed::presence(out, false, "user_1")),
        r#"{"type":"presense","data":"offline","from":"user_1"}"#
    );
    assert_eq!(
        encode(|out| seed::login_ok(out, "user_1", ["room_1", "room_2"])),
        r#"{"type":"login","data":"ok","user":"user_1","rooms":["room_1","room_2"]}"#
    );
    assert_eq!(
        encode(|out| seed::login_ok(out, "user_1", [])),
        r#"{"type":"login","data":"ok","user":"user_1","rooms":[]}"#
    );
    let code = ErrorCode::NotAMember.as_str();
    assert_eq!(
        encode(|out| seed::error(out, code, "not a member of \"x\"")),
        r#"{"type":"error","code":"not_a_member","data":"not a member of \"x\""}"#
    );
}

#[test]
fn text_format_unescapes_strings_and_nothing_else() {
    assert_eq!(as_text(r#""Hello""#), "Hello");
    assert_eq!(as_text(r#""""#), "");
    assert_eq!(
        as_text(r#""a\"b\\c\/d\b\f\n\r\te""#),
        "a\"b\\c/d\u{8}\u{c}\n\r\te"
    );
    assert_eq!(as_text(r#""\u20AC\ud834\udd1e\u0000""#), "€𝄞\u{0}");
    for other in ["null", "1.50", "[\"a\\n\"]", "{ \"a\": \"b\" }", "true"] {
        assert_eq!(as_text(other), other);
    }
}

#[test]
fn half_a_surrogate_pair_becomes_a_replacement_character() {
    assert_eq!(as_text(r#""\ud834""#), "\u{fffd}");
    assert_eq!(as_text(r#""\ud834x""#), "\u{fffd}x");
    assert_eq!(as_text(r#""\udd1e\ud834""#), "\u{fffd}\u{fffd}");
    assert_eq!(as_text(r#""\ud834\n""#), "\u{fffd}\n");
    assert_eq!(as_text(r#""\ud834\u0041""#), "\u{fffd}A");
    assert_eq!(as_text(r#""\ud834\ud834\udd1e""#), "\u{fffd}𝄞");
}

#[test]
fn formats_have_names() {
    assert_eq!(Format::from_name("text"), Some(Format::Text));
    assert_eq!(Format::from_name("json"), Some(Format::Json));
    assert_eq!(Format::from_name("xml"), None);
    assert_eq!(Format::default(), Format::Json);
}

/// Any JSON value, and its text with or without line breaks.
fn any_json() -> impl Strategy<Value = (Value, String)> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    });
    (tree, any::<bool>()).prop_map(|(value, pretty)| {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        (value, text)
    })
}

proptest! {
    #[test]
    fn a_message_arrives_as_it_was_sent(
        (value, msg) in any_json(),
        room in any::<String>(),
        user in any::<String>(),
    ) {
        let sent = format!(r#"{{"command":"room","room":{},"msg":{msg}}}"#, json!(room));
        let Ok(Command::Room { room: parsed, msg: raw }) = parse(&sent) else {
            return Err(TestCaseError::fail(sent));
        };
        prop_assert_eq!(&parsed, &room);
        prop_assert_eq!(raw.get(), &msg);
        prop_assert_eq!(
            decoded(|out| seed::message(out, raw.get(), &user, &parsed)),
            json!({"type": "message", "data": value, "from": user, "to": room})
        );
        let text = match &value {
            Value::String(text) => text,
            _ => &msg,
        };
        prop_assert_eq!(&as_text(raw.get()), text);
    }

    #[test]
    fn strings_survive_every_output(
        user in any::<String>(),
        other in "[\\x00-\\x7f\"\\\\€]{0,20}",
        rooms in prop::collection::vec(any::<String>(), 0..5),
        online in any::<bool>(),
    ) {
        prop_assert_eq!(
            decoded(|out| seed::presence(out, online, &user)),
            json!({"type": "presense", "data": if online { "online" } else { "offline" }, "from": user})
        );
        prop_assert_eq!(
            decoded(|out| seed::login_ok(out, &user, rooms.iter().map(String::as_str))),
            json!({"type": "login", "data": "ok", "user": user, "rooms": rooms})
        );
        prop_assert_eq!(
            decoded(|out| seed::error(out, &user, &other)),
            json!({"type": "error", "code": user, "data": other})
        );
    }

    #[test]
    fn commands_survive_encoding(user in any::<String>(), token in any::<Option<String>>()) {
        let text = json!({"command": "login", "user": user, "token": token}).to_string();
        match parse(&text) {
            Ok(Command::Login { user: Some(u), token: t }) => {
                prop_assert_eq!(&u, &user);
                prop_assert_eq!(t.as_deref(), token.as_deref());
            }
            other => prop_assert!(false, "{:?}", other),
        }
        let text = json!({"command": "ping", "user": user}).to_string();
        match parse(&text) {
            Ok(Command::Ping { user: u }) => prop_assert_eq!(&u, &user),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn nothing_makes_the_parser_or_the_text_format_panic(
        text in any::<String>(),
        near in r#"[{}\[\]",:\\u0-9a-f€ ]{0,40}"#,
    ) {
        for text in [&text, &near] {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            match parse(text) {
                Ok(_) => prop_assert!(is_json),
                Err(refused) => prop_assert_eq!(refused.code == ErrorCode::BadJson, !is_json),
            }
            let _ = parse(&room_command(text));
            as_text(text);
            as_text(&format!("\"{text}\""));
        }
    }
}
