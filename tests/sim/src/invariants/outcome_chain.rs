//! The outcome chain covers every outcome: each head is worked out from one before it and from what
//! the committed commands mean, by other code than the product's (`docs/determinism.md` has the
//! formula).
//!
//! Entries that end in the digest of a state, and host entries, are passed over: the next head that a
//! replica shows after them is believed, and what follows is worked out from there.

use std::collections::{BTreeMap, VecDeque};

use coracle_driver::task::Outcome;
use coracle_driver::{Digest, FailureClass};
use coracle_proto::{Index, NodeId};
use sha2::{Digest as _, Sha256};

use super::exactly_once::{Effect, ExactlyOnce, Fate};
use super::{Check, violated};
use crate::nemesis::VERSIONS;

/// Links that are remembered; a replica that shows its head less often is not looked at.
const MAX_LINKS: usize = 256;

/// Traps in a row, since anything that is passed over, that surely have no other verdict.
const MAX_TRAPS: usize = 63;

/// What the committed entries add to the chain.
#[derive(Debug, Default)]
pub(super) struct OutcomeChain {
    /// The youngest entries, the last of them at `last`; `None`: passed over.
    links: VecDeque<Option<Vec<Fate>>>,
    last: Index,
    traps: usize,
    /// Heads that replicas have shown.
    heads: BTreeMap<Index, Digest>,
    /// What values begin with that `get` reads after so many upgrades, once that is known.
    versions: BTreeMap<u64, String>,
}

impl OutcomeChain {
    /// The next entry of the history; `fates`: of its commands.
    pub(super) fn committed(&mut self, index: Index, fates: Option<Vec<Fate>>) {
        let traps = fates.iter().flatten().filter(|fate| **fate == Fate::Trap);
        self.traps += traps.count();
        let fates = fates.filter(|_| self.traps <= MAX_TRAPS);
        if fates.is_none() {
            self.traps = 0;
        }
        if self.links.len() == MAX_LINKS {
            self.links.pop_front();
        }
        self.links.push_back(fates);
        self.last = index;
    }

    /// A node shows this head at `index`.
    pub(super) fn applied(
        &mut self,
        at: NodeId,
        index: Index,
        head: Digest,
        meaning: &ExactlyOnce,
    ) -> Check {
        if self.heads.contains_key(&index) {
            return Ok(());
        }
        let begin = self.heads.range(..index).next_back();
        let begin = begin.map(|(index, head)| (*index, *head));
        self.heads.insert(index, head);
        let oldest = self.last.saturating_sub(MAX_LINKS as Index);
        self.heads = self.heads.split_off(&oldest);
        let Some(begin) = begin else { return Ok(()) };
        let unknown = self.unknown_upgrades(begin.0, index, meaning);
        let holds = match unknown.as_slice() {
            [] => self
                .head(begin, index, meaning)
                .is_none_or(|ours| ours == head),
            [upgrades] => self.learn(*upgrades, begin, index, head, meaning),
            _ => true,
        };
        if holds {
            return Ok(());
        }
        let before = begin.0;
        violated(
            "outcome chain",
            format!("{at} has {head} at {index}, which does not follow from {before}"),
        )
    }

    /// Finds the version that makes the head what it is.
    fn learn(
        &mut self,
        upgrades: u64,
        begin: (Index, Digest),
        index: Index,
        head: Digest,
        meaning: &ExactlyOnce,
    ) -> bool {
        let numbered = (1..=VERSIONS).map(|version| format!("{version}:"));
        for version in std::iter::once(String::new()).chain(numbered) {
            self.versions.insert(upgrades, version);
            if self
                .head(begin, index, meaning)
                .is_none_or(|ours| ours == head)
            {
                return true;
            }
        }
        false
    }

    fn fates(&self, before: Index, index: Index) -> Option<Vec<(Index, &[Fate])>> {
        let first = self.last + 1 - self.links.len() as Index;
        let link = |index: Index| {
            let at = usize::try_from(index.checked_sub(first)?).ok()?;
            Some((index, self.links.get(at)?.as_deref()?))
        };
        (before + 1..=index).map(link).collect()
    }

    /// The numbers of upgrades whose version has to be guessed.
    fn unknown_upgrades(&self, before: Index, index: Index, meaning: &ExactlyOnce) -> Vec<u64> {
        let links = self.fates(before, index).unwrap_or_default();
        let fates = links.iter().flat_map(|(_, fates)| fates.iter());
        let effects = fates.filter_map(|fate| meaning.effect(fate));
        let reads = effects.filter(|effect| effect.reads_value());
        let mut unknown: Vec<u64> = reads
            .map(|effect| effect.upgrades)
            .filter(|upgrades| !self.versions.contains_key(upgrades))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// What the head at `index` must be; `None` if something in between is passed over.
    fn head(
        &self,
        (before, head): (Index, Digest),
        index: Index,
        meaning: &ExactlyOnce,
    ) -> Option<Digest> {
        let mut head = head;
        for (index, fates) in self.fates(before, index)? {
            let mut hasher = Sha256::new();
            hasher.update(head.0);
            hasher.update(index.to_le_bytes());
            hasher.update((fates.len() as u32).to_le_bytes());
            for fate in fates {
                self.verdict(&mut hasher, index, fate, meaning)?;
            }
            hasher.update([0]);
            head = Digest(hasher.finalize().into());
        }
        Some(head)
    }

    fn verdict(
        &self,
        hasher: &mut Sha256,
        index: Index,
        fate: &Fate,
        meaning: &ExactlyOnce,
    ) -> Option<()> {
        let Some(effect) = meaning.effect(fate) else {
            hasher.update([0, 2, FailureClass::Trap as u8]);
            return Some(());
        };
        if let Fate::Again(..) = fate {
            hasher.update([1]);
            hasher.update(effect.index.to_le_bytes());
        } else {
            debug_assert_eq!(effect.index, index, "it is applied here");
            hasher.update([0]);
        }
        let (tag, bytes) = match &effect.outcome {
            Outcome::Ok(bytes) => (0, bytes),
            Outcome::Refused(bytes) => (1, bytes),
            _ => return None,
        };
        let version = match effect.reads_value() {
            true => self.versions.get(&effect.upgrades)?.as_str(),
            false => "",
        };
        hasher.update([tag]);
        hasher.update(((version.len() + bytes.len()) as u64).to_le_bytes());
        hasher.update(version);
        hasher.update(bytes);
        Some(())
    }
}

impl Effect {
    /// Whether its outcome begins with the version of the state machine.
    fn reads_value(&self) -> bool {
        self.reads && matches!(self.outcome, Outcome::Ok(_))
    }
}
