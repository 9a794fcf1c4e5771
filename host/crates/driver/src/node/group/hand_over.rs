//! A leader whose own state machine stands still gives its leadership to somebody who can serve.

use coracle_proto::{Input, Instant, TransferId};

use super::{Group, Turn};

/// Whether it is being tried, and when it is tried again.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    under_way: Option<TransferId>,
    due: Option<Instant>,
}

impl HandOver {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// To be tried when the timer fires next.
    pub(super) fn want(&mut self, now: Instant) {
        if self.under_way.is_none() {
            self.due = Some(now);
        }
    }

    /// A transfer ended, this one or another.
    pub(super) fn ended(&mut self, id: TransferId) {
        self.under_way.take_if(|under_way| *under_way == id);
    }
}

impl Group {
    /// Tries to hand over if that is due, and again an election timeout later while it leads.
    pub(super) fn hand_over(&mut self, turn: &mut Turn<'_>) {
        if self.hand_over.due.is_none_or(|at| at > turn.now) {
            return;
        }
        self.hand_over.due = None;
        if self.halted.is_none() || !self.leads() {
            return;
        }
        self.hand_over.due = Some(turn.now + turn.config.election_timeout);
        if self.hand_over.under_way.is_none() {
            let id = TransferId(turn.shared.name());
            self.hand_over.under_way = Some(id);
            self.step(turn, Input::Transfer { id, to: None });
        }
    }
}
