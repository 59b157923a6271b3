//! The fields of every request, once to read and once to write them.

use std::borrow::Cow;

use super::{
    MAX_HEADERS, MAX_SUBS,
    command::{
        Channel, Connect, Delta, History, Publish, Refresh, Request, Resume, Rpc, Send, Since,
        SubRefresh, Subscribe,
    },
    filter::Filter,
    wire::{Entry, Field, Message, Sink, Value},
};

/// The fields of a command.
pub(super) const COMMAND: &[Field] = &[
    (1, "id"),
    (4, "connect"),
    (5, "subscribe"),
    (6, "unsubscribe"),
    (7, "publish"),
    (8, "presence"),
    (9, "presence_stats"),
    (10, "history"),
    (11, "ping"),
    (12, "send"),
    (13, "rpc"),
    (14, "refresh"),
    (15, "sub_refresh"),
];

/// Reads the request in a command's field; `None` for an unknown field or `null`.
pub(super) fn read<'a, V: Value<'a>>(
    number: u32,
    value: V,
) -> Result<Option<Request<'a>>, V::Error> {
    Ok(match number {
        4 => there(value)?.map(|it| Request::Connect(Box::new(it))),
        5 => there(value)?.map(|it| Request::Subscribe(Box::new(it))),
        6 => there(value)?.map(Request::Unsubscribe),
        7 => there(value)?.map(Request::Publish),
        8 => there(value)?.map(Request::Presence),
        9 => there(value)?.map(Request::PresenceStats),
        10 => there(value)?.map(Request::History),
        11 => there(value)?.map(|Empty| Request::Ping),
        12 => there(value)?.map(Request::Send),
        13 => there(value)?.map(Request::Rpc),
        14 => there(value)?.map(Request::Refresh),
        15 => there(value)?.map(Request::SubRefresh),
        _ => {
            value.skip()?;
            None
        }
    })
}

fn there<'a, V: Value<'a>, M: Message<'a> + Default>(value: V) -> Result<Option<M>, V::Error> {
    let mut message = M::default();
    Ok(value.message(&mut message)?.then_some(message))
}

/// Writes the request as a field of a command.
pub(super) fn write(request: &Request<'_>, sink: &mut impl Sink) {
    match request {
        Request::Pong => {}
        Request::Connect(it) => sink.message(COMMAND[1], |sink| connect(it, sink)),
        Request::Subscribe(it) => sink.message(COMMAND[2], |sink| subscribe(it, sink)),
        Request::Unsubscribe(it) => sink.message(COMMAND[3], |sink| channel(it, sink)),
        Request::Publish(it) => sink.message(COMMAND[4], |sink| publish(it, sink)),
        Request::Presence(it) => sink.message(COMMAND[5], |sink| channel(it, sink)),
        Request::PresenceStats(it) => sink.message(COMMAND[6], |sink| channel(it, sink)),
        Request::History(it) => sink.message(COMMAND[7], |sink| history(it, sink)),
        Request::Ping => sink.message(COMMAND[8], |_| {}),
        Request::Send(it) => sink.message(COMMAND[9], |sink| sink.raw((1, "data"), it.data)),
        Request::Rpc(it) => sink.message(COMMAND[10], |sink| {
            sink.raw((1, "data"), it.data);
            sink.text((2, "method"), &it.method);
        }),
        Request::Refresh(it) => sink.message(COMMAND[11], |sink| {
            sink.text((1, "token"), &it.token);
        }),
        Request::SubRefresh(it) => sink.message(COMMAND[12], |sink| {
            sink.text((1, "channel"), &it.channel);
            sink.text((2, "token"), &it.token);
        }),
    }
}

/// A message without fields.
#[derive(Default)]
struct Empty;

/// Implements [`Message`]: a line for each field that is read.
macro_rules! message {
    ($name:ident { $($number:literal $field:literal => $($place:ident).+ = $kind:ident,)* }) => {
        message!($name['a] { $($number $field => $($place).+ = $kind,)* });
    };
    ($name:ident[$life:lifetime] { $($number:literal $field:literal => $($place:ident).+ = $kind:ident,)* }) => {
        impl<$life> Message<$life> for $name<$life> {
            const FIELDS: &'static [Field] = &[$(($number, $field),)*];

            fn set<V: Value<$life>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
                match number {
                    $($number => self.$($place).+ = value.$kind()?,)*
                    _ => value.skip()?,
                }
                Ok(())
            }
        }
    };
}

message!(Channel { 1 "channel" => channel = text, });
message!(Publish {
    1 "channel" => channel = text,
    2 "data" => data = raw,
    3 "type" => kind = int32,
});
message!(Since { 1 "offset" => offset = uint64, 2 "epoch" => epoch = text, });
message!(Send { 1 "data" => data = raw, });
message!(Rpc { 1 "data" => data = raw, 2 "method" => method = text, });
message!(Refresh { 1 "token" => token = text, });
message!(SubRefresh { 1 "channel" => channel = text, 2 "token" => token = text, });

impl<'a> Message<'a> for Empty {
    const FIELDS: &'static [Field] = &[];

    fn set<V: Value<'a>>(&mut self, _: u32, value: V) -> Result<(), V::Error> {
        value.skip()
    }
}

impl<'a> Message<'a> for Connect<'a> {
    const FIELDS: &'static [Field] = &[
        (1, "token"),
        (2, "data"),
        (3, "subs"),
        (4, "name"),
        (5, "version"),
        (6, "headers"),
        (7, "flag"),
    ];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.token = value.text()?,
            2 => self.data = value.raw()?,
            3 => value.entries(&mut self.subs, MAX_SUBS)?,
            4 => self.name = value.text()?,
            5 => self.version = value.text()?,
            6 => value.entries(&mut self.headers, MAX_HEADERS)?,
            7 => self.flag = value.int64()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn connect(it: &Connect<'_>, sink: &mut impl Sink) {
    sink.text((1, "token"), &it.token);
    sink.raw((2, "data"), it.data);
    sink.entries((3, "subs"), &it.subs, |sub| &sub.channel, resume);
    sink.text((4, "name"), &it.name);
    sink.text((5, "version"), &it.version);
    sink.pairs((6, "headers"), &it.headers, |(name, value)| (name, value));
    sink.int((7, "flag"), it.flag);
}

/// An entry of the map `subs`, whose values are subscribe requests.
impl<'a> Message<'a> for Resume<'a> {
    const FIELDS: &'static [Field] = &[];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.channel = value.text()?,
            2 => drop(value.message(&mut Position(self))?),
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl<'a> Entry<'a> for Resume<'a> {
    fn keyed(key: Cow<'a, str>) -> Self {
        Self {
            channel: key,
            ..Self::default()
        }
    }
}

/// A subscribe request of which only the position counts.
struct Position<'r, 'a>(&'r mut Resume<'a>);

impl<'a> Message<'a> for Position<'_, 'a> {
    const FIELDS: &'static [Field] = &[(3, "recover"), (6, "epoch"), (7, "offset"), (12, "delta")];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            3 => self.0.recover = value.flag()?,
            6 => self.0.epoch = value.text()?,
            7 => self.0.offset = value.uint64()?,
            12 => self.0.delta = Delta::named(&value.text()?),
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn resume<S: Sink>(sink: &mut S, it: &Resume<'_>) {
    sink.flag((3, "recover"), it.recover);
    sink.text((6, "epoch"), &it.epoch);
    sink.uint((7, "offset"), it.offset);
    sink.text((12, "delta"), it.delta.name());
}

impl<'a> Message<'a> for Subscribe<'a> {
    const FIELDS: &'static [Field] = &[
        (1, "channel"),
        (2, "token"),
        (3, "recover"),
        (6, "epoch"),
        (7, "offset"),
        (8, "data"),
        (9, "positioned"),
        (10, "recoverable"),
        (11, "join_leave"),
        (12, "delta"),
        (13, "tf"),
        (14, "flag"),
        (15, "type"),
    ];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.channel = value.text()?,
            2 => self.token = value.text()?,
            3 => self.recover = value.flag()?,
            6 => self.epoch = value.text()?,
            7 => self.offset = value.uint64()?,
            8 => self.data = value.raw()?,
            9 => self.positioned = value.flag()?,
            10 => self.recoverable = value.flag()?,
            11 => self.join_leave = value.flag()?,
            12 => self.delta = Delta::named(&value.text()?),
            13 => {
                let mut filter = self.filter.take().unwrap_or_default();
                self.filter = value.message(&mut filter)?.then_some(filter);
            }
            14 => self.flag = value.int64()?,
            15 => self.kind = value.int32()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn subscribe(it: &Subscribe<'_>, sink: &mut impl Sink) {
    sink.text((1, "channel"), &it.channel);
    sink.text((2, "token"), &it.token);
    sink.flag((3, "recover"), it.recover);
    sink.text((6, "epoch"), &it.epoch);
    sink.uint((7, "offset"), it.offset);
    sink.raw((8, "data"), it.data);
    sink.flag((9, "positioned"), it.positioned);
    sink.flag((10, "recoverable"), it.recoverable);
    sink.flag((11, "join_leave"), it.join_leave);
    sink.text((12, "delta"), it.delta.name());
    if let Some(filter) = &it.filter {
        sink.message((13, "tf"), |sink| Filter::write(sink, filter));
    }
    sink.int((14, "flag"), it.flag);
    sink.int((15, "type"), it.kind.into());
}

fn channel(it: &Channel<'_>, sink: &mut impl Sink) {
    sink.text((1, "channel"), &it.channel);
}

fn publish(it: &Publish<'_>, sink: &mut impl Sink) {
    sink.text((1, "channel"), &it.channel);
    sink.raw((2, "data"), it.data);
    sink.int((3, "type"), it.kind.into());
}

impl<'a> Message<'a> for History<'a> {
    const FIELDS: &'static [Field] = &[(1, "channel"), (7, "limit"), (8, "since"), (9, "reverse")];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.channel = value.text()?,
            7 => self.limit = value.int32()?,
            8 => {
                let mut since = self.since.take().unwrap_or_default();
                self.since = value.message(&mut since)?.then_some(since);
            }
            9 => self.reverse = value.flag()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn history(it: &History<'_>, sink: &mut impl Sink) {
    sink.text((1, "channel"), &it.channel);
    sink.int((7, "limit"), it.limit.into());
    if let Some(since) = &it.since {
        sink.message((8, "since"), |sink| {
            sink.uint((1, "offset"), since.offset);
            sink.text((2, "epoch"), &since.epoch);
        });
    }
    sink.flag((9, "reverse"), it.reverse);
}
