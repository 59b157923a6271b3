//! What a Redis is like, for those who are about to rely on it.

use super::OpenError;
use redis::{AsyncConnectionConfig, InfoDict};
use sschat_redis::Place;
use std::time::Duration;

/// How long Redis may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The first version with everything that is used.
const NEEDED: (u32, u32) = (7, 0);

/// What a Redis is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Host and port.
    pub address: String,
    /// `redis_version`.
    pub version: String,
    /// Why it can't be used.
    pub errors: Vec<String>,
    /// What may cost data, in words for who runs it.
    pub warnings: Vec<String>,
}

/// Asks the Redis at `url` what it is like. Writes nothing. Blocks.
///
/// # Errors
/// Where it can't be asked.
pub fn inspect(url: &str) -> Result<Inspection, OpenError> {
    let place = Place::read(url).map_err(OpenError::Url)?;
    let address = place.to_string();
    let failed = |reason: String| OpenError::Redis {
        address: address.clone(),
        reason,
    };
    let info = std::thread::scope(|scope| {
        // A thread of its own, for the caller's may serve a runtime already.
        let asked = scope.spawn(|| ask(&place));
        let asked = asked.join();
        asked.unwrap_or_else(|_| Err("asking failed".to_owned()))
    });
    let info = info.map_err(failed)?;
    Ok(judge(address, |name| info.get(name)))
}

fn ask(place: &Place) -> Result<InfoDict, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let told = |error: redis::RedisError| error.to_string();
    runtime.block_on(async {
        let client = place.client().await?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(told)?;
        let asked = redis::cmd("INFO").query_async(&mut connection).await;
        asked.map_err(told)
    })
}

fn judge(address: String, info: impl Fn(&str) -> Option<String>) -> Inspection {
    let version = info("redis_version").unwrap_or_default();
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) < NEEDED {
        errors.push(format!(
            "its version is {version:?}; {}.{} or later is needed",
            NEEDED.0, NEEDED.1
        ));
    }
    if info("role").is_some_and(|role| role != "master") {
        errors.push("it is a replica; only the primary takes writes".to_owned());
    }
    if info("cluster_enabled").as_deref() == Some("1") {
        errors.push(
            "it is part of a Redis Cluster; state wants one primary, for a batch is written whole"
                .to_owned(),
        );
    }
    if let Some(policy) = info("maxmemory_policy").filter(|policy| policy != "noeviction") {
        warnings.push(format!(
            "maxmemory-policy is {policy}: when its memory is full, Redis deletes users, rooms and \
             memberships; set noeviction"
        ));
    }
    if info("aof_enabled").as_deref() == Some("0") {
        warnings.push(
            "appendonly is off: if Redis crashes, what was acknowledged since its last snapshot is \
             gone, and whoever was removed since is back; set appendonly yes"
                .to_owned(),
        );
    }
    Inspection {
        address,
        version,
        errors,
        warnings,
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    fn found(pairs: &[(&str, &str)]) -> (usize, usize) {
        let judged = judge("somewhere".to_owned(), |name| {
            let (_, value) = pairs.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        });
        (judged.errors.len(), judged.warnings.len())
    }

    #[test]
    fn a_redis_in_order_is_left_in_peace() {
        let good = [
            ("redis_version", "7.0.15"),
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
            ("cluster_enabled", "0"),
        ];
        assert_eq!(found(&good), (0, 0));
    }

    #[test]
    fn what_costs_data_is_a_warning_and_what_does_not_work_an_error() {
        let (version, old) = (("redis_version", "8.2.1"), ("redis_version", "6.2.9"));
        assert_eq!(
            found(&[version, ("maxmemory_policy", "allkeys-lru")]),
            (0, 1)
        );
        assert_eq!(found(&[version, ("aof_enabled", "0")]), (0, 1));
        assert_eq!(found(&[old]), (1, 0));
        assert_eq!(found(&[version, ("role", "slave")]), (1, 0));
        assert_eq!(found(&[version, ("cluster_enabled", "1")]), (1, 0));
    }
}
