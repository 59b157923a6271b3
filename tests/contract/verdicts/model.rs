//! Random histories of two tenants: after every step the verdicts, and what sessions are
//! granted, are what one who remembers nothing says.

use super::steps::{Ids, Step, Town, connection, step};
use super::{Court, Granted, bare};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use sschat::policy::Undecided;
use sschat::policy::answer::Answer;
use sschat::policy::trace::Occasion;
use sschat_store::Store;
use sschat_wasm::authority::{Caller, Credential, Question};
use sschat_wasm::calls::{Attribute, ReadError, Reads};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// How many histories, and how long they are.
const HISTORIES: u32 = 24;
const LENGTH: usize = 25;

/// The authority, asked in an instance that it keeps and in one for each call.
struct Callers {
    reused: Caller,
    fresh: Caller,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verdicts_are_what_a_model_without_memory_says() {
    let court = Court::open();
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        cases: HISTORIES,
        failure_persistence: None,
        ..Config::default()
    };
    let ids = Ids::default();
    let callers = std::cell::RefCell::new(Callers {
        reused: court.authorities.0.caller(true),
        fresh: court.authorities.0.caller(false),
    });
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&vec(step(), 1..LENGTH), |steps| {
            let mut callers = callers.borrow_mut();
            runtime.block_on(live(&court, &mut callers, &steps, &ids));
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let recalled = court.policy.counters.recalled.load(Ordering::Relaxed);
    let computed = court.policy.counters.computed.load(Ordering::Relaxed);
    assert!(
        recalled > computed / 4,
        "{recalled} recalled, {computed} computed"
    );
    let recalled = court.model.counters.recalled.load(Ordering::Relaxed);
    assert_eq!(recalled, 0, "the model has no memory");
}

/// Two new tenants live through the steps.
async fn live(court: &Court, callers: &mut Callers, steps: &[(usize, Step)], ids: &Ids) {
    let mut towns = [Town::found(court, ids).await, Town::found(court, ids).await];
    let mut watchers = Vec::new();
    for user in towns.iter().flat_map(|town| town.users) {
        let watcher = ids.next();
        court
            .let_in(watcher, bare(user), connection())
            .await
            .unwrap();
        watchers.push(watcher);
    }
    agree(court, &towns, "at first").await;
    for (at, (number, step)) in steps.iter().enumerate() {
        let told = format!("step {at} of {steps:#?}");
        towns[*number].take(court, step, ids).await;
        agree(court, &towns, &told).await;
        asked_twice(court, callers, &towns[*number], &told);
        let users = towns.iter().flat_map(|town| town.users);
        for (watcher, user) in watchers.iter_mut().zip(users) {
            if let Step::CreateUser(_) = step {
                // The name may stand for another user now, who logs in where possible.
                court.let_out(*watcher);
                *watcher = ids.next();
                drop(court.let_in(*watcher, bare(user), connection()).await);
            }
            let Ok(expected) = expected(court, &bare(user)).await else {
                // Nobody can say, and who was let in before waits.
                assert!(!court.is_granted(*watcher), "{user}: {told}");
                continue;
            };
            if !court.is_begun(*watcher) {
                court
                    .let_in(*watcher, bare(user), connection())
                    .await
                    .unwrap();
            }
            assert_eq!(court.granted(*watcher).await, expected, "{user}: {told}");
        }
    }
    for watcher in watchers {
        court.let_out(watcher);
    }
}

/// Both say the same to every question.
async fn agree(court: &Court, towns: &[Town; 2], told: &str) {
    for (town, other) in [(&towns[0], &towns[1]), (&towns[1], &towns[0])] {
        for (question, occasion) in town.questions(other) {
            let kept = court.policy.decide(question.clone(), &occasion).await;
            let anew = court.model.decide(question.clone(), &occasion).await;
            let kept = kept.map(|verdict| verdict.answer().cloned().unwrap());
            let anew = anew.map(|verdict| verdict.answer().cloned().unwrap());
            match (kept, anew) {
                (Ok(kept), Ok(anew)) => assert_eq!(kept, anew, "{question:?} {occasion:?}\n{told}"),
                (Err(_), Err(_)) => {}
                (kept, anew) => panic!("{question:?} {occasion:?}\n{kept:?}\n{anew:?}\n{told}"),
            }
        }
    }
}

/// What a session is granted by one who remembers nothing.
async fn expected(court: &Court, credential: &Credential) -> Result<Granted, Undecided> {
    let occasion = Occasion {
        connection: Some(connection()),
        payload: None,
    };
    let ask = async |question| {
        let verdict = court.model.decide(question, &occasion).await?;
        Ok::<_, Undecided>(verdict.answer().cloned().unwrap())
    };
    let login = match ask(Question::LogIn(credential.clone())).await? {
        Answer::Login(login) => login,
        Answer::No(refusal) => return Ok(Err(refusal)),
        other => panic!("{other:?}"),
    };
    match ask(Question::Rooms(login.who.clone(), None)).await? {
        Answer::Rooms(rooms, None) => Ok(Ok((login, rooms))),
        Answer::No(refusal) => Ok(Err(refusal)),
        other => panic!("{other:?}"),
    }
}

/// What an evaluation observed: keys and values, and whether it was told the time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Observed {
    keys: Vec<(String, Option<Bytes>)>,
    time: bool,
}

struct Observing {
    store: Arc<dyn Store>,
    observed: Arc<Mutex<Observed>>,
}

impl Reads for Observing {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let values = self.store.get_many_blocking(keys);
        let values = values.map_err(|error| ReadError::Store(error.to_string()))?;
        let read = keys.iter().cloned().zip(values.iter().cloned());
        self.observed.lock().unwrap().keys.extend(read);
        Ok(values)
    }

    fn time(&self) -> u64 {
        1_700_000_000
    }

    fn note_time(&mut self) {
        self.observed.lock().unwrap().time = true;
    }

    fn payload(&mut self) -> Arc<str> {
        panic!("the authority is not offered a payload")
    }

    fn attribute(&mut self, _: Attribute<'_>) -> Option<String> {
        panic!("the authority is not offered a connection")
    }
}

/// The shipped authority gives equal answers from equal reads, whether its instance has
/// answered before or not.
fn asked_twice(court: &Court, callers: &mut Callers, town: &Town, told: &str) {
    for (question, _) in town.questions(town) {
        let [reused, fresh] = [&mut callers.reused, &mut callers.fresh].map(|caller| {
            let observed = Arc::<Mutex<Observed>>::default();
            let reads = Observing {
                store: Arc::clone(&court.records.0),
                observed: Arc::clone(&observed),
            };
            let (answer, _) = caller.call(&question, Box::new(reads));
            let observed = std::mem::take(&mut *observed.lock().unwrap());
            (answer, observed)
        });
        assert_eq!(reused, fresh, "{question:?}\n{told}");
    }
}
