//! Receiving a snapshot file from a peer.

use std::path::PathBuf;
use std::sync::Arc;

use coracle_driver::{Digest, SnapshotError, SnapshotReceiver};
use coracle_proto::{GroupId, LogId};

use crate::mutant::mutant;
use crate::snapshot_files::Folder;
use crate::snapshot_format::io_error;
use crate::snapshot_reader::FileReader;
use crate::snapshot_writer::Temporary;

/// A file on its way in, under a temporary name.
#[derive(Debug)]
pub(crate) struct FileReceiver {
    temporary: Temporary,
    group: GroupId,
    len: u64,
}

impl FileReceiver {
    pub(crate) fn create(
        folder: Arc<Folder>,
        path: PathBuf,
        group: GroupId,
    ) -> Result<Self, SnapshotError> {
        Ok(Self {
            temporary: Temporary::create(folder, path)?,
            group,
            len: 0,
        })
    }
}

impl FileReceiver {
    /// Goes on with what is there; answers how much that is.
    pub(crate) fn resume(
        folder: Arc<Folder>,
        path: PathBuf,
        group: GroupId,
    ) -> Result<(Self, u64), SnapshotError> {
        let temporary = Temporary::resume(folder, path)?;
        let len = temporary
            .file
            .len()
            .map_err(io_error("opening", &temporary.name))?;
        let receiver = Self {
            temporary,
            group,
            len,
        };
        Ok((receiver, len))
    }
}

impl SnapshotReceiver for FileReceiver {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.temporary.write(self.len, bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(
        mut self: Box<Self>,
        offered: Option<(LogId, Digest)>,
    ) -> Result<(Digest, Vec<u8>), SnapshotError> {
        // Either it is what it should be, or to go on with it would lead to the same end.
        self.temporary.discard();
        let disk = &*self.temporary.folder.disk;
        let (mut reader, digest) = FileReader::open(disk, &self.temporary.path)?;
        if !mutant!(SnapshotNotVerified) {
            reader.verify(&digest)?;
        }
        let head = reader.into_head();
        if head.group != self.group {
            let (found, wanted) = (head.group, self.group);
            return Err(SnapshotError::Damaged {
                file: self.temporary.name.clone(),
                reason: format!("it is a snapshot of {found}, not of {wanted}"),
            });
        }
        if let Some((last, wanted)) = offered
            && (last, wanted) != (head.last, digest)
        {
            let found = head.last;
            return Err(SnapshotError::Damaged {
                file: self.temporary.name.clone(),
                reason: format!("it is {digest} at {found}, not {wanted} at {last}"),
            });
        }
        self.temporary.publish(&head, &digest)?;
        Ok((digest, head.header))
    }
}
