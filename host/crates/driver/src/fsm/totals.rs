//! What a worker has done since this process started. For people: nothing depends on it.

use super::verdict::Verdict;
use crate::task::Outcome;

/// Counts of a worker, from the start of this process on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Entries.
    pub entries: u64,
    /// Commands to which the state machine said ok.
    pub ok: u64,
    /// Commands that it refused.
    pub refused: u64,
    /// Commands whose call failed: trap, limit, bad result.
    pub failed: u64,
    /// Commands cut because they were applied before under the same key.
    pub replayed: u64,
    /// Commands with a key that the session table forgot for want of room.
    pub forgotten: u64,
    /// Fuel of the calls that succeeded.
    pub fuel: u64,
}

impl Totals {
    pub(super) fn count(&mut self, verdicts: &[Verdict]) {
        self.entries += 1;
        for verdict in verdicts {
            match verdict {
                Verdict::Applied(Outcome::Ok(_)) => self.ok += 1,
                Verdict::Applied(Outcome::Refused(_)) => self.refused += 1,
                Verdict::Applied(Outcome::Failed(_)) => self.failed += 1,
                Verdict::Replayed { .. } => self.replayed += 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureClass;

    #[test]
    fn each_command_is_counted_by_what_became_of_it() {
        let mut totals = Totals::default();
        let replayed = Verdict::Replayed {
            index: 3,
            outcome: Outcome::Ok(Vec::new()),
        };
        totals.count(&[
            Verdict::Applied(Outcome::Ok(Vec::new())),
            Verdict::Applied(Outcome::Refused(Vec::new())),
            Verdict::Applied(Outcome::Failed(FailureClass::Trap)),
            replayed,
            Verdict::KeyReused,
        ]);
        let counted = (
            totals.ok,
            totals.refused,
            totals.failed,
            totals.replayed,
            totals.entries,
        );
        assert_eq!(counted, (1, 1, 1, 1, 1));
    }
}
