//! Removes what Redis keeps of rooms.

use super::{Shared, calls, record};
use crate::broker::Mail;
use redis::Value;
use sschat_history::HistoryError;
use std::sync::Arc;

/// Rooms that are removed by one step of a tenant's removal.
const REMOVED_AT_ONCE: usize = 256;

impl<M: Mail> Shared<M> {
    /// Removes the history of a room.
    pub(super) async fn remove(
        self: Arc<Self>,
        tenant: Box<str>,
        room: Box<str>,
    ) -> Result<(), HistoryError> {
        let keys = calls::Keys::of(&tenant, &room);
        let mut command = redis::cmd("DEL");
        command.arg(keys.meta()).arg(keys.log());
        self.run(&command).await?;
        let mut command = redis::cmd("SREM");
        command.arg(calls::index(&tenant)).arg(&*room);
        self.run(&command).await.map(|_| ())
    }

    /// Removes the history of all rooms of a tenant.
    pub(super) async fn remove_all(self: Arc<Self>, tenant: Box<str>) -> Result<(), HistoryError> {
        loop {
            let mut command = redis::cmd("SRANDMEMBER");
            command.arg(calls::index(&tenant)).arg(REMOVED_AT_ONCE);
            let (Value::Array(rooms) | Value::Set(rooms)) = self.run(&command).await? else {
                return Ok(());
            };
            if rooms.is_empty() {
                return Ok(());
            }
            for room in rooms.iter().filter_map(record::text) {
                Arc::clone(&self)
                    .remove(tenant.clone(), room.into())
                    .await?;
            }
        }
    }
}
