//! Power cuts, failing and lying disks, full disks, old copies.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Log, LogError, LogReader};
use coracle_log::{Fault, MemoryDisk, Options, Overlay, Store};
use coracle_proto::GroupId;

use crate::fixture::*;

const LOG: &str = "log/log.redb";
const G: GroupId = GroupId(1);

#[test]
fn a_kill_at_any_moment_of_creation_leaves_a_folder_that_opens() {
    let whole = MemoryDisk::new();
    drop(open(&whole).unwrap());
    for at in 0..whole.operations() {
        for power in [false, true] {
            let disk = MemoryDisk::new();
            disk.fail_after(at, Fault::Crash);
            drop(open(&disk));
            match power {
                true => disk.crash(at),
                false => disk.restart(),
            }
            let (_store, _reader, recovered) = open(&disk).unwrap();
            assert!(recovered.groups.is_empty());
        }
    }
}

#[test]
fn a_failed_sync_stops_the_store_and_is_never_tried_again() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=3, 50))]).unwrap();
    disk.fail_after(0, Fault::Sync);
    let error = store
        .commit(&[append(1, entries(1, 4..=4, 50))])
        .unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
    let operations = disk.operations();
    let again = store
        .commit(&[append(1, entries(1, 4..=4, 50))])
        .unwrap_err();
    assert!(matches!(again, LogError::Io { .. }), "{again}");
    assert_eq!(disk.operations(), operations);
}

/// After a failed sync the cache shows what is not on the disk, and the next process believes it.
#[test]
fn a_vote_read_from_a_cache_that_was_never_written_is_missed_when_the_power_goes() {
    let mut detected = 0;
    for seed in 0..8 {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        disk.fail_after(0, Fault::Sync);
        assert!(store.commit(&[vote(1, 9)]).is_err());
        disk.restart();
        drop(store);
        let Ok((store, _reader, recovered)) = open(&disk) else {
            continue;
        };
        if recovered.groups[&G].initial.hard_state != voted(9) {
            continue;
        }
        disk.crash(seed);
        drop(store);
        let error = open(&disk).unwrap_err();
        assert!(
            matches!(error, LogError::Lost { .. } | LogError::Damaged { .. }),
            "{error}"
        );
        detected += 1;
    }
    assert!(detected > 0);
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out_by_the_anchor() {
    for seed in 0..20 {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        disk.set_lying(Some(Path::new(LOG)));
        store.commit(&[vote(1, 2)]).unwrap();
        store.commit(&[vote(1, 3)]).unwrap();
        disk.crash(seed * 4);
        drop(store);
        match open(&disk) {
            Ok((_, _, recovered)) => {
                assert_eq!(
                    recovered.groups[&G].initial.hard_state,
                    voted(3),
                    "seed {seed}"
                );
            }
            Err(LogError::Lost { .. } | LogError::Damaged { .. }) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
}

/// A block that lands elsewhere is missing in one place and too much in another.
#[test]
fn a_misdirected_write_is_found_out_or_does_no_harm() {
    let mut found = 0;
    for operations in 0..120 {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        disk.fail_after(operations, Fault::Misdirect);
        let mut acknowledged = 0;
        for index in 1..=12 {
            let write = append(1, entries(1, index..=index, 3000));
            match store.commit(&[write]) {
                Ok(()) => acknowledged = index,
                Err(_) => break,
            }
        }
        disk.restart();
        drop(store);
        if disk.misdirected_writes() == 0 {
            continue;
        }
        let opened = open(&disk).and_then(|(store, reader, recovered)| {
            let last = recovered.groups[&G].initial.last;
            assert!(last >= acknowledged, "{operations}: {last}");
            let read = reader.entries(G, 1, last, usize::MAX)?;
            assert_eq!(read, entries(1, 1..=last, 3000)[..]);
            drop(store);
            Ok(())
        });
        match opened {
            Ok(()) => {}
            Err(LogError::Lost { .. } | LogError::Damaged { .. }) => found += 1,
            Err(other) => panic!("{operations}: {other}"),
        }
    }
    assert!(found > 0);
}

#[test]
fn an_old_copy_of_the_log_is_refused() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.close().unwrap();
    let old = disk.contents(Path::new(LOG)).unwrap();
    let (mut store, _reader, _) = open(&disk).unwrap();
    store.commit(&[vote(1, 5)]).unwrap();
    store.close().unwrap();
    disk.restore(Path::new(LOG), &old);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
}

#[test]
fn another_history_of_the_same_length_is_refused() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.close().unwrap();
    let start = disk.contents(Path::new(LOG)).unwrap();
    let anchor = disk.contents(Path::new("log/anchor")).unwrap();
    let vote_and_copy = |term| {
        disk.restore(Path::new(LOG), &start);
        disk.restore(Path::new("log/anchor"), &anchor);
        let (mut store, _reader, _) = open(&disk).unwrap();
        store.commit(&[vote(1, term)]).unwrap();
        store.close().unwrap();
        disk.contents(Path::new(LOG)).unwrap()
    };
    let one = vote_and_copy(5);
    vote_and_copy(6);
    disk.restore(Path::new(LOG), &one);
    let error = open(&disk).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is not the one that was made durable"),
        "{error}"
    );
}

#[test]
fn what_is_left_of_a_log_that_lost_data_can_be_opened_on_purpose() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.close().unwrap();
    let old = disk.contents(Path::new(LOG)).unwrap();
    let (mut store, _reader, _) = open(&disk).unwrap();
    store.commit(&[vote(1, 5)]).unwrap();
    store.close().unwrap();
    disk.restore(Path::new(LOG), &old);
    let options = Options {
        accept_loss: true,
        ..options()
    };

    // Over a copy in memory, so that the folder stays as it is.
    let overlay = Overlay::new(Arc::new(disk.clone()));
    let (store, _reader, recovered) = Store::open(Arc::new(overlay), options.clone()).unwrap();
    assert!(
        store.loss().unwrap().contains("commit"),
        "{:?}",
        store.loss()
    );
    assert!(recovered.groups.contains_key(&G));
    drop(store);
    assert!(matches!(open(&disk).unwrap_err(), LogError::Lost { .. }));

    // For good.
    let (mut store, _reader, _) = Store::open(Arc::new(disk.clone()), options.clone()).unwrap();
    store.commit(&[vote(1, 9)]).unwrap();
    store.close().unwrap();
    let (store, _reader, _) = open(&disk).unwrap();
    assert_eq!(store.loss(), None);
    drop(store);

    // Without the witness nobody knows what is missing.
    coracle_driver::Disk::remove(&disk, Path::new("log/anchor")).unwrap();
    let (store, _reader, _) = Store::open(Arc::new(disk), options).unwrap();
    assert!(
        store.loss().unwrap().contains("anchor"),
        "{:?}",
        store.loss()
    );
}

#[test]
fn log_and_anchor_belong_together() {
    for missing in [LOG, "log/anchor"] {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        store.close().unwrap();
        coracle_driver::Disk::remove(&disk, Path::new(missing)).unwrap();
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, LogError::Lost { .. }), "{error}");
    }
}

#[test]
fn a_full_disk_is_reported_and_loses_nothing() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let full = disk.contents(Path::new(LOG)).unwrap().len() as u64 + 300_000;
    disk.set_capacity(Some(full));
    let mut last = 0;
    let error = loop {
        match store.commit(&[append(1, vec![entry(1, last + 1, 50_000)])]) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    let LogError::Io { source, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
    drop(store);
    disk.set_capacity(None);
    disk.crash(3);
    let (_store, reader, _) = open(&disk).unwrap();
    let all = reader.entries(G, 1, last, usize::MAX).unwrap();
    assert_eq!(all, entries(1, 1..=last, 50_000)[..]);
}

#[test]
fn low_water_is_reported_and_the_ballast_makes_room_for_votes() {
    let disk = MemoryDisk::new();
    let mib = 1024 * 1024;
    disk.set_capacity(Some(8 * mib));
    let options = Options {
        ballast_bytes: mib,
        low_water_bytes: 2 * mib,
        ..options()
    };
    let (mut store, reader, _) = Store::open(Arc::new(disk.clone()), options).unwrap();
    assert!(!reader.low_on_space());
    let used = |path| {
        disk.contents(Path::new(path))
            .map_or(0, |bytes| bytes.len() as u64)
    };
    assert_eq!(used("log/ballast"), mib);
    store.commit(&[host(1, 0)]).unwrap();
    disk.set_capacity(Some(used(LOG) + used("log/anchor") + mib + 1000));
    assert!(reader.low_on_space() && store.low_on_space());
    store.commit(&[vote(1, 3)]).unwrap();
    assert_eq!(used("log/ballast"), 0);
}

/// The process dies between the row and the anchor; the vote is found and may be acted on, so from
/// then on it must be missed if it is gone.
#[test]
fn a_start_anchors_what_it_found_beyond_the_anchor() {
    let killed_before_the_anchor = |operations| {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        store.close().unwrap();
        let old = disk.contents(Path::new(LOG)).unwrap();
        let (mut store, _reader, _) = open(&disk).unwrap();
        disk.fail_after(operations, Fault::Crash);
        let error = store.commit(&[vote(1, 7)]).unwrap_err();
        disk.restart();
        let anchor = error.to_string().contains("writing the anchor");
        anchor.then_some((disk, old))
    };
    let (disk, old) = (0..).find_map(killed_before_the_anchor).unwrap();
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.groups[&G].initial.hard_state, voted(7));
    disk.restart();
    disk.restore(Path::new(LOG), &old);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
}

/// A damaged page made redb fall back to the commit before the last, which changed no vote.
/// Found by seed 400117 of the simulator.
#[test]
fn a_log_that_falls_back_by_one_commit_is_found_out_though_no_vote_changed() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=1, 20))]).unwrap();
    let old = disk.contents(Path::new(LOG)).unwrap();
    store.commit(&[append(1, entries(1, 2..=2, 20))]).unwrap();
    disk.restart();
    drop(store);
    disk.restore(Path::new(LOG), &old);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error}");
}

#[test]
fn the_anchored_row_is_never_collected() {
    let disk = MemoryDisk::new();
    let options = || Options {
        anchor_commits: u64::MAX,
        ..options()
    };
    let open = || Store::open(Arc::new(disk.clone()), options());
    let (mut store, _reader, _) = open().unwrap();
    store.commit(&[host(1, 0)]).unwrap();
    for index in 1..=200 {
        let write = append(1, vec![entry(1, index, 1000)]);
        store.commit(&[write, compact(1, 1, index - 1)]).unwrap();
    }
    drop(store);
    assert_eq!(open().unwrap().2.groups[&G].initial.last, 200);
}
