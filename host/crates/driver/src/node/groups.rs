//! The groups during one turn: which event is for whom.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{Configuration, Envelope, GroupId, Index, Input, Message, NodeId, PersistId};

use crate::MachineSpec;
use crate::task::{NotApplied, Report, Ticket};

use super::group::Group;
use super::hosting::Hosting;
use super::timers::Timers;
use super::turn::Turn;
use super::{Event, Tuning};

/// The groups during one turn.
pub(super) struct Groups<'a> {
    pub(super) all: &'a mut BTreeMap<GroupId, Group>,
    pub(super) hosting: &'a mut Hosting,
    pub(super) timers: &'a mut Timers,
    pub(super) proposing: &'a mut BTreeSet<GroupId>,
    pub(super) reading: &'a mut BTreeSet<GroupId>,
}

impl Groups<'_> {
    pub(super) fn take(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::Received(envelopes) => {
                for envelope in envelopes {
                    self.received(turn, envelope);
                }
            }
            Event::Persisted { group, id } => self.persisted(turn, group, id),
            Event::Propose {
                group,
                command,
                ticket,
            } => self.ask(turn, group, ticket, |replica, turn| {
                replica.enqueue(turn, command, ticket);
            }),
            Event::ProposeHost {
                group,
                entry,
                ticket,
            } => {
                let found = self.with(turn, group, |replica, turn| {
                    replica.propose_host(turn, &entry, ticket);
                });
                if let (false, Some(ticket)) = (found, ticket) {
                    turn.refuse(ticket, NotApplied::NoGroup);
                }
            }
            Event::ChangeMembers {
                group,
                change,
                ticket,
            } => self.ask(turn, group, ticket, |replica, turn| {
                replica.change_members(turn, change, ticket);
            }),
            Event::Transfer { group, to, ticket } => {
                self.ask(turn, group, ticket, |replica, turn| {
                    replica.transfer(turn, to, ticket);
                });
            }
            Event::ForgetLeader { group } => {
                self.with(turn, group, Group::forget_leader);
            }
            Event::SetPriority(priority) => self.set_priority(turn, priority),
            Event::Tune(tuning) => self.tune(turn, &tuning),
            Event::Read {
                group,
                mode,
                ticket,
            } => self.ask(turn, group, ticket, |replica, turn| {
                replica.read(turn, mode, ticket);
            }),
            Event::Report(report) => self.report(turn, report),
            Event::SnapshotOffered {
                offer,
                group,
                to,
                term,
                last,
            } => {
                let replica = self.all.get(&group);
                let wanted = replica.is_some_and(|replica| replica.wants_snapshot(to, term, last));
                turn.out.offers.push((offer, wanted));
            }
            Event::SnapshotArrived {
                group,
                from,
                to,
                term,
                snapshot,
            } => {
                self.with(turn, group, |replica, turn| {
                    replica.snapshot_arrived(turn, from, to, term, snapshot);
                });
            }
            Event::SnapshotFetched { group, snapshot } => {
                self.with(turn, group, |replica, turn| {
                    replica.snapshot_fetched(turn, snapshot);
                });
            }
            Event::SnapshotSent {
                group,
                to,
                delivered,
            } => {
                self.step(turn, group, Input::SnapshotSent { to, delivered });
            }
            Event::SnapshotDamaged { group, last } => {
                self.with(turn, group, |replica, _| replica.snapshot_damaged(last));
            }
            Event::PeerDown(node) => self.peer_down(turn, node),
            Event::PeerUp(node) => self.peer_up(turn, node),
            Event::Host {
                group,
                born,
                configuration,
                create,
            } => self.host(turn, group, born, configuration, create),
            Event::Remove { group, born } => self.remove(turn, group, born),
            Event::Campaign { group } => {
                self.with(turn, group, Group::campaign);
            }
            Event::LowSpace(low) => self.low_space(turn, low),
        }
    }

    /// Calls into one group and notes what it waits for afterwards. False: it is not here.
    pub(super) fn with(
        &mut self,
        turn: &mut Turn<'_>,
        id: GroupId,
        call: impl FnOnce(&mut Group, &mut Turn<'_>),
    ) -> bool {
        let Some(group) = self.all.get_mut(&id) else {
            self.timers.arm(id, None);
            self.proposing.remove(&id);
            self.reading.remove(&id);
            return false;
        };
        call(group, turn);
        self.timers.arm(id, group.deadline());
        note(self.proposing, id, group.wants_to_propose());
        note(self.reading, id, group.wants_log());
        true
    }

    fn step(&mut self, turn: &mut Turn<'_>, group: GroupId, input: Input) {
        self.with(turn, group, |replica, turn| replica.step(turn, input));
    }

    /// Hands a client's wish to its group, or refuses it.
    fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        ticket: Ticket,
        call: impl FnOnce(&mut Group, &mut Turn<'_>),
    ) {
        if !self.with(turn, group, call) {
            turn.refuse(ticket, NotApplied::NoGroup);
        }
    }

    fn received(&mut self, turn: &mut Turn<'_>, envelope: Envelope) {
        turn.shared.down.remove(&envelope.from.node);
        let Some(replica) = self.all.get(&envelope.group) else {
            if !self.hosting.knows(envelope.group, envelope.to) {
                turn.stranger(&envelope);
            }
            return;
        };
        if replica.gives_way_to(&envelope)
            && !self.hosting.was_removed(envelope.group, envelope.to.born)
        {
            self.replace(turn, envelope.group, envelope.to.born);
            return;
        }
        // Another snapshot counts only once its file is here: see `SnapshotArrived`.
        let bare = matches!(envelope.message, Message::Snapshot { .. });
        if !bare || replica.takes_bare_snapshots() {
            self.step(turn, envelope.group, Input::Received(envelope));
        }
    }

    fn set_priority(&mut self, turn: &mut Turn<'_>, priority: u8) {
        turn.config.priority = priority;
        for id in self.ids() {
            self.step(turn, id, Input::SetPriority(priority));
        }
    }

    fn tune(&mut self, turn: &mut Turn<'_>, tuning: &Tuning) {
        turn.config.tune(tuning);
        for id in self.ids() {
            self.with(turn, id, Group::tune);
        }
    }

    fn ids(&self) -> Vec<GroupId> {
        self.all.keys().copied().collect()
    }

    fn persisted(&mut self, turn: &mut Turn<'_>, group: GroupId, id: PersistId) {
        if self.hosting.ended(turn, id) {
            return;
        }
        match self.hosting.begun(turn, group, id) {
            Some(replica) => {
                if replica.has_worker() {
                    turn.out.started.push(group);
                }
                self.all.insert(group, replica);
                for node in turn.shared.down.clone() {
                    self.step(turn, group, Input::PeerDown(node));
                }
                self.with(turn, group, |_, _| {});
            }
            None => {
                self.with(turn, group, |replica, turn| replica.persisted(turn, id));
            }
        }
    }

    fn report(&mut self, turn: &mut Turn<'_>, report: Report) {
        match report {
            Report::Applied { group, index } => {
                self.with(turn, group, |replica, turn| replica.applied(turn, index));
            }
            Report::Checkpointed { group, snapshot } => {
                self.with(turn, group, |replica, turn| {
                    replica.checkpointed(turn, snapshot);
                });
            }
            Report::CheckpointDue { group, urgent } => {
                self.with(turn, group, |replica, _| replica.checkpoint_due(urgent));
            }
            Report::NotCreated { group } => {
                self.with(turn, group, |replica, _| replica.not_created());
            }
            Report::Halted { group, reason } => {
                self.with(turn, group, |replica, turn| replica.halt(turn, reason));
            }
            Report::NoRoom { group } => {
                self.with(turn, group, |replica, turn| replica.no_room(turn));
            }
            Report::CheckpointFailed { group, tail } => {
                self.with(turn, group, |replica, turn| {
                    replica.checkpoint_failed(turn, tail);
                });
            }
            Report::Answer { .. }
            | Report::PluginMissing { .. }
            | Report::ImageMissing { .. }
            | Report::LogFailed { .. } => {}
        }
    }

    fn peer_down(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        turn.shared.down.insert(node);
        for id in self.ids() {
            self.step(turn, id, Input::PeerDown(node));
        }
    }

    fn peer_up(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        turn.shared.down.remove(&node);
        for id in self.ids() {
            self.step(turn, id, Input::PeerUp(node));
        }
    }

    fn host(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        born: Index,
        configuration: Configuration,
        create: Option<MachineSpec>,
    ) {
        if self.all.contains_key(&group) {
            self.with(turn, group, |replica, _| replica.set_create(create));
        } else {
            self.hosting.begin(turn, group, born, configuration, create);
        }
    }

    /// The replica here is dead; another one of this node takes its place.
    fn replace(&mut self, turn: &mut Turn<'_>, group: GroupId, born: Index) {
        self.with(turn, group, Group::end);
        if let Some(former) = self.all.remove(&group) {
            let (hard_state, create) = former.into_heritage();
            self.hosting.replace(turn, group, born, hard_state, create);
        }
        self.with(turn, group, |_, _| {});
    }

    fn remove(&mut self, turn: &mut Turn<'_>, group: GroupId, born: Index) {
        let hosted = self.all.get(&group).map(|replica| replica.replica().born);
        let beginning = self.hosting.beginning(group);
        if hosted.max(beginning).is_none_or(|hosted| hosted > born) {
            return;
        }
        self.with(turn, group, Group::end);
        self.all.remove(&group);
        self.with(turn, group, |_, _| {});
        self.hosting.end(turn, group, born);
    }

    fn low_space(&mut self, turn: &mut Turn<'_>, low: bool) {
        turn.shared.low_space = low;
        if low {
            for id in self.proposing.clone() {
                self.with(turn, id, Group::low_space);
            }
        }
    }
}

fn note(set: &mut BTreeSet<GroupId>, id: GroupId, wanted: bool) {
    if wanted {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}
