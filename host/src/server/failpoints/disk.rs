//! A disk with failpoints.

use std::io;
use std::path::{Path, PathBuf};

use coracle_driver::{Disk, File};

use super::{Place, fallible};

/// Another disk, and places on the way to it.
#[derive(Debug)]
pub(in crate::server) struct FailingDisk<D>(pub(in crate::server) D);

/// What a file is for, which its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    Anchor,
    Snapshot,
    Plugin,
    Other,
}

fn kind(path: &Path) -> Kind {
    let ends = |name| path.ends_with(name);
    if ends("log/log.redb") {
        Kind::Log
    } else if ends("log/anchor") {
        Kind::Anchor
    } else if path.starts_with(crate::server::SNAPSHOTS) {
        Kind::Snapshot
    } else if path.starts_with("plugins") {
        Kind::Plugin
    } else {
        Kind::Other
    }
}

impl<D: Disk> Disk for FailingDisk<D> {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
        let file = self.0.open(path, create)?;
        let kind = kind(path);
        Ok(Box::new(FailingFile { file, kind }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match kind(to) {
            Kind::Snapshot => {
                fallible(Place::BeforeSnapshotRename)?;
                self.0.rename(from, to)?;
                fallible(Place::AfterSnapshotRename)
            }
            Kind::Plugin => {
                fallible(Place::BeforePluginRename)?;
                self.0.rename(from, to)?;
                fallible(Place::AfterPluginRename)
            }
            _ => self.0.rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if kind(path) == Kind::Snapshot {
            fallible(Place::BeforeSnapshotRemove)?;
        }
        self.0.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list(path)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.0.free_bytes()
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn File>,
    kind: Kind,
}

impl File for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Anchor => fallible(Place::BeforeAnchorWrite)?,
            Kind::Snapshot => fallible(Place::BeforeSnapshotWrite)?,
            _ => {}
        }
        self.file.write_at(offset, data)?;
        match self.kind {
            Kind::Snapshot => fallible(Place::AfterSnapshotWrite),
            _ => Ok(()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        match self.kind {
            Kind::Log => fallible(Place::BeforeLogSync)?,
            Kind::Snapshot => fallible(Place::BeforeSnapshotSync)?,
            _ => {}
        }
        self.file.sync()?;
        match self.kind {
            Kind::Log => fallible(Place::AfterLogSync),
            Kind::Anchor => fallible(Place::AfterAnchorSync),
            Kind::Snapshot => fallible(Place::AfterSnapshotSync),
            _ => Ok(()),
        }
    }
}
