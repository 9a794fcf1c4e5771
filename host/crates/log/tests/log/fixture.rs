//! What the tests say writes with.

use std::sync::Arc;

use bytes::Bytes;
use coracle_driver::{Digest, Floor, Log, LogError, Recovered, SnapshotRef, Write, WriteKind};
use coracle_log::{MemoryDisk, Options, Reader, Store};
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, HardState, Index, LogId, NodeId, ReplicaId, Term,
};

pub(crate) fn options() -> Options {
    Options {
        node: NodeId(1),
        store: [7; 16],
        cache_bytes: 1024 * 1024,
        recent_bytes: 4096,
        ballast_bytes: 0,
        low_water_bytes: 0,
        anchor_commits: 16,
        garbage_bytes: 16 * 1024,
        ..Options::default()
    }
}

pub(crate) fn open(disk: &MemoryDisk) -> Result<(Store, Reader, Recovered), LogError> {
    Store::open(Arc::new(disk.clone()), options())
}

/// A store in which group 1 is hosted.
pub(crate) fn hosted(disk: &MemoryDisk) -> (Store, Reader) {
    let (mut store, reader, _) = open(disk).unwrap();
    store.commit(&[host(1, 0)]).unwrap();
    (store, reader)
}

pub(crate) fn write(group: u64, kind: WriteKind) -> Write {
    Write {
        group: GroupId(group),
        id: None,
        kind,
    }
}

pub(crate) fn host(group: u64, born: Index) -> Write {
    let floor = Floor {
        last: LogId::default(),
        configuration: configuration(0),
        snapshot: None,
    };
    write(group, WriteKind::Host { floor, born })
}

pub(crate) fn append(group: u64, entries: Vec<Entry>) -> Write {
    write(
        group,
        WriteKind::Append {
            hard_state: None,
            entries,
        },
    )
}

pub(crate) fn vote(group: u64, term: Term) -> Write {
    let hard_state = Some(voted(term));
    write(
        group,
        WriteKind::Append {
            hard_state,
            entries: Vec::new(),
        },
    )
}

pub(crate) fn compact(group: u64, term: Term, index: Index) -> Write {
    let floor = floor(term, index);
    write(group, WriteKind::Compact { floor })
}

pub(crate) fn install(group: u64, term: Term, index: Index, truncate: bool) -> Write {
    write(
        group,
        WriteKind::Install {
            hard_state: None,
            floor: floor(term, index),
            truncate,
        },
    )
}

pub(crate) fn applied(group: u64, index: Index) -> Write {
    write(group, WriteKind::Applied { index })
}

pub(crate) fn remove(group: u64) -> Write {
    write(group, WriteKind::Remove)
}

pub(crate) fn voted(term: Term) -> HardState {
    let vote = ReplicaId {
        node: NodeId(term % 3 + 1),
        born: 0,
    };
    HardState {
        term,
        vote: Some(vote),
    }
}

pub(crate) fn floor(term: Term, index: Index) -> Floor {
    let last = LogId { term, index };
    Floor {
        last,
        configuration: configuration(0),
        snapshot: Some(SnapshotRef {
            last,
            configuration: configuration(0),
            digest: Digest([index as u8; 32]),
        }),
    }
}

pub(crate) fn configuration(index: Index) -> Configuration {
    Configuration {
        index,
        ..Configuration::initial([NodeId(1), NodeId(2), NodeId(3)])
    }
}

/// An entry whose payload tells term and index.
pub(crate) fn entry(term: Term, index: Index, len: usize) -> Entry {
    let seed = (term * 31 + index * 7) as u8;
    Entry {
        term,
        index,
        kind: EntryKind::Normal,
        payload: (0..len)
            .map(|at| seed.wrapping_add(at as u8))
            .collect::<Bytes>(),
    }
}

pub(crate) fn entries(
    term: Term,
    range: std::ops::RangeInclusive<Index>,
    len: usize,
) -> Vec<Entry> {
    range.map(|index| entry(term, index, len)).collect()
}
