//! The anchor when it rots, alone or together with the log.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Log, LogError};
use coracle_log::{MemoryDisk, Options, Store};
use coracle_proto::GroupId;

use crate::fixture::*;

const LOG: &str = "log/log.redb";
const ANCHOR: &str = "log/anchor";
const G: GroupId = GroupId(1);

/// Bytes of a slot of the anchor.
const SLOT: usize = 4096;

/// A disk whose log holds so many commits after the first, one entry each.
fn with_commits(commits: u64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    for index in 1..=commits {
        let write = append(1, entries(1, index..=index, 20));
        store.commit(&[write]).unwrap();
    }
    disk.restart();
    disk
}

fn read(disk: &MemoryDisk, path: &str) -> Vec<u8> {
    disk.contents(Path::new(path)).unwrap()
}

/// The anchor without each of its slots, one after the other.
fn without_a_slot(anchor: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..anchor.len() / SLOT).map(|slot| {
        let mut anchor = anchor.to_vec();
        anchor[slot * SLOT..][..SLOT].fill(0x5a);
        anchor
    })
}

/// The anchor with one bit turned, each time in another byte of those that say anything.
fn with_a_turned_bit(anchor: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let bytes = (0..anchor.len()).filter(|at| anchor[*at] != 0);
    bytes.map(|at| {
        let mut anchor = anchor.to_vec();
        anchor[at] ^= 1 << (at % 8);
        anchor
    })
}

#[test]
fn a_turned_bit_of_the_anchor_does_no_harm_and_is_mended() {
    let disk = with_commits(3);
    let anchor = read(&disk, ANCHOR);
    for rotten in with_a_turned_bit(&anchor) {
        disk.restore(Path::new(ANCHOR), &rotten);
        drop(open(&disk).unwrap());
        for slot in read(&disk, ANCHOR).chunks(SLOT) {
            assert!(slot[..SLOT / 2] == slot[SLOT / 2..]);
        }
    }
}

/// The newest record rots, and redb falls back to the commit that the one before it names. Found
/// by seed 2103193623001189 of the simulator.
#[test]
fn a_log_that_falls_back_is_found_out_though_the_anchor_rots_as_well() {
    for commits in 0..4 {
        let disk = with_commits(commits);
        let (mut store, _reader, _) = open(&disk).unwrap();
        let (mut old, mut next) = (read(&disk, LOG), commits);
        for _ in 0..2 {
            next += 1;
            old = read(&disk, LOG);
            let write = append(1, entries(1, next..=next, 20));
            store.commit(&[write]).unwrap();
        }
        disk.restart();
        drop(store);
        let anchor = read(&disk, ANCHOR);
        for rotten in without_a_slot(&anchor).chain(with_a_turned_bit(&anchor)) {
            disk.restore(Path::new(LOG), &old);
            disk.restore(Path::new(ANCHOR), &rotten);
            let error = open(&disk).map(drop).unwrap_err();
            let typed = matches!(error, LogError::Lost { .. } | LogError::Damaged { .. });
            assert!(typed, "{commits} commits: {error}");
        }
    }
}

/// As after a power cut that tore what was being written.
#[test]
fn a_slot_that_is_lost_is_forgiven_if_the_log_is_past_the_others_and_refused_if_not() {
    let disk = with_commits(3);
    let (log, anchor) = (read(&disk, LOG), read(&disk, ANCHOR));
    let mut forgiven = 0;
    for rotten in without_a_slot(&anchor) {
        disk.restore(Path::new(LOG), &log);
        disk.restore(Path::new(ANCHOR), &rotten);
        match open(&disk) {
            Ok((_, _, recovered)) => {
                forgiven += 1;
                assert_eq!(recovered.groups[&G].initial.last, 3);
                disk.restart();
                drop(open(&disk).unwrap());
            }
            Err(error) => assert!(error.to_string().contains("slot of the anchor"), "{error}"),
        }
    }
    assert_eq!(forgiven, 1);
}

#[test]
fn an_anchor_without_a_sound_slot_is_damaged_and_put_up_with_by_hand_only() {
    let disk = with_commits(1);
    let bytes = read(&disk, ANCHOR).len();
    disk.restore(Path::new(ANCHOR), &vec![0x5a; bytes]);
    let error = open(&disk).map(drop).unwrap_err();
    assert!(
        error.to_string().contains("no slot of the anchor"),
        "{error}"
    );
    let options = Options {
        accept_loss: true,
        ..options()
    };
    let (store, _reader, _) = Store::open(Arc::new(disk), options).unwrap();
    let loss = store.loss().unwrap();
    assert!(loss.contains("no slot of the anchor"), "{loss}");
}
