//! What this node's workers last said of themselves, for status and for those who wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use coracle_driver::fsm::WorkerStatus;
use coracle_proto::GroupId;
use tokio::sync::watch;

/// The latest status of every group hosted here.
#[derive(Debug, Default)]
pub(super) struct Views {
    groups: Mutex<BTreeMap<GroupId, watch::Sender<WorkerStatus>>>,
}

impl Views {
    /// A group begins to be hosted here.
    pub(super) fn insert(&self, group: GroupId, status: WorkerStatus) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group, watch::Sender::new(status));
    }

    /// A group has moved on. Nothing, if it was removed meanwhile: its worker may be at work still.
    pub(super) fn publish(&self, group: GroupId, status: WorkerStatus) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = groups.get(&group) {
            sender.send_replace(status);
        }
    }

    pub(super) fn remove(&self, group: GroupId) {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
    }

    pub(super) fn get(&self, group: GroupId) -> Option<WorkerStatus> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(&group).map(|sender| sender.borrow().clone())
    }

    /// Follows one group.
    pub(super) fn watch(&self, group: GroupId) -> Option<watch::Receiver<WorkerStatus>> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(&group).map(watch::Sender::subscribe)
    }
}
