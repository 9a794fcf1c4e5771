//! The anchor: a witness outside redb of how far the log had come.
//!
//! A disk that lies about a sync, or a file restored from an old copy, gives redb an older state
//! that looks perfectly sound; a node that votes with it votes twice in a term. The anchor is
//! written after a row is durable and before anything that depends on it is said. If redb is
//! behind it, acknowledged data is gone. It is synced when a hard state has changed and now and then;
//! every other commit is named without a sync, so that damage which makes redb fall back to the
//! commit before the last is noticed unless the power went as well.
//!
//! Three slots, a page each: one is durable at all times, and the others take turns, so that the last two
//! commits stand in two slots. A slot holds its record twice, in sectors of their own: one of the two
//! may rot. If both are gone the slot may have named a commit after those that the others name, and
//! the log must hold one: a commit is durable before it is named. The record: `u64` counter,
//! identity, `u64` first key of the commit, its SHA-256, `u32` CRC-32C of all that.

use std::path::Path;

use coracle_driver::{Digest, Disk, File, LogError};
use sha2::{Digest as _, Sha256};

use crate::errors::{damaged, io_error};
use crate::fields::{Fields, Malformed};
use crate::identity::Identity;

/// Slots of the file.
const SLOTS: u64 = 3;

/// A slot: no two share a sector or a page.
const SLOT_BYTES: usize = 4096;

/// Where the second copy of a slot's record begins.
const COPY_BYTES: usize = SLOT_BYTES / 2;

/// All slots; the file never has another length.
const FILE_BYTES: u64 = SLOTS * SLOT_BYTES as u64;

/// Identity as encoded, with its own checksum.
const IDENTITY_BYTES: usize = 4 + 16 + 8 + 4;

const RECORD_BYTES: usize = 8 + IDENTITY_BYTES + 8 + 32 + 4;

/// The commit that is known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Its first key; 0 before the first commit.
    pub(crate) commit: u64,
    pub(crate) digest: Digest,
}

/// What the anchor says the log must hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// This commit.
    pub(crate) synced: Synced,
    /// And a later one: a slot is lost.
    pub(crate) later: bool,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Anchor {
    file: Box<dyn File>,
    identity: Identity,
    counter: u64,
    /// The slot written last.
    latest: u64,
    /// The slot that is known to be durable: never written before another one is.
    durable: u64,
    synced: Synced,
    found: Found,
}

/// What opening the file found.
#[derive(Debug, Default, Clone, Copy)]
struct Found {
    /// A record that does not match its checksum.
    damage: bool,
    /// A slot without any that does.
    lost_slot: bool,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy)]
struct Record {
    counter: u64,
    identity: Identity,
    synced: Synced,
}

impl Synced {
    pub(crate) fn of(commit: u64, stream: &[u8]) -> Self {
        Self {
            commit,
            digest: Digest(Sha256::digest(stream).into()),
        }
    }

    /// Before the first commit.
    pub(crate) fn nothing() -> Self {
        Self::of(0, &[])
    }
}

impl Anchor {
    /// Creates the file, complete or not at all.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        temporary: &Path,
        identity: Identity,
    ) -> Result<(), LogError> {
        let context = "creating the anchor";
        let file = disk.open(temporary, true).map_err(io_error(context))?;
        file.set_len(FILE_BYTES).map_err(io_error(context))?;
        let mut anchor = Self {
            file,
            identity,
            counter: 0,
            latest: 0,
            durable: 0,
            synced: Synced::nothing(),
            found: Found::default(),
        };
        anchor.fill(Synced::nothing())?;
        disk.rename(temporary, path).map_err(io_error(context))
    }

    /// Reads the newest record of all slots.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, LogError> {
        let context = "opening the anchor";
        let file = disk.open(path, false).map_err(io_error(context))?;
        let len = file.len().map_err(io_error(context))?;
        if len != FILE_BYTES {
            return Err(damaged(format!(
                "the anchor has {len} bytes instead of {FILE_BYTES}"
            )));
        }
        let (mut newest, mut found) = (None, Found::default());
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            file.read_at(place(slot), &mut bytes)
                .map_err(io_error(context))?;
            let sound: Vec<Record> = bytes.chunks(COPY_BYTES).filter_map(decode).collect();
            found.damage |= sound.len() < SLOT_BYTES / COPY_BYTES;
            found.lost_slot |= sound.is_empty();
            let of_slot = sound.into_iter().map(|record| (slot, record));
            newest = newest
                .into_iter()
                .chain(of_slot)
                .max_by_key(|(_, record)| record.counter);
        }
        let (slot, record) =
            newest.ok_or_else(|| damaged("no slot of the anchor matches its checksum"))?;
        // What a killed process only noted may not be on the disk yet.
        file.sync().map_err(io_error(context))?;
        Ok(Self {
            file,
            identity: record.identity,
            counter: record.counter,
            latest: slot,
            durable: slot,
            synced: record.synced,
            found,
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn synced(&self) -> Synced {
        self.synced
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim {
            synced: self.synced,
            later: self.found.lost_slot,
        }
    }

    /// Moves the anchor to what a start has found in the log. Done even if it stands there already:
    /// after a failed sync what was read may be in memory only. Damage is written over.
    pub(crate) fn renew(&mut self, last: Synced) -> Result<(), LogError> {
        match std::mem::take(&mut self.found).damage {
            true => self.fill(last),
            false => self.write(last),
        }
    }

    fn fill(&mut self, synced: Synced) -> Result<(), LogError> {
        (0..SLOTS).try_for_each(|_| self.write(synced))
    }

    /// Moves the anchor to a commit that is durable; the anchor is durable when this returns.
    pub(crate) fn write(&mut self, synced: Synced) -> Result<(), LogError> {
        self.note(synced)?;
        self.file.sync().map_err(io_error("writing the anchor"))?;
        self.durable = self.latest;
        self.synced = synced;
        Ok(())
    }

    /// Names a commit that is durable, without a sync: a killed process leaves it behind, a power
    /// cut perhaps not. The slot that is known to be durable stays as it is.
    pub(crate) fn note(&mut self, latest: Synced) -> Result<(), LogError> {
        let counter = self
            .counter
            .checked_add(1)
            .ok_or_else(|| damaged("the anchor counts no further"))?;
        let mut record = counter.to_le_bytes().to_vec();
        record.extend_from_slice(&self.identity.encode());
        record.extend_from_slice(&latest.commit.to_le_bytes());
        record.extend_from_slice(&latest.digest.0);
        record.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
        record.resize(COPY_BYTES, 0);
        let next = (self.latest + 1) % SLOTS;
        let slot = match next == self.durable {
            true => (next + 1) % SLOTS,
            false => next,
        };
        let written = self.file.write_at(place(slot), &record.repeat(2));
        written.map_err(io_error("writing the anchor"))?;
        (self.counter, self.latest) = (counter, slot);
        Ok(())
    }
}

/// Where a slot begins.
fn place(slot: u64) -> u64 {
    slot * SLOT_BYTES as u64
}

/// A record, if it is sound.
fn decode(copy: &[u8]) -> Option<Record> {
    let (covered, checksum) = copy.get(..RECORD_BYTES)?.split_at(RECORD_BYTES - 4);
    if checksum != crc32c::crc32c(covered).to_le_bytes() {
        return None;
    }
    let mut fields = Fields(covered);
    let record = |fields: &mut Fields<'_>| {
        Ok::<_, Malformed>(Record {
            counter: fields.u64()?,
            identity: Identity::decode(fields.bytes(IDENTITY_BYTES)?)?,
            synced: Synced {
                commit: fields.u64()?,
                digest: Digest(fields.array()?),
            },
        })
    };
    record(&mut fields).ok()
}
