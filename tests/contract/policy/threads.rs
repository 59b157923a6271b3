//! The threads of the pool: whatever was called, all of them go on.

use super::{NOW, Shop, allows, denied, publish};
use bytes::Bytes;
use sschat_tests::within;
use sschat_wasm::calls::{Attribute, CallError, ReadError, Reads};
use sschat_wasm::policy::{BUDGET, Loaded};
use std::sync::{Arc, Barrier};

/// Reads that act on the thread of the call, where it begins and where it reads.
struct Acting {
    begins: fn(&Barrier),
    reads: fn(),
    together: Arc<Barrier>,
}

impl Reads for Acting {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        (self.reads)();
        Ok(vec![None; keys.len()])
    }

    fn time(&self) -> u64 {
        (self.begins)(&self.together);
        NOW
    }

    fn note_time(&mut self) {}

    fn payload(&mut self) -> Arc<str> {
        Arc::default()
    }

    fn attribute(&mut self, _: Attribute<'_>) -> Option<String> {
        None
    }
}

/// As many calls at once as the pool has threads: each waits for the others, so that
/// they only end if no thread is missing.
pub(crate) async fn all_threads_answer(shop: &Shop, policy: &Arc<Loaded>) {
    let threads = shop.pool.threads();
    let together = Arc::new(Barrier::new(threads));
    let calls = (0..threads).map(|number| {
        let together = Arc::clone(&together);
        let begins = |together: &Barrier| _ = together.wait();
        let reads = Box::new(Acting {
            begins,
            reads: || (),
            together,
        });
        async move {
            let tenant = format!("calm {number}");
            let (ruling, _) = shop.call(&tenant, policy, publish("allow"), reads).await;
            // What the policy says is not asked here, only that it is not the pool.
            let failed = matches!(ruling, Err(CallError::Overloaded | CallError::Suspended(_)));
            assert!(!failed, "{ruling:?}");
        }
    });
    within(
        "every thread of the pool answers",
        futures::future::join_all(calls),
    )
    .await;
}

/// Whatever breaks below a call, its thread goes on and its tenant's turn comes again.
#[tokio::test]
async fn a_thread_outlives_a_panic() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    for number in 0..2 * shop.pool.threads() {
        let tenant = format!("unlucky {number}");
        let reads = Box::new(Acting {
            begins: |_| panic!("told to fail"),
            reads: || (),
            together: Arc::new(Barrier::new(1)),
        });
        let call = shop.call(&tenant, &guest, publish("allow"), reads);
        let (ruling, _) = within("a call ends", call).await;
        assert!(matches!(ruling, Err(CallError::Failed(_))), "{ruling:?}");
        let again = shop.ask(&tenant, &guest, publish("allow")).await;
        assert!(allows(&again), "{again:?}");
    }
    all_threads_answer(&shop, &guest).await;
}

/// The budget is of processor time: what a call waits for its turn on the processor, or
/// for the store, does not count.
#[tokio::test]
async fn a_call_that_is_kept_waiting_is_not_timed_out() {
    let shop = Shop::open();
    let guest = shop.guest().await;
    let reads = Box::new(Acting {
        begins: |_| (),
        reads: || {
            // Nothing is ever sent: receiving lasts as long as it may.
            let (_open, never) = std::sync::mpsc::channel::<()>();
            assert!(never.recv_timeout(4 * BUDGET).is_err());
        },
        together: Arc::new(Barrier::new(1)),
    });
    let call = shop.call("app_1", &guest, publish("state"), reads);
    let (ruling, _) = within("a call ends", call).await;
    assert_eq!(denied(ruling).reason, "saw nothing");
}
