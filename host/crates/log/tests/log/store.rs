//! What was written is there, now and after a restart.

use std::path::Path;

use coracle_driver::{Log, LogError, LogReader, WriteKind};
use coracle_log::{MemoryDisk, Options, Replacement, Store};
use coracle_proto::{Entry, EntryKind, GroupId, Index, LogId};

use crate::fixture::*;

const G: GroupId = GroupId(1);

fn all(reader: &impl LogReader, from: Index, through: Index) -> Vec<Entry> {
    reader.entries(G, from, through, usize::MAX).unwrap()
}

#[test]
fn an_empty_folder_has_no_state_and_an_opened_one_has() {
    let disk = MemoryDisk::new();
    assert!(!Store::has_state(&disk).unwrap());
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert!(Store::has_state(&disk).unwrap());
    assert_eq!(recovered, Default::default());
}

#[test]
fn a_replica_that_was_only_hosted_is_recovered() {
    let disk = MemoryDisk::new();
    let (mut store, _reader, _) = open(&disk).unwrap();
    store.commit(&[host(1, 9)]).unwrap();
    drop(store);
    let (_store, _reader, recovered) = open(&disk).unwrap();
    let group = &recovered.groups[&G];
    assert_eq!((group.born, group.initial.last), (9, 0));
    assert_eq!(group.initial.configurations, [configuration(0)]);
    assert_eq!(group.floor.snapshot, None);
}

#[test]
fn entries_are_read_from_memory_and_from_rows_alike() {
    let disk = MemoryDisk::new();
    let (mut store, reader) = hosted(&disk);
    let written = entries(1, 1..=40, 300);
    store.commit(&[append(1, written.clone())]).unwrap();
    assert_eq!(all(&reader, 1, 40), written);
    store.close().unwrap();
    let (_store, reader, _) = open(&disk).unwrap();
    assert_eq!(all(&reader, 1, 40), written);
    assert_eq!(all(&reader, 7, 9), written[6..9]);
    assert_eq!(reader.entries(G, 5, 40, 900).unwrap(), written[4..7]);
    assert_eq!(reader.entries(G, 5, 40, 1).unwrap(), written[4..5]);
}

#[test]
fn an_entry_larger_than_a_row_spans_several() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let written = vec![entry(1, 1, 10), entry(1, 2, 200_000), entry(1, 3, 40_000)];
    store.commit(&[append(1, written.clone())]).unwrap();
    drop(store);
    let (_store, reader, _) = open(&disk).unwrap();
    assert_eq!(all(&reader, 1, 3), written);
}

#[test]
fn an_entry_at_an_existing_index_replaces_it_and_all_after_it() {
    let disk = MemoryDisk::new();
    let (mut store, reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=5, 20))]).unwrap();
    store.commit(&[append(1, vec![entry(2, 3, 20)])]).unwrap();
    let expected = [entry(1, 1, 20), entry(1, 2, 20), entry(2, 3, 20)];
    assert_eq!(all(&reader, 1, 9), expected);
    drop(store);
    let (_store, reader, recovered) = open(&disk).unwrap();
    assert_eq!(all(&reader, 1, 9), expected);
    let runs = [LogId { term: 1, index: 1 }, LogId { term: 2, index: 3 }];
    assert_eq!(recovered.groups[&G].initial.terms, runs);
}

#[test]
fn below_the_floor_and_above_the_last_there_is_nothing() {
    let disk = MemoryDisk::new();
    let (mut store, reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=5, 20))]).unwrap();
    store.commit(&[compact(1, 1, 3)]).unwrap();
    for index in [0, 3, 6] {
        let error = reader.entries(G, index, 9, 1000).unwrap_err();
        assert!(matches!(error, LogError::Compacted { index: at, .. } if at == index));
    }
    assert_eq!(all(&reader, 4, 9).len(), 2);
    assert_eq!(reader.floor(G).unwrap(), floor(1, 3));
}

#[test]
fn a_compacted_log_restarts_from_its_floor() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.commit(&[vote(1, 4)]).unwrap();
    store.commit(&[append(1, entries(4, 1..=5, 20))]).unwrap();
    store.commit(&[compact(1, 4, 3), applied(1, 5)]).unwrap();
    store.close().unwrap();
    let (_store, _reader, recovered) = open(&disk).unwrap();
    let group = &recovered.groups[&G];
    assert_eq!(group.floor, floor(4, 3));
    assert_eq!(group.applied, 5);
    assert_eq!(group.initial.hard_state, voted(4));
    assert_eq!(group.initial.terms, [LogId { term: 4, index: 4 }]);
    assert_eq!(group.initial.last, 5);
    assert_eq!(group.initial.snapshot.as_ref().unwrap().last.index, 3);
}

#[test]
fn a_floor_that_comes_late_is_passed_over() {
    let disk = MemoryDisk::new();
    let (mut store, reader) = hosted(&disk);
    store.commit(&[install(1, 2, 50, true)]).unwrap();
    store.commit(&[compact(1, 1, 3)]).unwrap();
    assert_eq!(reader.floor(G).unwrap(), floor(2, 50));
}

#[test]
fn an_install_keeps_or_drops_what_is_above_it() {
    for (truncate, last) in [(false, 5), (true, 3)] {
        let disk = MemoryDisk::new();
        let (mut store, _reader) = hosted(&disk);
        store.commit(&[append(1, entries(1, 1..=5, 20))]).unwrap();
        store.commit(&[install(1, 1, 3, truncate)]).unwrap();
        drop(store);
        let (_store, _reader, recovered) = open(&disk).unwrap();
        assert_eq!(recovered.groups[&G].initial.last, last);
        assert_eq!(recovered.groups[&G].floor, floor(1, 3));
    }
}

#[test]
fn configurations_above_the_floor_are_recovered_and_rolled_back() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let change = |index| Entry {
        kind: EntryKind::Configuration,
        payload: configuration(index).encode(),
        ..entry(1, index, 0)
    };
    store
        .commit(&[append(1, vec![change(1), change(2), change(3)])])
        .unwrap();
    store.commit(&[append(1, vec![entry(2, 3, 20)])]).unwrap();
    drop(store);
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert_eq!(
        recovered.groups[&G].initial.configurations,
        [0, 1, 2].map(configuration)
    );
}

#[test]
fn the_record_of_a_removed_replica_outlives_the_birth_of_the_next() {
    let disk = MemoryDisk::new();
    let (mut store, _reader, _) = open(&disk).unwrap();
    store.commit(&[host(1, 4)]).unwrap();
    store.commit(&[remove(1)]).unwrap();
    store.commit(&[host(1, 9)]).unwrap();
    drop(store);
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.removed, [(G, 4)].into());
    assert_eq!(recovered.groups[&G].born, 9);
}

#[test]
fn a_removed_group_leaves_a_record_and_may_come_back_only_younger() {
    let disk = MemoryDisk::new();
    let (mut store, _reader, _) = open(&disk).unwrap();
    store
        .commit(&[host(1, 4), append(1, entries(1, 1..=5, 20))])
        .unwrap();
    store.commit(&[remove(1)]).unwrap();
    drop(store);
    let (mut store, reader, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.removed, [(G, 4)].into());
    assert!(recovered.groups.is_empty());
    store.commit(&[applied(1, 3), host(1, 5)]).unwrap();
    assert!(reader.floor(G).is_some());
    let error = store.commit(&[remove(1), host(1, 5)]).unwrap_err();
    assert!(error.to_string().contains("born at 5"), "{error}");
}

#[test]
fn a_mistake_of_the_caller_writes_nothing_and_stops_the_store() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let error = store.commit(&[
        append(1, entries(1, 1..=2, 9)),
        append(1, entries(1, 4..=4, 9)),
    ]);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("entry 4 does not join")
    );
    assert!(store.commit(&[append(1, entries(1, 1..=2, 9))]).is_err());
    drop(store);
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.groups[&G].initial.last, 0);
}

#[test]
fn a_commit_takes_one_sync_and_one_more_when_a_vote_changes() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let mut count = |write| {
        let before = disk.syncs();
        store.commit(&[write]).unwrap();
        disk.syncs() - before
    };
    assert_eq!(count(append(1, entries(1, 1..=1, 20))), 1);
    assert_eq!(count(vote(1, 1)), 2);
    assert_eq!(count(applied(1, 1)), 0);
}

#[test]
fn hints_wait_for_a_commit_and_are_written_on_close() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=3, 20))]).unwrap();
    store.commit(&[applied(1, 3)]).unwrap();
    store.close().unwrap();
    assert!(store.commit(&[vote(1, 1)]).is_err());
    let (_store, _reader, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.groups[&G].applied, 3);
}

#[test]
fn a_reader_that_outlives_its_store_reads_nothing_of_the_next() {
    let disk = MemoryDisk::new();
    let (mut store, reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=30, 500))]).unwrap();
    drop(store);
    assert!(reader.entries(G, 1, 30, usize::MAX).is_err());
}

#[test]
fn a_store_is_that_of_one_node() {
    let disk = MemoryDisk::new();
    drop(open(&disk).unwrap());
    let options = Options {
        node: coracle_proto::NodeId(2),
        ..options()
    };
    let error = Store::open(std::sync::Arc::new(disk), options).unwrap_err();
    assert!(
        error.to_string().contains("belongs to n1, this is n2"),
        "{error}"
    );
}

#[test]
fn idle_groups_beside_a_busy_one_keep_their_votes_in_a_small_file() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    let idle = 2..=40;
    for group in idle.clone() {
        store
            .commit(&[host(group, 0), vote(group, group + 5)])
            .unwrap();
        store
            .commit(&[append(group, entries(group, 1..=3, 100))])
            .unwrap();
    }
    let mut longest = 0;
    for index in 1..=3000 {
        let mut writes = vec![append(1, vec![entry(1, index, 1000)])];
        if index % 50 == 0 {
            writes.push(compact(1, 1, index - 20));
        }
        store.commit(&writes).unwrap();
        longest = longest.max(disk.contents(Path::new("log/log.redb")).unwrap().len());
    }
    // 3 MB went through; 60 KB are live.
    assert!(longest < 1_700_000, "the file grew to {longest} bytes");
    drop(store);
    let (_store, reader, recovered) = open(&disk).unwrap();
    for group in idle {
        let found = &recovered.groups[&GroupId(group)].initial;
        assert_eq!((found.hard_state, found.last), (voted(group + 5), 3));
        let read = reader.entries(GroupId(group), 1, 3, usize::MAX).unwrap();
        assert_eq!(read, entries(group, 1..=3, 100));
    }
    assert_eq!(recovered.groups[&G].initial.last, 3000);
    assert_eq!(recovered.groups[&G].floor, floor(1, 2980));
}

#[test]
fn without_compaction_nothing_is_dropped() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    for index in 1..=300 {
        store
            .commit(&[append(1, vec![entry(1, index, 1000)])])
            .unwrap();
    }
    drop(store);
    let (_store, reader, _) = open(&disk).unwrap();
    assert_eq!(all(&reader, 1, 300), entries(1, 1..=300, 1000));
}

#[test]
fn an_unknown_group_takes_no_entries() {
    let disk = MemoryDisk::new();
    let (mut store, reader, _) = open(&disk).unwrap();
    let none = reader.entries(G, 1, 1, 10).unwrap_err();
    assert!(matches!(none, LogError::Compacted { .. }));
    let kind = WriteKind::Append {
        hard_state: None,
        entries: entries(1, 1..=1, 5),
    };
    let error = store.commit(&[write(1, kind)]).unwrap_err();
    assert!(
        error.to_string().contains("g1: it is not hosted here"),
        "{error}"
    );
}

#[test]
fn a_reader_beside_a_collecting_writer_finds_every_entry() {
    let disk = MemoryDisk::new();
    let options = Options {
        recent_bytes: 0,
        garbage_bytes: 2048,
        anchor_commits: 1,
        ..options()
    };
    let (mut store, reader, _) = Store::open(std::sync::Arc::new(disk), options).unwrap();
    store.commit(&[host(1, 0), host(2, 0)]).unwrap();
    let idle = entries(1, 1..=5, 100);
    store.commit(&[append(2, idle.clone())]).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let read_until_done = || {
        let mut reads = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let found = reader.entries(GroupId(2), 1, 5, usize::MAX).unwrap();
            assert_eq!(found, idle);
            reads += 1;
        }
        reads
    };
    let reads = std::thread::scope(|scope| {
        let reading = scope.spawn(read_until_done);
        for index in 1..=1500 {
            let write = append(1, vec![entry(1, index, 300)]);
            store.commit(&[write, compact(1, 1, index - 1)]).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        reading.join().unwrap()
    });
    assert!(reads > 0);
}

#[test]
fn a_replaced_replica_has_its_new_beginning_and_takes_entries_after_a_restart() {
    let disk = MemoryDisk::new();
    let (mut store, _reader) = hosted(&disk);
    store.commit(&[append(1, entries(1, 1..=9, 10))]).unwrap();
    let replacement = Replacement {
        born: 7,
        hard_state: voted(5),
        floor: floor(2, 4),
    };

    store.replace(G, &replacement).unwrap();
    store.commit(&[append(1, entries(3, 5..=6, 10))]).unwrap();
    drop(store);

    let (_store, reader, recovered) = open(&disk).unwrap();
    let found = &recovered.groups[&G];
    assert_eq!(found.born, 7);
    assert_eq!(found.initial.hard_state, voted(5));
    assert_eq!((found.initial.floor.index, found.initial.last), (4, 6));
    assert_eq!(all(&reader, 5, 9), entries(3, 5..=6, 10));
}
