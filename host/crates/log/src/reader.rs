//! The readers' side.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use coracle_driver::{Floor, LogError, LogReader};
use coracle_proto::{Entry, EntryKind, GroupId, Index, Term};

use crate::fields::Malformed;
use crate::index::{LogIndex, Replica};
use crate::record::{RECORD_HEADER_BYTES, Record};
use crate::row::{Location, ROW_BODY_BYTES, parse};
use crate::space::Space;
use crate::table::{Table, View};

/// What writer and readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Table,
    pub(crate) index: RwLock<LogIndex>,
    pub(crate) space: Space,
}

/// Reads what [`Store`](crate::Store) made durable. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Reader(pub(crate) Arc<Shared>);

impl Reader {
    /// Whether free room is below the low-water mark: new proposals should be refused, votes not.
    pub fn low_on_space(&self) -> bool {
        self.0.space.low()
    }

    /// The group's floor as it is on the disk. Snapshot files it names must stay; those that only
    /// floors below it named may go.
    pub fn floor(&self, group: GroupId) -> Option<Floor> {
        let index = self.0.index();
        let replica = index.replicas.get(&group)?;
        Some(replica.state.floor.clone())
    }

    /// All floors as they are on the disk.
    pub fn floors(&self) -> BTreeMap<GroupId, Floor> {
        let index = self.0.index();
        let floors = index
            .replicas
            .iter()
            .map(|(group, replica)| (*group, replica.state.floor.clone()));
        floors.collect()
    }
}

impl LogReader for Reader {
    fn entries(
        &self,
        group: GroupId,
        from: Index,
        through: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let (wanted, view) = {
            let index = self.0.index();
            let wanted = index
                .replicas
                .get(&group)
                .map(|replica| wanted(replica, group, from, through, max_bytes))
                .unwrap_or_default();
            if wanted.is_empty() {
                return Err(LogError::Compacted { group, index: from });
            }
            // Taken while the index cannot change: it holds every row the index names.
            let stored = wanted.iter().any(|entry| entry.recent.is_none());
            let view = stored.then(|| self.0.table.view()).transpose()?;
            (wanted, view)
        };
        read(view.as_ref(), wanted)
    }
}

impl Shared {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, LogIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry to be read.
#[derive(Debug)]
pub(crate) struct Wanted {
    group: GroupId,
    index: Index,
    term: Term,
    kind: EntryKind,
    location: Location,
    recent: Option<Bytes>,
}

/// The entries `from..=through`, as far as there are, up to `max_bytes` but at least one.
pub(crate) fn wanted(
    replica: &Replica,
    group: GroupId,
    from: Index,
    through: Index,
    max_bytes: usize,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut bytes = 0;
    for index in from..=through.min(replica.last()) {
        let (Some(slot), Some(term)) = (replica.slot(index), replica.term_at(index)) else {
            break;
        };
        bytes += slot.location.len as usize - RECORD_HEADER_BYTES;
        if !wanted.is_empty() && bytes > max_bytes {
            break;
        }
        wanted.push(Wanted {
            group,
            index,
            term,
            kind: slot.kind,
            location: slot.location,
            recent: slot.recent.clone(),
        });
    }
    wanted
}

/// Reads entries, verifying each record's checksum and that it is the one that was wanted.
pub(crate) fn read(view: Option<&View<'_>>, wanted: Vec<Wanted>) -> Result<Vec<Entry>, LogError> {
    let mut stream = view.map(Stream::new);
    wanted
        .into_iter()
        .map(|mut entry| match (entry.recent.take(), &mut stream) {
            (Some(payload), _) => Ok(Entry {
                term: entry.term,
                index: entry.index,
                kind: entry.kind,
                payload,
            }),
            (None, Some(stream)) => stream.entry(&entry),
            (None, None) => Err(entry.damaged("it is neither in memory nor in a row")),
        })
        .collect()
}

impl Wanted {
    fn damaged(&self, reason: impl Into<String>) -> LogError {
        LogError::Damaged {
            group: self.group.0,
            index: self.index,
            reason: reason.into(),
        }
    }
}

/// Reads records out of rows; keeps the last row, since the next record is mostly in it.
struct Stream<'a> {
    view: &'a View<'a>,
    key: Option<u64>,
    body: Vec<u8>,
}

impl<'a> Stream<'a> {
    fn new(view: &'a View<'a>) -> Self {
        Self {
            view,
            key: None,
            body: Vec::new(),
        }
    }

    fn entry(&mut self, wanted: &Wanted) -> Result<Entry, LogError> {
        let bytes = self.record(wanted)?;
        let record = Record::decode(&bytes).map_err(|Malformed(reason)| wanted.damaged(reason))?;
        match record {
            (Record::Entry { group, entry }, _)
                if group == wanted.group
                    && (entry.index, entry.term, entry.kind)
                        == (wanted.index, wanted.term, wanted.kind) =>
            {
                Ok(entry)
            }
            _ => Err(wanted.damaged("another record stands in its place")),
        }
    }

    fn record(&mut self, wanted: &Wanted) -> Result<Vec<u8>, LogError> {
        let len = wanted.location.len as usize;
        let mut bytes = Vec::with_capacity(len);
        let mut offset = wanted.location.offset as usize;
        while bytes.len() < len {
            self.load(wanted, (offset / ROW_BODY_BYTES) as u64)?;
            let rest = self.body.get(offset % ROW_BODY_BYTES..).unwrap_or_default();
            let part = &rest[..rest.len().min(len - bytes.len())];
            if part.is_empty() {
                return Err(wanted.damaged("its row is too short"));
            }
            bytes.extend_from_slice(part);
            offset += part.len();
        }
        Ok(bytes)
    }

    fn load(&mut self, wanted: &Wanted, position: u64) -> Result<(), LogError> {
        let key = wanted.location.commit + position;
        if self.key == Some(key) {
            return Ok(());
        }
        self.key = None;
        let body = &mut self.body;
        let parsed = self.view.row(key, |value| {
            let row = parse(key, value, false)?;
            if u64::from(row.position) != position {
                return Err(Malformed("its row is that of another place"));
            }
            body.clear();
            body.extend_from_slice(row.body);
            Ok(())
        })?;
        match parsed {
            None => Err(wanted.damaged(format!("row {key} is missing"))),
            Some(Err(Malformed(reason))) => Err(wanted.damaged(reason)),
            Some(Ok(())) => {
                self.key = Some(key);
                Ok(())
            }
        }
    }
}
