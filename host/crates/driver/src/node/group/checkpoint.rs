//! When a leader proposes a checkpoint.

use coracle_proto::Index;

/// Whether a checkpoint is due, and where it was proposed.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    due: Option<Due>,
    proposed: Option<Index>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Soon,
    /// Before any further group of commands.
    Urgent,
}

impl Checkpoint {
    /// The worker finds one due. What was found before a proposed one is applied, is its affair.
    pub(super) fn report(&mut self, urgent: bool) {
        if self.proposed.is_none() {
            let due = if urgent { Due::Urgent } else { Due::Soon };
            self.due = self.due.max(Some(due));
        }
    }

    /// Whether a leader is to propose one.
    pub(super) fn wanted(&self) -> bool {
        self.due.is_some() && self.proposed.is_none()
    }

    /// Whether commands have to wait until it is proposed.
    pub(super) fn holds_commands(&self) -> bool {
        self.wanted() && self.due == Some(Due::Urgent)
    }

    /// It was appended here.
    pub(super) fn proposed(&mut self, index: Index) {
        self.proposed = Some(index);
    }

    /// The worker has applied everything up to `index`, this one included or not.
    pub(super) fn reached(&mut self, index: Index) {
        if self.proposed.is_some_and(|at| at <= index) {
            *self = Self::default();
        }
    }

    /// The worker has taken a checkpoint, whoever proposed it.
    pub(super) fn taken(&mut self, index: Index) {
        if self.proposed.is_none_or(|at| at <= index) {
            *self = Self::default();
        }
    }

    /// What was proposed by a leader of before may be lost.
    pub(super) fn leader_changed(&mut self) {
        self.proposed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_proposed_once_until_it_is_applied() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.report(false);
        assert!(checkpoint.wanted() && !checkpoint.holds_commands());
        checkpoint.proposed(7);
        checkpoint.report(true);
        assert!(!checkpoint.wanted());
        checkpoint.reached(6);
        assert!(!checkpoint.wanted());
        checkpoint.reached(7);
        checkpoint.report(true);
        assert!(checkpoint.wanted() && checkpoint.holds_commands());
    }

    #[test]
    fn an_urgent_one_stays_urgent_and_is_proposed_again_after_leadership_was_lost() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.report(true);
        checkpoint.report(false);
        checkpoint.proposed(7);
        assert!(!checkpoint.holds_commands());
        checkpoint.leader_changed();
        assert!(checkpoint.holds_commands());
        checkpoint.taken(6);
        assert!(!checkpoint.wanted());
    }
}
