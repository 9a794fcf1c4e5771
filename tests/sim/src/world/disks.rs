//! Disks that fail, lie, fill up, hang, or are gone.

use std::path::{Path, PathBuf};

use coracle_log::Fault;
use coracle_proto::NodeId;

use super::{Action, World};
use crate::attack::{Attack, DiskOperation, FileKind};
use crate::invariants::Harm;
use crate::plan::MS;
use crate::process::Process;
use crate::survive::set_harmed;

impl World {
    pub(super) fn attack_disk(&mut self, attack: Attack) {
        match attack {
            Attack::PowerSoon { node, operations } => {
                self.doom(node, operations, Fault::Crash, &[Harm::Power]);
            }
            Attack::DiskError {
                node,
                operations,
                kind,
            } if self.plan.atlas.allows(node) => match kind {
                DiskOperation::Read => self.doom(node, operations, Fault::Read, &[Harm::Error]),
                DiskOperation::Write => self.doom(node, operations, Fault::Write, &[Harm::Error]),
                DiskOperation::MisdirectedWrite => {
                    self.doom(
                        node,
                        operations,
                        Fault::Misdirect,
                        &[Harm::Error, Harm::Damage],
                    );
                }
                DiskOperation::Sync => {
                    self.doom(node, operations, Fault::Sync, &[Harm::Error, Harm::Dropped]);
                }
                // What is read wrongly may be written back.
                DiskOperation::FlippedRead => {
                    self.doom(
                        node,
                        operations,
                        Fault::ReadFlip,
                        &[Harm::Error, Harm::Damage],
                    );
                }
            },
            Attack::Full { node, slack, time } => self.fill(NodeId(node), slack, time),
            Attack::Flip {
                node,
                file,
                position,
                dense,
                kill,
            } if self.plan.atlas.allows(node) => {
                let node = NodeId(node);
                if self.flip(node, file, position, dense) && kill {
                    self.stop(node, false, 50 * MS);
                }
            }
            Attack::Lie { node, file, time } if self.plan.atlas.allows(node) => {
                self.lie(NodeId(node), file, time);
            }
            Attack::SlowDisk { node, factor, time } => {
                let until = self.now + time;
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.slow = (factor, until);
                }
            }
            Attack::HungDisk { node, time } => {
                let until = self.now + time;
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.hung_until = until;
                }
            }
            Attack::Wipe { node } if self.plan.atlas.allows(node) => self.wipe(NodeId(node)),
            _ => {}
        }
    }

    /// After so many operations this goes wrong, unless something else is about to.
    fn doom(&mut self, node: u64, operations: u64, fault: Fault, harms: &[Harm]) {
        let Some(process) = self.processes.get_mut(&NodeId(node)) else {
            return;
        };
        let doomed = [Harm::Power, Harm::Error];
        if process.running.is_some() && doomed.iter().all(|harm| !process.harms.contains(harm)) {
            process.disk.fail_after(operations, fault);
            process.harms.extend(harms);
            if harms.contains(&Harm::Error) {
                set_harmed(true);
            }
            self.count("disk faults");
        }
    }

    fn fill(&mut self, node: NodeId, slack: u64, time: u64) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        let used = process.disk.used_bytes();
        process.disk.set_capacity(Some(used + slack));
        process.harms.insert(Harm::Full);
        self.after(time, Action::MakeRoom { node });
        self.look_for_room(node);
    }

    /// There is room on the disk again.
    pub(super) fn make_room(&mut self, node: NodeId) {
        if let Some(process) = self.processes.get_mut(&node) {
            process.disk.set_capacity(None);
            process.harms.remove(&Harm::Full);
        }
        self.look_for_room(node);
    }

    /// Tells a node if there has come to be little room, or enough again.
    pub(super) fn look_for_room(&mut self, node: NodeId) {
        let changed = self.running(node).and_then(|it| it.room_changed());
        if let Some(low) = changed {
            self.tell(node, coracle_driver::Event::LowSpace(low));
        }
    }

    fn flip(&mut self, node: NodeId, file: FileKind, position: u64, dense: bool) -> bool {
        let Some(process) = self.processes.get_mut(&node) else {
            return false;
        };
        let Some(path) = path(process, file, position) else {
            return false;
        };
        let bytes = process.disk.contents(&path).unwrap_or_default();
        let mut places = (0..bytes.len()).filter(|at| !dense || bytes[*at] != 0);
        let count = places.clone().count() as u64;
        let Some(nth) = (position / 8).checked_rem(count) else {
            return false;
        };
        let Some(at) = places.nth(nth as usize) else {
            return false;
        };
        process.harms.insert(Harm::Damage);
        set_harmed(true);
        process.disk.flip_bit(&path, at as u64 * 8 + position % 8)
    }

    fn lie(&mut self, node: NodeId, file: FileKind, time: u64) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        if process.running.is_none() {
            return;
        }
        let place = match file {
            // Those that are there were synced long ago.
            FileKind::Snapshot => Some(PathBuf::from("snapshots")),
            _ => path(process, file, 0),
        };
        let Some(place) = place else {
            return;
        };
        process.disk.set_lying(Some(&place));
        process.harms.insert(Harm::Lie);
        set_harmed(true);
        self.after(time, Action::LieEnds { node });
    }

    /// The lie comes out: the power goes.
    pub(super) fn lie_ends(&mut self, node: NodeId) {
        if self.healed {
            return;
        }
        self.stop(node, true, 20 * MS);
        if let Some(process) = self.processes.get_mut(&node) {
            let before = snapshots(process);
            process.disk.crash(self.random.next());
            process.disk.set_lying(None);
            if before != snapshots(process) {
                self.count("snapshot lost to a lying sync");
            }
        }
    }

    fn wipe(&mut self, node: NodeId) {
        self.stop(node, false, 0);
        if let Some(process) = self.processes.get_mut(&node)
            && !process.lost
        {
            process.wipe();
            process.lost = true;
            self.replace(node);
        }
    }

    /// How long the disk of a node takes for a write that would take so long.
    pub(super) fn disk_time(&self, node: NodeId, latency: u64) -> u64 {
        let Some(process) = self.processes.get(&node) else {
            return latency;
        };
        let (factor, until) = process.slow;
        let latency = match self.now < until {
            true => latency * factor,
            false => latency,
        };
        latency.max(process.hung_until.saturating_sub(self.now))
    }
}

/// The snapshot files of a node, by name and length.
fn snapshots(process: &Process) -> Vec<(PathBuf, usize)> {
    let files = process.disk.files().into_iter();
    let files = files.filter(|path| path.starts_with("snapshots"));
    let len = |path: &PathBuf| process.disk.contents(path).map_or(0, |bytes| bytes.len());
    files.map(|path| (path.clone(), len(&path))).collect()
}

fn path(process: &Process, file: FileKind, choice: u64) -> Option<PathBuf> {
    let files = process.disk.files();
    let is = |path: &&PathBuf| match file {
        FileKind::Log => path.as_path() == Path::new("log/log.redb"),
        FileKind::Anchor => path.as_path() == Path::new("log/anchor"),
        FileKind::Snapshot => path.starts_with("snapshots"),
    };
    let files: Vec<_> = files.iter().filter(is).collect();
    let at = choice.checked_rem(files.len() as u64)?;
    files.get(at as usize).map(|path| (*path).clone())
}
