//! Reading all rows at start: what is live, and whether anything is missing.

use coracle_driver::LogError;

use crate::anchor::{Claim, Synced};
use crate::collector::Collector;
use crate::errors::{damaged, lost};
use crate::fields::Malformed;
use crate::index::{Inconsistent, LogIndex};
use crate::mutant::mutant;
use crate::record::Record;
use crate::row::{Location, parse, row_count};
use crate::table::View;

/// What the rows told.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) index: LogIndex,
    pub(crate) collector: Collector,
    /// The last commit.
    pub(crate) last: Synced,
    /// Key of the next row.
    pub(crate) next: u64,
    /// What the anchor knows of and the rows do not, if that was put up with.
    pub(crate) loss: Option<String>,
}

/// The rows so far.
#[derive(Debug)]
struct Replay {
    index: LogIndex,
    collector: Collector,
    /// The commit being put together again, and the rows it still lacks.
    commit: u64,
    stream: Vec<u8>,
    lacking: u32,
    count: u32,
    /// Key of the next row; `None` before the first.
    next: Option<u64>,
    /// Lowest key there must be.
    first: u64,
    anchored: u64,
    /// The commit that the anchor names, as found.
    witness: Option<Synced>,
}

/// Replays the table and compares it with the anchor.
pub(crate) fn replay(
    view: &View<'_>,
    claim: Claim,
    index: LogIndex,
    collector: Collector,
    accept_loss: bool,
) -> Result<Replayed, LogError> {
    let mut replay = Replay {
        index,
        collector,
        commit: 0,
        stream: Vec::new(),
        lacking: 0,
        count: 0,
        next: None,
        first: 0,
        anchored: claim.synced.commit,
        witness: None,
    };
    view.each(|key, value| replay.row(key, value))?;
    replay.check_rows()?;
    let loss = match replay.check_anchor(claim) {
        Err(LogError::Lost { reason } | LogError::Damaged { reason, .. }) if accept_loss => {
            Some(reason)
        }
        checked => checked.map(|()| None)?,
    };
    replay.check_replicas()?;
    Ok(Replayed {
        loss,
        next: replay.next.unwrap_or(1),
        index: replay.index,
        collector: replay.collector,
        last: Synced::of(replay.commit, &replay.stream),
    })
}

impl Replay {
    fn row(&mut self, key: u64, value: &[u8]) -> Result<(), LogError> {
        if let Some(next) = self.next
            && key != next
        {
            return Err(damaged(format!("row {next} is missing before row {key}")));
        }
        let row = parse(key, value, true)
            .map_err(|Malformed(reason)| damaged(format!("row {key}: {reason}")))?;
        if self.lacking == 0 {
            (self.commit, self.count, self.lacking) = (key, row.count, row.count);
            self.stream.clear();
        }
        self.stream.extend_from_slice(row.body);
        if !row.intact {
            return Err(self.checksum_error(key));
        }
        let position = self.count - self.lacking;
        if self.lacking == 0 || (row.position, row.count) != (position, self.count) {
            return Err(damaged(format!("row {key} is not a part of its commit")));
        }
        self.lacking -= 1;
        self.first = row.first;
        self.next = Some(key + 1);
        match self.lacking {
            0 => self.take_commit(),
            _ => Ok(()),
        }
    }

    fn checksum_error(&self, key: u64) -> LogError {
        let (group, index) = Record::locate_damage(&self.stream).unwrap_or_default();
        LogError::Damaged {
            group,
            index,
            reason: format!("the checksum of row {key} does not match"),
        }
    }

    fn take_commit(&mut self) -> Result<(), LogError> {
        let commit = self.commit;
        if row_count(self.stream.len()) != self.count as usize {
            return Err(damaged(format!(
                "commit {commit} is too short for its rows"
            )));
        }
        let mut offset = 0;
        while offset < self.stream.len() {
            let (record, len) = Record::decode(&self.stream[offset..])
                .map_err(|Malformed(reason)| damaged(format!("commit {commit}: {reason}")))?;
            let at = Location {
                commit,
                offset: offset as u32,
                len: len as u32,
            };
            self.index.apply(record, at, false).map_err(inconsistent)?;
            offset += len;
        }
        self.collector.stored(commit, self.stream.len());
        if commit == self.anchored {
            self.witness = Some(Synced::of(commit, &self.stream));
        }
        Ok(())
    }

    fn check_rows(&self) -> Result<(), LogError> {
        let first = self.collector.first().unwrap_or(0);
        if self.lacking > 0 {
            let (commit, lacking) = (self.commit, self.lacking);
            return Err(damaged(format!(
                "commit {commit} lacks its last {lacking} rows"
            )));
        }
        if first != self.first {
            let wanted = self.first;
            return Err(damaged(format!("rows {wanted}..{first} are missing")));
        }
        Ok(())
    }

    fn check_anchor(&self, claim: Claim) -> Result<(), LogError> {
        let (commit, last) = (claim.synced.commit, self.commit);
        if mutant!(AnchorNotChecked) {
            return Ok(());
        }
        match self.witness {
            _ if commit == 0 => {}
            Some(witness) if witness == claim.synced => {}
            Some(_) => {
                return Err(lost(format!(
                    "commit {commit} is not the one that was made durable"
                )));
            }
            None => {
                return Err(lost(format!(
                    "commit {commit} was made durable, the log ends with commit {last}"
                )));
            }
        }
        match claim.later && last <= commit {
            true => Err(damaged(format!(
                "a slot of the anchor cannot be read, and the log holds nothing after commit \
                 {commit}, which the others name"
            ))),
            false => Ok(()),
        }
    }

    fn check_replicas(&self) -> Result<(), LogError> {
        for (group, replica) in &self.index.replicas {
            let expected = replica.state.floor.last.index + 1;
            let reason = match replica.known {
                false => "the record of its floor is missing".to_owned(),
                true if replica.first() != expected => {
                    format!("entries {expected}..{} are missing", replica.first())
                }
                true => continue,
            };
            return Err(LogError::Damaged {
                group: group.0,
                index: expected,
                reason,
            });
        }
        Ok(())
    }
}

fn inconsistent(found: Inconsistent) -> LogError {
    LogError::Damaged {
        group: found.group.0,
        index: found.index,
        reason: found.reason,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coracle_proto::{GroupId, NodeId};

    use super::*;
    use crate::identity::Identity;
    use crate::memory_disk::MemoryDisk;
    use crate::row::rows;
    use crate::table::{Change, Table};

    fn commit(group: u64) -> Vec<u8> {
        let group = GroupId(group);
        let mut stream = Vec::new();
        Record::Removed { group, born: 0 }.encode(&mut stream);
        stream
    }

    /// What a table tells that holds these rows.
    fn replayed(rows: Vec<(u64, Vec<u8>)>, anchor: Synced) -> Result<Replayed, String> {
        let (path, temporary) = (Path::new("log"), Path::new("tmp"));
        let disk = MemoryDisk::new();
        let identity = Identity {
            store: [1; 16],
            node: NodeId(1),
        };
        Table::create(&disk, path, temporary, &identity).unwrap();
        let table = Table::open(&disk, path, 0, false).unwrap();
        let change = Change {
            rows: rows.into_iter(),
            delete_below: None,
            quick_repair: false,
        };
        table.write(change).unwrap();
        let view = table.view().unwrap();
        let claim = Claim {
            synced: anchor,
            later: false,
        };
        replay(&view, claim, LogIndex::new(0), Collector::new(1), false)
            .map_err(|error| error.to_string())
    }

    fn three(first: u64) -> Vec<(u64, Vec<u8>)> {
        let commits = (first..first + 3).map(|key| rows(key, first, &commit(key)).collect());
        commits.collect::<Vec<Vec<_>>>().concat()
    }

    #[test]
    fn rows_in_order_are_replayed() {
        let replayed = replayed(three(4), Synced::of(5, &commit(5))).unwrap();
        assert_eq!((replayed.next, replayed.last.commit), (7, 6));
        assert_eq!(replayed.index.tombstones.len(), 3);
    }

    #[test]
    fn a_row_missing_in_the_middle_is_found() {
        let mut rows = three(1);
        rows.remove(1);
        let error = replayed(rows, Synced::nothing()).unwrap_err();
        assert!(error.contains("row 2 is missing before row 3"), "{error}");
    }

    #[test]
    fn rows_missing_at_the_beginning_are_found() {
        let rows = three(1).split_off(2);
        let error = replayed(rows, Synced::nothing()).unwrap_err();
        assert!(error.contains("rows 1..3 are missing"), "{error}");
    }

    #[test]
    fn rows_missing_at_the_end_are_lost_if_the_anchor_knows_of_them() {
        let error = replayed(three(1), Synced::of(4, &commit(4))).unwrap_err();
        assert!(error.contains("commit 4 was made durable"), "{error}");
        assert!(error.contains("ends with commit 3"), "{error}");
    }

    #[test]
    fn a_commit_without_its_last_row_is_found() {
        let mut stream = Vec::new();
        (0..3000).for_each(|group| stream.extend(commit(group)));
        let mut rows: Vec<_> = rows(1, 1, &stream).collect();
        assert_eq!(rows.len(), 4);
        rows.pop();
        let error = replayed(rows, Synced::nothing()).unwrap_err();
        assert!(error.contains("commit 1 lacks its last 1 rows"), "{error}");
    }

    #[test]
    fn rows_that_changed_places_are_found() {
        let mut rows = three(1);
        (rows[0].0, rows[1].0) = (2, 1);
        let error = replayed(rows, Synced::nothing()).unwrap_err();
        assert!(error.contains("under the key of another"), "{error}");
    }
}
