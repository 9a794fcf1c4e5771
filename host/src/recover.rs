//! `coracle recover`: a cluster whose quorum is lost for good goes on with what survivors have.
//!
//! Offline. Every group gets a forced configuration: an entry in a new term on top of the best log
//! that was given, in which the survivors are the only voters. All that is in that log counts as
//! committed from then on. Nothing is written before a copy of each folder was made.

mod copy;
mod directory;
mod error;
mod folder;
mod plan;
mod report;
mod same;
mod write;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use coracle_proto::NodeId;

pub use error::RecoverError;
pub use report::{
    Action, FolderReport, GroupReport, LostGroup, Marker, MemberReport, Report, SnapshotReport,
};

use folder::{Folder, Locked};
use plan::Plan;

/// What is to be recovered, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Data folders, each of another node of one cluster.
    pub folders: Vec<PathBuf>,
    /// The nodes that go on; `None`: the one whose log is best.
    pub survivors: Option<BTreeSet<NodeId>>,
    /// Where copies of the survivors' folders go; `None`: beside each.
    pub copies: Option<PathBuf>,
    /// Do it. Otherwise it is only looked at.
    pub write: bool,
}

/// Looks at the folders, and recovers if asked to. `said` hears of what takes its time.
///
/// # Errors
/// See [`RecoverError`]. After one that came while writing, the copies are complete.
pub fn recover(request: &Request, said: &dyn Fn(&str)) -> Result<Report, RecoverError> {
    let locked: Vec<Locked> = request
        .folders
        .iter()
        .map(|folder| Locked::open(folder))
        .collect::<Result<_, _>>()?;
    let folders = look(&locked, said)?;
    folder::check_distinct(&folders)?;
    same::check_one_cluster(&folders)?;
    let directory = directory::best(&folders);
    let plan = Plan::make(&folders, request.survivors.as_ref(), directory.as_ref())?;
    let mut report = report::report(&folders, &plan, directory.as_ref());
    if request.write {
        // What was repaired while looking is in memory; from here on it is the disk.
        drop(folders);
        report.copies = copy::copy_survivors(&locked, &plan, request.copies.as_deref(), said)?;
        write::write(&locked, &plan, &report, said)?;
        report.written = true;
    }
    Ok(report)
}

/// Longest marker that is read.
const MAX_MARKER_BYTES: u64 = 1 << 20;

/// What was done to a data folder, if it was recovered.
pub fn marker(data_dir: &Path) -> Option<Marker> {
    let file = File::open(data_dir.join(report::MARKER)).ok()?;
    let mut bytes = Vec::new();
    let mut taken = file.take(MAX_MARKER_BYTES);
    taken.read_to_end(&mut bytes).ok()?;
    decode_marker(&bytes)
}

/// The marker in these bytes.
#[doc(hidden)]
pub fn decode_marker(bytes: &[u8]) -> Option<Marker> {
    serde_json::from_slice(bytes).ok()
}

fn look(locked: &[Locked], said: &dyn Fn(&str)) -> Result<Vec<Folder>, RecoverError> {
    let looked = locked.iter().map(|folder| {
        said(&format!("reading {}", folder.path.display()));
        folder.look()
    });
    looked.collect()
}
