//! What sessions may ask for, and what they cost.

use sschat_protocol::centrifuge::{
    Commands, Connected, Disconnect, Format, Subscription, Unsubscribed,
    session::{Entry, Session, Settings, Step},
};

use crate::node::Talk;

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 136, "{}", size_of::<Session>());
    let mut talk = Talk::connected();
    assert_eq!(talk.session.heap_size(), 0);
    talk.frame(br#"{"id":2,"subscribe":{"channel":"0123456789"}}"#);
    assert!(
        talk.session.heap_size() <= 4 * 32 + 10,
        "{}",
        talk.session.heap_size()
    );
    talk.frame(br#"{"id":3,"unsubscribe":{"channel":"0123456789"}}"#);
    assert_eq!(talk.session.heap_size(), 0);
}

#[test]
fn channels_are_bounded() {
    let mut talk = Talk::connected();
    for id in 2..130 {
        let said = talk.lines(&format!(
            r#"{{"id":{id},"subscribe":{{"channel":"c{id}"}}}}"#
        ));
        assert!(said[0].contains("subscribe"), "{said:?}");
    }
    assert_eq!(
        talk.lines(r#"{"id":200,"subscribe":{"channel":"more"}}"#),
        [r#"{"id":200,"error":{"code":106,"message":"limit exceeded"}}"#]
    );
    talk.frame(br#"{"id":201,"unsubscribe":{"channel":"c2"}}"#);
    talk.said.clear();
    let said = talk.lines(r#"{"id":202,"subscribe":{"channel":"more"}}"#);
    assert!(said[0].contains("subscribe"), "{said:?}");
    let names: Vec<&str> = talk.session.channels().map(Entry::channel).collect();
    assert!(names.is_sorted() && names.len() == 128);
}

#[test]
fn the_servers_subscriptions_are_bounded_too() {
    let settings = Settings {
        server_channels: 2,
        ..Settings::default()
    };
    let sub = Subscription::default();
    let subs = [("a", sub), ("b", sub), ("c", sub)];
    for count in 0..=3 {
        let mut session = Session::new(Format::Json, 0, &settings, 0);
        let grant = Connected {
            subs: &subs[..count],
            ..Connected::default()
        };
        let granted = session.connected(0, &settings, 1, &grant, &mut Vec::new());
        assert_eq!(granted.is_ok(), count <= 2);
        if count == 2 {
            let more = session.subscribe(0, &settings, "c", &sub, &mut Vec::new());
            assert_eq!(more, Err(Disconnect::CHANNEL_LIMIT));
            let mut out = Vec::new();
            assert!(session.unsubscribe("a", &Unsubscribed::SERVER, &mut out));
            assert!(!session.unsubscribe("a", &Unsubscribed::SERVER, &mut out));
            assert_eq!(
                String::from_utf8(out).unwrap(),
                r#"{"push":{"channel":"a","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#
            );
        }
    }
}

#[test]
fn names_and_payloads_are_bounded() {
    let mut talk = Talk::connected();
    let long = "x".repeat(256);
    for (id, request, code) in [
        (2, format!(r#""subscribe":{{"channel":"{long}"}}"#), 107),
        (
            3,
            format!(r#""publish":{{"channel":"{long}","data":1}}"#),
            107,
        ),
        (
            4,
            format!(
                r#""publish":{{"channel":"a","data":"{}"}}"#,
                "x".repeat(65_535)
            ),
            106,
        ),
        (
            5,
            format!(r#""rpc":{{"method":"m","data":"{}"}}"#, "x".repeat(65_535)),
            106,
        ),
        (
            6,
            format!(
                r#""publish":{{"channel":"a","data":{}{}}}"#,
                "[".repeat(101),
                "]".repeat(101)
            ),
            107,
        ),
        (7, r#""publish":{"channel":"a"}"#.to_owned(), 107),
        (
            8,
            r#""publish":{"channel":"a","data":1,"type":1}"#.to_owned(),
            108,
        ),
        (9, r#""subscribe":{"channel":"a","type":2}"#.to_owned(), 108),
        (
            10,
            r#""subscribe":{"channel":"a","tf":{"cmp":"eq","key":"k"}}"#.to_owned(),
            107,
        ),
    ] {
        let said = talk.lines(&format!(r#"{{"id":{id},{request}}}"#));
        assert!(
            said[0].starts_with(&format!(r#"{{"id":{id},"error":{{"code":{code}"#)),
            "{said:?}"
        );
        assert_eq!(talk.code(), None);
    }
}

#[test]
fn commands_are_paced_and_floods_ended() {
    let settings = Settings {
        commands_per_second: 10,
        burst: 5,
        ..Settings::default()
    };
    let mut talk = Talk::new(Format::Json, settings);
    talk.frame(br#"{"id":1,"connect":{}}"#);
    talk.said.clear();
    let ask = |talk: &mut Talk, id: u32| talk.lines(&format!(r#"{{"id":{id},"ping":{{}}}}"#));
    for id in 2..6 {
        assert_eq!(
            ask(&mut talk, id),
            [format!(r#"{{"id":{id},"ping":{{}}}}"#)]
        );
    }
    let slow = |id| {
        let error = r#""error":{"code":111,"message":"too many requests","temporary":true}"#;
        [format!(r#"{{"id":{id},{error}}}"#)]
    };
    assert_eq!(ask(&mut talk, 6), slow(6));
    talk.now = 100;
    assert_eq!(ask(&mut talk, 7), [r#"{"id":7,"ping":{}}"#]);
    for id in 8..13 {
        assert_eq!(ask(&mut talk, id), slow(id));
    }
    assert!(ask(&mut talk, 13).is_empty());
    assert_eq!(talk.closed, Some(Disconnect::TOO_MANY_REQUESTS));
}

#[test]
fn an_unsubscribe_that_overtakes_its_subscribe_is_answered_after_it() {
    let mut talk = Talk::connected();
    let settings = Settings::default();
    let mut out = Vec::new();
    let frame = br#"{"id":2,"subscribe":{"channel":"a"}}
{"id":3,"unsubscribe":{"channel":"a"}}
{"id":4,"subscribe":{"channel":"a"}}"#;
    let mut acts = Vec::new();
    for command in Commands::new(Format::Json, frame) {
        let command = command.unwrap();
        match talk.session.command(0, &settings, command, &mut out) {
            Step::Act(command) => acts.push(command.id),
            Step::Done => {}
            Step::Close(disconnect) => panic!("{disconnect:?}"),
        }
    }
    assert_eq!(acts, [2]);
    let result = Subscription::default();
    assert!(!talk.session.subscribed(0, &settings, 2, &result, &mut out));
    assert!(!talk.session.subscribed(0, &settings, 2, &result, &mut out));
    assert_eq!(
        String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(),
        [
            r#"{"id":4,"error":{"code":105,"message":"already subscribed"}}"#,
            r#"{"id":2,"subscribe":{}}"#,
            r#"{"id":3,"unsubscribe":{}}"#,
        ]
    );
    assert_eq!(talk.session.channels().len(), 0);
}
