//! Snapshots on their way from one node to another.

use coracle_driver::{Event, SendSnapshot, SnapshotError, Snapshots};
use coracle_log::SnapshotFiles;
use coracle_proto::NodeId;

use super::{Action, World};
use crate::invariants::{Check, Refusal, violated};
use crate::plan::MS;
use crate::process::Process;

/// Bytes read and written at once.
const CHUNK_BYTES: usize = 100;

/// How long a slow transfer takes, nanoseconds.
const MAX_TRANSFER_TIME: u64 = 2000 * MS;

/// One transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    send: SendSnapshot,
    /// The sender's life.
    life: u64,
    /// The receiver's, once it wants the snapshot.
    accepted: Option<u64>,
    offered: bool,
}

impl Transfer {
    pub(super) fn new(send: SendSnapshot, life: u64) -> Self {
        Self {
            send,
            life,
            accepted: None,
            offered: false,
        }
    }
}

impl World {
    pub(super) fn begin_transfer(&mut self, from: NodeId, transfer: Transfer) {
        self.sequence += 1;
        let id = self.sequence;
        let SendSnapshot {
            group,
            to,
            snapshot,
            ..
        } = &transfer.send;
        let (group, to, last) = (*group, *to, snapshot.last);
        let text = || format!("{from} sends {to} the snapshot {last} of {group}");
        self.trace.note(self.now, (12, from, to, group, last), text);
        self.transfers.insert(id, transfer);
        let latency = self.network.latency();
        self.after(latency, Action::Transfer { id });
    }

    /// The next step: the offer, or the data.
    pub(super) fn transfer(&mut self, id: u64) -> Check {
        let Some(transfer) = self.transfers.get_mut(&id) else {
            return Ok(());
        };
        let (from, to) = (transfer.send.from.node, transfer.send.to.node);
        let cut = self.network.is_cut(from, to) || self.network.is_cut(to, from);
        let down = self
            .processes
            .get(&to)
            .is_none_or(|it| it.running.is_none());
        if cut || down {
            self.end_transfer(id, false);
            return Ok(());
        }
        if !transfer.offered {
            transfer.offered = true;
            let event = Event::SnapshotOffered {
                offer: id,
                group: transfer.send.group,
                to: transfer.send.to,
                term: transfer.send.term,
                last: transfer.send.snapshot.last,
            };
            self.tell(to, event);
            // Should the receiver die before it answers.
            self.after(500 * MS, Action::Transfer { id });
            return Ok(());
        }
        self.finish_transfer(id)
    }

    pub(super) fn offer_answered(&mut self, node: NodeId, offer: u64, wanted: bool) {
        let life = self.processes.get(&node).map(|process| process.life);
        let Some(transfer) = self.transfers.get_mut(&offer) else {
            return;
        };
        if !wanted {
            self.end_transfer(offer, false);
            return;
        }
        transfer.accepted = life;
        let slow = match self.plan.faults.transfer && self.random.chance(300) {
            true => self.random.below(MAX_TRANSFER_TIME),
            false => 0,
        };
        let latency = self.network.latency() * 2;
        self.after(latency + slow, Action::Transfer { id: offer });
    }

    fn finish_transfer(&mut self, id: u64) -> Check {
        let Some(transfer) = self.transfers.get(&id) else {
            return Ok(());
        };
        let send = transfer.send.clone();
        let (from, to) = (send.from.node, send.to.node);
        let lives = |node, life| {
            let process = self.processes.get(&node);
            process.is_some_and(|it| it.running.is_some() && Some(it.life) == life)
        };
        let alive = lives(from, Some(transfer.life)) && lives(to, transfer.accepted);
        if !alive {
            self.end_transfer(id, false);
            return Ok(());
        }
        let harm = match self.plan.faults.transfer && !self.healed {
            true => self.random.below(6),
            false => Harm::None as u64,
        };
        let harm = match harm {
            0 => Harm::BreakOff,
            1 => Harm::Damage,
            _ => Harm::None,
        };
        let (Some(source), Some(target)) = (self.files(from), self.files(to)) else {
            return Ok(());
        };
        let copied = copy(&send, &source, &target, harm);
        // What the sender's disk has made of it is refused like what the network has.
        let damaged = self.processes.get(&from).is_some_and(Process::is_damaged);
        let refused = matches!(copied, Err(Broken::Target(SnapshotError::Damaged { .. })));
        let by_disk = damaged && refused;
        let snapshot = &send.snapshot;
        let verified = by_disk.then(|| source.verify(send.group, snapshot.last, &snapshot.digest));
        if let Some(Err(SnapshotError::Damaged { .. } | SnapshotError::Missing { .. })) = verified {
            let (group, last) = (send.group, snapshot.last);
            self.count("damaged snapshot of a leader replaced");
            self.tell(from, Event::SnapshotDamaged { group, last });
        }
        let copied = if by_disk { Ok(false) } else { copied };
        match copied {
            Ok(true) => self.arrived(id, send),
            Ok(false) => {
                self.count(match harm {
                    Harm::Damage => "damaged transfer noticed",
                    _ if by_disk => "damage sent by a disk noticed",
                    _ => "transfer broken off",
                });
                self.end_transfer(id, false);
            }
            Err(Broken::Undetected) => {
                return violated(
                    "transfer",
                    format!("{to} takes a damaged snapshot of {from}"),
                );
            }
            Err(Broken::Source(_)) => {
                // Its file is gone: a newer snapshot has taken its place.
                self.end_transfer(id, false);
            }
            Err(Broken::Target(error)) => {
                self.end_transfer(id, false);
                let refusal = Refusal::from(&error);
                if !matches!(refusal, Refusal::Full(_)) {
                    return self.failed(to, refusal);
                }
            }
        }
        Ok(())
    }

    fn files(&mut self, node: NodeId) -> Option<SnapshotFiles> {
        self.running(node).map(|running| running.snapshots.clone())
    }

    fn arrived(&mut self, id: u64, send: SendSnapshot) {
        self.end_transfer(id, true);
        let to = send.to.node;
        let term = self
            .running(to)
            .and_then(|it| it.terms.get(&send.group).copied());
        if term.is_some_and(|term| term > send.term) {
            self.count("snapshot arrived from a deposed leader");
        }
        let event = Event::SnapshotArrived {
            group: send.group,
            from: send.from,
            to: send.to,
            term: send.term,
            snapshot: send.snapshot,
        };
        self.tell(to, event);
    }

    fn end_transfer(&mut self, id: u64, delivered: bool) {
        let Some(transfer) = self.transfers.remove(&id) else {
            return;
        };
        let (group, to) = (transfer.send.group, transfer.send.to);
        let node = transfer.send.from.node;
        if self.processes.get(&node).map(|it| it.life) == Some(transfer.life) {
            let event = Event::SnapshotSent {
                group,
                to,
                delivered,
            };
            let latency = self.network.latency();
            self.after(latency, Action::Tell { node, event });
        }
    }
}

/// What happens to the bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    BreakOff,
    Damage,
    None,
}

enum Broken {
    Source(#[expect(dead_code, reason = "for a debugger")] SnapshotError),
    Target(SnapshotError),
    Undetected,
}

/// Copies a file. False: it did not arrive.
fn copy(
    send: &SendSnapshot,
    source: &SnapshotFiles,
    target: &SnapshotFiles,
    harm: Harm,
) -> Result<bool, Broken> {
    let snapshot = &send.snapshot;
    let reader = source.open(send.group, snapshot.last, &snapshot.digest);
    let mut reader = reader.map_err(Broken::Source)?;
    let mut receiver = target.receive(send.group).map_err(Broken::Target)?;
    let (len, mut offset) = (reader.file_len(), 0);
    while offset < len {
        if harm == Harm::BreakOff && offset >= len / 2 {
            return Ok(false);
        }
        let size = (len - offset).min(CHUNK_BYTES as u64) as usize;
        let mut chunk = vec![0; size];
        let read = reader.read_raw(offset, &mut chunk);
        read.map_err(Broken::Source)?;
        if harm == Harm::Damage && offset <= len / 2 && len / 2 < offset + size as u64 {
            chunk[(len / 2 - offset) as usize] ^= 0x10;
        }
        let written = receiver.write(&chunk);
        match written {
            Err(SnapshotError::Damaged { .. }) if harm == Harm::Damage => return Ok(false),
            written => written.map_err(Broken::Target)?,
        }
        offset += size as u64;
    }
    match (receiver.finish(None), harm) {
        (Ok((digest, _)), Harm::None) if digest == snapshot.digest => Ok(true),
        (Ok(_), _) => Err(Broken::Undetected),
        (Err(SnapshotError::Damaged { .. }), Harm::Damage) => Ok(false),
        (Err(error), _) => Err(Broken::Target(error)),
    }
}
