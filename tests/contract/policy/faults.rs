//! Calls that go wrong in every way a component can: each fails alone, in bounds.

use super::threads::all_threads_answer;
use super::{Shop, World, allows, denied, hooks, publish};
use sschat_wasm::calls::CallError;
use sschat_wasm::policy::Ruling;

/// What a call may come to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Failed,
    TimedOut,
    Limit,
    /// It came back and told of it.
    Back,
    Allowed,
}

fn end_of(ruling: Result<Ruling, CallError>) -> (End, String) {
    match ruling {
        Err(CallError::Failed(reason)) => (End::Failed, reason),
        Err(CallError::TimedOut) => (End::TimedOut, String::new()),
        Err(CallError::Limit(reason)) => (End::Limit, reason),
        Ok(_) if allows(&ruling) => (End::Allowed, String::new()),
        Ok(_) => (End::Back, denied(ruling).reason),
        other => panic!("{other:?}"),
    }
}

/// The modes of the guest that a limit has to end, and what each may come to. Some have
/// two ends, by how fast the machine is.
const FAULTS: &[(&str, &[End], &str)] = &[
    ("trap", &[End::Failed], "unreachable"),
    ("exit", &[End::Failed], "exit"),
    ("loop", &[End::TimedOut], ""),
    // Waiting takes no time, so both are back at once.
    ("sleep", &[End::Back], "woke up"),
    ("wait", &[End::Back], "waited"),
    ("stack", &[End::Failed], "wasm trap"),
    ("memory", &[End::Limit, End::TimedOut], ""),
    // One that lives with what it got may answer.
    ("memory-told", &[End::Back, End::TimedOut], ""),
    ("log-flood", &[End::TimedOut], ""),
    ("log-line", &[End::Back, End::TimedOut], ""),
    ("zeroes", &[End::Failed], "zeroes"),
    ("host-call-flood", &[End::Limit], ""),
    ("empty-call-flood", &[End::Limit], "too often"),
    ("clock-flood", &[End::Limit], "too often"),
    ("payload-flood", &[End::Limit], "too often"),
    ("header-flood", &[End::Limit, End::TimedOut], ""),
    ("big-list", &[End::Failed], "too much data"),
    ("wide-list", &[End::Failed], "too much data"),
    ("big-keys", &[End::Failed], "too much data"),
    ("handle-flood", &[End::Failed], "table"),
    ("poll-list", &[End::Failed], "too much data"),
    ("random", &[End::Failed], "limit"),
    ("stdin", &[End::Back], "read"),
];

#[tokio::test]
async fn a_call_that_goes_wrong_fails_alone() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for &(mode, expected, words) in FAULTS {
        for (number, hook) in hooks(mode).into_iter().enumerate() {
            // A tenant for each, for one that fails too often is suspended.
            let tenant = format!("{mode} {number}");
            let (end, text) = end_of(shop.ask(&tenant, &guest, hook.clone()).await);
            assert!(expected.contains(&end), "{hook:?}: {end:?} {text}");
            if mode == "memory-told" && end == End::Back {
                let held: u32 = text.split(' ').nth(1).unwrap().parse().unwrap();
                assert!((32..64).contains(&held), "{text}");
            }
            if expected.len() == 1 {
                assert!(text.contains(words), "{hook:?}: {text}");
            }
            assert!(text.len() <= 1_024, "{hook:?}: {} bytes", text.len());
        }
        let other = shop.ask("another", &guest, publish("allow")).await;
        assert!(allows(&other), "after {mode}: {other:?}");
    }
    all_threads_answer(&shop, &guest).await;
}

/// Hooks that lie, loop or trap outside of the function that is called.
const TEXTS: &[(&str, [End; 4])] = &[
    ("start-loop", [End::TimedOut; 4]),
    ("start-trap", [End::Failed; 4]),
    ("realloc-loop", [End::TimedOut; 4]),
    ("realloc-beyond", [End::Failed; 4]),
    ("post-return-loop", [End::TimedOut; 4]),
    // For `on-login` the place is beyond, for the lists the length is.
    ("answer-beyond", [End::Failed; 4]),
    (
        "amplify-answer",
        [End::Allowed, End::Failed, End::Failed, End::Failed],
    ),
    (
        "amplify-keys",
        [End::Allowed, End::Allowed, End::Failed, End::Allowed],
    ),
    ("allow", [End::Allowed; 4]),
    ("composed", [End::Allowed; 4]),
];

#[tokio::test]
async fn a_component_that_goes_wrong_around_its_hooks_fails_alone() {
    let shop = Shop::open();
    let calm = shop.text("allow").await;
    for (name, expected) in TEXTS {
        let policy = shop.text(name).await;
        for (hook, expected) in hooks("room").into_iter().zip(expected) {
            let tenant = format!("{name} {hook:?}");
            let (end, text) = end_of(shop.ask(&tenant, &policy, hook).await);
            assert_eq!(end, *expected, "{tenant}: {text}");
            assert!(text.len() <= 1_024, "{tenant}: {} bytes", text.len());
        }
        let other = shop.ask("another", &calm, publish("room")).await;
        assert!(allows(&other), "after {name}: {other:?}");
    }
    all_threads_answer(&shop, &calm).await;
}

/// A table that is refused to grow is the component's to live with; what it grew to is
/// counted like memory.
#[tokio::test]
async fn tables_end_at_the_limit() {
    let shop = Shop::open();
    let policy = shop.text("table-grow").await;
    for hook in hooks("room") {
        let ruling = shop.ask("app_1", &policy, hook).await;
        assert!(allows(&ruling), "{ruling:?}");
    }
    all_threads_answer(&shop, &policy).await;
}

/// All that a component holds for its own resources is the host's memory.
#[tokio::test]
async fn handles_of_its_own_are_bounded() {
    let shop = Shop::open();
    let policy = shop.text("own-handles").await;
    let (end, text) = end_of(shop.ask("app_1", &policy, publish("room")).await);
    assert_eq!(end, End::Failed, "{text}");
    assert!(text.contains("handle limit"), "{text}");
    all_threads_answer(&shop, &policy).await;
}

/// Names of functions stand in the trace of a trap.
#[tokio::test]
async fn the_text_of_an_error_is_short_and_plain() {
    let shop = Shop::open();
    let policy = shop.load(sschat_guest_policies::bombs::names()).await;
    let ruling = shop.ask("app_1", &policy.unwrap(), publish("room")).await;
    let Err(CallError::Failed(text)) = ruling else {
        panic!("{ruling:?}")
    };
    assert!(text.contains("xxxx"), "{text}");
    assert!(text.len() <= 1_024, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// What the component makes of a store that fails is not its verdict, and not its fault.
#[tokio::test]
async fn a_store_that_fails_is_told_apart() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let world = World {
        store_fails: true,
        ..World::default()
    };
    for _ in 0..20 {
        let (ruling, _) = shop.ask_in(&world, "app_1", &guest, publish("probe")).await;
        assert!(matches!(ruling, Err(CallError::Store(_))), "{ruling:?}");
    }
    let ruling = shop.ask("app_1", &guest, publish("allow")).await;
    assert!(allows(&ruling), "{ruling:?}");
}

#[tokio::test]
async fn answers_have_bounds() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for mode in ["long-answer", "big-rewrite"] {
        let (end, text) = end_of(shop.ask(mode, &guest, publish(mode)).await);
        assert_eq!(end, End::Failed, "{mode}: {text}");
        assert!(text.contains("too much data"), "{mode}: {text}");
    }
    for mode in ["few", "many"] {
        for hook in [hooks(mode)[1].clone(), hooks(mode)[3].clone()] {
            let (end, text) = end_of(shop.ask(mode, &guest, hook.clone()).await);
            // A million decisions need more memory than there is, or time.
            assert_ne!(end, End::Allowed, "{hook:?}: {text}");
            assert_ne!(end, End::Back, "{hook:?}: {text}");
        }
    }
    let (end, text) = end_of(shop.ask("odd", &guest, publish("odd-code")).await);
    assert_eq!(end, End::Failed, "{text}");
}
