//! Writers and deciders at once: a decision that begins after a write was acknowledged
//! reflects that write, and none that was made before still says that it holds.

use super::steps::{Uploaded, connection, upload};
use super::{Court, bare, bytes};
use sschat::policy::answer::Answer;
use sschat::policy::memo::Verdict;
use sschat::policy::trace::Occasion;
use sschat_domain::membership::{self, Pair};
use sschat_domain::record::Role;
use sschat_domain::{AppId, RoomId, UserId, policy, tenant};
use sschat_wasm::authority::{Identity, Question};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Writes of each writer.
const WRITES: u64 = 150;

/// Those who ask, beside the writers.
const DECIDERS: usize = 4;

/// The session whose grant follows the membership.
const WATCHER: u64 = 7;

/// A value that one writer counts up.
#[derive(Default)]
struct Register {
    begun: AtomicU64,
    acknowledged: AtomicU64,
}

impl Register {
    fn begin(&self, number: u64) {
        self.begun.store(number, SeqCst);
    }

    fn end(&self, number: u64) {
        self.acknowledged.store(number, SeqCst);
    }

    /// Fails unless a value between those that were in force at `since` and now explains
    /// what was seen. Where the verdict says that it holds, that is so from now on.
    fn explain(&self, since: u64, verdict: &Verdict, told: &str, fits: impl Fn(u64) -> bool) {
        let until = self.begun.load(SeqCst);
        assert!(
            (since..=until).any(&fits),
            "{told}: {:?} between {since} and {until}",
            verdict.answer()
        );
        let since = self.acknowledged.load(SeqCst);
        let holds = verdict.holds();
        let until = self.begun.load(SeqCst);
        assert!(
            !holds || (since..=until).any(&fits),
            "{told}: {:?} holds between {since} and {until}",
            verdict.answer()
        );
    }
}

/// Two tenants and what is written about them.
struct Race {
    court: Court,
    /// Its configuration counts up, and a user comes and goes.
    one: Place,
    /// Its component is swapped.
    other: Place,
    configured: Register,
    member: Register,
    swapped: Register,
    over: AtomicBool,
}

#[derive(Clone, Copy)]
struct Place {
    tenant: AppId,
    room: RoomId,
    user: UserId,
}

impl Place {
    async fn found(court: &Court, number: u64) -> Self {
        let (tenant, _) = court.register(number).await;
        let room = RoomId::from_random(bytes(number));
        let user = UserId::from_random(bytes(number));
        tenant::create_room(&court.records, tenant, room)
            .await
            .unwrap();
        tenant::create_user(&court.records, tenant, user)
            .await
            .unwrap();
        let place = Self { tenant, room, user };
        membership::add(&court.records, place.pair()).await.unwrap();
        upload(court, tenant, Role::Active, Uploaded::Guest).await;
        place
    }

    fn pair(&self) -> Pair {
        Pair {
            tenant: self.tenant,
            room: self.room,
            user: self.user,
        }
    }

    fn publish(&self) -> Question {
        Question::MayPublish(self.who(), self.room.to_string())
    }

    fn join(&self) -> Question {
        Question::MayJoin(self.who(), self.room.to_string(), None)
    }

    fn who(&self) -> Identity {
        Identity {
            tenant: self.tenant.to_string(),
            user: self.user.to_string(),
        }
    }
}

/// The guest denies with its configuration, in which this is the only number.
fn numbered(number: u64) -> Vec<u8> {
    format!(r#"{{"mode":"configuration","n":{number}}}"#).into()
}

fn number_in(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

impl Race {
    async fn prepare() -> Self {
        let court = Court::open();
        let one = Place::found(&court, 1).await;
        let other = Place::found(&court, 2).await;
        let records = &court.records;
        policy::set_config(records, one.tenant, numbered(0))
            .await
            .unwrap();
        let deny = b"\"deny\"".to_vec();
        policy::set_config(records, other.tenant, deny)
            .await
            .unwrap();
        let let_in = court.let_in(WATCHER, bare(one.user), connection());
        let_in.await.unwrap();
        Self {
            court,
            one,
            other,
            configured: Register::default(),
            member: Register::default(),
            swapped: Register::default(),
            over: AtomicBool::new(false),
        }
    }

    async fn configure(&self) {
        for number in 1..=WRITES {
            self.configured.begin(number);
            let written =
                policy::set_config(&self.court.records, self.one.tenant, numbered(number));
            assert!(written.await.unwrap());
            self.configured.end(number);
        }
    }

    /// A member after every even number.
    async fn come_and_go(&self) {
        for number in 1..=WRITES {
            self.member.begin(number);
            let (records, pair) = (&self.court.records, self.one.pair());
            if number % 2 == 0 {
                membership::add(records, pair).await.unwrap();
            } else {
                membership::remove(records, pair).await.unwrap();
            }
            self.member.end(number);
            // The session is on hold, or has it already. Where nothing else is in the way
            // the acknowledgement waits for the latter.
            let granted = self.court.granted(WATCHER).await;
            let (_, rooms) = granted.expect("the user exists");
            let hears = usize::from(number % 2 == 0);
            assert_eq!(rooms.len(), hears, "write {number}: {rooms:?}");
        }
    }

    /// A component that denies after every even number, one that allows after every odd.
    async fn swap(&self) {
        for number in 1..=WRITES / 3 {
            self.swapped.begin(number);
            let which = match number % 2 {
                0 => Uploaded::Guest,
                _ => Uploaded::Plain,
            };
            upload(&self.court, self.other.tenant, Role::Active, which).await;
            self.swapped.end(number);
        }
    }

    /// Asks until the writers are done; says how often there was an answer.
    async fn decide(&self) -> u64 {
        let occasion = Occasion::default();
        let mut answered = 0;
        while !self.over.load(SeqCst) {
            // What is remembered is told without a wait, and others want to run.
            tokio::task::yield_now().await;
            let since = self.configured.acknowledged.load(SeqCst);
            let asked = self.court.policy.decide(self.one.publish(), &occasion);
            // It may well be that too much changes for an answer, and then there is none.
            if let Ok(verdict) = asked.await {
                // While the user is no member the configuration is not looked at.
                if let Some(Answer::No(refusal)) = verdict.answer()
                    && refusal.code == "configuration"
                {
                    let seen = number_in(&refusal.reason);
                    let fits = |number| number == seen;
                    self.configured
                        .explain(since, &verdict, "configuration", fits);
                    answered += 1;
                }
            }
            let since = self.member.acknowledged.load(SeqCst);
            if let Ok(verdict) = self.court.policy.decide(self.one.join(), &occasion).await {
                let hears = matches!(verdict.answer(), Some(Answer::Rooms(..)));
                let fits = |number| (number % 2 == 0) == hears;
                self.member.explain(since, &verdict, "membership", fits);
                answered += 1;
            }
            let since = self.swapped.acknowledged.load(SeqCst);
            let asked = self.court.policy.decide(self.other.publish(), &occasion);
            if let Ok(verdict) = asked.await {
                let allows = matches!(verdict.answer(), Some(Answer::Yes));
                let fits = |number| (number % 2 == 1) == allows;
                self.swapped.explain(since, &verdict, "component", fits);
                answered += 1;
            }
        }
        answered
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_is_reflected() {
    let race = Arc::new(Race::prepare().await);
    let deciders: Vec<_> = (0..DECIDERS)
        .map(|_| {
            let race = Arc::clone(&race);
            tokio::spawn(async move { race.decide().await })
        })
        .collect();
    tokio::join!(race.configure(), race.come_and_go(), race.swap());
    race.over.store(true, SeqCst);
    let mut answered = 0;
    for decider in deciders {
        answered += decider.await.unwrap();
    }
    assert!(answered > WRITES, "{answered} answers");
}
