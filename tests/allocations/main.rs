//! A remembered decision allocates nothing.
//!
//! A binary of its own, because it counts every allocation of the process.

// A failed expectation is how a test answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sschat::policy::Policy;
use sschat::policy::tenants::Tenants;
use sschat::policy::trace::Occasion;
use sschat_store::sqlite::SqliteStores;
use sschat_tests::host::repository;
use sschat_wasm::authority::{AuthorityPool, Identity, Question};
use sschat_wasm::engine::{EngineSettings, Engines};
use sschat_wasm::policy::{PolicyPool, Workshop};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code, reason = "an allocator is made of unsafe functions")]
// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has nowhere to count.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[tokio::test]
async fn a_remembered_decision_allocates_nothing() {
    assert!(allocations(|| drop(std::hint::black_box(vec![0_u8; 8]))) > 0);
    let folder = tempfile::TempDir::new().unwrap();
    let engines = Engines::new(&EngineSettings {
        cache: Some(folder.path().join("cache")),
        instances: 1,
    });
    let engines = engines.unwrap();
    let path = repository().join("target/wasm32-wasip2/component/sschat_authority.wasm");
    let authority = engines.compile_authority(&path).unwrap();
    let authority = AuthorityPool::new(&engines, &authority, "authority", true).unwrap();
    let stores = SqliteStores::open(folder.path().join("state.db")).unwrap();
    let store = stores.space("default");
    let workshop = Workshop::new(&engines, "none".into(), &[], folder.path().join("cache"));
    let tenants = Tenants::new(PolicyPool::new().unwrap(), workshop, store.clone());
    let policy = Policy::new(authority, tenants, store, 1 << 20);
    let who = Identity {
        tenant: "app_00000000000040008000000000000000".to_owned(),
        user: "user_00000000000040008000000000000000".to_owned(),
    };
    let question = Question::MayPublish(who, "room_00000000000040008000000000000000".to_owned());
    let verdict = policy.decide(question.clone(), &Occasion::default()).await;
    let verdict = verdict.unwrap();
    let hit = || {
        let hit = policy.recall(&question).expect("it is remembered");
        assert!(hit.holds() && !hit.allows());
    };
    hit();
    assert_eq!(allocations(|| (0..1_000).for_each(|_| hit())), 0);
    let held = || assert!(verdict.holds() && !verdict.allows());
    assert_eq!(allocations(|| (0..1_000).for_each(|_| held())), 0);
}
