//! The reader twin: a second instance that is fed the same entries and answers queries, so that
//! the one that applies never sees them (DESIGN §7.3).
//!
//! It takes every verdict from the live instance and runs with slack limits. If it fails where the
//! live one did not, that is counted and it is made anew; it is never taken for divergence.

use std::time::Duration;

use coracle_proto::{GroupId, Index, Instant};

use super::history::{Instance, Origin, Stop, Trouble};
use super::options::{ReaderOptions, WorkerContext};
use super::shared::{Published, Target};
use super::worker::WorkerState;
use crate::{Environment, FailureClass, Fault, Reply};

/// Answers queries of one group; belongs to one thread, not necessarily the worker's.
#[derive(Debug)]
pub struct Reader {
    group: GroupId,
    context: WorkerContext,
    published: Published,
    options: ReaderOptions,
    twin: Option<Twin>,
    /// The last twin was lost to a failure: making another one is rationed.
    lost: bool,
    ration: Ration,
    used: Instant,
    status: ReaderStatus,
}

#[derive(Debug)]
struct Twin {
    origin: Origin,
    instance: Instance,
}

/// Rebuilds that are allowed now.
#[derive(Debug)]
struct Ration {
    left: u32,
    since: Instant,
}

/// A picture of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderStatus {
    /// Twins made.
    pub starts: u64,
    /// Twins that failed where the live instance did not.
    pub differences: u64,
    /// Queries that failed in the guest.
    pub failed_queries: u64,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The query trapped or broke a limit. The client's error; nothing happened.
    #[error("the query failed: {class:?}")]
    Failed {
        /// How.
        class: FailureClass,
        /// What the engine said; for the log of this node.
        detail: String,
    },
    /// A fault of this node halted the fsm here.
    #[error("halted on this node: {reason}")]
    Halted {
        /// Which.
        reason: String,
    },
    /// There is no state to ask.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// This replica has not applied the index asked for.
    #[error("applied up to {applied}, index {wanted} was asked for")]
    Behind {
        /// Its applied index.
        applied: Index,
        /// What was asked for.
        wanted: Index,
    },
    /// Queries fail too often, or the state is being replaced: try again later.
    #[error("busy: {reason}")]
    Busy {
        /// Why.
        reason: String,
    },
}

impl Reader {
    /// A reader for the group of the worker that publishes this. It holds no instance before its
    /// first query.
    pub fn new(
        group: GroupId,
        context: WorkerContext,
        published: Published,
        options: ReaderOptions,
    ) -> Self {
        Self {
            group,
            context,
            published,
            twin: None,
            lost: false,
            ration: Ration {
                left: options.rebuild_burst,
                since: Instant::default(),
            },
            options,
            used: Instant::default(),
            status: ReaderStatus::default(),
        }
    }

    /// Asks the state at the applied index, which must be at least `min_index`; says at which index
    /// it was asked. `now`: any monotonic time.
    pub fn query(
        &mut self,
        now: Instant,
        min_index: Index,
        request: &[u8],
    ) -> Result<(Index, Reply), QueryError> {
        self.used = now;
        let mut twin = self.follow(now, min_index)?;
        let environment = Environment {
            index: twin.instance.at,
            time: twin.instance.time,
            seed: [0; 32],
        };
        let reply = match twin.instance.machine.query(&environment, request) {
            Ok(reply) => reply,
            Err(Fault::Refused(bytes)) => Reply::Refused(bytes),
            Err(Fault::Failed { class, detail }) => {
                self.lost = true;
                self.status.failed_queries += 1;
                return Err(QueryError::Failed { class, detail });
            }
            Err(Fault::Host(reason)) => {
                self.lost = true;
                return Err(QueryError::Unavailable { reason });
            }
        };
        self.twin = Some(twin);
        Ok((environment.index, reply))
    }

    /// Drops the twin if nobody asked for so long. Returns whether it holds none now.
    pub fn drop_if_idle(&mut self, now: Instant, after: Duration) -> bool {
        if now.since(self.used) >= after {
            self.twin = None;
        }
        self.twin.is_none()
    }

    /// A picture of it.
    pub fn status(&self) -> ReaderStatus {
        self.status
    }

    /// A twin that has applied what the live instance has. Taken out, so that whatever fails on the
    /// way leaves none.
    fn follow(&mut self, now: Instant, min_index: Index) -> Result<Twin, QueryError> {
        let twin = self.twin.take();
        let (origin, at) = match &twin {
            Some(twin) => (Some(&twin.origin), twin.instance.at),
            None => (None, 0),
        };
        let target = self.published.target(origin, at);
        let current = available(&target)?;
        if target.applied < min_index {
            let applied = target.applied;
            self.twin = twin;
            return Err(QueryError::Behind {
                applied,
                wanted: min_index,
            });
        }
        let mut twin = match twin.filter(|twin| twin.origin == *current) {
            Some(twin) => twin,
            None => self.start(now, current.clone())?,
        };
        twin.instance
            .replay(&self.context, self.group, target.applied, &target.skips)
            .map_err(|trouble| self.failed(trouble))?;
        Ok(twin)
    }

    fn start(&mut self, now: Instant, origin: Origin) -> Result<Twin, QueryError> {
        if self.lost && !self.ration.take(now, &self.options) {
            return Err(QueryError::Busy {
                reason: "too many queries failed lately".into(),
            });
        }
        let (instance, _) = origin
            .start(&self.context, self.group, true)
            .map_err(|trouble| self.failed(trouble))?;
        self.lost = false;
        self.status.starts += 1;
        Ok(Twin { origin, instance })
    }

    fn failed(&mut self, trouble: Trouble) -> QueryError {
        match trouble {
            Trouble::Stop(Stop::Gone(reason) | Stop::NoRoom(reason)) => QueryError::Busy { reason },
            Trouble::Stop(Stop::PluginMissing(plugin)) => QueryError::Unavailable {
                reason: format!("plugin {plugin} is not here"),
            },
            Trouble::Stop(Stop::Host(reason) | Stop::Log(reason)) => {
                self.lost = true;
                QueryError::Unavailable { reason }
            }
            Trouble::Guest(failure) => {
                self.lost = true;
                self.status.differences += 1;
                let reason = format!("the reader's {} failed: {}", failure.call, failure.detail);
                QueryError::Unavailable { reason }
            }
        }
    }
}

impl Ration {
    fn take(&mut self, now: Instant, options: &ReaderOptions) -> bool {
        while self.left < options.rebuild_burst
            && now.since(self.since) >= options.rebuild_interval
            && !options.rebuild_interval.is_zero()
        {
            self.left += 1;
            self.since = self.since + options.rebuild_interval;
        }
        if self.left == options.rebuild_burst {
            self.since = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// The origin to follow, if there is a state to ask.
fn available(target: &Target) -> Result<&Origin, QueryError> {
    if let WorkerState::Halted { reason } = &target.state {
        return Err(QueryError::Halted {
            reason: reason.clone(),
        });
    }
    target
        .origin
        .as_ref()
        .ok_or_else(|| QueryError::Unavailable {
            reason: match &target.state {
                WorkerState::Failed { reason } => format!("it never started: {reason}"),
                WorkerState::Retired => "the fsm is retired".into(),
                WorkerState::WaitingForPlugin { plugin } => format!("plugin {plugin} is not here"),
                WorkerState::WaitingForSnapshot { reason }
                | WorkerState::WaitingForRoom { reason } => reason.clone(),
                _ => "it has not started yet".into(),
            },
        })
}
