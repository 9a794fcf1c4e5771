//! The folder of snapshot files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coracle_driver::{
    Digest, Disk, SnapshotError, SnapshotReader, SnapshotReceiver, SnapshotRef, SnapshotWriter,
    Snapshots,
};
use coracle_proto::{GroupId, LogId};

use crate::snapshot_format::{Head, MAX_HEADER_BYTES, io_error};
use crate::snapshot_reader::FileReader;
use crate::snapshot_receiver::FileReceiver;
use crate::snapshot_writer::FileWriter;

const EXTENSION: &str = "snapshot";
const TEMPORARY_EXTENSION: &str = "tmp";

/// Hex digits of the digest in a file's name.
const NAME_DIGEST_BYTES: usize = 8;

/// Snapshot files in one folder of a disk. Clones share it.
#[derive(Debug, Clone)]
pub struct SnapshotFiles(Arc<Folder>);

#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Number of the next temporary file.
    next: AtomicU64,
}

impl SnapshotFiles {
    /// Opens the folder, creating it if need be, and removes files that were not finished.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, SnapshotError> {
        let name = folder.display().to_string();
        let failed = || io_error("preparing the folder", &name);
        disk.create_dir(folder).map_err(failed())?;
        if let Some(parent) = folder.parent() {
            disk.sync_dir(parent).map_err(failed())?;
        }
        for file in disk.list(folder).map_err(failed())? {
            if file.extension().is_some_and(|it| it == TEMPORARY_EXTENSION) {
                disk.remove(&file).map_err(failed())?;
            }
        }
        Ok(Self(Arc::new(Folder {
            disk,
            path: folder.to_owned(),
            next: AtomicU64::new(0),
        })))
    }
}

impl SnapshotFiles {
    /// Reads the whole file: whether it is there and every byte of it is what was written.
    pub fn verify(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<(), SnapshotError> {
        let path = self.0.named(group, last, digest);
        let (mut reader, _) = FileReader::open(&*self.0.disk, &path)?;
        reader.verify(digest)
    }
}

impl Snapshots for SnapshotFiles {
    fn create(
        &self,
        group: GroupId,
        last: LogId,
        header: &[u8],
    ) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        let temporary = self.0.temporary(group);
        if header.len() > MAX_HEADER_BYTES {
            return Err(SnapshotError::Damaged {
                file: temporary.display().to_string(),
                reason: format!(
                    "its header has {} bytes, the limit is {MAX_HEADER_BYTES}",
                    header.len()
                ),
            });
        }
        let head = Head {
            group,
            last,
            header: header.to_vec(),
        };
        Ok(Box::new(FileWriter::create(
            self.0.clone(),
            temporary,
            head,
        )?))
    }

    fn open(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let path = self.0.named(group, last, digest);
        let (reader, found) = FileReader::open(&*self.0.disk, &path)?;
        if found != *digest || (reader.group(), reader.last()) != (group, last) {
            return Err(SnapshotError::Damaged {
                file: path.display().to_string(),
                reason: format!(
                    "it holds {} at {} with digest {found}",
                    reader.group(),
                    reader.last()
                ),
            });
        }
        Ok(Box::new(reader))
    }

    fn receive(&self, group: GroupId) -> Result<Box<dyn SnapshotReceiver>, SnapshotError> {
        let temporary = self.0.temporary(group);
        Ok(Box::new(FileReceiver::create(
            self.0.clone(),
            temporary,
            group,
        )?))
    }

    fn retain(&self, group: GroupId, keep: &[SnapshotRef]) -> Result<(), SnapshotError> {
        let named = |it: &SnapshotRef| self.0.named(group, it.last, &it.digest);
        let keep: Vec<_> = keep.iter().map(named).collect();
        let newest = keep.iter().max();
        let name = self.0.path.display().to_string();
        let failed = || io_error("clearing the folder", &name);
        let prefix = format!("{group}-");
        let mut removed = false;
        for file in self.0.disk.list(&self.0.path).map_err(failed())? {
            let own = file
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&prefix));
            let finished = file.extension().is_some_and(|it| it == EXTENSION);
            // A newer file was just finished and is about to be named.
            let superseded = newest.is_none_or(|newest| file < *newest);
            if own && finished && superseded && !keep.contains(&file) {
                self.0.disk.remove(&file).map_err(failed())?;
                removed = true;
            }
        }
        match removed {
            true => self.0.disk.sync_dir(&self.0.path).map_err(failed()),
            false => Ok(()),
        }
    }
}

impl Folder {
    fn temporary(&self, group: GroupId) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.path
            .join(format!("{group}-{number}.{TEMPORARY_EXTENSION}"))
    }

    /// Sorted by name, a group's files are in the order of their indexes.
    fn named(&self, group: GroupId, last: LogId, digest: &Digest) -> PathBuf {
        let (index, term) = (last.index, last.term);
        let digest = digest.to_string();
        let digest = &digest[..2 * NAME_DIGEST_BYTES];
        self.path
            .join(format!("{group}-{index:020}-{term}-{digest}.{EXTENSION}"))
    }

    /// Gives a complete and synced file its name, durably.
    pub(crate) fn publish(
        &self,
        temporary: &Path,
        head: &Head,
        digest: &Digest,
    ) -> Result<(), SnapshotError> {
        let path = self.named(head.group, head.last, digest);
        let name = path.display().to_string();
        let renamed = self.disk.rename(temporary, &path);
        renamed
            .and_then(|()| self.disk.sync_dir(&self.path))
            .map_err(io_error("naming", &name))
    }
}
