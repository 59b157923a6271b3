//! The fields of everything that the server says.

use super::{
    codes::Failure,
    reply::{ClientInfo, Connected, Payload, Publication, Push, Reply, Subscription},
    wire::Sink,
};

pub(super) fn reply<S: Sink>(id: u32, reply: &Reply<'_>, sink: &mut S) {
    sink.uint((1, "id"), id.into());
    match reply {
        Reply::Error(it) => sink.message((2, "error"), |sink| error(it, sink)),
        Reply::Connect(it) => sink.message((5, "connect"), |sink| connected(it, sink)),
        Reply::Subscribe(it) => sink.message((6, "subscribe"), |sink| subscription(sink, it)),
        Reply::Unsubscribe => sink.message((7, "unsubscribe"), |_| {}),
        Reply::Publish(position) => sink.message((8, "publish"), |sink| {
            if let Some((offset, epoch)) = position {
                sink.uint((1001, "offset"), *offset);
                sink.text((1002, "epoch"), epoch);
            }
        }),
        Reply::Presence(clients) => sink.message((9, "presence"), |sink| {
            sink.shown((1, "presence"), "{}", clients.is_empty());
            sink.entries((1, "presence"), clients, |it| it.client, client_info);
        }),
        Reply::PresenceStats { clients, users } => sink.message((10, "presence_stats"), |sink| {
            number((1, "num_clients"), (*clients).into(), sink);
            number((2, "num_users"), (*users).into(), sink);
        }),
        Reply::History {
            publications,
            epoch,
            offset,
        } => sink.message((11, "history"), |sink| {
            sink.shown((1, "publications"), "[]", publications.is_empty());
            sink.messages((1, "publications"), publications, publication);
            sink.shown((2, "epoch"), r#""""#, epoch.is_empty());
            sink.text((2, "epoch"), epoch);
            number((3, "offset"), *offset, sink);
        }),
        Reply::Ping => sink.message((12, "ping"), |_| {}),
        Reply::Rpc(data) => sink.message((13, "rpc"), |sink| sink.raw((1, "data"), data)),
        Reply::Refresh(ttl) => sink.message((14, "refresh"), |sink| lasts((3, 4), *ttl, sink)),
        Reply::SubRefresh(ttl) => {
            sink.message((15, "sub_refresh"), |sink| lasts((1, 2), *ttl, sink));
        }
    }
}

pub(super) fn push<S: Sink>(channel: &str, push: &Push<'_>, sink: &mut S) {
    sink.message((4, "push"), |sink| {
        sink.text((2, "channel"), channel);
        match push {
            Push::Publication(it) => sink.message((4, "pub"), |sink| publication(sink, it)),
            Push::Join(it) => sink.message((5, "join"), |sink| {
                sink.message((1, "info"), |sink| client_info(sink, it));
            }),
            Push::Leave(it) => sink.message((6, "leave"), |sink| {
                sink.message((1, "info"), |sink| client_info(sink, it));
            }),
            Push::Unsubscribe(it) => sink.message((7, "unsubscribe"), |sink| {
                sink.uint((2, "code"), it.code.into());
                sink.text((3, "reason"), &it.reason);
            }),
            Push::Message(data) => {
                sink.message((8, "message"), |sink| sink.raw((1, "data"), data));
            }
            Push::Subscribe(it) => sink.message((9, "subscribe"), |sink| {
                sink.flag((1, "recoverable"), it.recoverable);
                sink.text((4, "epoch"), it.epoch);
                sink.uint((5, "offset"), it.offset);
                sink.flag((6, "positioned"), it.positioned);
                sink.raw((7, "data"), it.data);
            }),
            Push::Disconnect(it) => sink.message((11, "disconnect"), |sink| {
                sink.uint((1, "code"), it.code.into());
                sink.text((2, "reason"), &it.reason);
                sink.flag((3, "reconnect"), !it.is_terminal());
            }),
            Push::Refresh(ttl) => {
                sink.message((12, "refresh"), |sink| lasts((1, 2), *ttl, sink));
            }
        }
    });
}

fn error(it: &Failure, sink: &mut impl Sink) {
    sink.uint((1, "code"), it.code.into());
    sink.text((2, "message"), &it.message);
    sink.flag((3, "temporary"), it.temporary);
}

fn connected(it: &Connected<'_>, sink: &mut impl Sink) {
    sink.text((1, "client"), it.client);
    sink.text((2, "version"), it.version);
    sink.flag((3, "expires"), it.expires);
    sink.uint((4, "ttl"), it.ttl.into());
    sink.raw((5, "data"), it.data);
    sink.entries(
        (6, "subs"),
        it.subs,
        |(channel, _)| channel,
        |sink, (_, it)| subscription(sink, it),
    );
    sink.uint((7, "ping"), it.ping.into());
    sink.flag((8, "pong"), it.pong);
    sink.text((9, "session"), it.session);
    sink.text((10, "node"), it.node);
    sink.int((11, "time"), it.time);
}

fn subscription<S: Sink>(sink: &mut S, it: &Subscription<'_>) {
    sink.flag((1, "expires"), it.expires);
    sink.uint((2, "ttl"), it.ttl.into());
    sink.flag((3, "recoverable"), it.recoverable);
    sink.text((6, "epoch"), it.epoch);
    sink.messages((7, "publications"), it.publications, publication);
    sink.flag((8, "recovered"), it.recovered);
    sink.uint((9, "offset"), it.offset);
    sink.flag((10, "positioned"), it.positioned);
    sink.raw((11, "data"), it.data);
    sink.flag((12, "was_recovering"), it.was_recovering);
    sink.flag((13, "delta"), it.delta);
}

fn publication<S: Sink>(sink: &mut S, it: &Publication<'_>) {
    match it.data {
        Payload::Whole(data) => sink.raw((4, "data"), data),
        Payload::Base(data) | Payload::Delta(data) => sink.quoted((4, "data"), data),
    }
    if let Some(info) = &it.info {
        sink.message((5, "info"), |sink| client_info(sink, info));
    }
    sink.uint((6, "offset"), it.offset);
    sink.pairs((7, "tags"), it.tags, |(name, value)| (name, value));
    sink.flag((8, "delta"), matches!(it.data, Payload::Delta(_)));
    sink.int((9, "time"), it.time);
    sink.text((10, "channel"), it.channel);
}

fn client_info<S: Sink>(sink: &mut S, it: &ClientInfo<'_>) {
    sink.shown((1, "user"), r#""""#, it.user.is_empty());
    sink.text((1, "user"), it.user);
    sink.shown((2, "client"), r#""""#, it.client.is_empty());
    sink.text((2, "client"), it.client);
    sink.raw((3, "conn_info"), it.conn_info);
    sink.raw((4, "chan_info"), it.chan_info);
}

fn lasts((expires, ttl): (u32, u32), seconds: Option<u32>, sink: &mut impl Sink) {
    sink.flag((expires, "expires"), seconds.is_some());
    sink.uint((ttl, "ttl"), seconds.unwrap_or_default().into());
}

/// A number that JSON shows even if it is zero.
fn number(field: (u32, &'static str), value: u64, sink: &mut impl Sink) {
    sink.shown(field, "0", value == 0);
    sink.uint(field, value);
}
