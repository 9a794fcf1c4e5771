//! What the directory says, read without a running node.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use coracle_driver::directory::{
    DirectoryCommand, DirectoryHandle, DirectoryState, NativeMachines, NodeRole, Placement,
};
use coracle_driver::fsm::{Worker, WorkerContext, WorkerOptions, WorkerState};
use coracle_driver::task::{Command, Task};
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
    state.members.nodes.keys().copied().collect()
}

/// The commands after which it names the survivors only, as voters, and every fsm has somewhere
/// to run. Those who were left are gone for ever: their ids are not given out again.
pub(super) fn removals(
    state: &DirectoryState,
    survivors: &BTreeSet<NodeId>,
    left: &BTreeSet<NodeId>,
) -> Vec<Command> {
    let mut commands = Vec::new();
    for node in survivors {
        let named = state.members.nodes.get(node);
        if named.is_some_and(|it| it.role != NodeRole::Voter || it.staged.is_some()) {
            commands.push(DirectoryCommand::SetNodeRole {
                node: *node,
                role: NodeRole::Voter,
                expected: None,
            });
            commands.push(DirectoryCommand::CompleteStaging { node: *node });
        }
    }
    for (name, fsm) in &state.fsms {
        let stays = |nodes: &[NodeId]| nodes.iter().all(|node| survivors.contains(node));
        if matches!(&fsm.placement, Placement::Nodes(nodes) if !stays(nodes)) {
            commands.push(DirectoryCommand::PlaceFsm {
                name: name.clone(),
                placement: Placement::All,
            });
        }
    }
    for node in left {
        if state.members.nodes.contains_key(node) {
            commands.push(DirectoryCommand::RemoveNode {
                node: *node,
                expected: None,
            });
            commands.push(DirectoryCommand::DropNode { node: *node });
        }
    }
    let command = |command: DirectoryCommand| Command {
        body: Bytes::from(command.encode()),
        key: None,
    };
    commands.into_iter().map(command).collect()
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
