//! Ways in for `tests/fuzz`: the decoders that no other crate may use otherwise. Always there, so
//! that what is fuzzed is what is shipped.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Disk, LogError};
use coracle_proto::{Entry, GroupId, HardState, Index, NodeId};

use crate::anchor::{Anchor, Synced};
use crate::identity::Identity;
use crate::record::{Cause, Record, ReplicaState};
use crate::row;

/// One record of every kind, one after the other in one stream each.
pub fn records(
    state: &coracle_driver::Floor,
    hard_state: HardState,
    entry: &Entry,
) -> Vec<Vec<u8>> {
    let group = GroupId(3);
    let causes = [
        Cause::Host,
        Cause::Compact,
        Cause::Install,
        Cause::InstallTruncate,
    ];
    let states = causes.map(|cause| Record::State {
        group,
        cause,
        state: Box::new(ReplicaState {
            born: 5,
            hard_state,
            applied: 7,
            floor: state.clone(),
        }),
    });
    let others = [
        Record::HardState { group, hard_state },
        Record::Entry {
            group,
            entry: entry.clone(),
        },
        Record::Applied { group, index: 9 },
        Record::Removed { group, born: 9 },
    ];
    let encoded = |record: &Record| {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    };
    states.iter().chain(&others).map(encoded).collect()
}

/// Reads the record at the beginning; what it would be written as again, and how many bytes it
/// took.
pub fn read_record(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (record, taken) = Record::decode(bytes).ok()?;
    let mut out = Vec::new();
    record.encode(&mut out);
    Some((out, taken))
}

/// Where the first damaged record of a commit is.
pub fn locate_damage(commit: &[u8]) -> Option<(u64, Index)> {
    Record::locate_damage(commit)
}

/// The rows of a commit under its first key.
pub fn rows(commit: u64, stream: &[u8]) -> Vec<(u64, Vec<u8>)> {
    row::rows(commit, 1, stream).collect()
}

/// Reads a row; its share of the stream, if it is intact.
pub fn read_row(key: u64, value: &[u8]) -> Option<&[u8]> {
    let row = row::parse(key, value, true).ok()?;
    row.intact.then_some(row.body)
}

/// An identity as it is stored.
pub fn identity(store: [u8; 16], node: u64) -> Vec<u8> {
    Identity {
        store,
        node: NodeId(node),
    }
    .encode()
}

/// Reads an identity; what it would be written as again.
pub fn read_identity(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Identity::decode(bytes).ok()?.encode())
}

/// Opens an anchor; what it names. Then moves it and opens it again: what it names now.
pub fn move_anchor(disk: &Arc<dyn Disk>, path: &Path) -> Result<(u64, u64), LogError> {
    let mut anchor = Anchor::open(&**disk, path)?;
    let before = anchor.synced().commit;
    let moved = before.wrapping_add(1);
    anchor.write(Synced::of(moved, b"moved"))?;
    let after = Anchor::open(&**disk, path)?.synced().commit;
    Ok((before, after))
}

/// Creates an anchor.
pub fn create_anchor(disk: &Arc<dyn Disk>, path: &Path) -> Result<(), LogError> {
    let identity = Identity {
        store: [7; 16],
        node: NodeId(1),
    };
    Anchor::create(&**disk, path, &path.with_extension("tmp"), identity)
}
