//! Log Matching (thesis §3.5): an entry with the same index and term is the same everywhere, and
//! so is everything before it. By induction it is enough to look at an entry and the term before.

use std::collections::BTreeMap;

use bytes::Bytes;
use coracle_driver::WriteKind;
use coracle_proto::{Entry, EntryKind, LogId, NodeId, Term};

use super::shadow::Shadow;
use super::{Check, violated};

/// Every entry that was ever written anywhere.
#[derive(Debug, Default)]
pub(super) struct LogMatching {
    entries: BTreeMap<LogId, (EntryKind, Bytes, Term)>,
}

impl LogMatching {
    /// A node asks for this write, which `shadow` has taken in already.
    pub(super) fn written(&mut self, at: NodeId, shadow: &Shadow, kind: &WriteKind) -> Check {
        let entries = match kind {
            WriteKind::Append { entries, .. } => entries,
            WriteKind::Install { .. } => return self.installed(at, shadow),
            _ => return Ok(()),
        };
        for entry in entries {
            let before = shadow.asked.term_at(entry.index - 1);
            let Some(before) = before.filter(|before| *before <= entry.term) else {
                let id = entry.id();
                return violated("log matching", format!("{at} writes {id} after {before:?}"));
            };
            self.entry(at, entry, before)?;
        }
        Ok(())
    }

    /// What is kept above an installed snapshot follows its last entry.
    fn installed(&self, at: NodeId, shadow: &Shadow) -> Check {
        let floor = shadow.asked.floor;
        let first = shadow.asked.entries.front().map(Entry::id);
        let before = first.and_then(|first| self.entries.get(&first));
        match (first, before) {
            (Some(first), Some((.., before))) if *before != floor.term => violated(
                "log matching",
                format!("{at} keeps {first}, which follows term {before}, after {floor}"),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn entry(&mut self, at: NodeId, entry: &Entry, before: Term) -> Check {
        // A witness keeps no commands; that nobody else lacks one shows when it is applied.
        if entry.kind == EntryKind::Normal && entry.payload.is_empty() {
            return Ok(());
        }
        let ours = (entry.kind, entry.payload.clone(), before);
        let first = self
            .entries
            .entry(entry.id())
            .or_insert_with(|| ours.clone());
        if *first == ours {
            return Ok(());
        }
        let id = entry.id();
        violated(
            "log matching",
            format!("{at} has {ours:?} at {id}, another has {first:?}"),
        )
    }
}
