//! Who waits for a change of members or for a transfer of leadership.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_proto::{
    ConfigurationChange, Index, Input, Instant, LogId, NodeId, ProposalId, Term, TransferId,
    TransferOutcome,
};

use crate::task::{Answer, NotApplied, Ticket};

use super::propose::Verdict;
use super::{Group, Turn, not_applied};

/// Election timeouts for which the fate of a change is waited for after leadership was lost.
const PATIENCE_TIMEOUTS: u32 = 4;

const STOPPED: &str = "the group stopped before the change was committed";
const SUCCESSOR: &str =
    "leadership was lost, and whether the change is committed was not learned in time";
const COVERED: &str = "a snapshot replaced the entry of the change";
const HANDED: &str = "leadership was lost and no successor was seen in time";

/// Changes that were appended, and transfers that were begun.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waiting: BTreeMap<(Index, Term), Ticket>,
    transfers: BTreeMap<TransferId, Ticket>,
    /// When those who wait are told that nobody knows; set while another replica leads.
    patience: Option<Instant>,
}

impl Changes {
    /// When the patience of those who wait ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.patience
    }

    /// Somebody waits for this entry. At most one is uncommitted per leadership, so there are few.
    fn expect(&mut self, position: LogId, ticket: Ticket) {
        self.waiting.insert((position.index, position.term), ticket);
    }

    /// Leadership was won or lost.
    pub(super) fn leader_changed(&mut self, leads: bool, now: Instant, timeout: Duration) {
        self.patience = match self.waiting.is_empty() || leads {
            true => None,
            // Further changes of leader do not extend it.
            false => self
                .patience
                .or(Some(now + timeout.saturating_mul(PATIENCE_TIMEOUTS))),
        };
    }

    fn committed(&mut self, through: Index) -> Vec<(LogId, Ticket)> {
        let mut done = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= through
        {
            let (index, term) = *first.key();
            done.push((LogId { term, index }, first.remove()));
        }
        if self.waiting.is_empty() {
            self.patience = None;
        }
        done
    }

    fn drain(&mut self) -> Vec<Ticket> {
        self.patience = None;
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

impl Group {
    /// Changes the members.
    pub(in super::super) fn change_members(
        &mut self,
        turn: &mut Turn<'_>,
        change: ConfigurationChange,
        ticket: Ticket,
    ) {
        if let Some(reason) = self.stopped.clone() {
            turn.refuse(ticket, NotApplied::Unavailable { reason });
            return;
        }
        let id = ProposalId(turn.shared.name());
        self.verdict = None;
        self.step(turn, Input::ChangeConfiguration { id, change });
        match self.verdict.take() {
            Some(Verdict::Accepted(position)) => {
                self.changes.expect(position, ticket);
                // The only voter of a group, or a change that changes nothing, commits at once.
                self.settle_changes(turn);
                let (now, timeout) = (turn.now, turn.config.election_timeout);
                self.changes.leader_changed(self.leads(), now, timeout);
            }
            Some(Verdict::Refused(reason)) => turn.refuse(ticket, not_applied(reason)),
            None => turn.answer(ticket, Answer::Unknown { reason: STOPPED }),
        }
    }

    /// Hands leadership over.
    pub(in super::super) fn transfer(
        &mut self,
        turn: &mut Turn<'_>,
        to: Option<NodeId>,
        ticket: Ticket,
    ) {
        if let Some(reason) = self.stopped.clone() {
            turn.refuse(ticket, NotApplied::Unavailable { reason });
            return;
        }
        let id = TransferId(turn.shared.name());
        self.changes.transfers.insert(id, ticket);
        self.step(turn, Input::Transfer { id, to });
    }

    /// A transfer ended.
    pub(super) fn transferred(
        &mut self,
        turn: &mut Turn<'_>,
        id: TransferId,
        outcome: TransferOutcome,
    ) {
        self.hand_over.ended(id);
        if let Some(ticket) = self.changes.transfers.remove(&id) {
            turn.answer(ticket, transferred(outcome));
        }
    }

    /// Answers those whose entry, or another at its place, is committed.
    pub(super) fn settle_changes(&mut self, turn: &mut Turn<'_>) {
        for (position, ticket) in self.changes.committed(self.commit) {
            let answer = match self.raft.term_at(position.index) {
                Some(term) if term == position.term => Answer::Changed {
                    index: position.index,
                },
                Some(_) => Answer::NotApplied(NotApplied::Overwritten),
                None => Answer::Unknown { reason: COVERED },
            };
            turn.answer(ticket, answer);
        }
    }

    /// Ends the patience of those whose leader is gone.
    pub(super) fn give_up_changes(&mut self, turn: &mut Turn<'_>) {
        if self.changes.patience.is_some_and(|at| at <= turn.now) {
            for ticket in self.changes.drain() {
                turn.answer(ticket, Answer::Unknown { reason: SUCCESSOR });
            }
        }
    }

    /// This replica stops, or is removed.
    pub(super) fn end_changes(&mut self, turn: &mut Turn<'_>) {
        for ticket in self.changes.drain() {
            turn.answer(ticket, Answer::Unknown { reason: STOPPED });
        }
        for ticket in std::mem::take(&mut self.changes.transfers).into_values() {
            turn.answer(ticket, Answer::Unknown { reason: HANDED });
        }
    }
}

fn transferred(outcome: TransferOutcome) -> Answer {
    let refusal = match outcome {
        TransferOutcome::Done { leader } => return Answer::Transferred { leader },
        TransferOutcome::Unknown => return Answer::Unknown { reason: HANDED },
        TransferOutcome::NotLeader { leader } => NotApplied::NotLeader { leader },
        TransferOutcome::NoTarget => NotApplied::NoTarget,
        TransferOutcome::Busy => NotApplied::Busy,
        TransferOutcome::TimedOut => NotApplied::TransferTimedOut,
    };
    Answer::NotApplied(refusal)
}
