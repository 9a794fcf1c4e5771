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
    pub(super) fn publish(&self, group: GroupId, status: WorkerStatus) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        match groups.get(&group) {
            Some(sender) => {
                sender.send_replace(status);
            }
            None => {
                groups.insert(group, watch::Sender::new(status));
            }
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
