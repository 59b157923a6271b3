//! Tenants' policies: what is in their places, its bounds and what it costs.

mod races;

use super::*;
use crate::kv::Read;
use crate::memory::Counters;
use crate::policy::{self, Chosen, Promoted};
use crate::record::{Component, Role, Rule};
use crate::upload::{CHUNK, COMPONENT_LIMIT, Finished, Progress, Upload};
use crate::{access, key};
use sha2::{Digest, Sha256};

/// What the tests upload: bytes of their own for each number, in some chunks.
fn component(number: usize) -> Vec<u8> {
    let seed = u8::try_from(number).unwrap();
    vec![seed; 1 + number % (3 * CHUNK)]
}

async fn upload(store: &Memory, app: AppId, role: Role, bytes: &[u8]) -> Finished {
    let Some(mut upload) = Upload::begin(store, app, role).await.unwrap() else {
        return Finished::Gone;
    };
    for part in bytes.chunks(3) {
        if upload.write(part).await.unwrap() != Progress::More {
            return if upload.abandon().await.unwrap() {
                Finished::Superseded
            } else {
                Finished::Gone
            };
        }
    }
    upload.finish().await.unwrap()
}

fn placed(store: &Memory, app: AppId, role: Role, bytes: &[u8]) -> Component {
    match block_on(upload(store, app, role, bytes)) {
        Finished::Placed(component) => component,
        other => panic!("{other:?}"),
    }
}

/// The bytes of what is in a place; panics where they are not whole.
fn read(store: &Memory, app: AppId, component: Option<Component>) -> Option<Vec<u8>> {
    let component = component?;
    let mut bytes = Vec::new();
    for chunk in 0..component.chunks {
        let key = key::component_chunk(app, component.upload, chunk);
        bytes.extend(store.peek(&key).expect("a chunk is missing"));
    }
    assert_eq!(bytes.len() as u64, component.size);
    let digest = format!("{:x}", Sha256::digest(&bytes));
    assert_eq!(digest, component.digest.to_string());
    Some(bytes)
}

/// The bytes in both places.
fn contents(store: &Memory, app: AppId) -> [Option<Vec<u8>>; 2] {
    let place = |key: String| {
        let record: Option<crate::record::Place> =
            crate::record::decode_at(&key, store.peek(&key).as_deref()).unwrap();
        read(store, app, record.and_then(|place| place.component))
    };
    [
        place(key::active_policy(app)),
        place(key::candidate_policy(app)),
    ]
}

/// The keys of the tenant's uploads.
fn uploads(store: &Memory, app: AppId) -> Vec<String> {
    let prefixes = ["component/", "upload/"].map(|kind| format!("{app}/policy/{kind}"));
    let mut keys = store.keys();
    keys.retain(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    keys
}

/// Nothing is stored of any upload but what is in a place.
fn exact(store: &Memory, app: AppId) {
    let placed = block_on(access::components(store, app)).unwrap().unwrap();
    let placed = [placed.active, placed.candidate].into_iter().flatten();
    // Each has a note and a claim beside its chunks.
    let parts: u64 = placed.map(|component| component.chunks + 2).sum();
    let keys = uploads(store, app);
    assert_eq!(keys.len() as u64, parts, "{keys:#?}");
}

#[test]
fn the_life_of_a_policy() {
    for counters in [Counters::Bytes, Counters::Text] {
        let store = Memory::new(counters);
        let (app, key) = registered(&store, 1);
        let chosen = || block_on(policy::chosen(&store, app)).unwrap();
        assert_eq!(chosen(), Chosen::default());
        assert_eq!(
            block_on(policy::promote(&store, app)),
            Ok(Promoted::NoCandidate)
        );
        let first = placed(&store, app, Role::Active, &component(6));
        assert_eq!((first.size, first.chunks, first.upload), (7, 2, 1));
        assert_eq!(
            block_on(policy::set_rule(&store, app, Rule::Open)),
            Ok(true)
        );
        let second = placed(&store, app, Role::Candidate, &component(7));
        assert_eq!(chosen().rule, Rule::Open);
        assert_eq!(chosen().components.active, Some(first));
        assert_eq!(chosen().components.candidate, Some(second));
        exact(&store, app);
        assert_eq!(block_on(policy::promote(&store, app)), Ok(Promoted::Done));
        assert_eq!(contents(&store, app), [Some(component(7)), None]);
        exact(&store, app);
        placed(&store, app, Role::Active, &component(8));
        placed(&store, app, Role::Candidate, &component(8));
        assert_eq!(
            contents(&store, app),
            [Some(component(8)), Some(component(8))]
        );
        assert_eq!(block_on(policy::drop_candidate(&store, app)), Ok(true));
        assert_eq!(contents(&store, app), [Some(component(8)), None]);
        exact(&store, app);
        let text = b"{\"limit\":3}".to_vec();
        assert_eq!(
            block_on(policy::set_config(&store, app, text.clone())),
            Ok(true)
        );
        assert_eq!(block_on(policy::config(&store, app)), Ok(Some(text)));
        for _ in 0..2 {
            assert_eq!(block_on(policy::reset(&store, app)), Ok(true));
            assert_eq!(chosen(), Chosen::default());
            assert_eq!(block_on(policy::config(&store, app)), Ok(None));
            exact(&store, app);
        }
        placed(&store, app, Role::Candidate, &component(9));
        assert_eq!(block_on(removal::remove_tenant(&store, &key)), Ok(true));
        sweep(&store);
        let left = store.keys();
        assert_eq!(left, ["index/doomed/free/head", "index/doomed/free/tail"]);
    }
}

#[test]
fn a_component_is_as_large_as_it_may_be_and_no_larger() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let limit = usize::try_from(COMPONENT_LIMIT).unwrap();
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, limit] {
        let stored = placed(&store, app, Role::Active, &vec![1; size]);
        assert_eq!(stored.chunks, size.div_ceil(CHUNK) as u64);
        assert_eq!(contents(&store, app)[0], Some(vec![1; size]));
    }
    let before = contents(&store, app);
    let mut large = block_on(Upload::begin(&store, app, Role::Active))
        .unwrap()
        .unwrap();
    assert_eq!(block_on(large.write(&vec![2; limit])), Ok(Progress::More));
    assert_eq!(block_on(large.write(&[2])), Ok(Progress::TooLarge));
    assert_eq!(block_on(large.abandon()), Ok(true));
    assert_eq!(contents(&store, app), before);
    exact(&store, app);
}

/// Uploads cost what they store, however many came before and whatever stays.
#[test]
fn the_thousandth_candidate_costs_what_the_first_did() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    placed(&store, app, Role::Active, &component(1));
    let mut costs = Vec::new();
    for _ in 0..1_000 {
        let before = store.operations();
        placed(&store, app, Role::Candidate, &component(2));
        costs.push(store.operations() - before);
    }
    assert_eq!(costs[1..].iter().max(), costs[1..].iter().min());
    assert!(costs[999] < 40, "{} operations", costs[999]);
    exact(&store, app);
}

#[test]
fn a_tenant_with_many_uploads_goes_in_bounded_steps() {
    let store = Memory::default();
    let (app, key) = registered(&store, 1);
    for _ in 0..600 {
        // Their makers crashed; each is discarded by the next.
        let begun = block_on(Upload::begin(&store, app, Role::Active)).unwrap();
        drop(begun);
    }
    assert!(uploads(&store, app).len() <= 2);
    assert_eq!(block_on(removal::remove_tenant(&store, &key)), Ok(true));
    let late = block_on(upload(&store, app, Role::Active, b"late"));
    assert_eq!(late, Finished::Gone);
    assert!(block_on(store.get(&key::uploads(app))).unwrap().is_some());
    assert!(sweep(&store) >= 1);
    let late = block_on(upload(&store, app, Role::Active, b"late"));
    assert_eq!(late, Finished::Gone);
    for rule in [Rule::Open, Rule::Members] {
        assert_eq!(block_on(policy::set_rule(&store, app, rule)), Ok(false));
    }
    assert_eq!(block_on(policy::set_config(&store, app, vec![])), Ok(false));
    let left = store.keys();
    assert_eq!(left, ["index/doomed/free/head", "index/doomed/free/tail"]);
}
