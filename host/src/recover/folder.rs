//! A node's data folder, open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_driver::{Disk, Recovered, SnapshotRef};
use coracle_log::{Options, Overlay, Reader, RealDisk, SnapshotFiles, Store};
use coracle_proto::{GroupId, NodeId};

use super::error::{RecoverError, io_error, log_error, snapshot_error};
use crate::server::SNAPSHOTS;

/// A folder that no node can use meanwhile.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) path: PathBuf,
    disk: Arc<dyn Disk>,
}

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) node: NodeId,
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) recovered: Recovered,
    pub(super) snapshots: SnapshotFiles,
}

impl Locked {
    pub(super) fn open(path: &Path) -> Result<Self, RecoverError> {
        // The disk would create what is not there.
        if !path.join("log").is_dir() {
            return Err(RecoverError::NoLog { path: path.into() });
        }
        let disk = RealDisk::open(path).map_err(io_error("cannot use", path))?;
        if !Store::has_state(&disk).map_err(io_error("cannot read", path))? {
            return Err(RecoverError::NoLog { path: path.into() });
        }
        Ok(Self {
            path: path.to_owned(),
            disk: Arc::new(disk),
        })
    }

    /// Whose it is.
    pub(super) fn node(&self) -> Result<NodeId, RecoverError> {
        let overlay = Overlay::new(Arc::clone(&self.disk));
        Store::owner(&overlay).map_err(log_error(&self.path))
    }

    /// Opens it and changes nothing: what a log needs to be repaired stays in memory.
    pub(super) fn look(&self) -> Result<Folder, RecoverError> {
        self.folder(Arc::new(Overlay::new(Arc::clone(&self.disk))))
    }

    /// Opens it to write.
    pub(super) fn write(&self) -> Result<Folder, RecoverError> {
        self.folder(Arc::clone(&self.disk))
    }

    fn folder(&self, disk: Arc<dyn Disk>) -> Result<Folder, RecoverError> {
        let node = Store::owner(&*disk).map_err(log_error(&self.path))?;
        let options = Options {
            node,
            accept_loss: true,
            ballast_bytes: 0,
            low_water_bytes: 0,
            ..Options::default()
        };
        let (store, reader, recovered) =
            Store::open(Arc::clone(&disk), options).map_err(log_error(&self.path))?;
        let snapshots =
            SnapshotFiles::open(disk, Path::new(SNAPSHOTS)).map_err(snapshot_error(&self.path))?;
        Ok(Folder {
            path: self.path.clone(),
            node,
            store,
            reader,
            recovered,
            snapshots,
        })
    }
}

impl Folder {
    /// Whether the snapshot's file is here and sound; what is wrong with it otherwise.
    pub(super) fn check(&self, group: GroupId, snapshot: &SnapshotRef) -> Result<(), String> {
        self.snapshots
            .verify(group, snapshot.last, &snapshot.digest)
            .map_err(|error| error.to_string())
    }
}

/// Two folders of one node: one of them is an older copy.
pub(super) fn check_distinct(folders: &[Folder]) -> Result<(), RecoverError> {
    for (at, second) in folders.iter().enumerate() {
        let same = folders[..at].iter().find(|first| first.node == second.node);
        if let Some(first) = same {
            return Err(RecoverError::SameNode {
                node: second.node,
                first: first.path.clone(),
                second: second.path.clone(),
            });
        }
    }
    Ok(())
}
