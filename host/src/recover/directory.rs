//! What the directory says, read without a running node.

use std::sync::Arc;

use coracle_driver::directory::{DirectoryHandle, DirectoryState, NativeMachines};
use coracle_driver::fsm::{Worker, WorkerContext, WorkerOptions, WorkerState};
use coracle_driver::task::Task;
use coracle_driver::{Digest, Environment, Fault, Machine, MachineSpec, Machines, Source};
use coracle_proto::{GroupId, NodeId};

use super::folder::Folder;

/// Entries applied at a time.
const BUDGET: usize = 1024;

/// The directory after all that is in the best log of group 0; `None` if no folder's can be
/// restored.
pub(super) fn best(folders: &[Folder]) -> Option<DirectoryState> {
    let mut folders: Vec<&Folder> = folders.iter().collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(last(folder)));
    folders.into_iter().find_map(read)
}

/// Last entry of a folder's group 0.
fn last(folder: &Folder) -> Option<(u64, u64)> {
    let found = folder.recovered.groups.get(&GroupId::SYSTEM)?;
    let last = super::plan::last(found);
    Some((last.term, last.index))
}

fn read(folder: &Folder) -> Option<DirectoryState> {
    let found = folder.recovered.groups.get(&GroupId::SYSTEM)?;
    let handle = DirectoryHandle::default();
    let context = WorkerContext {
        log: Arc::new(folder.reader.clone()),
        snapshots: Arc::new(folder.snapshots.clone()),
        machines: Arc::new(NativeMachines::new(handle.clone(), Arc::new(NoOthers))),
        options: WorkerOptions::default(),
    };
    let mut worker = Worker::new(GroupId::SYSTEM, context, &found.floor);
    worker.push(Task::Apply {
        through: found.initial.last,
    });
    while worker.run(BUDGET).1 {}
    let runs = worker.status().state == WorkerState::Running;
    runs.then(|| (*handle.state()).clone())
}

/// The nodes it names.
pub(super) fn nodes(state: &DirectoryState) -> Vec<NodeId> {
    state.nodes.keys().copied().collect()
}

/// Group 0 runs nothing but the directory.
#[derive(Debug)]
struct NoOthers;

impl Machines for NoOthers {
    fn has(&self, _: &Digest) -> bool {
        false
    }

    fn start(
        &self,
        spec: &MachineSpec,
        _: &Environment,
        _: Option<&mut dyn Source>,
        _: bool,
    ) -> Result<Box<dyn Machine>, Fault> {
        Err(Fault::Host(format!(
            "plugin {} is not run here",
            spec.plugin
        )))
    }
}
