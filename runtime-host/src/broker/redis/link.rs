//! A pair of connections that live and die together: one for calls, one that listens.

use super::calls;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Calls between callers and a connection. Who comes when it is full waits.
const BUFFERED: usize = 4_096;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long Redis may take to answer anything. Longer, and it is taken for gone.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Codes of refusals after which another connection is made: it is not, or not yet, the
/// Redis to talk to, or it has forgotten the scripts.
const MISPLACED: [&str; 4] = ["READONLY", "LOADING", "MASTERDOWN", "NOSCRIPT"];

/// What is done with what comes by the listening connection, in its order.
pub(super) type Hear = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// The client for `url`; connects to nothing yet.
pub(super) fn client(url: &str) -> Result<Client, String> {
    let unusable = |error: RedisError| error.to_string();
    let info = url.into_connection_info().map_err(unusable)?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("sschat", env!("CARGO_PKG_VERSION"));
    Client::open(info.set_redis_settings(settings)).map_err(unusable)
}

/// The names that Redis gives the scripts.
pub(super) struct Scripts {
    pub(super) publish: String,
    pub(super) read: String,
    pub(super) tell: String,
    pub(super) users: String,
}

/// Two connections to the same Redis.
pub(super) struct Link {
    /// Unlike that of every other link of this broker.
    pub(super) number: u64,
    pub(super) scripts: Scripts,
    calls: MultiplexedConnection,
    ear: MultiplexedConnection,
    broken: watch::Sender<bool>,
}

/// Why a call has no answer.
pub(super) enum Failed {
    /// The link is gone: nobody knows whether the call took effect.
    Cut,
    /// Redis refuses it; it took no effect.
    Refused(String),
}

impl Link {
    /// Connects and has Redis learn the scripts.
    pub(super) async fn open(
        client: &Client,
        number: u64,
        hear: Hear,
    ) -> Result<Arc<Self>, String> {
        let (broken, _) = watch::channel(false);
        let ended = broken.clone();
        let ear = connect(client, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.send_replace(true);
            }
            hear(push);
            Ok::<_, ()>(())
        })
        .await?;
        let ended = broken.clone();
        let mut calls = connect(client, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.send_replace(true);
            }
            Ok::<_, ()>(())
        })
        .await?;
        let scripts = Scripts {
            publish: load(&mut calls, calls::PUBLISH).await?,
            read: load(&mut calls, calls::READ).await?,
            tell: load(&mut calls, calls::TELL).await?,
            users: load(&mut calls, calls::USERS).await?,
        };
        Ok(Arc::new(Self {
            number,
            scripts,
            calls,
            ear,
            broken,
        }))
    }

    /// Runs one command.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, Failed> {
        let mut connection = self.calls.clone();
        self.until_broken(command.query_async(&mut connection))
            .await
    }

    /// Hears a channel from when this ends.
    pub(super) async fn hear(&self, how: &str, channel: &str) -> Result<(), Failed> {
        let mut command = redis::cmd(how);
        command.arg(channel);
        let mut connection = self.ear.clone();
        self.until_broken(command.query_async::<Value>(&mut connection))
            .await
            .map(|_| ())
    }

    /// Ends once everything was heard that Redis had sent before. Fails where that takes
    /// longer than [`ANSWER_TIMEOUT`].
    pub(super) async fn prove(&self) -> Result<(), Failed> {
        let (mut ear, mut calls) = (self.ear.clone(), self.calls.clone());
        let ping = redis::cmd("PING");
        let both = async {
            ping.query_async::<Value>(&mut ear).await?;
            ping.query_async::<Value>(&mut calls).await
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, self.until_broken(both)).await {
            Ok(proven) => proven.map(|_| ()),
            Err(_) => {
                self.break_off();
                Err(Failed::Cut)
            }
        }
    }

    /// Gives the link up; calls that wait fail.
    pub(super) fn break_off(&self) {
        self.broken.send_replace(true);
    }

    /// Waits for the end of the link.
    pub(super) async fn broken(&self) {
        // It can't fail: the sender is here.
        let _ = self.broken.subscribe().wait_for(|broken| *broken).await;
    }

    async fn until_broken<T>(
        &self,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Failed> {
        let result = tokio::select! {
            biased;
            result = call => result,
            () = self.broken() => return Err(Failed::Cut),
        };
        result.map_err(|error| {
            let misplaced = error.code().is_some_and(|code| MISPLACED.contains(&code));
            if error.is_unrecoverable_error() || misplaced {
                self.break_off();
                return Failed::Cut;
            }
            Failed::Refused(error.to_string())
        })
    }
}

async fn load(connection: &mut MultiplexedConnection, script: &str) -> Result<String, String> {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(script);
    let loaded = command.query_async(connection).await;
    loaded.map_err(|error| error.to_string())
}

async fn connect(
    client: &Client,
    hear: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Pings find out sooner, and for all calls at once.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(BUFFERED)
        .set_push_sender(hear);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| error.to_string())
}
