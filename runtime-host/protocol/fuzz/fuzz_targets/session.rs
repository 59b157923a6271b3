//! A session takes any frames and any time without a panic, and says nothing after its end.
//!
//! The first byte is the format; a byte 1 ends a frame, and the byte after it is how many seconds pass.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sschat_protocol::centrifuge::{
    Commands, Connected, Failure, Format, Request, Subscription,
    session::{Due, Session, Settings, Step},
};

fuzz_target!(|input: &[u8]| {
    let settings = Settings::default();
    let Some((first, mut rest)) = input.split_first() else {
        return;
    };
    let format = [Format::Json, Format::Protobuf][usize::from(first & 1)];
    let mut session = Session::new(format, 0, &settings, 7);
    let mut now = 0;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 1).unwrap_or(rest.len());
        let (frame, after) = rest.split_at(end);
        if !hear(&mut session, now, &settings, frame) {
            return;
        }
        now += u64::from(after.get(1).copied().unwrap_or(1)) * 1000;
        rest = after.get(2..).unwrap_or_default();
        let mut out = Vec::new();
        loop {
            match session.tick(now, &settings, &mut out) {
                Due::Nothing => break,
                Due::Unsubscribe(channel) => assert!(session.channel(&channel).is_none()),
                Due::Close(_) => return,
            }
        }
        assert!(session.next_deadline().is_none_or(|deadline| deadline > now));
    }
});

fn hear(session: &mut Session, now: u64, settings: &Settings, frame: &[u8]) -> bool {
    let mut out = Vec::new();
    for command in Commands::new(session.format(), frame) {
        let Ok(command) = command else {
            return false;
        };
        let command = match session.command(now, settings, command, &mut out) {
            Step::Done => continue,
            Step::Close(_) => return false,
            Step::Act(command) => command,
        };
        let id = command.id;
        match command.request {
            Request::Connect(_) => {
                let grant = Connected {
                    expires: true,
                    ttl: 60,
                    ..Connected::default()
                };
                assert!(session.connected(now, settings, id, &grant, &mut out).is_ok());
            }
            Request::Subscribe(it) => {
                let result = Subscription {
                    expires: it.recover,
                    ttl: 10,
                    ..Subscription::default()
                };
                assert!(session.subscribed(now, settings, id, &result, &mut out));
            }
            Request::Unsubscribe(it) => assert!(session.channel(&it.channel).is_none()),
            _ => session.refused(id, &Failure::NOT_AVAILABLE, &mut out),
        }
    }
    true
}
