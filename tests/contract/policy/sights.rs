//! What a call can see: every sight is noted, and there are no others.

use super::{NOW, Shop, World, allows, denied, hooks, identity, publish};
use sschat_wasm::policy::Hook;
use std::collections::BTreeMap;

/// A tenant like any other, and one whose records it is not to see.
const TENANT: &str = "app_11111111111141118111111111111111";
const OTHER: &str = "app_00000000000040008000000000000000";

fn only(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

#[tokio::test]
async fn who_looks_at_nothing_is_noted_nothing() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for hook in hooks("allow") {
        let world = World::default();
        let (ruling, seen) = shop.ask_in(&world, TENANT, &guest, hook).await;
        assert!(allows(&ruling), "{ruling:?}");
        assert_eq!(seen, super::Seen::default());
    }
}

#[tokio::test]
async fn every_clock_is_noted_and_tells_one_time() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let now = NOW.to_string();
    for mode in ["clock", "wall-clock", "monotonic", "clock-until"] {
        for hook in hooks(mode) {
            let world = World::default();
            let (ruling, seen) = shop.ask_in(&world, TENANT, &guest, hook.clone()).await;
            assert!(seen.time, "{hook:?}");
            let until = ruling.as_ref().unwrap().until;
            assert_eq!(
                until,
                (mode == "clock-until").then_some(NOW + 2),
                "{hook:?}"
            );
            let reason = denied(ruling).reason;
            assert!(reason.contains(&now), "{hook:?}: {reason}");
        }
    }
}

#[tokio::test]
async fn the_payload_is_noted() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for (payload, allowed) in [("\"yes, please\"", true), ("\"now\"", false)] {
        let world = World {
            payload: payload.into(),
            ..World::default()
        };
        let (ruling, seen) = shop
            .ask_in(&world, TENANT, &guest, publish("payload"))
            .await;
        assert!(seen.payload);
        assert!(!seen.time && seen.attributes.is_empty());
        assert_eq!(allows(&ruling), allowed, "{ruling:?}");
    }
}

#[tokio::test]
async fn the_connection_is_noted() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let known = World {
        address: Some("127.0.0.1".to_owned()),
        headers: only("x-pass", "yes"),
        claims: only("pass", "\"yes\""),
        ..World::default()
    };
    for (mode, noted) in [
        ("header", "Header(\"x-pass\")"),
        ("claim", "Claim(\"pass\")"),
        ("address", "RemoteAddress"),
    ] {
        for hook in hooks(mode) {
            let (ruling, seen) = shop.ask_in(&known, TENANT, &guest, hook.clone()).await;
            assert!(allows(&ruling), "{hook:?}: {ruling:?}");
            assert_eq!(seen.attributes, [noted], "{hook:?}");
            let (ruling, seen) = shop
                .ask_in(&World::default(), TENANT, &guest, hook.clone())
                .await;
            assert_eq!(denied(ruling).reason, "saw nothing", "{hook:?}");
            assert_eq!(seen.attributes, [noted], "{hook:?}: absence is noted too");
        }
    }
}

#[tokio::test]
async fn the_configuration_is_noted_like_a_key() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let key = format!("{TENANT}/policy/config");
    let world = World::default().configured(TENANT, "\"deny\"");
    let (ruling, seen) = shop.ask_in(&world, TENANT, &guest, publish("a room")).await;
    assert_eq!(denied(ruling).code, "denied");
    assert_eq!(seen.keys, [key.as_str()]);
    // That there is none is noted too.
    let (ruling, seen) = shop
        .ask_in(&World::default(), TENANT, &guest, publish("a room"))
        .await;
    assert!(allows(&ruling), "{ruling:?}");
    assert_eq!(seen.keys, [key.as_str()]);
}

#[tokio::test]
async fn keys_are_the_tenants_own_and_noted() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let own = World::default().record(&format!("{TENANT}/flag"), "1");
    let others = World::default()
        .record(&format!("{OTHER}/flag"), "1")
        .record("flag", "1");
    for hook in hooks("state") {
        let (ruling, seen) = shop.ask_in(&own, TENANT, &guest, hook.clone()).await;
        assert!(allows(&ruling), "{hook:?}: {ruling:?}");
        assert!(seen.keys.contains(&format!("{TENANT}/flag")), "{seen:?}");
        let (ruling, seen) = shop.ask_in(&others, TENANT, &guest, hook.clone()).await;
        assert_eq!(denied(ruling).reason, "saw nothing", "{hook:?}");
        assert!(seen.keys.contains(&format!("{TENANT}/flag")), "{seen:?}");
    }
}

#[tokio::test]
async fn no_name_leads_to_another_tenants_keys() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let mut world = World::default();
    for key in [
        "",
        "/",
        "/app",
        "app",
        "app/",
        "*",
        "index/doomed",
        "../index/doomed",
        &format!("{OTHER}/app"),
        &format!("/{OTHER}/app"),
        &format!("../{OTHER}/app"),
        &format!("..//{OTHER}/app"),
    ] {
        world = world.record(key, "not yours");
    }
    let (ruling, seen) = shop.ask_in(&world, TENANT, &guest, publish("probe")).await;
    let reason = denied(ruling).reason;
    assert!(reason.contains("nothing"), "{reason}");
    assert!(!reason.contains("bytes"), "{reason}");
    assert!(seen.keys.len() > 10, "{seen:?}");
    let prefix = format!("{TENANT}/");
    assert!(
        seen.keys.iter().all(|key| key.starts_with(&prefix)),
        "{seen:?}"
    );
}

/// A fresh instance for each call: nothing that was read before is known, unseen.
#[tokio::test]
async fn nothing_is_kept_from_call_to_call() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let with = World::default().record(&format!("{TENANT}/flag"), "1");
    for turn in 0..20 {
        let world = if turn % 2 == 0 {
            &with
        } else {
            &World::default()
        };
        let (ruling, seen) = shop.ask_in(world, TENANT, &guest, publish("static")).await;
        assert_eq!(allows(&ruling), turn % 2 == 0, "turn {turn}: {ruling:?}");
        assert!(seen.keys.contains(&format!("{TENANT}/flag")), "{seen:?}");
        let counted = denied(shop.ask(TENANT, &guest, publish("count")).await);
        assert_eq!(counted.reason, "calls=1");
    }
}

/// No files, arguments or environment, and random numbers that are none.
#[tokio::test]
async fn the_surroundings_are_the_same_in_every_call() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let mut told: Vec<String> = Vec::new();
    for tenant in [TENANT, TENANT, OTHER] {
        for user in ["one", "two"] {
            let hook = Hook::Publish(identity(user), "surroundings".to_owned());
            let (ruling, seen) = shop.ask_in(&World::default(), tenant, &guest, hook).await;
            assert_eq!(seen, super::Seen::default());
            told.push(denied(ruling).reason);
        }
    }
    assert!(told.iter().all(|line| *line == told[0]), "{told:#?}");
    assert!(
        told[0].ends_with("variables=0 arguments=0 folder=true files=false"),
        "{told:#?}"
    );
}
