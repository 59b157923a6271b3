//! The calls of the contract.

use super::*;

impl History for DurableHistory {
    fn durable(&self) -> bool {
        true
    }

    fn open(&self, tenant: &str, room: &str, retention: Retention) -> HistoryFuture<Arc<RoomLog>> {
        self.0.open(tenant, room, Some(retention))
    }

    fn publish(
        &self,
        log: &Arc<RoomLog>,
        publication: NewPublication,
        token: u64,
    ) -> Result<Published, PublishError> {
        let shared = &self.0.shared;
        let queue = |operation| shared.queue.publish(operation).map(|()| Ack::Later);
        log.publish(
            publication,
            shared.now(),
            |accepted| {
                let log = Arc::clone(log);
                queue(Operation::Publication {
                    log,
                    accepted,
                    token,
                })
            },
            || queue(Operation::Repeat(token)),
        )
    }

    fn read(&self, log: &Arc<RoomLog>, query: Query) -> HistoryFuture<Page> {
        let now = self.0.shared.now();
        let selection = match log.select(query, now) {
            Ok(selection) => selection,
            Err(error) => return ready(Err(error)),
        };
        self.0.shared.give_back(log, now);
        if selection.missing().is_none() {
            return ready(Ok(selection.page()));
        }
        let log = Arc::clone(log);
        let read = move |shared: &Shared| Ok(shared.complete(&log, selection)?.page());
        self.0.run(read).unwrap_or_else(|error| ready(Err(error)))
    }

    fn recover(
        &self,
        log: &Arc<RoomLog>,
        since: Position,
        limit: usize,
    ) -> HistoryFuture<Recovery> {
        let now = self.0.shared.now();
        self.0.shared.give_back(log, now);
        let selection = match log.missed(since, limit, now) {
            Ok(selection) => selection,
            Err(refused) => return ready(Ok(refused)),
        };
        if selection.missing().is_none() {
            return ready(Ok(selection.recovery()));
        }
        let log = Arc::clone(log);
        let read = move |shared: &Shared| Ok(shared.complete(&log, selection)?.recovery());
        self.0.run(read).unwrap_or_else(|error| ready(Err(error)))
    }

    fn remove(&self, tenant: &str, room: &str) -> HistoryFuture<()> {
        let inner = Arc::clone(&self.0);
        let opened = inner.open(tenant, room, None);
        async move {
            let log = opened.await?;
            let shared = &inner.shared;
            shared.registry.hold(|| {
                let life = shared.ids.life(log.tenant.life());
                log.restart(life, |ended| {
                    let log = Arc::clone(&log);
                    shared.queue.push(Operation::End { log, ended })
                })
            })?;
            drop(log);
            inner.barrier().await
        }
        .boxed()
    }

    fn remove_tenant(&self, tenant: &str) -> HistoryFuture<()> {
        let name: Box<str> = tenant.into();
        let inner = Arc::clone(&self.0);
        let restarted = inner.run(move |shared| {
            let tenant = shared.tenant(&name)?;
            let life = crate::registry::TenantLife::new(shared.ids.next(), 0);
            shared
                .registry
                .restart_tenant(&tenant, life, |ended, logs| {
                    let tenant = Arc::clone(&tenant);
                    let current = tenant.life();
                    shared.queue.push(Operation::EndTenant { tenant, ended })?;
                    for log in logs {
                        let life = shared.ids.life(Arc::clone(&current));
                        log.restart(life, |ended| {
                            let log = Arc::clone(&log);
                            shared.queue.push(Operation::End { log, ended })
                        })?;
                    }
                    Ok(())
                })
        });
        async move {
            restarted?.await?;
            inner.barrier().await
        }
        .boxed()
    }

    fn tenant_bytes(&self, tenant: &str) -> HistoryFuture<u64> {
        use std::sync::atomic::Ordering::Relaxed;
        if let Some(tenant) = self.0.shared.registry.tenant(tenant) {
            return ready(Ok(tenant.life().bytes.load(Relaxed)));
        }
        let name: Box<str> = tenant.into();
        let read = move |shared: &Shared| Ok(shared.tenant(&name)?.life().bytes.load(Relaxed));
        self.0.run(read).unwrap_or_else(|error| ready(Err(error)))
    }

    fn close(&self) -> HistoryFuture<()> {
        self.0.shared.queue.close();
        self.0.jobs().take();
        let mut closing = self
            .0
            .closing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = &closing.ended {
            return ready(ended.clone());
        }
        let (answer, answered) = oneshot::channel();
        closing.waiting.push(answer);
        answered
            .map(|it| it.unwrap_or(Err(HistoryError::Closed)))
            .boxed()
    }
}
