//! The anchor: a witness outside redb of how far the log had come.
//!
//! A disk that lies about a sync, or a file restored from an old copy, gives redb an older state
//! that looks perfectly sound; a node that votes with it votes twice in a term. The anchor is
//! written after a row is durable and before anything that depends on it is said. If redb is
//! behind it, acknowledged data is gone. It is synced when a hard state has changed and now and then;
//! every other commit is named without a sync, so that damage which makes redb fall back to the
//! commit before the last is noticed unless the power went as well.
//!
//! Two slots, of which one is durable at all times, each in a sector of its own: `u64` counter, identity, `u64` first
//! key of the commit, its SHA-256, `u32` CRC-32C of all that.

use std::path::Path;

use coracle_driver::{Digest, Disk, File, LogError};
use sha2::{Digest as _, Sha256};

use crate::errors::{damaged, io_error};
use crate::fields::{Fields, Malformed};
use crate::identity::Identity;

/// A slot's place: no two share a sector or a page.
const SLOT_STRIDE: u64 = 4096;

/// Both slots; the file never has another length.
const FILE_BYTES: u64 = 2 * SLOT_STRIDE;

/// Identity as encoded, with its own checksum.
const IDENTITY_BYTES: usize = 4 + 16 + 8 + 4;

const SLOT_BYTES: usize = 8 + IDENTITY_BYTES + 8 + 32 + 4;

/// The commit that is known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Its first key; 0 before the first commit.
    pub(crate) commit: u64,
    pub(crate) digest: Digest,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Anchor {
    file: Box<dyn File>,
    identity: Identity,
    counter: u64,
    /// The slot to write next: never the one that holds what is known to be durable.
    spare: u64,
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
            spare: 1,
            synced: Synced::nothing(),
        };
        anchor.write(Synced::nothing())?;
        anchor.write(Synced::nothing())?;
        disk.rename(temporary, path).map_err(io_error(context))
    }

    /// Reads the newer of the two slots. One may be torn by a crash; both cannot be.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, LogError> {
        let context = "opening the anchor";
        let file = disk.open(path, false).map_err(io_error(context))?;
        let len = file.len().map_err(io_error(context))?;
        if len != FILE_BYTES {
            return Err(damaged(format!(
                "the anchor has {len} bytes instead of {FILE_BYTES}"
            )));
        }
        let (mut newest, mut spare) = (None, 0);
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            file.read_at(slot * SLOT_STRIDE, &mut bytes)
                .map_err(io_error(context))?;
            if let Ok(found) = decode(&bytes)
                && newest.is_none_or(|(counter, _, _)| counter < found.0)
            {
                (newest, spare) = (Some(found), 1 - slot);
            }
        }
        let (counter, identity, synced) =
            newest.ok_or_else(|| damaged("neither slot of the anchor matches its checksum"))?;
        // What a killed process only noted may not be on the disk yet.
        file.sync().map_err(io_error(context))?;
        Ok(Self {
            file,
            identity,
            counter,
            spare,
            synced,
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn synced(&self) -> Synced {
        self.synced
    }

    /// Moves the anchor to a commit that is durable; the anchor is durable when this returns.
    pub(crate) fn write(&mut self, synced: Synced) -> Result<(), LogError> {
        self.note(synced)?;
        self.file.sync().map_err(io_error("writing the anchor"))?;
        self.spare = 1 - self.spare;
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
        let mut slot = counter.to_le_bytes().to_vec();
        slot.extend_from_slice(&self.identity.encode());
        slot.extend_from_slice(&latest.commit.to_le_bytes());
        slot.extend_from_slice(&latest.digest.0);
        slot.extend_from_slice(&crc32c::crc32c(&slot).to_le_bytes());
        let written = self.file.write_at(self.spare * SLOT_STRIDE, &slot);
        written.map_err(io_error("writing the anchor"))?;
        self.counter = counter;
        Ok(())
    }
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Result<(u64, Identity, Synced), Malformed> {
    let (covered, checksum) = bytes.split_at(SLOT_BYTES - 4);
    if checksum != crc32c::crc32c(covered).to_le_bytes() {
        return Err(Malformed("the checksum of a slot does not match"));
    }
    let mut fields = Fields(covered);
    let counter = fields.u64()?;
    let identity = Identity::decode(fields.bytes(IDENTITY_BYTES)?)?;
    let synced = Synced {
        commit: fields.u64()?,
        digest: Digest(fields.array()?),
    };
    fields.end()?;
    Ok((counter, identity, synced))
}
