//! Bits that turn on the disk: an error or the truth, never anything else.

use std::path::Path;

use coracle_driver::{Log, LogError, LogReader};
use coracle_log::MemoryDisk;
use coracle_proto::GroupId;

use crate::fixture::*;

const LOG: &str = "log/log.redb";
const G: GroupId = GroupId(1);

fn filled() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    for index in 1..=200 {
        let mut writes = vec![append(1, vec![entry(1, index, 700)])];
        if index % 40 == 0 {
            writes.push(vote(2 + index / 40, index));
            writes.insert(0, host(2 + index / 40, 0));
            writes.push(compact(1, 1, index - 25));
        }
        store.commit(&writes).unwrap();
    }
    store.close().unwrap();
    disk
}

#[test]
fn a_turned_bit_anywhere_is_found_or_does_no_harm() {
    let disk = filled();
    let sound = disk.contents(Path::new(LOG)).unwrap();
    let anchor = disk.contents(Path::new("log/anchor")).unwrap();
    let (store, reader, expected) = open(&disk).unwrap();
    let all = reader.entries(G, 176, 200, usize::MAX).unwrap();
    drop(store);
    let mut found = 0;
    for seed in 0..400_u64 {
        disk.restore(Path::new(LOG), &sound);
        disk.restore(Path::new("log/anchor"), &anchor);
        let bit = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (sound.len() as u64 * 8);
        assert!(disk.flip_bit(Path::new(LOG), bit));
        match open(&disk) {
            Err(_) => found += 1,
            Ok((_store, reader, recovered)) => {
                assert_eq!(recovered, expected, "bit {bit}");
                match reader.entries(G, 176, 200, usize::MAX) {
                    Ok(read) => assert_eq!(read, all, "bit {bit}"),
                    Err(_) => found += 1,
                }
            }
        }
    }
    assert!(found > 0);
}

#[test]
fn a_damaged_entry_is_named_at_start_and_on_read() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let mut written = entries(1, 1..=9, 5000);
    written[3].payload = b"needle".repeat(500).into();
    store.commit(&[append(1, written)]).unwrap();
    store.close().unwrap();
    let needle = b"needle".repeat(20);
    let bytes = disk.contents(Path::new(LOG)).unwrap();
    let at = bytes
        .windows(64)
        .position(|window| *window == needle[..64])
        .unwrap() as u64;
    let is_named = |error: &LogError| {
        assert!(
            matches!(
                error,
                LogError::Damaged {
                    group: 1,
                    index: 4,
                    ..
                }
            ),
            "{error}"
        );
    };

    let (store, reader, _) = open(&disk).unwrap();
    disk.flip_bit(Path::new(LOG), at * 8);
    // What redb has in its cache it does not read again.
    if let Err(error) = reader.entries(G, 1, 9, usize::MAX) {
        is_named(&error);
    }
    drop(store);
    is_named(&open(&disk).unwrap_err());
}

#[test]
fn a_file_that_is_no_log_is_damaged() {
    for bytes in [&b""[..], b"hello", &[0; 8192]] {
        let disk = filled();
        disk.restore(Path::new(LOG), bytes);
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    }
}
