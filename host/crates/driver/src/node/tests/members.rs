//! Replicas that come, go and come again; witnesses; and who is listened to.

use coracle_proto::{Configuration, Entry, EntryKind, Envelope, LogId, Message, ReplicaId};
use coracle_proto::{NodeId, SnapshotMeta};

use super::rig::*;
use crate::node::{Event, Stranger};
use crate::task::{NotApplied, Task, Ticket};
use crate::{Write, WriteKind};

#[test]
fn a_leader_that_speaks_to_a_replica_that_is_not_here_is_told_once_per_turn() {
    let mut bench = Bench::new(&[1]);
    let to = born(1, 9);
    let out = bench.turn([received(2, to, beat()), received(2, to, beat())]);
    let stranger = Stranger {
        group: GROUP,
        replica: to,
        from: replica(2),
    };
    assert_eq!(out.strangers, [stranger]);
    let out = bench.turn([received(2, born(3, 9), beat())]);
    assert!(out.strangers.is_empty(), "not of this node");
    assert_eq!(bench.turn([received(2, to, beat())]).strangers, [stranger]);
}

#[test]
fn a_replica_added_later_waits_for_its_leader_and_has_a_worker_once_it_is_known_to_be_full() {
    let mut bench = Bench::joining(9);
    bench.now = coracle_proto::Instant(100 * SECOND);
    assert!(bench.turn([]).is_empty(), "it does not campaign");
    // Its log begins before it was added.
    let out = bench.turn([received(2, born(1, 9), append(0, vec![noop(1)], 0))]);
    assert!(bench.persist(&out).started.is_empty());
    let entries = (2..=9).map(|index| match index {
        3 => configuration(3, &[replica(2)], &[]),
        9 => configuration(9, &[replica(2), born(1, 9)], &[]),
        index => noop(index),
    });
    let out = bench.turn([received(2, born(1, 9), append(1, entries.collect(), 9))]);
    assert_eq!(out.started, [GROUP]);
    let through = 1;
    let durable = (GROUP, Task::Apply { through });
    assert_eq!(out.tasks, [durable], "though more is committed");
    let through = 9;
    let out = bench.persist(&out);
    assert_eq!(out.tasks, [(GROUP, Task::Apply { through })]);
}

#[test]
fn a_replica_that_is_committed_to_be_removed_is_told_to_the_host_also_after_its_birth_was_replayed()
{
    let mut bench = Bench::joining(3);
    let entries = vec![
        noop(1),
        configuration(2, &[replica(2)], &[]),
        configuration(3, &[replica(2), born(1, 3)], &[]),
        configuration(4, &[replica(2)], &[]),
    ];
    let out = bench.turn([received(2, born(1, 3), append(0, entries, 3))]);
    let out = bench.persist(&out);
    assert!(out.evicted.is_empty(), "{:?}", out.configurations);
    let out = bench.turn([received(2, born(1, 3), append(4, Vec::new(), 4))]);
    assert_eq!(out.evicted, [(GROUP, born(1, 3))]);
}

#[test]
fn who_is_committed_to_be_removed_gets_no_vote() {
    let mut bench = Bench::new(&[1, 2, 3]);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let entries = vec![noop(1), configuration(2, &[replica(1), replica(2)], &[])];
    let out = bench.turn([received(2, replica(1), append(0, entries, 0))]);
    bench.persist(&out);
    let vote = |term| Event::Received(vec![ask_vote(3, term)]);
    assert!(!bench.turn([vote(0)]).sends.is_empty(), "not committed yet");
    bench.turn([received(2, replica(1), append(2, Vec::new(), 2))]);
    let out = bench.turn([vote(9)]);
    assert!(out.writes.is_empty(), "neither its term nor its vote");
}

#[test]
fn another_replica_takes_the_place_of_a_dead_one_with_its_term_and_without_a_tombstone() {
    let mut bench = Bench::joining(8);
    let out = bench.turn([received(2, born(1, 8), beat())]);
    bench.persist(&out);
    // The addition at 8 was never committed; a later leader's log is shorter.
    let out = bench.turn([said(3, 2, born(1, 5), beat())]);
    assert!(matches!(
        out.writes[..],
        [Write {
            kind: WriteKind::Host { born: 5, .. },
            ..
        }]
    ));
    let out = bench.persist(&out);
    assert_eq!(out.removed, [GROUP]);
    let raft = bench.node.status(GROUP).unwrap().raft;
    assert_eq!((raft.id, raft.hard_state.term), (born(1, 5), 1));
    let out = bench.turn([said(4, 2, born(1, 8), beat())]);
    assert_eq!(out.writes.len(), 1, "it may be the other way round later");
}

#[test]
fn a_founder_does_not_begin_without_the_founders() {
    let mut bench = Bench::new(&[1, 2, 3]);

    let out = bench.turn([bench.host_born(0)]);

    assert!(out.writes.is_empty(), "it would never stand for election");
    assert!(!bench.turn([bench.host()]).writes.is_empty());
}

#[test]
fn messages_for_a_replica_with_a_tombstone_tell_nobody_anything() {
    let mut bench = Bench::joining(3);
    let out = bench.end();
    bench.persist(&out);
    assert!(bench.turn([bench.host_born(3)]).writes.is_empty());
    let late = received(2, born(1, 3), beat());
    assert!(bench.turn([late]).is_empty());
    let next = received(2, born(1, 4), beat());
    assert_eq!(bench.turn([next]).strangers.len(), 1);
}

#[test]
fn a_replica_with_a_tombstone_never_takes_the_place_of_the_next() {
    let mut bench = Bench::joining(3);
    let out = bench.end();
    bench.persist(&out);
    let out = bench.turn([bench.host_born(8)]);
    bench.persist(&out);
    let late = received(2, born(1, 3), beat());
    assert!(bench.turn([late]).is_empty());
    assert_eq!(bench.node.status(GROUP).unwrap().raft.id, born(1, 8));
}

#[test]
fn a_witness_has_no_worker_and_takes_a_snapshot_without_a_file_also_from_before_its_birth() {
    let mut bench = Bench::joining(49);
    let last = LogId { term: 1, index: 40 };
    let configuration = members_with(9, &[replica(2), replica(3)], &[]);
    let meta = SnapshotMeta {
        last,
        configuration,
    };
    let out = bench.turn([received(2, born(1, 49), Message::Snapshot { meta })]);
    let [
        Write {
            kind: WriteKind::Install { floor, .. },
            ..
        },
    ] = &out.writes[..]
    else {
        panic!("{:?}", out.writes);
    };
    assert_eq!((floor.last, &floor.snapshot), (last, &None));
    let out = bench.persist(&out);
    assert!(out.tasks.is_empty() && out.started.is_empty() && out.retain.is_empty());
    let status = bench.node.status(GROUP).unwrap();
    assert_eq!((status.floor, status.applied), (last, 40));

    let read = Event::Read {
        group: GROUP,
        mode: coracle_proto::ReadMode::Index,
        ticket: Ticket(1),
    };
    let out = bench.turn([read]);
    assert!(out.tasks.is_empty());
}

#[test]
fn the_log_of_a_witness_stays_short_by_itself() {
    let mut bench = Bench::joining(1);
    bench.config(|config| config.retained_entries = 10);
    let members = [replica(2), replica(3), born(1, 1)];
    let first = configuration(1, &members, &[born(1, 1)]);
    let mut floor = 0;
    for index in 1..=1000 {
        let entry = if index == 1 {
            first.clone()
        } else {
            noop(index)
        };
        let message = append(index - 1, vec![entry], index - 1);
        let out = bench.turn([received(2, born(1, 1), message)]);
        let out = bench.persist(&out);
        bench.persist(&out);
        floor = bench.node.status(GROUP).unwrap().floor.index;
    }
    assert!((1000 - 10 - 256..1000 - 10).contains(&floor), "{floor}");
}

#[test]
fn members_and_leadership_of_a_group_that_is_not_here_are_refused() {
    let mut bench = Bench::new(&[1]);
    let out = bench.turn([
        change(1, coracle_proto::Change::Voter(NodeId(2))),
        transfer(2, None),
    ]);
    let no_group = || refused(NotApplied::NoGroup);
    assert_eq!(
        out.answers,
        [(Ticket(1), no_group()), (Ticket(2), no_group())]
    );
}

fn received(from: u64, to: ReplicaId, message: Message) -> Event {
    said(1, from, to, message)
}

fn said(term: u64, from: u64, to: ReplicaId, message: Message) -> Event {
    Event::Received(vec![Envelope {
        group: GROUP,
        from: replica(from),
        to,
        term,
        message,
    }])
}

fn ask_vote(from: u64, term: u64) -> Envelope {
    Envelope {
        group: GROUP,
        from: replica(from),
        to: replica(1),
        term,
        message: Message::Vote {
            kind: coracle_proto::VoteKind::Real,
            last: LogId::default(),
        },
    }
}

fn beat() -> Message {
    append(0, Vec::new(), 0)
}

fn append(prev: u64, entries: Vec<Entry>, commit: u64) -> Message {
    let term = u64::from(prev > 0);
    Message::Append {
        prev: LogId { term, index: prev },
        entries,
        commit,
    }
}

fn noop(index: u64) -> Entry {
    Entry {
        term: 1,
        index,
        kind: EntryKind::Noop,
        payload: bytes::Bytes::new(),
    }
}

fn configuration(index: u64, voters: &[ReplicaId], witnesses: &[ReplicaId]) -> Entry {
    Entry {
        kind: EntryKind::Configuration,
        payload: members_with(index, voters, witnesses).encode(),
        ..noop(index)
    }
}

fn members_with(index: u64, voters: &[ReplicaId], witnesses: &[ReplicaId]) -> Configuration {
    Configuration {
        index,
        voters: voters.iter().copied().collect(),
        witnesses: witnesses.iter().copied().collect(),
        ..Configuration::default()
    }
}
