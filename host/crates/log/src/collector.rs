//! Which rows can go, and which groups must be written anew so that more can.

use std::collections::VecDeque;

use coracle_proto::GroupId;

use crate::index::LogIndex;
use crate::mutant::mutant;
use crate::row::row_count;

/// What a row costs beside its bytes: its header, its key, its place in a page.
const ROW_OVERHEAD_BYTES: u64 = 64;

/// Live bytes written anew per commit, but at least one group.
const MAX_REBASE_BYTES: u64 = 1024 * 1024;

/// Dead bytes, as a multiple of what is put up with, from which groups are written anew.
const REBASE_FACTOR: u64 = 4;

/// Books of what is stored.
#[derive(Debug)]
pub(crate) struct Collector {
    /// First key and bytes of every commit in the table.
    commits: VecDeque<(u64, u64)>,
    stored_bytes: u64,
    garbage_bytes: u64,
    /// Looking at all groups is worth it from this many stored bytes on.
    next_check: u64,
}

/// What the next commit does beside its writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Rows with lower keys hold nothing that is live.
    pub(crate) delete_below: Option<u64>,
    /// Groups to write anew.
    pub(crate) rebase: Vec<GroupId>,
}

impl Collector {
    pub(crate) fn new(garbage_bytes: u64) -> Self {
        let garbage_bytes = garbage_bytes.max(1);
        Self {
            commits: VecDeque::new(),
            stored_bytes: 0,
            garbage_bytes,
            next_check: garbage_bytes,
        }
    }

    /// A commit is in the table.
    pub(crate) fn stored(&mut self, commit: u64, stream_bytes: usize) {
        let bytes = stream_bytes as u64 + row_count(stream_bytes) as u64 * ROW_OVERHEAD_BYTES;
        self.commits.push_back((commit, bytes));
        self.stored_bytes += bytes;
    }

    /// Rows below `cut` are gone.
    pub(crate) fn deleted_below(&mut self, cut: u64) {
        while self
            .commits
            .front()
            .is_some_and(|(commit, _)| *commit < cut)
            && let Some((_, bytes)) = self.commits.pop_front()
        {
            self.stored_bytes -= bytes;
        }
    }

    /// Lowest key in the table.
    pub(crate) fn first(&self) -> Option<u64> {
        self.commits.front().map(|(commit, _)| *commit)
    }

    /// Rows are only deleted one commit or more after what was live in them moved elsewhere, so
    /// that a reader who looks into the index and then takes a view of the table finds every row
    /// the index names. Neither is the anchored row, or nothing would be left to compare with.
    pub(crate) fn plan(&mut self, index: &LogIndex, anchored: u64) -> Plan {
        if self.stored_bytes < self.next_check {
            return Plan::default();
        }
        let mut oldest: Vec<_> = index.oldest_commits().collect();
        oldest.sort_unstable();
        let pinned = oldest.first().map_or(anchored, |(commit, _)| *commit);
        let pinned = if mutant!(RowsDeletedTooEarly) {
            anchored
        } else {
            pinned
        };
        let cut = pinned.min(anchored);
        let live: u64 = oldest
            .iter()
            .map(|(_, group)| index.live_bytes(*group))
            .sum();
        let garbage = self.stored_bytes.saturating_sub(live);
        let mut plan = Plan::default();
        if self.bytes_below(cut) >= self.garbage_bytes {
            plan.delete_below = Some(cut);
        }
        if garbage > live.max(REBASE_FACTOR * self.garbage_bytes) {
            plan.rebase = self.pinning(index, &oldest, anchored);
        }
        self.next_check = match plan == Plan::default() {
            true => self.stored_bytes + self.garbage_bytes.div_ceil(8),
            false => 0,
        };
        plan
    }

    /// Groups whose live sets begin in the older half of the rows, the oldest first.
    fn pinning(&self, index: &LogIndex, oldest: &[(u64, GroupId)], anchored: u64) -> Vec<GroupId> {
        let end = self.middle().min(anchored);
        let mut bytes = 0;
        let mut groups = Vec::new();
        for (_, group) in oldest.iter().take_while(|(commit, _)| *commit < end) {
            bytes += index.live_bytes(*group);
            if !groups.is_empty() && bytes > MAX_REBASE_BYTES {
                break;
            }
            groups.push(*group);
        }
        groups
    }

    fn bytes_below(&self, cut: u64) -> u64 {
        let below = self.commits.iter().take_while(|(commit, _)| *commit < cut);
        below.map(|(_, bytes)| bytes).sum()
    }

    /// The commit at which half of the bytes are older.
    fn middle(&self) -> u64 {
        let mut bytes = 0;
        let middle = self.commits.iter().find(|(_, own)| {
            bytes += own;
            bytes * 2 >= self.stored_bytes
        });
        middle.map_or(0, |(commit, _)| *commit)
    }
}
