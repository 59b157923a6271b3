//! What is true of every input.

use std::borrow::Cow;

use proptest::prelude::*;
use sschat_protocol::centrifuge::{
    Channel, Command, Commands, Connect, Delta, Filter, Format, History, Publish, Refresh, Request,
    Resume, Rpc, Send, Since, SubRefresh, Subscribe, session::Settings,
};

use crate::node::Talk;

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    "[a-z\"\\\\\n\u{1}äß𝄞]{0,12}".prop_map(Cow::Owned)
}

fn payload() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b""[..],
        b"null",
        b"1",
        br#""text\n""#,
        br#"{"a":[1,{"b":null}],"c":"\u00e4"}"#,
        b"[[[]]]",
    ])
}

fn delta() -> impl Strategy<Value = Delta> {
    prop::sample::select(vec![Delta::None, Delta::Fossil, Delta::Unknown])
}

fn filter() -> impl Strategy<Value = Filter<'static>> {
    let leaf = (text(), text(), text(), prop::collection::vec(text(), 0..3)).prop_map(
        |(key, cmp, val, vals)| Filter {
            key,
            cmp,
            val,
            vals,
            ..Filter::default()
        },
    );
    leaf.prop_recursive(3, 12, 3, |inner| {
        (text(), prop::collection::vec(inner, 0..3)).prop_map(|(op, nodes)| Filter {
            op,
            nodes,
            ..Filter::default()
        })
    })
}

fn connect() -> impl Strategy<Value = Request<'static>> {
    let resume = (text(), any::<bool>(), text(), any::<u64>(), delta()).prop_map(
        |(channel, recover, epoch, offset, delta)| Resume {
            channel,
            recover,
            epoch,
            offset,
            delta,
        },
    );
    let subs = prop::collection::vec(resume, 0..4);
    let headers = prop::collection::vec((text(), text()), 0..4);
    (
        text(),
        payload(),
        subs,
        text(),
        text(),
        headers,
        any::<i64>(),
    )
        .prop_map(|(token, data, subs, name, version, headers, flag)| {
            Request::Connect(Box::new(Connect {
                token,
                data,
                subs,
                name,
                version,
                headers,
                flag,
            }))
        })
}

fn subscribe() -> impl Strategy<Value = Request<'static>> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let position = (text(), any::<u64>(), delta());
    let numbers = (any::<i64>(), any::<i32>());
    let filter = prop::option::of(filter());
    (text(), text(), payload(), flags, position, numbers, filter).prop_map(
        |(channel, token, data, flags, (epoch, offset, delta), (flag, kind), filter)| {
            let (recover, positioned, recoverable, join_leave) = flags;
            Request::Subscribe(Box::new(Subscribe {
                channel,
                token,
                recover,
                epoch,
                offset,
                data,
                positioned,
                recoverable,
                join_leave,
                delta,
                filter,
                flag,
                kind,
            }))
        },
    )
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let channel = || text().prop_map(|channel| Channel { channel });
    let since = prop::option::of(
        (any::<u64>(), text()).prop_map(|(offset, epoch)| Since { offset, epoch }),
    );
    prop_oneof![
        Just(Request::Pong),
        Just(Request::Ping),
        connect(),
        subscribe(),
        channel().prop_map(Request::Unsubscribe),
        channel().prop_map(Request::Presence),
        channel().prop_map(Request::PresenceStats),
        (text(), payload(), any::<i32>()).prop_map(|(channel, data, kind)| Request::Publish(
            Publish {
                channel,
                data,
                kind
            }
        )),
        (text(), any::<i32>(), since, any::<bool>()).prop_map(
            |(channel, limit, since, reverse)| Request::History(History {
                channel,
                limit,
                since,
                reverse
            })
        ),
        (payload(), text()).prop_map(|(data, method)| Request::Rpc(Rpc { data, method })),
        payload().prop_map(|data| Request::Send(Send { data })),
        text().prop_map(|token| Request::Refresh(Refresh { token })),
        (text(), text())
            .prop_map(|(channel, token)| Request::SubRefresh(SubRefresh { channel, token })),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command<'static>>> {
    let command = (0_u32..40, request()).prop_map(|(id, request)| Command { id, request });
    prop::collection::vec(command, 1..8)
}

fn encoded(format: Format, commands: &[Command<'_>]) -> Vec<u8> {
    let mut frame = Vec::new();
    for command in commands {
        command.encode(format, &mut frame);
    }
    frame
}

/// Bytes that are nearly a frame.
fn spoilt() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(&FORMATS[..]), commands(), edits).prop_map(|(format, commands, edits)| {
        let mut frame = encoded(format, &commands);
        for (at, byte) in edits {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        (format, frame)
    })
}

/// Hears a frame and says how much of it was read in how many steps.
fn read(format: Format, frame: &[u8]) {
    let mut commands = Commands::new(format, frame);
    let mut rest = frame.len();
    while let Some(command) = commands.next() {
        let left = commands.rest().len();
        assert!(left < rest || frame.is_empty() || command.is_err());
        rest = left;
        if let Err(malformed) = command {
            assert_eq!(malformed.disconnect().code, 3501);
            assert!(malformed.to_string().len() < 200);
        }
    }
    assert_eq!(rest, 0);
}

proptest! {
    #[test]
    fn what_was_written_is_read_in_both_formats(commands in commands()) {
        for format in FORMATS {
            let frame = encoded(format, &commands);
            let read: Result<Vec<_>, _> = Commands::new(format, &frame).collect();
            prop_assert_eq!(read.as_ref(), Ok(&commands), "{:?}", frame);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in FORMATS {
            read(format, &frame);
        }
    }

    #[test]
    fn spoilt_frames_are_read_or_refused((format, frame) in spoilt()) {
        read(format, &frame);
    }

    #[test]
    fn what_is_refused_in_one_frame_is_refused_in_many(commands in commands(), cut in 0_usize..8) {
        for format in FORMATS {
            let whole = encoded(format, &commands);
            let (first, second) = commands.split_at(cut.min(commands.len()));
            let mut read = Vec::new();
            for part in [encoded(format, first), encoded(format, second)] {
                if !part.is_empty() {
                    let mut commands = Commands::new(format, &part);
                    read.extend(commands.by_ref().map(|command| format!("{command:?}")));
                }
            }
            let expected: Vec<String> =
                Commands::new(format, &whole).map(|command| format!("{command:?}")).collect();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn sessions_do_not_depend_on_frames_or_formats(
        commands in commands(),
        connected in any::<bool>(),
    ) {
        let mut commands = commands;
        if connected {
            let connect = Request::Connect(Box::default());
            commands.insert(0, Command { id: 41, request: connect });
        }
        let mut codes = Vec::new();
        let mut replies = Vec::new();
        for format in FORMATS {
            let mut batched = Talk::new(format, Settings::default());
            batched.frame(&encoded(format, &commands));
            let mut single = Talk::new(format, Settings::default());
            for command in &commands {
                if single.closed.is_none() {
                    single.frame(&encoded(format, std::slice::from_ref(command)));
                }
            }
            prop_assert_eq!(&batched.closed, &single.closed);
            let separator = if format == Format::Json { &b"\n"[..] } else { b"" };
            prop_assert_eq!(batched.said.concat(), single.said.join(separator));
            codes.push(single.code());
            replies.push(single.said.len());
            let names = single.session.channels().map(|it| it.channel().to_owned());
            prop_assert!(names.collect::<Vec<_>>().is_sorted());
        }
        prop_assert_eq!(codes[0], codes[1]);
        prop_assert_eq!(replies[0], replies[1]);
    }

    #[test]
    fn memory_follows_the_frame((format, frame) in spoilt()) {
        let mut talk = Talk::new(format, Settings::default());
        talk.frame(&frame);
        prop_assert!(talk.session.heap_size() <= 4 * 48 + 64 * frame.len());
        prop_assert!(talk.said.iter().map(Vec::len).sum::<usize>() <= 2000 + 60 * frame.len());
    }
}
