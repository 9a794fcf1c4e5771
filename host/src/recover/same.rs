//! Whether folders are of one cluster: they say so, and where two logs have an entry of the same index and term, it
//! is the same entry (Log Matching). Two clusters differ at once, since the first entries of their
//! group 0 hold random bytes.

use coracle_driver::LogReader as _;
use coracle_proto::{Entry, GroupId, Index};

use super::error::{RecoverError, log_error};
use super::folder::Folder;
use crate::server::CLUSTER;

/// Entries compared at each end of what two logs have in common.
const COMPARED: Index = 64;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 20;

/// Compares every folder with the first.
pub(super) fn check_one_cluster(folders: &[Folder]) -> Result<(), RecoverError> {
    let Some((first, others)) = folders.split_first() else {
        return Ok(());
    };
    others.iter().try_for_each(|other| compare(first, other))
}

fn compare(first: &Folder, second: &Folder) -> Result<(), RecoverError> {
    if let (Some(cluster), Some(other)) = (name(first), name(second))
        && cluster != other
    {
        return Err(RecoverError::OtherName {
            first: first.path.clone(),
            second: second.path.clone(),
            cluster,
            other,
        });
    }
    for (group, here) in &first.recovered.groups {
        let Some(there) = second.recovered.groups.get(group) else {
            continue;
        };
        let low = here.initial.floor.index.max(there.initial.floor.index) + 1;
        let high = here.initial.last.min(there.initial.last);
        for (from, through) in ends(low, high) {
            let ours = entries(first, *group, from, through)?;
            let theirs = entries(second, *group, from, through)?;
            let differs = |(a, b): &(&Entry, &Entry)| {
                a.term == b.term && (a.kind, &a.payload) != (b.kind, &b.payload)
            };
            if let Some((entry, _)) = ours.iter().zip(&theirs).find(differs) {
                return Err(RecoverError::OtherCluster {
                    first: first.path.clone(),
                    second: second.path.clone(),
                    group: *group,
                    index: entry.index,
                });
            }
        }
    }
    Ok(())
}

/// The cluster that a folder names; those of older releases name none.
fn name(folder: &Folder) -> Option<String> {
    std::fs::read_to_string(folder.path.join(CLUSTER)).ok()
}

/// Both ends of a range, or all of it.
fn ends(low: Index, high: Index) -> Vec<(Index, Index)> {
    if low > high {
        return Vec::new();
    }
    if high - low < 2 * COMPARED {
        return vec![(low, high)];
    }
    vec![(low, low + COMPARED - 1), (high - COMPARED + 1, high)]
}

fn entries(
    folder: &Folder,
    group: GroupId,
    from: Index,
    through: Index,
) -> Result<Vec<Entry>, RecoverError> {
    folder
        .reader
        .entries(group, from, through, READ_BYTES)
        .map_err(log_error(&folder.path))
}
