//! The whole log on a damaged file: the truth or a typed error, never anything else.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Floor, Log, LogError, LogReader, Recovered, SnapshotRef, Write, WriteKind};
use coracle_fuzz::{Tape, within};
use coracle_log::{MemoryDisk, Options, Reader, Store};
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, HardState, Index, LogId, NodeId, ReplicaId,
};

const LOG: &str = "log/log.redb";
const ANCHOR: &str = "log/anchor";

/// redb writes its file in pages of this size.
const PAGE: usize = 4096;

/// What an open log may take in memory at one time: caches, the file in memory, and its pages.
const MAX_BYTES: usize = 96 << 20;

fn options() -> Options {
    Options {
        node: NodeId(1),
        store: [7; 16],
        cache_bytes: 1 << 20,
        recent_bytes: 4096,
        ballast_bytes: 0,
        low_water_bytes: 0,
        anchor_commits: 1,
        garbage_bytes: 16 * 1024,
        ..Options::default()
    }
}

fn open(disk: &MemoryDisk) -> Result<(Store, Reader, Recovered), LogError> {
    Store::open(Arc::new(disk.clone()), options())
}

fn write(group: u64, kind: WriteKind) -> Write {
    Write {
        group: GroupId(group),
        id: None,
        kind,
    }
}

fn floor(term: u64, index: Index) -> Floor {
    let last = LogId { term, index };
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    let snapshot = (index > 0).then(|| SnapshotRef {
        last,
        configuration: configuration.clone(),
        digest: coracle_driver::Digest([index as u8; 32]),
    });
    Floor {
        last,
        configuration,
        snapshot,
    }
}

fn append(group: u64, index: Index, len: usize) -> Write {
    let vote = ReplicaId {
        node: NodeId(2),
        born: 0,
    };
    let hard_state = index.is_multiple_of(7).then_some(HardState {
        term: 1,
        vote: Some(vote),
    });
    let entry = Entry {
        term: 1,
        index,
        kind: EntryKind::Normal,
        payload: (0..len).map(|at| (index as usize + at) as u8).collect(),
    };
    write(
        group,
        WriteKind::Append {
            hard_state,
            entries: vec![entry],
        },
    )
}

/// A log that was once good, and what is in it.
struct Good {
    log: Vec<u8>,
    anchor: Vec<u8>,
    /// The same log some commits earlier: what a lost write leaves behind.
    older: Vec<u8>,
    recovered: Recovered,
    entries: Vec<(GroupId, Vec<Entry>)>,
}

const GROUPS: u64 = 3;
const LAST: Index = 60;

fn entries(reader: &Reader) -> Result<Vec<(GroupId, Vec<Entry>)>, LogError> {
    let all = |group| {
        let from = reader.floor(group).map_or(1, |floor| floor.last.index + 1);
        let read = reader.entries(group, from, LAST, usize::MAX)?;
        Ok((group, read))
    };
    (1..=GROUPS).map(GroupId).map(all).collect()
}

fn fill(close: bool, len: usize) -> (MemoryDisk, Good) {
    let disk = MemoryDisk::new();
    let (mut store, _, _) = open(&disk).expect("opens");
    let mut older = Vec::new();
    for group in 1..=GROUPS {
        let floor = floor(0, 0);
        let host = write(group, WriteKind::Host { floor, born: 0 });
        store.commit(&[host]).expect("is written");
    }
    for index in 1..=LAST {
        let mut writes: Vec<Write> = (1..=GROUPS).map(|g| append(g, index, len)).collect();
        if index == 50 {
            let floor = floor(1, 30);
            writes.push(write(2, WriteKind::Compact { floor }));
        }
        store.commit(&writes).expect("is written");
        if index == LAST - 4 {
            older = disk.contents(Path::new(LOG)).expect("is there");
        }
    }
    if close {
        store.close().expect("closes");
    }
    let contents = |path: &str| disk.contents(Path::new(path)).expect("is there");
    let (log, anchor) = (contents(LOG), contents(ANCHOR));
    drop(store);
    disk.restore(Path::new(LOG), &log);
    disk.restore(Path::new(ANCHOR), &anchor);
    let (store, reader, recovered) = open(&disk).expect("opens again");
    let entries = entries(&reader).expect("are read");
    drop(store);
    let good = Good {
        log,
        anchor,
        older,
        recovered,
        entries,
    };
    (disk, good)
}

/// Damage as disks do it: bits, sectors, pages that are zero, another's, or as they once were, and
/// files that end early.
fn damage(tape: &mut Tape<'_>, file: &mut Vec<u8>, older: &[u8]) {
    for _ in 0..=tape.below(4) {
        let at = tape.below(file.len());
        let page = at / PAGE * PAGE;
        let end = (page + PAGE).min(file.len());
        match tape.byte() % 8 {
            0..=2 => file[at] ^= 1 << (tape.byte() % 8),
            3 => file[at] = tape.byte(),
            4 => file[page..end].fill(*tape.pick(&[0, 0xff])),
            5 => {
                let from = tape.below(file.len() - PAGE) / PAGE * PAGE;
                file.copy_within(from..from + (end - page), page);
            }
            6 => {
                if let Some(old) = older.get(page..end) {
                    file[page..end].copy_from_slice(old);
                }
            }
            _ => {
                if tape.byte() < 64 {
                    file.truncate(at.max(PAGE + 1));
                }
            }
        }
    }
}

#[test]
fn damaged_log() {
    let seeds = [fill(true, 700), fill(false, 700), fill(false, 9000)];
    fuzz!(500, 128, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let (disk, good) = tape.pick(&seeds);
        let (mut log, mut anchor) = (good.log.clone(), good.anchor.clone());
        // Where redb keeps what it finds everything else by, more often than chance would.
        match tape.byte() % 4 {
            0 => {
                for _ in 0..=tape.below(3) {
                    let at = tape.below(320);
                    log[at] ^= 1 << (tape.byte() % 8);
                }
            }
            1 => {
                let at = tape.below(anchor.len());
                anchor[at] ^= 1 << (tape.byte() % 8);
                damage(&mut tape, &mut log, &good.older);
            }
            _ => damage(&mut tape, &mut log, &good.older),
        }
        disk.restore(Path::new(LOG), &log);
        disk.restore(Path::new(ANCHOR), &anchor);
        within(MAX_BYTES, || check(disk, good));
    });
}

/// Opens it, reads it, writes to it, opens it again.
fn check(disk: &MemoryDisk, good: &Good) {
    let Ok((mut store, reader, recovered)) = open(disk) else {
        return;
    };
    assert_eq!(recovered, good.recovered, "as it was, or an error");
    if let Ok(read) = entries(&reader) {
        assert!(read == good.entries, "as they were, or an error");
    }
    if store.commit(&[append(1, LAST + 1, 10)]).is_err() {
        return;
    }
    let closed = store.close();
    drop((store, reader));
    if closed.is_err() {
        return;
    }
    if let Ok((_store, reader, _)) = open(disk) {
        let last = reader.entries(GroupId(1), LAST + 1, LAST + 1, usize::MAX);
        if let Ok(read) = last {
            assert_eq!(read.len(), 1, "what was acknowledged is there, or an error");
        }
    }
}
