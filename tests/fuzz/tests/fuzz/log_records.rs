//! What stands in the log: records, rows, the identity, the anchor.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Digest, Disk, Floor, SnapshotRef};
use coracle_fuzz::{Tape, damaged, input, within};
use coracle_log::{MemoryDisk, fuzzing};
use coracle_proto::{Entry, EntryKind, HardState, LogId, NodeId, ReplicaId};

use crate::proto::configurations;

const SLACK: usize = 16 << 10;

fn floors() -> [Floor; 2] {
    let last = LogId { term: 3, index: 40 };
    let all = configurations();
    [
        Floor {
            last: LogId::default(),
            configuration: all[1].clone(),
            snapshot: None,
        },
        Floor {
            last,
            configuration: all[2].clone(),
            snapshot: Some(SnapshotRef {
                last,
                configuration: all[1].clone(),
                digest: Digest([7; 32]),
            }),
        },
    ]
}

fn records() -> Vec<Vec<u8>> {
    let vote = ReplicaId {
        node: NodeId(2),
        born: 0,
    };
    let hard_state = HardState {
        term: 9,
        vote: Some(vote),
    };
    let entry = Entry {
        term: 9,
        index: 41,
        kind: EntryKind::Normal,
        payload: vec![5; 300].into(),
    };
    let floors = floors();
    let all = floors.iter();
    all.flat_map(|floor| fuzzing::records(floor, hard_state, &entry))
        .collect()
}

/// Makes the checksum of a record right, so that what it protects is read.
fn seal_record(bytes: &mut [u8]) {
    let Some(len) = bytes.get(4..8).and_then(<[u8]>::first_chunk).copied() else {
        return;
    };
    let end = (34 + u32::from_le_bytes(len) as usize).min(bytes.len());
    let sum = crc32c::crc32c(&bytes[4..end]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
}

/// The same for what begins with a checksum of all the rest, or ends with one.
fn seal_front(bytes: &mut [u8]) {
    if bytes.len() >= 4 {
        let sum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
    }
}

fn seal_back(bytes: &mut [u8]) {
    if let Some(at) = bytes.len().checked_sub(4) {
        let sum = crc32c::crc32c(&bytes[..at]);
        bytes[at..].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn record() {
    let seeds = records();
    fuzz!(60_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let sealed = tape.byte() < 192;
        let mut bytes = input(&mut tape, &seeds);
        if sealed {
            seal_record(&mut bytes);
        }
        let read = within(SLACK + 32 * bytes.len(), || fuzzing::read_record(&bytes));
        if let Some((again, taken)) = read {
            let len = again.len();
            assert_eq!(len, taken, "as long as it was");
            assert_eq!(
                fuzzing::read_record(&again),
                Some((again, len)),
                "it comes back"
            );
        }
        fuzzing::locate_damage(&bytes);
    });
}

#[test]
fn row() {
    let stream: Vec<u8> = records().concat();
    let long = stream.repeat(30);
    let mut seeds: Vec<(u64, Vec<u8>)> = fuzzing::rows(8, &stream);
    seeds.extend(fuzzing::rows(8, &long));
    fuzz!(10_000, 100, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let sealed = tape.flag();
        let (key, good) = tape.pick(&seeds).clone();
        let mut bytes = damaged(&mut tape, good.clone());
        if sealed {
            seal_front(&mut bytes);
        }
        let intact = fuzzing::read_row(key, &bytes);
        assert!(
            sealed || intact.is_none() || bytes == good,
            "what is not as written has another checksum"
        );
    });
}

#[test]
fn identity() {
    let seeds = [
        fuzzing::identity([7; 16], 1),
        fuzzing::identity([0; 16], u64::MAX),
    ];
    fuzz!(30_000, 100, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let sealed = tape.flag();
        let mut bytes = input(&mut tape, &seeds);
        if sealed {
            seal_back(&mut bytes);
        }
        if let Some(again) = fuzzing::read_identity(&bytes) {
            assert_eq!(again, bytes, "one encoding only");
        }
    });
}

/// Bytes of a record of the anchor, and from one to the next.
const ANCHOR_RECORD: usize = 84;
const ANCHOR_COPY: usize = 2048;

#[test]
fn anchor() {
    let path = Path::new("anchor");
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    fuzzing::create_anchor(&disk, path).expect("is created");
    let good = memory.contents(path).expect("is there");
    fuzz!(10_000, 64, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let sealed = tape.byte();
        let mut bytes = good.clone();
        for (copy, bytes) in bytes.chunks_mut(ANCHOR_COPY).enumerate() {
            let record = &mut bytes[..ANCHOR_RECORD];
            let edited = damaged(&mut tape, record.to_vec());
            let len = edited.len().min(ANCHOR_RECORD);
            record[..len].copy_from_slice(&edited[..len]);
            if sealed >> copy & 1 > 0 {
                seal_back(record);
            }
        }
        if tape.byte() == 7 {
            bytes = damaged(&mut tape, bytes);
        }
        memory.restore(path, &bytes);
        if let Ok((before, after)) = fuzzing::move_anchor(&disk, path) {
            assert_eq!(before.wrapping_add(1), after, "the newest record counts");
        }
    });
}
