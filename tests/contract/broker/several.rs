//! Hosts on one Redis that loses connections, its process and its state.

use super::on;
use sschat::broker::Broker;
use sschat_tests::Redis;

/// Cuts every connection of hosts.
fn cut(redis: &Redis) {
    for kind in ["normal", "pubsub"] {
        redis.run(&["CLIENT", "KILL", "TYPE", kind]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_connections_are_cut() {
    let redis = Redis::start();
    let (a, b) = (on(&redis), on(&redis));
    let _a = a.enter("r").await;
    let _b = b.enter("r").await;
    for number in 1..=200_u64 {
        if number % 10 == 0 {
            cut(&redis);
        }
        let host = if number % 2 == 0 { &a } else { &b };
        let position = host.say("r", &number.to_string(), None).await;
        assert_eq!(position.offset, number);
    }
    for number in 1..=200_u64 {
        for host in [&a, &b] {
            let (message, position) = host.hears().await;
            assert_eq!(
                (message, position.unwrap().offset),
                (number.to_string(), number)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_forgot_has_another_epoch() {
    let mut redis = Redis::start();
    let (a, b) = (on(&redis), on(&redis));
    let _b = b.enter("r").await;
    let before = a.say("r", "before", None).await;
    b.hears().await;
    redis.kill();
    redis.restart_empty();
    let after = a.say("r", "after", None).await;
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(b.hears().await, ("after".to_owned(), Some(after)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_has_another_epoch() {
    let redis = Redis::start();
    let (a, b) = (on(&redis), on(&redis));
    let _b = b.enter("r").await;
    for _ in 0..3 {
        a.say("r", "before", None).await;
    }
    let mut before = None;
    for _ in 0..3 {
        before = b.hears().await.1;
    }
    // As after a crash that lost the last one.
    redis.run(&["HSET", "sschat-room/{t/r}/meta", "top", "2"]);
    redis.run(&["XDEL", "sschat-room/{t/r}/log", "3-0"]);
    let after = b.say("r", "after", None).await;
    assert_ne!(before.unwrap().epoch, after.epoch);
    assert_eq!(b.hears().await, ("after".to_owned(), Some(after)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stays_away_refuses() {
    let mut redis = Redis::start();
    let a = on(&redis);
    a.say("r", "1", None).await;
    redis.kill();
    let refused = a.saying("r", "2", None).await.unwrap_err();
    assert!(
        !refused.is_final() && refused.to_string().contains("Redis"),
        "{refused}"
    );
    redis.restart();
    assert_eq!(a.say("r", "3", None).await.offset, 2);
    assert!(a.broker.keeps_history());
}
