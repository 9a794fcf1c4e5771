//! Who waits for which entry. An expectation and its entry may come in either order.

use std::collections::{BTreeMap, VecDeque};

use coracle_proto::{Index, LogId, Term};

use super::options::{MAX_WAITING, RECENT_BYTES, RECENT_ENTRIES};
use super::verdict::Verdict;
use crate::mutant::mutant;
use crate::task::{Answer, NotApplied, Report, Ticket};

/// Tickets of one group.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    waiting: BTreeMap<(Index, Term), Vec<Option<Ticket>>>,
    reads: BTreeMap<Index, Vec<Ticket>>,
    waiting_reads: usize,
    recent: VecDeque<Recent>,
    recent_bytes: usize,
}

/// An applied entry nobody has asked for yet.
#[derive(Debug)]
struct Recent {
    position: LogId,
    verdicts: Vec<Verdict>,
    bytes: usize,
}

const NOT_KEPT: &str = "the entry was applied and its outcome is no longer kept";
const TOO_MANY: &str = "too many entries are waited for";
const NO_OUTCOME: &str = "the entry has fewer outcomes than tickets";

impl Tickets {
    /// Somebody waits for an entry.
    pub(super) fn expect(
        &mut self,
        position: LogId,
        tickets: Vec<Option<Ticket>>,
        applied: Index,
        reports: &mut Vec<Report>,
    ) {
        if position.index > applied {
            if self.waiting.len() >= MAX_WAITING {
                return unknown(tickets, TOO_MANY, reports);
            }
            let slot = self.waiting.entry((position.index, position.term));
            return slot.or_default().extend(tickets);
        }
        let found = self
            .recent
            .iter()
            .find(|recent| recent.position.index == position.index);
        match found {
            Some(recent) => settle(
                recent.position,
                &recent.verdicts,
                position.term,
                tickets,
                reports,
            ),
            None => unknown(tickets, NOT_KEPT, reports),
        }
    }

    /// An entry was applied.
    pub(super) fn applied(
        &mut self,
        position: LogId,
        verdicts: Vec<Verdict>,
        reports: &mut Vec<Report>,
    ) {
        let mut asked = false;
        while let Some(first) = self.waiting.first_entry() {
            let (index, term) = *first.key();
            if index > position.index {
                break;
            }
            asked |= (index, term) == (position.index, position.term);
            settle(position, &verdicts, term, first.remove(), reports);
        }
        if !asked {
            self.keep(position, verdicts);
        }
    }

    /// A read point was granted.
    pub(super) fn read(
        &mut self,
        ticket: Ticket,
        index: Index,
        applied: Index,
        reports: &mut Vec<Report>,
    ) {
        let answer = if index <= applied || mutant!(ReadBeforeApplied) {
            Answer::ReadAt { index }
        } else if self.waiting_reads >= MAX_WAITING {
            Answer::NotApplied(NotApplied::Busy)
        } else {
            self.waiting_reads += 1;
            return self.reads.entry(index).or_default().push(ticket);
        };
        reports.push(Report::Answer { ticket, answer });
    }

    /// Answers the reads whose point is reached.
    pub(super) fn reached(&mut self, applied: Index, reports: &mut Vec<Report>) {
        while let Some(first) = self.reads.first_entry() {
            let index = *first.key();
            if index > applied {
                break;
            }
            for ticket in first.remove() {
                self.waiting_reads -= 1;
                let answer = Answer::ReadAt { index };
                reports.push(Report::Answer { ticket, answer });
            }
        }
    }

    /// A snapshot replaced everything up to `last`.
    pub(super) fn covered(&mut self, last: Index, reports: &mut Vec<Report>) {
        self.recent.clear();
        self.recent_bytes = 0;
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > last {
                break;
            }
            unknown(first.remove(), "a snapshot replaced the entry", reports);
        }
    }

    /// This replica applies no more. `why`: for those whose command was appended; `refusal`: for
    /// reads.
    pub(super) fn end(&mut self, why: &'static str, refusal: &str, reports: &mut Vec<Report>) {
        for (_, tickets) in std::mem::take(&mut self.waiting) {
            unknown(tickets, why, reports);
        }
        for (_, tickets) in std::mem::take(&mut self.reads) {
            for ticket in tickets {
                refuse_read(ticket, refusal, reports);
            }
        }
        self.waiting_reads = 0;
    }

    fn keep(&mut self, position: LogId, verdicts: Vec<Verdict>) {
        let bytes = verdicts.iter().map(Verdict::len).sum();
        self.recent_bytes += bytes;
        self.recent.push_back(Recent {
            position,
            verdicts,
            bytes,
        });
        while self.recent.len() > RECENT_ENTRIES || self.recent_bytes > RECENT_BYTES {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= oldest.bytes;
        }
    }
}

/// Why tickets of a halted worker end.
pub(super) const HALTED: &str = "a fault of this node halted the fsm here";

/// Why they end if the group is removed from the node.
pub(super) const REMOVED: &str = "the fsm was removed from this node";

/// What a read is told at a halted worker.
pub(super) fn halted_here(reason: &str) -> String {
    format!("halted on this node: {reason}")
}

/// Ends a read at a replica that applies no more.
pub(super) fn refuse_read(ticket: Ticket, refusal: &str, reports: &mut Vec<Report>) {
    let answer = Answer::NotApplied(NotApplied::Unavailable {
        reason: refusal.into(),
    });
    reports.push(Report::Answer { ticket, answer });
}

/// Ends tickets of which nobody knows.
pub(super) fn unknown(
    tickets: Vec<Option<Ticket>>,
    reason: &'static str,
    reports: &mut Vec<Report>,
) {
    for ticket in tickets.into_iter().flatten() {
        let answer = Answer::Unknown { reason };
        reports.push(Report::Answer { ticket, answer });
    }
}

/// Ends the tickets of `term` at an applied position.
fn settle(
    position: LogId,
    verdicts: &[Verdict],
    term: Term,
    tickets: Vec<Option<Ticket>>,
    reports: &mut Vec<Report>,
) {
    for (ordinal, ticket) in tickets.into_iter().enumerate() {
        let Some(ticket) = ticket else { continue };
        let answer = match verdicts.get(ordinal) {
            _ if term != position.term && !mutant!(TicketByIndexAlone) => {
                Answer::NotApplied(NotApplied::Overwritten)
            }
            Some(verdict) => verdict.answer(position.index),
            None => Answer::Unknown { reason: NO_OUTCOME },
        };
        reports.push(Report::Answer { ticket, answer });
    }
}
