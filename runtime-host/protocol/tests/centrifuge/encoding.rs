//! What the server says, byte by byte.

use sschat_protocol::centrifuge::{
    ClientInfo, Disconnect, Failure, Filter, Format, Payload, Publication, Push, Reply, is_json,
    push_ping,
};

fn json(write: impl Fn(Format, &mut Vec<u8>)) -> String {
    let mut out = b"before ".to_vec();
    write(Format::Json, &mut out);
    String::from_utf8(out).unwrap().split_off(7)
}

fn protobuf(write: impl Fn(Format, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    write(Format::Protobuf, &mut out);
    out.split_off(7)
}

#[test]
fn pings_are_empty() {
    assert_eq!(json(push_ping), "{}");
    assert_eq!(protobuf(push_ping), [0]);
}

#[test]
fn a_line_break_never_leaves_inside_a_reply() {
    let publication = Publication {
        data: Payload::Whole(b"{\"a\":\r\n [1,\n2]}"),
        ..Publication::default()
    };
    let push = Push::Publication(&publication);
    assert_eq!(
        json(|format, out| push.encode(format, "a\nb\u{2028}", out)),
        "{\"push\":{\"channel\":\"a\\nb\u{2028}\",\"pub\":{\"data\":{\"a\": [1,2]}}}}"
    );
    let binary = protobuf(|format, out| push.encode(format, "c", out));
    let expected = b"\x18\x22\x16\x12\x01c\x22\x11\x22\x0f{\"a\":\r\n [1,\n2]}";
    assert_eq!(binary, expected, "data is as it was");
}

#[test]
fn deltas_are_strings_in_json() {
    let push = |data| {
        let publication = Publication {
            data,
            offset: 7,
            ..Publication::default()
        };
        json(|format, out| Push::Publication(&publication).encode(format, "", out))
    };
    assert_eq!(
        push(Payload::Base(br#"{"a":1}"#)),
        r#"{"push":{"pub":{"data":"{\"a\":1}","offset":7}}}"#
    );
    assert_eq!(
        push(Payload::Delta("5\n2:\"ä".as_bytes())),
        "{\"push\":{\"pub\":{\"data\":\"5\\n2:\\\"ä\",\"offset\":7,\"delta\":true}}}"
    );
}

#[test]
fn long_messages_have_long_lengths() {
    for size in [
        0, 1, 100, 118, 119, 120, 121, 122, 127, 128, 16_370, 16_384, 2_097_152,
    ] {
        let data = vec![b'1'; size];
        let reply = Reply::Rpc(&data);
        let binary = protobuf(|format, out| reply.encode(format, 1, out));
        let mut rest = &binary[..];
        let mut varint = || {
            let mut value = 0_usize;
            for shift in (0..).step_by(7) {
                let byte = usize::from(rest[0]);
                rest = &rest[1..];
                value |= (byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            (value, rest.len())
        };
        let (length, left) = varint();
        assert_eq!(length, left, "{size}");
        assert_eq!([varint().0, varint().0, varint().0], [0x08, 1, 0x6a]);
        let (length, left) = varint();
        assert_eq!(length, left, "{size}");
        if size > 0 {
            assert_eq!(varint().0, 0x0a);
            assert_eq!(varint(), (size, size));
        }
    }
}

#[test]
fn zeros_that_sdks_look_at_are_shown() {
    let reply = |reply: Reply<'_>| json(|format, out| reply.encode(format, 1, out));
    assert_eq!(
        reply(Reply::Presence(&[])),
        r#"{"id":1,"presence":{"presence":{}}}"#
    );
    assert_eq!(
        reply(Reply::PresenceStats {
            clients: 0,
            users: 0
        }),
        r#"{"id":1,"presence_stats":{"num_clients":0,"num_users":0}}"#
    );
    assert_eq!(
        reply(Reply::History {
            publications: &[],
            epoch: "",
            offset: 0
        }),
        r#"{"id":1,"history":{"publications":[],"epoch":"","offset":0}}"#
    );
    assert_eq!(
        json(|format, out| Push::Join(&ClientInfo::default()).encode(format, "c", out)),
        r#"{"push":{"channel":"c","join":{"info":{"user":"","client":""}}}}"#
    );
    let failure = Failure::INTERNAL;
    assert_eq!(
        reply(Reply::Error(&failure)),
        r#"{"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}"#
    );
}

#[test]
fn a_disconnect_says_whether_to_come_back() {
    let push = |it: &Disconnect| json(|format, out| Push::Disconnect(it).encode(format, "", out));
    assert_eq!(
        push(&Disconnect::SHUTDOWN),
        r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown","reconnect":true}}}"#
    );
    assert_eq!(
        push(&Disconnect::REVOKED),
        r#"{"push":{"disconnect":{"code":4501,"reason":"revoked"}}}"#
    );
}

#[test]
fn what_may_be_passed_on_as_json() {
    let nested = |depth| [vec![b'['; depth], vec![b']'; depth]].concat();
    for good in [
        &b"1"[..],
        b"null",
        b" {\"a\":[]}\n",
        b"\"\xc3\xa4\"",
        &nested(100),
    ] {
        assert!(is_json(good), "{good:?}");
    }
    for bad in [
        &b""[..],
        b"{",
        b"1 2",
        b"\xff",
        b"\"\xff\"",
        b"{a:1}",
        &nested(101),
    ] {
        assert!(!is_json(bad), "{bad:?}");
    }
}

#[test]
fn filters_match_tags() {
    let leaf = |cmp: &'static str, val: &'static str| Filter {
        key: "k".into(),
        cmp: cmp.into(),
        val: val.into(),
        ..Filter::default()
    };
    let tags = |value| [("other", "1"), ("k", value)];
    for (cmp, val, value, expected) in [
        ("eq", "a", "a", true),
        ("eq", "a", "b", false),
        ("neq", "a", "b", true),
        ("sw", "a", "ab", true),
        ("ew", "a", "ab", false),
        ("ct", "b", "abc", true),
        ("lt", "10", "9", true),
        ("gte", "10", "9", false),
        ("gt", "1.5", "1.75", true),
        ("lte", "1", "x", false),
    ] {
        let filter = leaf(cmp, val);
        assert!(filter.check());
        assert_eq!(
            filter.matches(&tags(value)),
            expected,
            "{cmp} {val} {value}"
        );
        let not = Filter {
            op: "not".into(),
            nodes: vec![filter],
            ..Filter::default()
        };
        assert!(not.check());
        assert_eq!(not.matches(&tags(value)), !expected);
    }
    assert!(leaf("nex", "").matches(&[]) && !leaf("ex", "").matches(&[]));
    assert!(!leaf("eq", "").check() && !leaf("like", "x").check() && !leaf("in", "x").check());
    let both = Filter {
        op: "and".into(),
        nodes: vec![leaf("sw", "a"), leaf("ew", "z")],
        ..Filter::default()
    };
    assert!(both.matches(&tags("a to z")) && !both.matches(&tags("a to y")));
    assert_eq!(both.clone().into_owned(), both);
    let any_of = |number| Filter {
        op: "or".into(),
        nodes: vec![leaf("eq", "x"); number],
        ..Filter::default()
    };
    assert!(any_of(63).check() && !any_of(64).check());
}
