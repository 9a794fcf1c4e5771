//! Why a recovery is refused or fails.

use std::path::{Path, PathBuf};

use coracle_driver::{LogError, SnapshotError};
use coracle_proto::{GroupId, Index, NodeId};

/// Why a recovery is refused or fails.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// No folder was given, or more than there may be.
    #[error("{count} data folders, want 1 to {limit}")]
    Count {
        /// How many.
        count: usize,
        /// At most.
        limit: usize,
    },
    /// There is nothing to recover from.
    #[error("{} holds no log of a node", path.display())]
    NoLog {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{context} {}: {source}", path.display())]
    Io {
        /// What was being done.
        context: &'static str,
        /// To what.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// The log of a folder cannot be used.
    #[error("{}: {source}", path.display())]
    Log {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: LogError,
    },
    /// A snapshot file cannot be copied.
    #[error("{}: {source}", path.display())]
    Snapshot {
        /// The folder it was to go to.
        path: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
    /// Two folders are of one node: one of them is a copy.
    #[error("{} and {} are both of {node}: one of them is a copy, give only the newer one",
            first.display(), second.display())]
    SameNode {
        /// Whose.
        node: NodeId,
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The folders say that they are of different clusters.
    #[error("{} and {} are of different clusters: {cluster} and {other}",
            first.display(), second.display())]
    OtherName {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The cluster of the first.
        cluster: String,
        /// The cluster of the second.
        other: String,
    },
    /// The folders have no common history.
    #[error("{} and {} are of different clusters: {group} has another entry {index} of the same term",
            first.display(), second.display())]
    OtherCluster {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Where they differ.
        group: GroupId,
        /// Where they differ.
        index: Index,
    },
    /// A survivor's folder was not given.
    #[error("the folder of survivor {node} was not given; given are those of {given}")]
    NotGiven {
        /// Which.
        node: NodeId,
        /// Those that were.
        given: String,
    },
    /// No folder has a sound replica of a group.
    #[error(
        "{group} cannot be recovered: no folder has the snapshot its log stands on ({reason}); \
             give another node's folder as well"
    )]
    NoSource {
        /// Which.
        group: GroupId,
        /// What is wrong.
        reason: String,
    },
    /// There is no room for the copy.
    #[error("a copy of {} needs {needed} bytes, {} has {free} free: name another place with --copies",
            path.display(), to.display())]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Where the copy was to go.
        to: PathBuf,
        /// Bytes it needs.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
    /// The copy would overwrite something.
    #[error("{} exists already; copies are never overwritten", path.display())]
    CopyExists {
        /// What exists.
        path: PathBuf,
    },
}

/// An error of the operating system.
pub(super) fn io_error(
    context: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> RecoverError {
    let path = path.to_owned();
    move |source| RecoverError::Io {
        context,
        path,
        source,
    }
}

/// An error of a folder's log.
pub(super) fn log_error(path: &Path) -> impl FnOnce(LogError) -> RecoverError {
    let path = path.to_owned();
    move |source| RecoverError::Log { path, source }
}

/// An error of a folder's snapshots.
pub(super) fn snapshot_error(path: &Path) -> impl FnOnce(SnapshotError) -> RecoverError {
    let path = path.to_owned();
    move |source| RecoverError::Snapshot { path, source }
}
