//! Forming entries out of what waits, and proposing them.

use bytes::Bytes;
use coracle_proto::{Input, LogId, ProposalId, RefuseReason};

use crate::payload::{encode_commands, encode_host};
use crate::task::{Answer, Command, HostEntry, NotApplied, Task, Ticket};

use super::super::queue::CommandGroup;
use super::{Group, Turn, not_applied};

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was appended here.
    Accepted(LogId),
    /// It was not and never will be.
    Refused(RefuseReason),
}

impl Group {
    /// Takes a command in, to be proposed at the end of the turn.
    pub(in super::super) fn enqueue(
        &mut self,
        turn: &mut Turn<'_>,
        command: Command,
        ticket: Ticket,
    ) {
        if let Err(refusal) = self.admit(turn, command, ticket) {
            turn.refuse(ticket, refusal);
        }
    }

    fn admit(
        &mut self,
        turn: &Turn<'_>,
        command: Command,
        ticket: Ticket,
    ) -> Result<(), NotApplied> {
        if let Some(refusal) = self.unavailable() {
            return Err(refusal);
        }
        if !self.leads() {
            return Err(NotApplied::NotLeader {
                leader: self.leader,
            });
        }
        if turn.shared.low_space || self.no_room {
            return Err(NotApplied::DiskFull);
        }
        if let Some(reason) = self.suspended.clone() {
            return Err(NotApplied::Suspended { reason });
        }
        let pushed = self.queue.push(turn.config, command, ticket);
        pushed.map_err(|refusal| match refusal {
            NotApplied::Busy if self.uncommitted => NotApplied::Uncommitted,
            refusal => refusal,
        })
    }

    /// Whether something waits to be proposed.
    pub(in super::super) fn wants_to_propose(&self) -> bool {
        self.leads() && (!self.queue.is_empty() || self.checkpoint.wanted() || self.wants_create())
    }

    fn wants_create(&self) -> bool {
        self.uncreated && self.create.is_some() && self.create_at.is_none()
    }

    /// The worker found no `Create` in the log.
    pub(in super::super) fn not_created(&mut self) {
        self.uncreated = true;
    }

    /// The worker finds a checkpoint due.
    pub(in super::super) fn checkpoint_due(&mut self, urgent: bool) {
        self.checkpoint.report(urgent);
    }

    /// Proposes what waits, as far as it may go.
    pub(in super::super) fn propose_waiting(&mut self, turn: &mut Turn<'_>) {
        if !self.leads() {
            return;
        }
        self.propose_create(turn);
        if self.checkpoint.wanted()
            && let Some(position) = self.propose_host(turn, &HostEntry::Checkpoint, None)
        {
            self.checkpoint.proposed(position.index);
        }
        while !self.queue.is_empty() && self.may_append(turn) {
            let group = self.queue.take(turn.config);
            if !self.propose_commands(turn, group) {
                break;
            }
        }
    }

    fn may_append(&self, turn: &Turn<'_>) -> bool {
        self.leads()
            && !self.checkpoint.holds_commands()
            && self.last.saturating_sub(self.applied) < turn.config.max_inflight_groups
    }

    fn propose_create(&mut self, turn: &mut Turn<'_>) {
        if self.wants_create()
            && let Some(spec) = self.create.clone()
            && let Some(position) = self.propose_host(turn, &HostEntry::Create(spec), None)
        {
            self.create_at = Some(position.index);
        }
    }

    /// Proposes an entry of the host itself; where it went, if it was appended.
    pub(in super::super) fn propose_host(
        &mut self,
        turn: &mut Turn<'_>,
        entry: &HostEntry,
        ticket: Option<Ticket>,
    ) -> Option<LogId> {
        // These make room again.
        let frees = matches!(entry, HostEntry::Checkpoint | HostEntry::Retire);
        let full = (turn.shared.low_space || self.no_room) && !frees;
        let refusal = self.unavailable().or(full.then_some(NotApplied::DiskFull));
        if let Some(refusal) = refusal {
            ticket.inspect(|ticket| turn.refuse(*ticket, refusal));
            return None;
        }
        let time = self.time.max(turn.wall);
        let payload = encode_host(time, turn.shared.entropy.bytes(), entry);
        let verdict = self.propose(turn, payload);
        self.settle(turn, verdict, ticket.into_iter().collect())
    }

    /// Proposes a group of commands. False: no more for now.
    fn propose_commands(&mut self, turn: &mut Turn<'_>, group: CommandGroup) -> bool {
        let Some(time) = self.stamp(turn) else {
            self.refuse_for_clock(turn, group.tickets);
            return true;
        };
        let payload = encode_commands(time, turn.shared.entropy.bytes(), &group.commands);
        match self.propose(turn, payload) {
            // Room comes with the next commit.
            Some(Verdict::Refused(reason @ (RefuseReason::Busy | RefuseReason::Uncommitted)))
                if self.leads() =>
            {
                self.uncommitted = reason == RefuseReason::Uncommitted;
                self.queue.put_back(group);
                false
            }
            verdict => {
                self.settle(turn, verdict, group.tickets);
                true
            }
        }
    }

    /// The time of the next entry; none if it would stand still for too long.
    fn stamp(&self, turn: &Turn<'_>) -> Option<u64> {
        let lag = self.time.saturating_sub(turn.wall);
        let bearable = u128::from(lag) <= turn.config.max_clock_lag.as_nanos();
        bearable.then_some(self.time.max(turn.wall))
    }

    fn refuse_for_clock(&self, turn: &mut Turn<'_>, tickets: Vec<Ticket>) {
        let lag = self.time.saturating_sub(turn.wall) / 1_000_000_000;
        for ticket in tickets {
            let reason = format!("the clock of this node is {lag} s behind the last entry");
            turn.refuse(ticket, NotApplied::Unavailable { reason });
        }
    }

    fn propose(&mut self, turn: &mut Turn<'_>, payload: Bytes) -> Option<Verdict> {
        let id = ProposalId(turn.shared.name());
        self.verdict = None;
        self.step(turn, Input::Propose { id, payload });
        self.verdict.take()
    }

    /// Tells the worker, or the clients, what became of a proposal.
    fn settle(
        &mut self,
        turn: &mut Turn<'_>,
        verdict: Option<Verdict>,
        tickets: Vec<Ticket>,
    ) -> Option<LogId> {
        match verdict {
            Some(Verdict::Accepted(position)) => {
                if !tickets.is_empty() {
                    let tickets = tickets.into_iter().map(Some).collect();
                    self.task(turn, Task::Expect { position, tickets });
                }
                Some(position)
            }
            Some(Verdict::Refused(reason)) => {
                for ticket in tickets {
                    turn.refuse(ticket, not_applied(reason));
                }
                None
            }
            // The group was stopped in the middle of it.
            None => {
                for ticket in tickets {
                    let reason = "the group stopped while the command was appended";
                    turn.answer(ticket, Answer::Unknown { reason });
                }
                None
            }
        }
    }
}
