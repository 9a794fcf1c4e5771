//! The thread that owns the log: one transaction and one fsync for all groups that are waiting.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_driver::Event;
use coracle_driver::{Log, Write};
use tracing::error;

use super::alarm::Alarm;
use super::consensus::Inbox;
use super::queue::Queue;
use crate::metrics::Metrics;

/// Writes in one transaction; the rest wait for the next.
const MAX_BATCH: usize = 4096;

/// How often the writer looks at the free space while nothing is written.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// What the log's owner can say besides what the trait says.
pub(super) trait Store: Log {
    /// Whether the disk is nearly full.
    fn low_on_space(&self) -> bool;
}

/// The running thread.
#[derive(Debug)]
pub(super) struct LogWriter {
    queue: Arc<Queue<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts it. An error of the log raises the alarm: the node must stop.
    pub(super) fn start<S: Store + 'static>(
        store: S,
        queue: Arc<Queue<Write>>,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        alarm: Alarm,
    ) -> std::io::Result<Self> {
        let writes = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                let _guard = alarm.guard();
                run(store, &writes, &inbox, &metrics, &alarm);
            })?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Writes what is waiting and closes the log.
    pub(super) fn stop(&mut self) {
        self.queue.close();
        self.join();
    }

    /// Leaves the log as a crash would: what waits is never written.
    pub(super) fn abandon(&mut self) {
        self.queue.abandon();
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn run<S: Store>(
    mut store: S,
    queue: &Queue<Write>,
    inbox: &Inbox,
    metrics: &Metrics,
    alarm: &Alarm,
) {
    let mut batch = Vec::new();
    let mut low = false;
    while queue.take(&mut batch, MAX_BATCH, Some(SPACE_CHECK)) {
        if !batch.is_empty() {
            let began = Instant::now();
            if let Err(error) = store.commit(&batch) {
                error!(%error, "the log failed: the node stops");
                queue.abandon();
                alarm.raise(error.to_string());
                return;
            }
            let kept = &metrics.store;
            kept.append.observe(began.elapsed().as_secs_f64());
            kept.commits.inc();
            kept.writes.inc_by(batch.len() as u64);
            metrics.raft.log_thread().since(began);
            inbox.push_all(batch.drain(..).filter_map(|write| {
                write.id.map(|id| Event::Persisted {
                    group: write.group,
                    id,
                })
            }));
        }
        if store.low_on_space() != low {
            low = !low;
            metrics.store.low.set(i64::from(low));
            inbox.push(Event::LowSpace(low));
        }
    }
    if let Err(error) = store.close() {
        error!(%error, "the log did not close cleanly; the next start repairs it");
    }
}
