//! Pings, pongs and ends, by the millisecond.

use sschat_protocol::centrifuge::{
    Connected, Disconnect, Format, Subscription,
    session::{Session, Settings},
};

use crate::node::Talk;

#[test]
fn a_connection_has_its_time_to_begin_a_session() {
    let mut talk = Talk::new(Format::Json, Settings::default());
    assert_eq!(talk.session.next_deadline(), Some(15_000));
    talk.wait(14_999);
    assert_eq!(talk.closed, None);
    talk.wait(15_000);
    assert_eq!(talk.closed, Some(Disconnect::STALE));
}

#[test]
fn pings_come_at_their_interval_and_pongs_must_come_in_time() {
    let mut talk = Talk::connected();
    assert_eq!(talk.session.next_deadline(), Some(12_500));
    for ping in 0..4 {
        let at = 12_500 + 25_000 * ping;
        assert_eq!(talk.session.next_deadline(), Some(at));
        talk.wait(at);
        assert_eq!(talk.said.pop().as_deref(), Some(&b"{}"[..]));
        assert_eq!(talk.session.next_deadline(), Some(at + 8_000));
        talk.wait(at + 7_999);
        talk.frame(b"{}");
        assert_eq!(talk.code(), None);
    }
    talk.wait(112_500);
    talk.wait(120_500);
    assert_eq!(talk.closed, Some(Disconnect::NO_PONG));
}

#[test]
fn a_late_tick_pings_once() {
    let mut talk = Talk::connected();
    talk.wait(500_000);
    assert_eq!(talk.said, [b"{}"]);
    assert_eq!(talk.session.next_deadline(), Some(508_000));
}

#[test]
fn first_pings_are_spread() {
    let settings = Settings::default();
    for jitter in [0, 1, 12_499, 12_500, u32::MAX] {
        let mut session = Session::new(Format::Json, 0, &settings, jitter);
        let grant = Connected::default();
        session
            .connected(0, &settings, 1, &grant, &mut Vec::new())
            .unwrap();
        let first = session.next_deadline().unwrap();
        assert!((12_500..25_000).contains(&first), "{first}");
    }
}

#[test]
fn without_pings_and_ends_no_timer_is_set() {
    let settings = Settings {
        ping_every: 0,
        ..Settings::default()
    };
    let mut talk = Talk::new(Format::Json, settings);
    assert_eq!(
        talk.lines(r#"{"id":1,"connect":{}}"#),
        [r#"{"id":1,"connect":{"client":"c1","version":"0.1.0"}}"#]
    );
    assert_eq!(talk.session.next_deadline(), None);
    talk.frame(b"{}");
    assert_eq!(talk.code(), Some(3501), "a pong that nobody asked for");
}

#[test]
fn what_the_server_subscribed_ends_the_session_when_it_ends() {
    let mut talk = Talk::connected();
    let result = Subscription {
        expires: true,
        ttl: 1,
        ..Subscription::default()
    };
    let (settings, mut out) = (Settings::default(), Vec::new());
    let session = &mut talk.session;
    assert_eq!(
        session.subscribe(0, &settings, "r", &result, &mut out),
        Ok(true)
    );
    assert_eq!(
        session.subscribe(0, &settings, "r", &result, &mut out),
        Ok(false)
    );
    assert_eq!(out, br#"{"push":{"channel":"r","subscribe":{}}}"#);
    talk.wait(26_000);
    assert_eq!(talk.closed, Some(Disconnect::SUBSCRIPTION_EXPIRED));
}

#[test]
fn tokens_for_ever_last_a_year() {
    let mut talk = Talk::connected();
    let mut out = Vec::new();
    let settings = talk.settings.clone();
    talk.session.refresh(0, &settings, Some(u32::MAX), &mut out);
    assert_eq!(
        out,
        br#"{"push":{"refresh":{"expires":true,"ttl":31536000}}}"#
    );
    talk.session.refresh(0, &settings, None, &mut out);
    assert!(out.ends_with(b"\n{\"push\":{\"refresh\":{}}}"));
}
