//! Records: what a commit is made of.
//!
//! A record is, little-endian: `u32` CRC-32C of the rest, `u32` length of the body, `u8` kind,
//! `u8` detail, `u64` group, `u64` index, `u64` term, body. What index, term, detail and body
//! mean depends on the kind; see [`Record::encode`].

use bytes::Bytes;
use coracle_driver::Floor;
use coracle_proto::{Entry, EntryKind, GroupId, HardState, Index};

use crate::fields::{Fields, Malformed, put_floor, put_hard_state};
use crate::mutant::mutant;

/// Bytes before a record's body.
pub(crate) const RECORD_HEADER_BYTES: usize = 4 + 4 + 1 + 1 + 3 * 8;

const STATE: u8 = 1;
const HARD_STATE: u8 = 2;
const ENTRY: u8 = 3;
const APPLIED: u8 = 4;
const REMOVED: u8 = 5;

/// Everything that is known of a replica, but for its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicaState {
    pub(crate) born: Index,
    pub(crate) hard_state: HardState,
    pub(crate) applied: Index,
    pub(crate) floor: Floor,
}

/// Why a replica's state is written; says what becomes of the entries before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cause {
    /// A new replica: it has no entries.
    Host = 1,
    /// Entries up to the floor go.
    Compact = 2,
    /// A snapshot that the log matches: entries up to the floor go.
    Install = 3,
    /// A snapshot in place of the log: all entries go.
    InstallTruncate = 4,
    /// The live set is written anew so that older rows can go: this record replaces all that is
    /// known, and the entries follow it in the same commit.
    Rebase = 5,
}

/// One thing that happened to one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    State {
        group: GroupId,
        cause: Cause,
        state: Box<ReplicaState>,
    },
    HardState {
        group: GroupId,
        hard_state: HardState,
    },
    Entry {
        group: GroupId,
        entry: Entry,
    },
    Applied {
        group: GroupId,
        index: Index,
    },
    /// The replica is gone; no replica of this group born at or before `born` may be here again.
    Removed {
        group: GroupId,
        born: Index,
    },
}

impl Record {
    /// Appends the record to a commit. Returns its length.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let (kind, detail, group, index, term) = self.header();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&[kind, detail]);
        for field in [group.0, index, term] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        self.put_body(out);
        let len = out.len() - start;
        let body = (len - RECORD_HEADER_BYTES) as u32;
        out[start + 4..start + 8].copy_from_slice(&body.to_le_bytes());
        let checksum = crc32c::crc32c(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        len
    }

    /// Kind, detail, group, index, term.
    fn header(&self) -> (u8, u8, GroupId, u64, u64) {
        match self {
            Self::State {
                group,
                cause,
                state,
            } => {
                let last = state.floor.last;
                (STATE, *cause as u8, *group, last.index, last.term)
            }
            Self::HardState { group, hard_state } => (HARD_STATE, 0, *group, 0, hard_state.term),
            Self::Entry { group, entry } => {
                (ENTRY, entry.kind as u8, *group, entry.index, entry.term)
            }
            Self::Applied { group, index } => (APPLIED, 0, *group, *index, 0),
            Self::Removed { group, born } => (REMOVED, 0, *group, *born, 0),
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::State { state, .. } => {
                out.extend_from_slice(&state.born.to_le_bytes());
                out.extend_from_slice(&state.applied.to_le_bytes());
                put_hard_state(out, &state.hard_state);
                put_floor(out, &state.floor);
            }
            Self::HardState { hard_state, .. } => put_hard_state(out, hard_state),
            Self::Entry { entry, .. } => out.extend_from_slice(&entry.payload),
            Self::Applied { .. } | Self::Removed { .. } => {}
        }
    }

    /// Decodes the record at the beginning of `bytes`, verifying its checksum. Returns it and its
    /// length.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let mut fields = Fields(bytes);
        let checksum = fields.u32()?;
        let len = RECORD_HEADER_BYTES.saturating_add(fields.u32()? as usize);
        let covered = bytes
            .get(4..len)
            .ok_or(Malformed("a record ends too early"))?;
        if crc32c::crc32c(covered) != checksum && !mutant!(RecordChecksumSkipped) {
            return Err(Malformed("the checksum of a record does not match"));
        }
        let mut fields = Fields(&covered[4..]);
        let (kind, detail) = (fields.u8()?, fields.u8()?);
        let group = GroupId(fields.u64()?);
        let (index, term) = (fields.u64()?, fields.u64()?);
        let record = match kind {
            STATE => Self::State {
                group,
                cause: cause(detail)?,
                state: Box::new(replica_state(&mut fields)?),
            },
            HARD_STATE => Self::HardState {
                group,
                hard_state: fields.hard_state()?,
            },
            ENTRY => Self::Entry {
                group,
                entry: Entry {
                    term,
                    index,
                    kind: entry_kind(detail)?,
                    payload: Bytes::copy_from_slice(std::mem::take(&mut fields.0)),
                },
            },
            APPLIED => Self::Applied { group, index },
            REMOVED => Self::Removed { group, born: index },
            _ => return Err(Malformed("a record has an unknown kind")),
        };
        fields.end()?;
        Ok((record, len))
    }

    /// Group and index of the first record in a damaged commit that does not match its checksum,
    /// as far as its header can be believed.
    pub(crate) fn locate_damage(mut commit: &[u8]) -> Option<(u64, Index)> {
        while !commit.is_empty() {
            match Self::decode(commit) {
                Ok((_, len)) => commit = &commit[len..],
                Err(_) => {
                    let mut fields = Fields(commit.get(10..)?);
                    return Some((fields.u64().ok()?, fields.u64().ok()?));
                }
            }
        }
        None
    }
}

fn cause(detail: u8) -> Result<Cause, Malformed> {
    [
        Cause::Host,
        Cause::Compact,
        Cause::Install,
        Cause::InstallTruncate,
        Cause::Rebase,
    ]
    .into_iter()
    .find(|cause| *cause as u8 == detail)
    .ok_or(Malformed("a state record has an unknown cause"))
}

fn entry_kind(detail: u8) -> Result<EntryKind, Malformed> {
    [EntryKind::Noop, EntryKind::Normal, EntryKind::Configuration]
        .into_iter()
        .find(|kind| *kind as u8 == detail)
        .ok_or(Malformed("an entry has an unknown kind"))
}

fn replica_state(fields: &mut Fields<'_>) -> Result<ReplicaState, Malformed> {
    Ok(ReplicaState {
        born: fields.u64()?,
        applied: fields.u64()?,
        hard_state: fields.hard_state()?,
        floor: fields.floor()?,
    })
}
