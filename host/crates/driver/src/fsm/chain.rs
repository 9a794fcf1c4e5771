//! The outcome chain: one digest that two replicas at the same index can compare.

use std::collections::VecDeque;

use coracle_proto::Index;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::verdict::Verdict;
use crate::Digest;
use crate::mutant::mutant;
use crate::task::Outcome;

/// Heads at multiples of this index are kept.
pub const CHAIN_INTERVAL: Index = 256;

/// So many of them.
pub const CHAIN_KEPT: usize = 64;

/// The head of the chain at one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The index.
    pub index: Index,
    /// The head after the entry there.
    pub head: Digest,
}

/// `head = sha256(head before, index, verdicts, digest of the state if it is a checkpoint)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    head: Digest,
    recent: VecDeque<ChainHead>,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self {
            head: Digest([0; 32]),
            recent: VecDeque::new(),
        }
    }

    pub(super) fn head(&self) -> Digest {
        self.head
    }

    pub(super) fn recent(&self) -> impl Iterator<Item = ChainHead> {
        self.recent.iter().copied()
    }

    pub(super) fn push(&mut self, index: Index, verdicts: &[Verdict], state: Option<&Digest>) {
        let verdicts = match mutant!(ChainSkipsOutcomes) {
            true => &[],
            false => verdicts,
        };
        let mut hasher = Sha256::new();
        hasher.update(self.head.0);
        hasher.update(index.to_le_bytes());
        hasher.update((verdicts.len() as u32).to_le_bytes());
        for verdict in verdicts {
            hash_verdict(&mut hasher, verdict);
        }
        match state {
            Some(digest) => {
                hasher.update([1]);
                hasher.update(digest.0);
            }
            None => hasher.update([0]),
        }
        self.head = Digest(hasher.finalize().into());
        if index.is_multiple_of(CHAIN_INTERVAL) {
            self.keep(index);
        }
    }

    fn keep(&mut self, index: Index) {
        while self.recent.len() >= CHAIN_KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(ChainHead {
            index,
            head: self.head,
        });
    }
}

fn hash_verdict(hasher: &mut Sha256, verdict: &Verdict) {
    match verdict {
        Verdict::Applied(outcome) => {
            hasher.update([0]);
            hash_outcome(hasher, outcome);
        }
        Verdict::Replayed { index, outcome } => {
            hasher.update([1]);
            hasher.update(index.to_le_bytes());
            hash_outcome(hasher, outcome);
        }
        Verdict::KeyReused => hasher.update([2]),
        Verdict::Suspended => hasher.update([3]),
        Verdict::TooLarge { bytes, limit } => {
            hasher.update([4]);
            hasher.update(bytes.to_le_bytes());
            hasher.update(limit.to_le_bytes());
        }
        Verdict::NotRunning => hasher.update([5]),
        Verdict::Retired => hasher.update([6]),
    }
}

fn hash_outcome(hasher: &mut Sha256, outcome: &Outcome) {
    match outcome {
        Outcome::Ok(bytes) => hash_bytes(hasher, 0, bytes),
        Outcome::Refused(bytes) => hash_bytes(hasher, 1, bytes),
        Outcome::Failed(class) => hasher.update([2, *class as u8]),
        Outcome::Done => hasher.update([3]),
        Outcome::HostEntryFailed {
            call,
            class,
            message,
        } => {
            hasher.update([4, class.map_or(u8::MAX, |class| class as u8)]);
            hash_bytes(hasher, 0, call.as_bytes());
            hash_bytes(hasher, 0, message);
        }
    }
}

fn hash_bytes(hasher: &mut Sha256, tag: u8, bytes: &[u8]) {
    hasher.update([tag]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureClass;

    /// Every kind of link, pinned: replicas of different builds compare their heads.
    #[test]
    fn the_chain_has_this_golden_head() {
        let mut chain = Chain::new();
        let failed = Outcome::HostEntryFailed {
            call: "restore".into(),
            class: None,
            message: b"no".to_vec(),
        };
        let verdicts = [
            Verdict::Applied(Outcome::Ok(b"a".to_vec())),
            Verdict::Applied(Outcome::Refused(b"b".to_vec())),
            Verdict::Applied(Outcome::Failed(FailureClass::Fuel)),
            Verdict::Applied(failed),
            Verdict::Replayed {
                index: 7,
                outcome: Outcome::Done,
            },
            Verdict::KeyReused,
            Verdict::Suspended,
            Verdict::TooLarge { bytes: 2, limit: 1 },
            Verdict::NotRunning,
            Verdict::Retired,
        ];

        chain.push(1, &verdicts, None);
        chain.push(2, &[], Some(&Digest([9; 32])));

        assert_eq!(chain.head().to_string(), GOLDEN);
    }

    const GOLDEN: &str = "b06f51655105aa69f05a9f9ea01f1c216b1c1d72710c4202b41c15ab578c4684";
}
