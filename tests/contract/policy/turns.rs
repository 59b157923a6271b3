//! Tenants take turns, and one that fails again and again is suspended.

use super::threads::all_threads_answer;
use super::{Notes, Shop, World, allows, publish};
use sschat_tests::within;
use sschat_wasm::calls::CallError;
use sschat_wasm::policy::Purpose;
use std::sync::Arc;

/// Calls of one tenant that fail in a row before the next is refused.
const FAILURES: u64 = 5;

#[tokio::test]
async fn a_tenant_that_keeps_failing_is_suspended_and_then_probed() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for turn in 0..FAILURES {
        let ruling = shop.ask("failing", &guest, publish("trap")).await;
        assert!(
            matches!(ruling, Err(CallError::Failed(_))),
            "{turn}: {ruling:?}"
        );
    }
    let ruling = shop.ask("failing", &guest, publish("allow")).await;
    assert!(matches!(ruling, Err(CallError::Suspended(_))), "{ruling:?}");
    let usage = shop.pool.usage("failing").unwrap();
    assert!(usage.suspended);
    assert_eq!((usage.calls, usage.failed), (FAILURES, FAILURES));
    let other = shop.ask("another", &guest, publish("allow")).await;
    assert!(allows(&other), "{other:?}");
    // In a while it may try again, and where that goes well it is as before.
    within("it is probed", async {
        loop {
            match shop.ask("failing", &guest, publish("allow")).await {
                Err(CallError::Suspended(_)) => tokio::task::yield_now().await,
                probed => break assert!(allows(&probed), "{probed:?}"),
            }
        }
    })
    .await;
    let usage = shop.pool.usage("failing").unwrap();
    assert!(!usage.suspended && usage.refused > 0, "{usage:?}");
    for _ in 0..FAILURES {
        let ruling = shop.ask("failing", &guest, publish("trap")).await;
        assert!(matches!(ruling, Err(CallError::Failed(_))), "{ruling:?}");
    }
    all_threads_answer(&shop, &guest).await;
}

/// A candidate runs beside what is in force, and changes nothing of it.
#[tokio::test]
async fn a_candidate_that_keeps_failing_suspends_itself_alone() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for _ in 0..2 * FAILURES {
        let compared = shop.pool.call(
            ("app_1", Purpose::Comparison),
            Arc::clone(&guest),
            publish("trap"),
            "".into(),
            Box::new(Notes::default()),
        );
        let (ruling, _) = within("a comparison ends", compared).await;
        let expected = matches!(ruling, Err(CallError::Failed(_) | CallError::Suspended(_)));
        assert!(expected, "{ruling:?}");
        let ruling = shop.ask("app_1", &guest, publish("allow")).await;
        assert!(allows(&ruling), "{ruling:?}");
    }
    let usage = shop.pool.usage("app_1").unwrap();
    assert_eq!((usage.calls, usage.failed), (2 * FAILURES, 0));
}

/// What waits behind the last failure is answered too, and not called.
#[tokio::test]
async fn what_waits_is_refused_with_the_tenant() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let calls = (0..50).map(|_| shop.ask("failing", &guest, publish("trap")));
    let rulings = within("all are answered", futures::future::join_all(calls)).await;
    let failed = |it: &&Result<_, _>| matches!(it, Err(CallError::Failed(_)));
    let suspended = |it: &&Result<_, _>| matches!(it, Err(CallError::Suspended(_)));
    assert_eq!(rulings.iter().filter(failed).count() as u64, FAILURES);
    assert_eq!(
        rulings.iter().filter(suspended).count() as u64,
        50 - FAILURES
    );
}

/// A tenant has one call under way and a bounded queue; past it calls are refused.
#[tokio::test]
async fn a_queue_has_an_end() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let calls = (0..3_000).map(|_| shop.ask("busy", &guest, publish("allow")));
    let rulings = within("all are answered", futures::future::join_all(calls)).await;
    let allowed = rulings.iter().filter(|it| allows(it)).count();
    let refused = |it: &&Result<_, _>| matches!(it, Err(CallError::Overloaded));
    let refused = rulings.iter().filter(refused).count();
    assert!(allowed >= 2_048, "{allowed}");
    assert_eq!(allowed + refused, 3_000);
}

/// While some tenants' policies loop, another's calls are all made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_loops_keeps_nobody_waiting() {
    const CALLS: usize = 1_000;
    let shop = Arc::new(Shop::open());
    let guest = shop.guest().await;
    // Twice as many as there are threads, each with a queue of endless calls.
    let loops = (0..2 * shop.pool.threads()).map(|number| {
        let (shop, guest) = (Arc::clone(&shop), Arc::clone(&guest));
        tokio::spawn(async move {
            let tenant = format!("endless {number}");
            let calls = (0..40).map(|_| shop.ask(&tenant, &guest, publish("loop")));
            let rulings = futures::future::join_all(calls).await;
            for ruling in &rulings {
                let expected = matches!(ruling, Err(CallError::TimedOut | CallError::Suspended(_)));
                assert!(expected, "{ruling:?}");
            }
            shop.pool.usage(&tenant).unwrap()
        })
    });
    let loops: Vec<_> = loops.collect();
    let world = World::default();
    let calm = (0..CALLS).map(|_| shop.ask_in(&world, "calm", &guest, publish("allow")));
    let answered = within(
        "the calm tenant is answered",
        futures::future::join_all(calm),
    )
    .await;
    for (ruling, _) in &answered {
        assert!(allows(ruling), "{ruling:?}");
    }
    for usage in futures::future::join_all(loops).await {
        let usage = usage.unwrap();
        assert_eq!(usage.timed_out, usage.calls, "{usage:?}");
        assert_eq!(usage.calls, FAILURES, "{usage:?}");
        assert!(usage.suspended);
    }
    let usage = shop.pool.usage("calm").unwrap();
    assert_eq!(
        (usage.calls, usage.failed, usage.refused),
        (CALLS as u64, 0, 0)
    );
    all_threads_answer(&shop, &guest).await;
}
