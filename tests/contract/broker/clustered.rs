//! Hosts on a Redis Cluster: rooms are spread over its primaries, and slots move.

use super::{Host, at, contract};
use sschat::broker::Broker;
use sschat::broker::redis::RedisBroker;
use sschat_tests::Cluster;

const ROOMS: usize = 60;

/// Says one thing in each room, and fails unless the listener hears each, in its place.
async fn converse(
    speaker: &Host<RedisBroker<super::Ear>>,
    listener: &Host<RedisBroker<super::Ear>>,
    offset: u64,
) {
    let mut told = Vec::new();
    for room in 0..ROOMS {
        let said = format!("{offset} in {room}");
        let position = speaker.say(&room.to_string(), &said, None).await;
        assert_eq!(position.offset, offset, "in {room}");
        told.push((said, Some(position)));
    }
    let mut heard = Vec::new();
    for _ in 0..ROOMS {
        heard.push(listener.hears().await);
    }
    told.sort_by(|one, other| one.0.cmp(&other.0));
    heard.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(heard, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster() {
    let cluster = Cluster::start();
    let (a, b) = (at(&cluster.urls()), at(&cluster.urls()));
    contract(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_spread() {
    let cluster = Cluster::start();
    let (a, b) = (at(&cluster.urls()), at(&cluster.nodes[2].url()));
    for room in 0..ROOMS {
        b.enter(&room.to_string()).await;
    }
    let before: Vec<_> = cluster.nodes.iter().map(|it| it.calls("xadd")).collect();
    converse(&a, &b, 1).await;
    for (node, before) in cluster.nodes.iter().zip(before) {
        let taken = node.calls("xadd") - before;
        assert!((5..=35).contains(&taken), "{taken} of {ROOMS}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_and_nothing_is_lost() {
    let cluster = Cluster::start();
    let (a, b) = (at(&cluster.urls()), at(&cluster.urls()));
    for room in 0..ROOMS {
        b.enter(&room.to_string()).await;
    }
    converse(&a, &b, 1).await;
    for (offset, room) in (2..).zip(["7", "8", "9"]) {
        let key = format!("sschat-room/{{t/{room}}}/log");
        let owner = cluster.owner(&key);
        cluster.move_slot(&key, owner, (owner + 1) % 3);
        converse(&a, &b, offset).await;
    }
    // Somebody else talks there, and the listener has no reason of its own to look.
    let (key, c) = ("sschat-room/{t/10}/log", at(&cluster.urls()));
    let owner = cluster.owner(key);
    cluster.move_slot(key, owner, (owner + 1) % 3);
    let position = c.say("10", "moved", None).await;
    assert_eq!(b.hears().await, ("moved".to_owned(), Some(position)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_away_comes_back() {
    let mut cluster = Cluster::start();
    let (a, b) = (at(&cluster.urls()), at(&cluster.urls()));
    for room in 0..ROOMS {
        b.enter(&room.to_string()).await;
    }
    converse(&a, &b, 1).await;
    let owner = cluster.owner("sschat-room/{t/7}/log");
    cluster.nodes[owner].kill();
    let refused = a.saying("7", "lost", None).await.unwrap_err();
    assert!(!refused.is_final(), "{refused}");
    cluster.nodes[owner].restart();
    cluster.agree();
    converse(&a, &b, 2).await;
    assert!(a.broker.keeps_history());
}
