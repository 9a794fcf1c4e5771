//! What a worker publishes for the readers of its group.

use std::sync::{Arc, Mutex};

use coracle_proto::Index;

use super::history::Origin;
use super::verdict::SkipList;
use super::worker::WorkerState;

/// A handle on what a worker publishes; cheap to clone.
#[derive(Debug, Clone)]
pub struct Published {
    shared: Arc<Mutex<Shared>>,
}

/// As of the last `run` of the worker.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) applied: Index,
    pub(super) origin: Option<Origin>,
    pub(super) skips: SkipList,
    pub(super) state: WorkerState,
}

/// What a reader needs to follow.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) applied: Index,
    pub(super) origin: Option<Origin>,
    /// Verdicts of the entries after the reader's own.
    pub(super) skips: SkipList,
    pub(super) state: WorkerState,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            applied: 0,
            origin: None,
            skips: SkipList::new(),
            state: WorkerState::Starting,
        }
    }
}

impl Shared {
    pub(super) fn publish(
        &mut self,
        applied: Index,
        origin: Option<&Origin>,
        skips: &SkipList,
        state: WorkerState,
    ) {
        if self.origin.as_ref() == origin {
            let new = skips.range(self.applied + 1..);
            self.skips
                .extend(new.map(|(index, skipped)| (*index, skipped.clone())));
        } else {
            self.origin = origin.cloned();
            self.skips = skips.clone();
        }
        self.applied = applied;
        self.state = state;
    }
}

impl Published {
    pub(super) fn new(shared: Arc<Mutex<Shared>>) -> Self {
        Self { shared }
    }

    /// Last applied index that a reader can reach.
    pub fn applied(&self) -> Index {
        self.with(|shared| shared.applied)
    }

    /// What to follow, for a reader that has a twin of this origin at `at`.
    pub(super) fn target(&self, origin: Option<&Origin>, at: Index) -> Target {
        self.with(|shared| {
            let same = origin.is_some() && origin == shared.origin.as_ref();
            let from = if same { at + 1 } else { 0 };
            Target {
                applied: shared.applied,
                origin: shared.origin.clone(),
                skips: shared
                    .skips
                    .range(from..)
                    .map(|(index, skipped)| (*index, skipped.clone()))
                    .collect(),
                state: shared.state.clone(),
            }
        })
    }

    fn with<T>(&self, read: impl FnOnce(&Shared) -> T) -> T {
        // A panic elsewhere while it was held cannot leave it half written in a way that matters:
        // the worker that would have is gone.
        read(
            &self
                .shared
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        )
    }
}
