//! Workers that stand still, and what a host does about it: fetches a lost snapshot from a peer,
//! fetches a plugin, tries again when there may be room.

use coracle_driver::fsm::{SnapshotHeader, WorkerState};
use coracle_driver::task::{HostEntry, Task};
use coracle_driver::{Event, SnapshotRef, Snapshots};
use coracle_log::SnapshotFiles;
use coracle_proto::{GroupId, NodeId};

use super::{Action, World};
use crate::attack::Failure;
use crate::plan::MS;

/// Between two tries, at most.
const MAX_PAUSE: u64 = 500 * MS;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 4 << 10;

impl World {
    /// After a worker's turn: helps it if it stands still.
    pub(super) fn help(&mut self, node: NodeId, group: GroupId) {
        let life = self.life(node);
        if self.waits_for(node, group).is_none() {
            return;
        }
        let Some(running) = self.running(node) else {
            return;
        };
        if running.healing.insert(group) {
            let time = self.random.below(MAX_PAUSE);
            self.after(time, Action::Heal { node, life, group });
        }
    }

    fn waits_for(&self, node: NodeId, group: GroupId) -> Option<WorkerState> {
        let running = self.processes.get(&node)?.running.as_ref()?;
        let state = running.workers.get(&group)?.status().state;
        let waits = matches!(
            state,
            WorkerState::WaitingForSnapshot { .. }
                | WorkerState::WaitingForRoom { .. }
                | WorkerState::WaitingForPlugin { .. }
        );
        waits.then_some(state)
    }

    pub(super) fn heal_worker(&mut self, node: NodeId, life: u64, group: GroupId) {
        if self.life(node) != life {
            return;
        }
        if let Some(running) = self.running(node) {
            running.healing.remove(&group);
        }
        match self.waits_for(node, group) {
            Some(WorkerState::WaitingForRoom { .. }) => {
                self.count("workers without room");
                self.push(node, group, Task::Retry);
            }
            Some(WorkerState::WaitingForPlugin { plugin }) => {
                self.count("plugins fetched");
                if let Some(process) = self.processes.get(&node) {
                    process.plugins.set_present(plugin, true);
                }
                self.push(node, group, Task::PluginArrived { plugin });
            }
            Some(WorkerState::WaitingForSnapshot { .. }) => {
                self.count("workers without snapshot");
                if self.bring_images(node) {
                    self.push(node, group, Task::Retry);
                }
                if let Some(snapshot) = self.fetch_snapshot(node, group) {
                    self.count("snapshots fetched");
                    self.tell(node, Event::SnapshotFetched { group, snapshot });
                }
            }
            _ => return,
        }
        self.help(node, group);
    }

    fn push(&mut self, node: NodeId, group: GroupId, task: Task) {
        let worker = self.running(node).and_then(|it| it.workers.get_mut(&group));
        if let Some(worker) = worker {
            worker.push(task);
            self.work_soon(node, group);
        }
    }

    /// The newest snapshot of a peer that is no older than what is missing here.
    fn fetch_snapshot(&mut self, node: NodeId, group: GroupId) -> Option<SnapshotRef> {
        let running = self.processes.get(&node)?.running.as_ref()?;
        let status = running.node.status(group)?;
        let at_least = status.snapshot.map_or(0, |snapshot| snapshot.last.index);
        let here = running.snapshots.clone();
        for (peer, process) in &self.processes {
            let cut = self.network.is_cut(*peer, node) || self.network.is_cut(node, *peer);
            let Some(there) = process.running.as_ref().filter(|_| *peer != node && !cut) else {
                continue;
            };
            if let Some(snapshot) = fetch(&there.snapshots, &here, group, at_least) {
                return Some(snapshot);
            }
        }
        None
    }

    /// Asks for another version of the state machine.
    pub(super) fn upgrade(&mut self, node: NodeId, version: u64, fails: Option<Failure>) {
        let spec = crate::spec_of(version, fails);
        // Whoever has not staged it waits for it; what runs already is not taken away.
        for process in self.processes.values() {
            let mut workers = process.running.iter().flat_map(|it| it.workers.values());
            let runs = workers.any(|worker| {
                let running = worker.status().spec;
                running.is_some_and(|running| running.plugin == spec.plugin)
            });
            if self.random.chance(300) && !runs {
                process.plugins.set_present(spec.plugin, false);
            }
        }
        for group in self.group_ids() {
            let event = Event::ProposeHost {
                group,
                entry: HostEntry::Activate(spec.clone()),
                ticket: Some(self.ticket(group)),
            };
            self.tell(node, event);
        }
    }
}

fn fetch(
    there: &SnapshotFiles,
    here: &SnapshotFiles,
    group: GroupId,
    at_least: u64,
) -> Option<SnapshotRef> {
    let (last, digest) = there.newest(group).ok()??;
    if last.index < at_least {
        return None;
    }
    let mut reader = there.open(group, last, &digest).ok()?;
    let mut receiver = here.receive(group).ok()?;
    let mut offset = 0;
    while offset < reader.file_len() {
        let left = reader.file_len() - offset;
        let mut chunk = vec![0; left.min(CHUNK_BYTES as u64) as usize];
        reader.read_raw(offset, &mut chunk).ok()?;
        receiver.write(&chunk).ok()?;
        offset += chunk.len() as u64;
    }
    let (digest, header) = receiver.finish(Some((last, digest))).ok()?;
    let header = SnapshotHeader::decode(&header).ok()?;
    Some(SnapshotRef {
        last,
        configuration: header.configuration,
        digest,
    })
}
