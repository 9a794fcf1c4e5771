//! What a host does around a node: carries events in, and what it wants done out.

use std::collections::VecDeque;

use coracle_driver::fsm::WorkerState;
use coracle_driver::task::{Answer, Report, Task, Ticket};
use coracle_driver::{Event, Outbox, SnapshotRef, Snapshots, Write, WriteKind};
use coracle_proto::{Configuration, Envelope, GroupId, Instant, LogId, NodeId};

use super::transfer::Transfer;
use super::{Action, World};
use crate::invariants::{Check, Harm, Refusal, violated};
use crate::plan::MS;
use crate::process::Running;

/// Entries that a worker applies at once, at most.
const MAX_BUDGET: u64 = 40;

/// One in so many times a worker waits for so much longer.
const BUSY_ONE_IN: u64 = 50;
const BUSY_FACTOR: u64 = 1500;

/// How often a node is started again that stopped because of damage.
const MAX_DAMAGED_STOPS: u64 = 3;

/// Snapshot files of a group that are still needed.
#[derive(Debug)]
pub(super) struct Retain {
    life: u64,
    group: GroupId,
    keep: Vec<SnapshotRef>,
}

/// The host removes files when it finds the time, nanoseconds.
const MAX_RETAIN_DELAY: u64 = 500 * MS;

impl World {
    /// An event for a node: taken in its next turn, lost if it does not run.
    pub(super) fn tell(&mut self, node: NodeId, event: Event) {
        let Some(running) = self.running(node) else {
            return;
        };
        running.inbox.push(event);
        let soon = self.now + self.random.below(MS / 5);
        self.turn_at(node, soon);
    }

    pub(super) fn running(&mut self, node: NodeId) -> Option<&mut Running> {
        self.processes.get_mut(&node)?.running.as_mut()
    }

    pub(super) fn life(&self, node: NodeId) -> u64 {
        self.processes.get(&node).map_or(0, |process| process.life)
    }

    fn turn_at(&mut self, node: NodeId, at: u64) {
        let life = self.life(node);
        let Some(running) = self.running(node) else {
            return;
        };
        if running.turn_at.is_none_or(|planned| at < planned) {
            running.turn_at = Some(at);
            self.at(at, Action::Turn { node, life });
        }
    }

    /// A turn at once, because its clock has changed.
    pub(super) fn turn_soon(&mut self, node: NodeId) {
        self.turn_at(node, self.now + 1);
    }

    pub(super) fn deliver(&mut self, to: NodeId, losses: u64, life: u64, envelope: Envelope) {
        if self.network.losses(envelope.from.node, to) != losses {
            self.count("connection lost with messages in flight");
            return;
        }
        self.delivered += 1;
        if self.life(to) != life {
            self.count("message from before a restart of its receiver");
        }
        let text = || format!("{to} receives {envelope:?}");
        self.trace.note(self.now, (3, &envelope), text);
        self.tell(to, Event::Received(vec![envelope]));
    }

    pub(super) fn turn(&mut self, node: NodeId, life: u64) -> Check {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&node) else {
            return Ok(());
        };
        let (clock, wall) = (process.clock.at(now), process.wall(now));
        let paused = process.paused_until;
        let current = process.life == life;
        let Some(running) = process.running.as_mut().filter(|_| current) else {
            return Ok(());
        };
        if running.turn_at != Some(now) {
            return Ok(());
        }
        running.turn_at = None;
        if paused > now {
            self.turn_at(node, paused);
            return Ok(());
        }
        let events = std::mem::take(&mut running.inbox);
        let mut out = Outbox::default();
        if let Some(witness) = &mut self.witness {
            witness.takes(node, &events);
        }
        self.invariants.takes(node, clock, &events);
        running.node.turn(clock, wall, events, &mut out);
        #[cfg(test)]
        super::planted::turned(node, &mut out);
        if let Some(witness) = &mut self.witness {
            witness.turned(node, &out);
        }
        let deadline = running.node.deadline();
        if let Some(deadline) = deadline {
            let when = self.processes[&node].clock.when(deadline);
            self.turn_at(node, when.max(now + 1));
        }
        self.carry_out(node, clock, out)
    }

    fn carry_out(&mut self, node: NodeId, clock: Instant, out: Outbox) -> Check {
        for write in &out.writes {
            let text = || format!("{node} writes {write:?}");
            self.trace.note(self.now, (4, node, write.id), text);
            if let WriteKind::Install { floor, .. } = &write.kind
                && self.invariants.last_index(write.group, node) > floor.last.index
            {
                self.count("snapshot in the place of a longer log");
            }
            self.invariants.written(node, write)?;
        }
        for change in &out.leadership {
            let text = || format!("{node} sees {change:?}");
            let what = (5, node, change.group, change.term, change.leader);
            self.trace.note(self.now, what, text);
            self.count(if change.leads {
                "elections"
            } else {
                "leader changes"
            });
            if let Some(running) = self.running(node) {
                running.terms.insert(change.group, change.term);
            }
            if change.leads {
                self.mark_election(node, change.group);
                self.hunt(node);
            }
            self.invariants
                .leader(change.group, node, clock, change.term, change.leader)?;
        }
        self.invariants.turned(node)?;
        self.ask_status(node)?;
        for envelope in out.sends {
            self.send(node, envelope)?;
        }
        for stranger in &out.strangers {
            self.welcome(node, stranger);
        }
        for (group, replica) in &out.evicted {
            self.evict(node, *group, *replica);
        }
        for (group, configuration) in &out.configurations {
            if !configuration.outgoing.is_empty() {
                self.count("commit of a joint configuration");
            }
            if !configuration.witnesses.is_empty() {
                self.count("commit of a configuration with a witness");
            }
            self.invariants.configured(*group, node, configuration)?;
        }
        for group in out.removed {
            self.end(node, group)?;
        }
        for group in out.started {
            self.begin(node, group);
        }
        for (group, task) in out.tasks {
            self.task(node, group, task)?;
        }
        for (ticket, answer) in out.answers {
            self.send_answer(ticket, answer);
        }
        let life = self.life(node);
        for (group, keep) in out.retain {
            let time = self.random.below(MAX_RETAIN_DELAY);
            let retain = Retain { life, group, keep };
            self.retains.entry(node).or_default().push_back(retain);
            self.after(time, Action::Retain { node });
        }
        for send in out.snapshots {
            self.begin_transfer(node, Transfer::new(send, life));
        }
        for (offer, wanted) in out.offers {
            self.retain_now(node)?;
            self.offer_answered(node, offer, wanted);
        }
        self.write(node, out.writes);
        match out.fatal.first() {
            Some((group, reason)) => {
                let text = format!("{group} stopped: {reason}");
                self.failed(node, Refusal::Impossible(text))
            }
            None => Ok(()),
        }
    }

    /// What a node says of itself is true.
    fn ask_status(&mut self, node: NodeId) -> Check {
        for group in self.group_ids() {
            if !self.invariants.asks(group, node) {
                continue;
            }
            let status = self.running(node).and_then(|it| it.node.status(group));
            if let Some(status) = status.filter(|status| status.stopped.is_none()) {
                self.invariants.said(group, &status.raft)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, node: NodeId, envelope: Envelope) -> Check {
        self.invariants.sent(&envelope)?;
        let to = envelope.to.node;
        if let Some((time, envelope)) = self.network.replay(&envelope) {
            self.count("messages replayed");
            self.put_on_wire(time, envelope);
        }
        for latency in self.network.route(self.now, node, to) {
            self.put_on_wire(latency, envelope.clone());
        }
        Ok(())
    }

    fn put_on_wire(&mut self, time: u64, envelope: Envelope) {
        let to = envelope.to.node;
        let losses = self.network.losses(envelope.from.node, to);
        let deliver = Action::Deliver {
            to,
            losses,
            life: self.life(to),
            envelope,
        };
        self.after(time, deliver);
    }

    fn send_answer(&mut self, ticket: Ticket, answer: Answer) {
        let latency = self.network.latency();
        self.after(latency, Action::Answer { ticket, answer });
    }

    fn task(&mut self, node: NodeId, group: GroupId, task: Task) -> Check {
        match &task {
            Task::Apply { through } => {
                let (through, now) = (*through, self.now);
                let text = || format!("{node} {group} commits {through}");
                self.trace.note(now, (6, node, group, through), text);
                let running = self.running(node);
                let term = running.and_then(|running| running.terms.get(&group).copied());
                let term = term.unwrap_or(0);
                self.invariants.committed(group, node, term, through)?;
            }
            Task::Install { snapshot } => {
                let (last, now) = (snapshot.last, self.now);
                let text = || format!("{node} {group} installs {last}");
                self.trace.note(now, (7, node, group, last), text);
                self.count("snapshots installed");
                self.invariants.installed(group, node, last.index)?;
            }
            Task::Read { ticket, .. } => self.invariants.read_ready(group, node, *ticket)?,
            Task::Expect { .. } | Task::Retry | Task::PluginArrived { .. } => {}
        }
        let worker = self.running(node).and_then(|it| it.workers.get_mut(&group));
        if let Some(worker) = worker {
            worker.push(task);
            self.work_soon(node, group);
        }
        Ok(())
    }

    pub(super) fn work_soon(&mut self, node: NodeId, group: GroupId) {
        let life = self.life(node);
        let Some(running) = self.running(node) else {
            return;
        };
        if running.busy.insert(group) {
            let time = match self.random.below(2 * MS) {
                // Its thread has much else to do.
                time if time < 2 * MS / BUSY_ONE_IN => time * BUSY_FACTOR,
                time => time,
            };
            self.after(time, Action::Work { node, life, group });
        }
    }

    /// A worker's turn.
    pub(super) fn work(&mut self, node: NodeId, life: u64, group: GroupId) -> Check {
        let budget = self.random.between(1, MAX_BUDGET);
        // Mostly few, so that what is committed and what is applied are often not the same.
        let budget = (budget * budget / MAX_BUDGET).max(1) as usize;
        let paused = self.processes[&node].paused_until;
        if self.life(node) != life {
            return Ok(());
        }
        if paused > self.now {
            self.at(paused, Action::Work { node, life, group });
            return Ok(());
        }
        let Some(running) = self.running(node) else {
            return Ok(());
        };
        running.busy.remove(&group);
        let Some(worker) = running.workers.get_mut(&group) else {
            return Ok(());
        };
        let (reports, more) = worker.run(budget);
        let status = worker.status();
        if matches!(status.state, WorkerState::Running | WorkerState::Starting) {
            let (at, chain) = (status.applied, status.chain);
            #[cfg(test)]
            let chain = super::planted::chain(node, chain);
            let text = || format!("{node} {group} has applied {at}, chain {chain}");
            self.trace.note(self.now, (8, node, group, at, chain), text);
            self.invariants.applied(group, node, at, chain)?;
        }
        let applied = status.applied;
        for report in reports {
            if let Report::Answer {
                answer: Answer::ReadAt { index },
                ..
            } = report
            {
                self.invariants.granted(node, index, applied)?;
            }
            self.report(node, report)?;
        }
        if more {
            self.work_soon(node, group);
        }
        self.help(node, group);
        Ok(())
    }

    fn report(&mut self, node: NodeId, report: Report) -> Check {
        match report {
            Report::Answer {
                ticket,
                #[cfg_attr(not(test), allow(unused_mut, reason = "tests change it"))]
                mut answer,
            } => {
                #[cfg(test)]
                super::planted::answered(&mut answer);
                self.send_answer(ticket, answer);
            }
            Report::LogFailed { group, reason } | Report::Halted { group, reason } => {
                let text = format!("{group} halted: {reason}");
                return self.failed(node, Refusal::Stopped(text));
            }
            report => {
                if matches!(report, Report::Checkpointed { .. }) {
                    self.count("checkpoints");
                }
                self.tell(node, Event::Report(report));
            }
        }
        Ok(())
    }

    fn begin(&mut self, node: NodeId, group: GroupId) {
        let floor = coracle_driver::Floor {
            last: LogId::default(),
            configuration: self.configuration(),
            snapshot: None,
        };
        if let Some(process) = self.processes.get_mut(&node)
            && let Some(running) = &mut process.running
        {
            running.host(&self.plan, &process.plugins, group, &floor);
        }
        self.work_soon(node, group);
    }

    pub(super) fn configuration(&self) -> Configuration {
        Configuration::initial((1..=self.plan.nodes).map(NodeId))
    }

    fn write(&mut self, node: NodeId, writes: Vec<Write>) {
        let life = self.life(node);
        let latency = self.random.between(MS / 10, self.plan.disk_latency);
        let latency = self.disk_time(node, latency);
        let Some(running) = self.running(node) else {
            return;
        };
        running.waiting.extend(writes);
        if running.writing.is_empty() && !running.waiting.is_empty() {
            running.writing = std::mem::take(&mut running.waiting);
            self.after(latency, Action::Written { node, life });
        }
    }

    /// The disk has done what it was given, as one commit.
    pub(super) fn written(&mut self, node: NodeId, life: u64) -> Check {
        if self.life(node) != life {
            return Ok(());
        }
        let Some(running) = self.running(node) else {
            return Ok(());
        };
        if let Err(error) = running.log.commit(&running.writing) {
            return self.failed(node, Refusal::from(&error));
        }
        self.commits += 1;
        let Some(running) = self.running(node) else {
            return Ok(());
        };
        let writes = std::mem::take(&mut running.writing);
        self.trace.note(self.now, (9, node, writes.len()), || {
            format!("{node} has written {} writes", writes.len())
        });
        self.invariants.durable(node, &writes);
        for write in &writes {
            if let Some(id) = write.id {
                let group = write.group;
                self.tell(node, Event::Persisted { group, id });
            }
        }
        self.look_for_room(node);
        self.write(node, Vec::new());
        Ok(())
    }

    /// Does what the host had put off.
    fn retain_now(&mut self, node: NodeId) -> Check {
        while self.retains.get(&node).is_some_and(|it| !it.is_empty()) {
            self.retain_next(node)?;
        }
        Ok(())
    }

    pub(super) fn retain_next(&mut self, node: NodeId) -> Check {
        let next = self.retains.get_mut(&node).and_then(VecDeque::pop_front);
        match next {
            Some(Retain { life, group, keep }) => self.retain(node, life, group, &keep),
            None => Ok(()),
        }
    }

    pub(super) fn retain(
        &mut self,
        node: NodeId,
        life: u64,
        group: GroupId,
        keep: &[SnapshotRef],
    ) -> Check {
        if self.life(node) != life {
            return Ok(());
        }
        let Some(running) = self.running(node) else {
            return Ok(());
        };
        match running.snapshots.retain(group, keep, 0) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(node, Refusal::from(&error)),
        }
    }

    /// A node stops by itself: its disk must have given it cause.
    pub(super) fn failed(&mut self, node: NodeId, refusal: Refusal) -> Check {
        let Some(process) = self.processes.get(&node) else {
            return Ok(());
        };
        if process.running.is_none() {
            return Ok(());
        }
        self.invariants.stopped(node, &process.harms, &refusal)?;
        let power = process.harms.contains(&Harm::Power);
        self.trace
            .remark(self.now, || format!("{node} fails: {refusal:?}"));
        self.count("nodes stopped by themselves");
        match refusal {
            Refusal::Full(_) => self.count("node stopped by a full disk"),
            _ if power => self.count("crash in the middle of an operation of the disk"),
            _ => {}
        }
        let time = self.random.between(50, 1000) * MS;
        self.stop(node, power, time);
        self.give_up(node, &refusal);
        Ok(())
    }

    /// What damage has done is noticed now and then only by the next write: after a few starts the
    /// operator gives the node up.
    fn give_up(&mut self, node: NodeId, refusal: &Refusal) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        process.damaged_stops += u64::from(refusal.is_final());
        let given_up = process.damaged_stops > MAX_DAMAGED_STOPS && !process.lost;
        process.lost |= given_up;
        let misdirected = refusal.is_final() && process.disk.misdirected_writes() > 0;
        if given_up {
            self.count("nodes given up");
        }
        if misdirected {
            self.count("misdirected write found out");
        }
    }

    /// Stops a process; it comes back after so long.
    pub(super) fn stop(&mut self, node: NodeId, power: bool, time: u64) {
        if self.running(node).is_none() {
            return;
        }
        self.mark_crash(node);
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        let uncertain = process.stop(power);
        self.invariants.crashed(node, &uncertain);
        self.count(if power { "power cuts" } else { "kills" });
        self.after(time, Action::Start { node });
    }

    /// Starts a process and checks what it finds.
    pub(super) fn start(&mut self, node: NodeId) -> Check {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&node) else {
            return Ok(());
        };
        if process.running.is_some() || process.lost {
            return Ok(());
        }
        let recovered = match process.start(&self.plan, now) {
            Ok(recovered) => recovered,
            Err(refusal) => return self.refused(node, &refusal),
        };
        process.harms.remove(&Harm::Error);
        if let Some(witness) = &mut self.witness {
            witness.started(&self.plan.settings.config(node), &recovered);
        }
        let damaged = process.is_damaged();
        self.trace
            .note(now, (10, node), || format!("{node} starts"));
        let create = Some(crate::spec());
        for group in self.group_ids() {
            self.work_soon(node, group);
            let found = recovered.groups.get(&group);
            self.invariants.recovered(group, node, found)?;
            if let Some(snapshot) = found.and_then(|found| found.floor.snapshot.as_ref()) {
                self.invariants
                    .installed(group, node, snapshot.last.index)?;
                if !damaged {
                    self.snapshot_is_there(node, group, snapshot)?;
                }
            }
            if node.0 > self.plan.nodes {
                continue;
            }
            let event = Event::Host {
                group,
                born: 0,
                configuration: self.configuration(),
                create: create.clone(),
            };
            self.tell(node, event);
        }
        Ok(())
    }

    /// A process does not start.
    fn refused(&mut self, node: NodeId, refusal: &Refusal) -> Check {
        let Some(process) = self.processes.get_mut(&node) else {
            return Ok(());
        };
        self.invariants.stopped(node, &process.harms, refusal)?;
        self.trace
            .remark(self.now, || format!("{node} does not start: {refusal:?}"));
        if refusal.is_final() {
            process.lost = true;
            let misdirected = process.disk.misdirected_writes() > 0;
            if misdirected {
                self.count("misdirected write found out");
            }
            self.count(match refusal {
                Refusal::Lost(_) => "log refused as lost",
                _ => "log refused as damaged",
            });
            return Ok(());
        }
        if self.healed {
            return violated("restart", format!("{node} cannot start: {refusal:?}"));
        }
        if matches!(refusal, Refusal::Full(_)) {
            self.count("start refused for want of room");
        }
        // A fault of its disk in the middle of the start, or no room.
        if let Some(process) = self.processes.get_mut(&node) {
            process.harms.remove(&Harm::Error);
        }
        let time = self.random.between(50, 1000) * MS;
        self.after(time, Action::Start { node });
        Ok(())
    }

    fn snapshot_is_there(&mut self, node: NodeId, group: GroupId, snapshot: &SnapshotRef) -> Check {
        let Some(running) = self.running(node) else {
            return Ok(());
        };
        let opened = running
            .snapshots
            .open(group, snapshot.last, &snapshot.digest);
        match opened {
            Ok(_) => Ok(()),
            Err(error) => violated("recovery", format!("{node} {group}: {error}")),
        }
    }
}
