//! A pair of connections that live and die together: one for commands, one for the feed.
//!
//! If either ends, both do: a tracking without its feed would be silent, and a feed without
//! its tracking too.

use super::BEAT_PREFIX;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, Value,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Requests between callers and the connection. Who comes when it is full waits.
const BUFFERED: usize = 1_024;

/// How long one connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the key that proves the feed stays after the last beat: much longer than a link
/// is waited for, so that its expiry is never taken for a beat. In milliseconds.
const BEAT_EXPIRY: u64 = 60_000;

/// Codes of refusals by a Redis that is not, or not yet, the one to talk to: a replica, one
/// that loads its state, one whose primary is gone.
const MISPLACED: [&str; 3] = ["READONLY", "LOADING", "MASTERDOWN"];

/// What the feed says, or that it ended.
pub(super) type Hear = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Two connections to the same Redis.
pub(super) struct Link {
    commands: MultiplexedConnection,
    feed: MultiplexedConnection,
    /// The key of this link's beats.
    pulse: String,
    broken: watch::Sender<bool>,
}

impl Link {
    /// Connects and has Redis report the keys with these `prefixes` (none: all) that
    /// somebody else writes, from now on. `name` is nobody else's.
    pub(super) async fn open(
        client: &Client,
        prefixes: &[String],
        name: &str,
        hear: Hear,
    ) -> Result<Arc<Self>, String> {
        let (broken, _) = watch::channel(false);
        let ended = broken.clone();
        let mut feed = connect(client, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ended.send_replace(true);
            }
            hear(push);
            Ok::<_, ()>(())
        })
        .await?;
        let ended = broken.clone();
        let mut commands = connect(client, move |push: PushInfo| {
            // Its feed is gone, whatever that one's connection still believes.
            let deaf = PushKind::Other("tracking-redir-broken".to_owned());
            if push.kind == PushKind::Disconnection || push.kind == deaf {
                ended.send_replace(true);
            }
            Ok::<_, ()>(())
        })
        .await?;
        let pulse = pulse(name);
        let tell = |error: RedisError| error.to_string();
        let role: Vec<Value> = redis::cmd("ROLE")
            .query_async(&mut commands)
            .await
            .map_err(tell)?;
        if let Some(Value::BulkString(role)) = role.first()
            && role != b"master"
        {
            let role = String::from_utf8_lossy(role).into_owned();
            return Err(format!("it is a {role}, and only the primary takes writes"));
        }
        let id: i64 = redis::cmd("CLIENT")
            .arg("ID")
            .query_async(&mut feed)
            .await
            .map_err(tell)?;
        track(id, prefixes, &pulse)
            .exec_async(&mut commands)
            .await
            .map_err(|error| format!("it does not track keys: {error}"))?;
        Ok(Arc::new(Self {
            commands,
            feed,
            pulse,
            broken,
        }))
    }

    /// Runs one command.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.commands.clone();
        self.until_broken(command.query_async(&mut connection))
            .await
    }

    /// Runs commands one after the other, with no other host's or caller's between them in
    /// this connection's order. Each has its own answer or refusal.
    pub(super) async fn run_all(
        &self,
        commands: &Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, RedisError> {
        let mut connection = self.commands.clone();
        let replies = self
            .until_broken(commands.query_async(&mut connection))
            .await;
        if replies.is_err() {
            // Nobody knows what took effect, so what is known is in doubt.
            self.break_off();
        }
        replies
    }

    /// Touches the key of the beats, over the feed: the feed is told of it like of any other
    /// client's write.
    ///
    /// A new time to live is a change for which Redis needs no memory, so that the feed lives
    /// on where Redis is full and takes no writes. Only a key that is not there is written.
    pub(super) async fn beat(&self) -> Result<(), RedisError> {
        let mut connection = self.feed.clone();
        let mut touch = redis::cmd("PEXPIRE");
        touch.arg(&self.pulse).arg(BEAT_EXPIRY);
        let mut set = redis::cmd("SET");
        set.arg(&self.pulse).arg("").arg("PX").arg(BEAT_EXPIRY);
        let beaten = async {
            if touch.query_async::<i64>(&mut connection).await? == 0 {
                set.exec_async(&mut connection).await?;
            }
            Ok(())
        };
        self.until_broken(beaten).await
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
    ) -> Result<T, RedisError> {
        let result = tokio::select! {
            biased;
            result = call => result,
            () = self.broken() => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
        };
        if let Err(error) = &result
            && (error.is_unrecoverable_error() || is_misplaced(error))
        {
            self.break_off();
        }
        result
    }
}

/// The key of the beats of the link with this name.
pub(super) fn pulse(name: &str) -> String {
    format!("{BEAT_PREFIX}{name}")
}

/// Whether another Redis has to be talked to.
pub(super) fn is_misplaced(error: &RedisError) -> bool {
    error.code().is_some_and(|code| MISPLACED.contains(&code))
}

async fn connect(
    client: &Client,
    hear: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
) -> Result<MultiplexedConnection, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // The lease finds out sooner, and for all calls at once.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(BUFFERED)
        .set_push_sender(hear);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| error.to_string())
}

/// The command that starts the feed.
fn track(feed: i64, prefixes: &[String], pulse: &str) -> Cmd {
    let mut track = redis::cmd("CLIENT");
    track.arg(&["TRACKING", "ON", "REDIRECT"]).arg(feed);
    track.arg(&["BCAST", "NOLOOP"]);
    if !prefixes.is_empty() {
        for prefix in prefixes.iter().map(String::as_str).chain([pulse]) {
            track.arg("PREFIX").arg(prefix);
        }
    }
    track
}
