//! An instance of the authority, and what it is offered: the traced reads of the
//! current call, and WASI as std wants it, but inert.

use super::{
    Answer, CallError, Credential, EventKind, EventSettings, Identity, KeyServer, Login, Pass,
    Policies, Question, Refusal, StoredPolicy,
};
use crate::bindings::authority as bindings;
use crate::bindings::authority::sschat::policy::{clock, state, types};
use crate::calls::{NoReads, ReadError, Reads, failed};
use crate::engine::{Compiled, Engines, TRACED_MEMORY_LIMIT, ticks};
use crate::guest::Limits;
use crate::inert::{self, CallTime};
use crate::logs::Log;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// How long one call may compute and read.
const BUDGET: Duration = Duration::from_millis(250);

/// Calls that one instance answers before it is replaced, so that what it leaks is bounded.
const REUSE_LIMIT: u32 = 100_000;

/// Handles that an instance may hold.
const HANDLE_LIMIT: usize = 64;

/// The most rooms that a page may have.
const PAGE_LIMIT: usize = 1_000;

/// Bytes that one host call may bring from the component: keys.
const HOSTCALL_BYTES: usize = 1 << 20;

/// The longest text that an answer may carry: an id, a code, a reason, a cursor.
const TEXT_LIMIT: usize = 1_024;

/// The most secrets that sign one event: each is a header's worth of work.
const SECRETS_LIMIT: usize = 4;

/// The longest that others may be shown of a user, in bytes. Every presence carries it.
const INFO_LIMIT: usize = 8 << 10;

/// What all instances share.
pub(super) struct Kind {
    engine: Engine,
    pre: bindings::AuthorityPre<Host>,
    log: Arc<Log>,
}

/// The data of an instance's store.
struct Host {
    reads: Option<Box<dyn Reads>>,
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
    time: CallTime,
    /// Set where a read failed for the store's sake: what the component makes of it is not its verdict.
    failed: Option<CallError>,
}

impl Kind {
    pub(super) fn new(
        engines: &Engines,
        compiled: &Compiled,
        name: &str,
    ) -> wasmtime::Result<Self> {
        let engine = engines.traced.clone();
        let mut linker = Linker::new(&engine);
        inert::link(&mut linker)?;
        bindings::Authority::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
        let pre = bindings::AuthorityPre::new(linker.instantiate_pre(&compiled.0)?)?;
        Ok(Self {
            engine,
            pre,
            log: Log::new(name.into()),
        })
    }

    fn instantiate(
        &self,
        reads: Box<dyn Reads>,
    ) -> (Store<Host>, wasmtime::Result<bindings::Authority>) {
        let mut store = Store::new(&self.engine, Host::new(&self.log));
        store.data_mut().begin(reads);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.limiter(|host| &mut host.limits);
        store.set_epoch_deadline(ticks(BUDGET));
        let instance = self.pre.instantiate(&mut store);
        (store, instance)
    }
}

/// Makes calls on one thread.
pub struct Caller {
    kind: Arc<Kind>,
    reuse: bool,
    live: Option<(Store<Host>, bindings::Authority, u32)>,
}

impl Caller {
    pub(super) fn new(kind: Arc<Kind>, reuse: bool) -> Self {
        Self {
            kind,
            reuse,
            live: None,
        }
    }

    /// Asks one question, and gives back the reads. An instance that trapped is never
    /// asked again.
    pub fn call(
        &mut self,
        question: &Question,
        reads: Box<dyn Reads>,
    ) -> (Result<Answer, CallError>, Box<dyn Reads>) {
        let (mut store, instance, calls) = match self.live.take() {
            Some((mut store, instance, calls)) => {
                store.data_mut().begin(reads);
                store.set_epoch_deadline(ticks(BUDGET));
                (store, instance, calls)
            }
            None => match self.kind.instantiate(reads) {
                (store, Ok(instance)) => (store, instance, 0),
                (store, Err(error)) => return finish(store, Err(failed(&error))),
            },
        };
        let answer = ask(&instance, &mut store, question);
        let host = store.data_mut();
        if host.time.was_asked()
            && let Some(reads) = &mut host.reads
        {
            // Asked through WASI: noted like the clock of the world itself.
            reads.note_time();
        }
        if let Some(failed) = host.failed.take() {
            return finish(store, Err(failed));
        }
        let answer = match answer {
            Ok(answer) => check(answer),
            Err(error) => return finish(store, Err(failed(&error))),
        };
        if !self.reuse || calls >= REUSE_LIMIT {
            return finish(store, answer);
        }
        let reads = host.reads.take();
        self.live = Some((store, instance, calls + 1));
        (answer, reads.unwrap_or_else(|| Box::new(NoReads)))
    }
}

fn finish(
    mut store: Store<Host>,
    answer: Result<Answer, CallError>,
) -> (Result<Answer, CallError>, Box<dyn Reads>) {
    let reads = store.data_mut().reads.take();
    (answer, reads.unwrap_or_else(|| Box::new(NoReads)))
}

fn ask(
    instance: &bindings::Authority,
    mut store: &mut Store<Host>,
    question: &Question,
) -> wasmtime::Result<Answer> {
    let decisions = instance.sschat_policy_decisions();
    let no = |refusal: types::Refusal| {
        Answer::No(Refusal {
            code: refusal.code,
            reason: refusal.reason,
        })
    };
    Ok(match question {
        Question::LogIn(credential) => decisions
            .call_log_in(&mut store, presented(credential))?
            .map_or_else(no, |login| Answer::Login(Box::new(accepted(login)))),
        Question::Rooms(who, cursor) => decisions
            .call_rooms(&mut store, identity(who), cursor.as_deref())?
            .map_or_else(no, |page| Answer::Rooms(page.rooms, page.next)),
        Question::MayJoin(who, room, pass) => decisions
            .call_may_join(&mut store, identity(who), room, shown(pass.as_ref()))?
            .map_or_else(no, |joined| Answer::Joined(joined.expires)),
        Question::MayPublish(who, room) => decisions
            .call_may_publish(&mut store, identity(who), room)?
            .map_or_else(no, |()| Answer::Yes),
        Question::MaySee(who, user) => decisions
            .call_may_see(&mut store, identity(who), user)?
            .map_or_else(no, Answer::Shared),
        Question::TenantOfKey(key) => decisions
            .call_tenant_of_key(&mut store, key)?
            .map_or_else(no, Answer::Tenant),
        Question::HasRoom(tenant, room) => decisions
            .call_has_room(&mut store, tenant, room)?
            .map_or_else(no, |()| Answer::Yes),
        Question::TermsOf(tenant, room) => decisions
            .call_terms_of(&mut store, tenant, room)?
            .map_or_else(no, |terms| Answer::Terms(terms.into())),
        Question::KeysOf(tenant) => {
            decisions
                .call_keys_of(&mut store, tenant)?
                .map_or_else(no, |server| {
                    Answer::KeyServer(KeyServer {
                        url: server.url,
                        keep_at: server.keep_at,
                    })
                })
        }
        Question::EventsOf(tenant) => decisions
            .call_events_of(&mut store, tenant)?
            .map_or_else(no, |settings| Answer::Events(wanted(settings))),
        Question::PoliciesOf(tenant) => decisions
            .call_policies_of(&mut store, tenant)?
            .map_or_else(no, |policies| Answer::Policies(uploaded(policies))),
    })
}

fn presented(credential: &Credential) -> types::Credential<'_> {
    types::Credential {
        app: credential.app.as_deref(),
        fallback_app: credential.fallback_app.as_deref(),
        user: credential.user.as_deref(),
        token: credential.token.as_deref(),
    }
}

fn shown(pass: Option<&Pass>) -> Option<types::Pass<'_>> {
    pass.map(|pass| types::Pass {
        token: &pass.token,
        client: &pass.client,
    })
}

fn accepted(login: types::Login) -> Login {
    Login {
        who: Identity {
            tenant: login.who.tenant,
            user: login.who.user,
        },
        expires: login.expires,
        info: login.info,
        channels: login.channels,
        limits: login.limits.into(),
    }
}

fn wanted(settings: types::EventSettings) -> EventSettings {
    let kind = |kind| match kind {
        types::EventKind::Connect => EventKind::Connect,
        types::EventKind::Disconnect => EventKind::Disconnect,
        types::EventKind::Join => EventKind::Join,
        types::EventKind::Leave => EventKind::Leave,
        types::EventKind::Occupied => EventKind::Occupied,
        types::EventKind::Vacated => EventKind::Vacated,
        types::EventKind::Published => EventKind::Published,
    };
    EventSettings {
        kinds: settings.kinds.into_iter().map(kind).collect(),
        url: settings.url,
        secrets: settings.secrets,
    }
}

fn uploaded(policies: types::Policies) -> Policies {
    let stored = |policy: types::StoredPolicy| StoredPolicy {
        digest: policy.digest,
        chunks: policy.chunks,
    };
    Policies {
        active: policies.active.map(stored),
        candidate: policies.candidate.map(stored),
        configuration: policies.configuration,
    }
}

fn identity(who: &Identity) -> types::IdentityParam<'_> {
    types::IdentityParam {
        tenant: &who.tenant,
        user: &who.user,
    }
}

/// Holds an answer to its bounds.
fn check(answer: Answer) -> Result<Answer, CallError> {
    let fits = |text: &str| text.len() <= TEXT_LIMIT;
    let all_fit = match &answer {
        Answer::Login(login) => {
            let info = login.info.as_deref().unwrap_or_default();
            fits(&login.who.tenant)
                && fits(&login.who.user)
                && info.len() <= INFO_LIMIT
                && login.channels.len() <= PAGE_LIMIT
                && login.channels.iter().all(|room| fits(room))
        }
        Answer::Rooms(rooms, next) => {
            rooms.len() <= PAGE_LIMIT
                && rooms.iter().all(|room| fits(room))
                && next.as_deref().is_none_or(fits)
        }
        Answer::Yes | Answer::Joined(_) | Answer::Terms(_) => true,
        Answer::KeyServer(server) => fits(&server.url) && fits(&server.keep_at),
        Answer::Shared(rooms) => rooms.len() <= PAGE_LIMIT && rooms.iter().all(|room| fits(room)),
        Answer::Events(settings) => {
            settings.url.as_deref().is_none_or(fits)
                && settings.kinds.len() <= PAGE_LIMIT
                && settings.secrets.len() <= SECRETS_LIMIT
                && settings.secrets.iter().all(|secret| fits(secret))
        }
        Answer::Tenant(tenant) => fits(tenant),
        Answer::Policies(policies) => {
            let stored = policies.active.iter().chain(&policies.candidate);
            fits(&policies.configuration)
                && stored.into_iter().all(|stored| {
                    fits(&stored.digest)
                        && stored.chunks.len() <= PAGE_LIMIT
                        && stored.chunks.iter().all(|chunk| fits(chunk))
                })
        }
        Answer::No(refusal) => fits(&refusal.code) && fits(&refusal.reason),
    };
    if all_fit {
        Ok(answer)
    } else {
        Err(CallError::Failed("the answer is too long".to_owned()))
    }
}

impl Host {
    fn new(log: &Arc<Log>) -> Self {
        let time = CallTime::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLE_LIMIT);
        Self {
            reads: None,
            wasi: inert::context(log, &time),
            table,
            limits: Limits::new(TRACED_MEMORY_LIMIT),
            time,
            failed: None,
        }
    }

    fn begin(&mut self, reads: Box<dyn Reads>) {
        self.time.begin(reads.time());
        self.reads = Some(reads);
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for Host {}

impl state::Host for Host {
    fn get_many(
        &mut self,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<Vec<u8>>>, state::Error>> {
        let Some(reads) = &mut self.reads else {
            return Ok(Err(state::Error::Store("no call is under way".to_owned())));
        };
        Ok(match reads.get_many(&keys) {
            Ok(values) => Ok(values
                .into_iter()
                .map(|value| value.map(|bytes| bytes.to_vec()))
                .collect()),
            Err(ReadError::Limit) => {
                self.failed = Some(CallError::Limit("it reads too much".to_owned()));
                Err(state::Error::Limit)
            }
            Err(ReadError::Store(reason)) => {
                self.failed = Some(CallError::Store(reason.clone()));
                Err(state::Error::Store(reason))
            }
        })
    }
}

impl clock::Host for Host {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.reads.as_mut().map_or(0, |reads| {
            reads.note_time();
            reads.time()
        }))
    }
}
