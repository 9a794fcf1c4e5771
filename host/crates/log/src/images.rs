//! Images: snapshot files that users bring, and what can be asked of any snapshot file.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use coracle_driver::{Digest, File, Section, SnapshotError, SnapshotReader};
use coracle_proto::{GroupId, LogId};

use crate::snapshot_files::{IMAGE_EXTENSION, SnapshotFiles, TEMPORARY_EXTENSION};
use crate::snapshot_format::io_error;
use crate::snapshot_reader::FileReader;

/// What a snapshot file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its group.
    pub group: GroupId,
    /// The last entry it includes.
    pub last: LogId,
    /// Digest in its trailer.
    pub digest: Digest,
    /// Length of the file.
    pub bytes: u64,
    /// The caller's header, as it was given.
    pub header: Vec<u8>,
}

/// What is in a snapshot file that was read in full and is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it says of itself.
    pub info: SnapshotInfo,
    /// Bytes of remembered commands.
    pub session_bytes: u64,
    /// Bytes of state.
    pub state_bytes: u64,
}

/// A file anywhere, which is only read.
#[derive(Debug)]
struct ReadOnly(fs::File);

impl File for ReadOnly {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a snapshot file anywhere, in full: every checksum, and the digest of everything.
pub fn inspect_snapshot(path: &Path) -> Result<Inspected, SnapshotError> {
    let name = path.display().to_string();
    let file = fs::File::open(path).map_err(io_error("opening", &name))?;
    let open = || -> Result<_, SnapshotError> {
        let file = file.try_clone().map_err(io_error("opening", &name))?;
        FileReader::new(Box::new(ReadOnly(file)), name.clone())
    };
    let (mut reader, digest) = open()?;
    reader.verify(&digest)?;
    let (mut reader, _) = open()?;
    let session_bytes = section_bytes(&mut reader, Section::Sessions)?;
    let state_bytes = section_bytes(&mut reader, Section::State)?;
    Ok(Inspected {
        info: info(&reader, digest),
        session_bytes,
        state_bytes,
    })
}

fn section_bytes(reader: &mut FileReader, section: Section) -> Result<u64, SnapshotError> {
    let mut bytes = 0;
    loop {
        match reader.read(section, usize::MAX)?.len() {
            0 => return Ok(bytes),
            some => bytes += some as u64,
        }
    }
}

fn info(reader: &FileReader, digest: Digest) -> SnapshotInfo {
    SnapshotInfo {
        group: reader.group(),
        last: reader.last(),
        digest,
        bytes: reader.file_len(),
        header: reader.header().to_vec(),
    }
}

impl SnapshotFiles {
    /// The snapshots of a group that are here, oldest first. Damaged ones are left out.
    pub fn list(&self, group: GroupId) -> Result<Vec<SnapshotInfo>, SnapshotError> {
        let name = self.0.path.display().to_string();
        let files = self.0.of_group(group);
        let mut found = Vec::new();
        for file in files.map_err(io_error("reading the folder", &name))? {
            match FileReader::open(&*self.0.disk, &file) {
                Ok((reader, digest)) if reader.group() == group => {
                    found.push(info(&reader, digest));
                }
                Err(error @ SnapshotError::Io { .. }) => return Err(error),
                // It went away meanwhile, or whoever restores from it names the damage.
                _ => {}
            }
        }
        Ok(found)
    }

    /// Removes the files of groups that are not hosted here: a checkpoint may have been finished
    /// after its group was removed.
    pub fn retain_groups(&self, hosted: impl Fn(GroupId) -> bool) -> Result<(), SnapshotError> {
        let name = self.0.path.display().to_string();
        let failed = || io_error("clearing the folder", &name);
        for file in self.0.disk.list(&self.0.path).map_err(failed())? {
            let group = file
                .file_name()
                .and_then(|name| name.to_str()?.strip_prefix('g')?.split_once('-'))
                .and_then(|(group, _)| group.parse().ok());
            if group.is_some_and(|group| !hosted(GroupId(group))) {
                self.0.disk.remove(&file).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Whether an image is here, complete.
    pub fn has_image(&self, digest: &Digest) -> bool {
        let path = self.0.image(digest, IMAGE_EXTENSION);
        FileReader::open(&*self.0.disk, &path).is_ok_and(|(_, found)| found == *digest)
    }

    /// Adds bytes to an image that is being received, at `offset`; what was after it goes. Answers
    /// how many are here then; if there are fewer than `offset`, nothing was added.
    pub fn add_to_image(
        &self,
        digest: &Digest,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, SnapshotError> {
        let path = self.0.image(digest, TEMPORARY_EXTENSION);
        let name = path.display().to_string();
        let failed = || io_error("receiving", &name);
        let file = self.0.disk.open(&path, true).map_err(failed())?;
        let len = file.len().map_err(failed())?;
        if len < offset {
            return Ok(len);
        }
        if len > offset {
            file.set_len(offset).map_err(failed())?;
        }
        file.write_at(offset, bytes).map_err(failed())?;
        Ok(offset + bytes.len() as u64)
    }

    /// Verifies an image that was received in full, and gives it its name, durably. One that is
    /// not what it should be is removed.
    pub fn finish_image(&self, digest: &Digest) -> Result<SnapshotInfo, SnapshotError> {
        let temporary = self.0.image(digest, TEMPORARY_EXTENSION);
        match self.verify_image(&temporary, digest) {
            Ok(found) => {
                let name = temporary.display().to_string();
                let failed = || io_error("naming", &name);
                let file = self.0.disk.open(&temporary, false).map_err(failed())?;
                file.sync().map_err(failed())?;
                let path = self.0.image(digest, IMAGE_EXTENSION);
                self.0.disk.rename(&temporary, &path).map_err(failed())?;
                self.0.disk.sync_dir(&self.0.path).map_err(failed())?;
                Ok(found)
            }
            Err(error) => {
                // What cannot be removed now is removed at the next start.
                let _ = self.0.disk.remove(&temporary);
                Err(error)
            }
        }
    }

    fn verify_image(&self, path: &Path, digest: &Digest) -> Result<SnapshotInfo, SnapshotError> {
        let (mut reader, found) = FileReader::open(&*self.0.disk, path)?;
        reader.verify(&found)?;
        if found != *digest {
            return Err(SnapshotError::Damaged {
                file: path.display().to_string(),
                reason: format!("its digest is {found}, not {digest}"),
            });
        }
        Ok(info(&reader, found))
    }

    /// What an image says of itself.
    pub fn image(&self, digest: &Digest) -> Result<SnapshotInfo, SnapshotError> {
        let path = self.0.image(digest, IMAGE_EXTENSION);
        let (reader, found) = FileReader::open(&*self.0.disk, &path)?;
        Ok(info(&reader, found))
    }

    /// Removes all images but these, unfinished ones too: a group that still waits for one takes
    /// another node's snapshot, which holds what it restored.
    pub fn retain_images(&self, keep: &[Digest]) -> Result<(), SnapshotError> {
        let name = self.0.path.display().to_string();
        let failed = || io_error("clearing the folder", &name);
        let kept: Vec<_> = keep
            .iter()
            .flat_map(|digest| {
                [IMAGE_EXTENSION, TEMPORARY_EXTENSION].map(|it| self.0.image(digest, it))
            })
            .collect();
        for file in self.0.disk.list(&self.0.path).map_err(failed())? {
            let named = file.file_name().and_then(|name| name.to_str());
            let is_image = named.is_some_and(|name| name.starts_with("image-"));
            if is_image && !kept.contains(&file) {
                self.0.disk.remove(&file).map_err(failed())?;
            }
        }
        Ok(())
    }
}
