//! One Redis: a connection for calls and one that listens.

use super::calls;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, RedisError, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Calls between callers and a connection. Who comes when it is full waits.
const BUFFERED: usize = 4_096;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What is done with what comes by a listening connection, in its order.
pub(super) type Hear = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// The names that Redis gives the scripts: the same everywhere.
pub(super) struct Scripts {
    pub(super) publish: String,
    pub(super) read: String,
    pub(super) tell: String,
    pub(super) users: String,
}

/// The connections to a Redis.
pub(super) struct Node {
    calls: MultiplexedConnection,
    ear: MultiplexedConnection,
}

impl Node {
    /// Connects. `broken` is told when either connection ends.
    pub(super) async fn open(
        client: &Client,
        hear: &Hear,
        broken: &watch::Sender<bool>,
    ) -> Result<Self, String> {
        let (ended, hear) = (broken.clone(), Arc::clone(hear));
        let ear = connect(client, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.send_replace(true);
            }
            hear(push);
            Ok::<_, ()>(())
        });
        let ended = broken.clone();
        let calls = connect(client, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.send_replace(true);
            }
            Ok::<_, ()>(())
        });
        Ok(Self {
            ear: ear.await?,
            calls: calls.await?,
        })
    }

    /// Has Redis learn the scripts.
    pub(super) async fn learn(&self) -> Result<Scripts, String> {
        let mut calls = self.calls.clone();
        Ok(Scripts {
            publish: load(&mut calls, calls::PUBLISH).await?,
            read: load(&mut calls, calls::READ).await?,
            tell: load(&mut calls, calls::TELL).await?,
            users: load(&mut calls, calls::USERS).await?,
        })
    }

    /// What it answers about the cluster that it is part of; nothing where it is by itself.
    pub(super) async fn slots(&self) -> Option<Value> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        self.call(&command).await.ok()
    }

    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.calls.clone()).await
    }

    /// As [`Node::call`], by the connection that listens.
    pub(super) async fn hear(&self, command: &Cmd) -> Result<Value, RedisError> {
        command.query_async(&mut self.ear.clone()).await
    }

    /// Ends once everything was heard that it had sent before.
    pub(super) async fn prove(&self) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        self.hear(&ping).await?;
        self.call(&ping).await.map(|_| ())
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
