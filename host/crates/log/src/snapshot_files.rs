//! The folder of snapshot files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub(crate) const TEMPORARY_EXTENSION: &str = "tmp";
pub(crate) const IMAGE_EXTENSION: &str = "image";
const PARTIAL_EXTENSION: &str = "partial";

/// Files that are kept although they did not arrive whole, over all groups; one per group.
pub const MAX_PARTIAL_FILES: usize = 8;

/// Hex digits of the digest in a file's name.
const NAME_DIGEST_BYTES: usize = 8;

/// Snapshot files in one folder of a disk. Clones share it.
#[derive(Debug, Clone)]
pub struct SnapshotFiles(pub(crate) Arc<Folder>);

#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    /// Number of the next temporary file.
    next: AtomicU64,
    /// Partial files that a receiver writes to.
    pub(crate) partial: Mutex<BTreeSet<PathBuf>>,
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
            partial: Mutex::default(),
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
        self.named(group, last, digest)?.verify(digest)
    }

    /// Opens the file of this name, which must hold what its name says.
    fn named(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<FileReader, SnapshotError> {
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
        Ok(reader)
    }
}

impl Snapshots for SnapshotFiles {
    fn discard(&self, group: GroupId, snapshot: &SnapshotRef) -> Result<(), SnapshotError> {
        let path = self.0.named(group, snapshot.last, &snapshot.digest);
        let name = path.display().to_string();
        let failed = || io_error("removing", &name);
        self.0.disk.remove(&path).map_err(failed())?;
        self.0.disk.sync_dir(&self.0.path).map_err(failed())
    }

    fn open_image(&self, digest: &Digest) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let path = self.0.image(digest, IMAGE_EXTENSION);
        let (reader, found) = FileReader::open(&*self.0.disk, &path)?;
        match found == *digest {
            true => Ok(Box::new(reader)),
            false => Err(SnapshotError::Damaged {
                file: path.display().to_string(),
                reason: format!("its digest is {found}"),
            }),
        }
    }

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
        Ok(Box::new(self.named(group, last, digest)?))
    }

    fn receive(&self, group: GroupId) -> Result<Box<dyn SnapshotReceiver>, SnapshotError> {
        let temporary = self.0.temporary(group);
        Ok(Box::new(FileReceiver::create(
            self.0.clone(),
            temporary,
            group,
        )?))
    }

    fn resume(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<(Box<dyn SnapshotReceiver>, u64), SnapshotError> {
        let path = self.0.named(group, last, digest);
        let path = path.with_extension(PARTIAL_EXTENSION);
        if !self.0.partials().insert(path.clone()) {
            return Ok((self.receive(group)?, 0));
        }
        let receiver = self
            .0
            .make_room(group, &path)
            .and_then(|()| FileReceiver::resume(self.0.clone(), path.clone(), group));
        match receiver {
            Ok((receiver, len)) => Ok((Box::new(receiver), len)),
            Err(error) => {
                self.0.partials().remove(&path);
                Err(error)
            }
        }
    }

    fn newest(&self, group: GroupId) -> Result<Option<(LogId, Digest)>, SnapshotError> {
        let newest = self.0.files_of(group, EXTENSION)?.into_iter().max();
        let Some(path) = newest else {
            return Ok(None);
        };
        let (reader, digest) = FileReader::open(&*self.0.disk, &path)?;
        Ok(Some((reader.last(), digest)))
    }

    fn retain(
        &self,
        group: GroupId,
        keep: &[SnapshotRef],
        older: usize,
    ) -> Result<(), SnapshotError> {
        let named = |it: &SnapshotRef| self.0.named(group, it.last, &it.digest);
        let keep: Vec<_> = keep.iter().map(named).collect();
        let newest = keep.iter().max();
        let name = self.0.path.display().to_string();
        let failed = || io_error("clearing the folder", &name);
        // A newer file was just finished and is about to be named, or is on its way in.
        let superseded = |file: &PathBuf| newest.is_none_or(|newest| file < newest);
        let mut files = self.0.of_group(group).map_err(failed())?;
        files.retain(|file| superseded(file) && !keep.contains(file));
        files.truncate(files.len().saturating_sub(older));
        for file in self.0.files_of(group, PARTIAL_EXTENSION)? {
            if superseded(&file) && !self.0.partials().contains(&file) {
                files.push(file);
            }
        }
        let removed = !files.is_empty();
        for file in files {
            self.0.disk.remove(&file).map_err(failed())?;
        }
        match removed {
            true => self.0.disk.sync_dir(&self.0.path).map_err(failed()),
            false => Ok(()),
        }
    }
}

impl Folder {
    /// The finished files of a group, oldest first.
    pub(crate) fn of_group(&self, group: GroupId) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("{group}-");
        let mut files = self.disk.list(&self.path)?;
        files.retain(|file| {
            let name = file.file_name().and_then(|name| name.to_str());
            let finished = file.extension().is_some_and(|it| it == EXTENSION);
            finished && name.is_some_and(|name| name.starts_with(&prefix))
        });
        Ok(files)
    }

    fn temporary(&self, group: GroupId) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.path
            .join(format!("{group}-{number}.{TEMPORARY_EXTENSION}"))
    }

    /// The files of a group with this extension.
    fn files_of(&self, group: GroupId, extension: &str) -> Result<Vec<PathBuf>, SnapshotError> {
        let prefix = format!("{group}-");
        let own = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix))
        };
        let mut files = self.files(extension)?;
        files.retain(own);
        Ok(files)
    }

    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, SnapshotError> {
        let name = self.path.display().to_string();
        let mut files = self
            .disk
            .list(&self.path)
            .map_err(io_error("reading the folder", &name))?;
        files.retain(|file| file.extension().is_some_and(|it| it == extension));
        files.sort_unstable();
        Ok(files)
    }

    pub(crate) fn partials(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes partial files for one more to be begun: those of the same group, which it
    /// supersedes, and others if there are too many. None that is being written to.
    fn make_room(&self, group: GroupId, wanted: &Path) -> Result<(), SnapshotError> {
        let name = self.path.display().to_string();
        let own = self.files_of(group, PARTIAL_EXTENSION)?;
        let mut all = self.files(PARTIAL_EXTENSION)?;
        all.retain(|file| file != wanted && !self.partials().contains(file));
        let (superseded, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|file| own.contains(file));
        let too_many = (others.len() + 1).saturating_sub(MAX_PARTIAL_FILES);
        for file in superseded.iter().chain(others.iter().take(too_many)) {
            self.disk
                .remove(file)
                .map_err(io_error("clearing the folder", &name))?;
        }
        Ok(())
    }

    /// Sorted by name, a group's files are in the order of their indexes.
    fn named(&self, group: GroupId, last: LogId, digest: &Digest) -> PathBuf {
        let (index, term) = (last.index, last.term);
        let digest = digest.to_string();
        let digest = &digest[..2 * NAME_DIGEST_BYTES];
        self.path
            .join(format!("{group}-{index:020}-{term}-{digest}.{EXTENSION}"))
    }

    /// An image, complete or being received.
    pub(crate) fn image(&self, digest: &Digest, extension: &str) -> PathBuf {
        self.path.join(format!("image-{digest}.{extension}"))
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
