//! Commands, host entries, reads, checkpoints and snapshots of one group.

use coracle_proto::{Configuration, Envelope, LogId, Message, NodeId};

use super::rig::*;
use crate::node::Event;
use crate::payload::{Body, decode};
use crate::task::{Answer, HostEntry, NotApplied, Report, Task, Ticket};
use crate::{Write, WriteKind};

#[test]
fn a_replica_starts_only_when_its_record_is_durable() {
    let mut bench = Bench::new(&[1]);
    let out = bench.turn([bench.host()]);
    assert!(matches!(
        out.writes[0].kind,
        WriteKind::Host { born: 0, .. }
    ));
    assert!(out.started.is_empty() && bench.node.status(GROUP).is_none());

    let out = bench.persist(&out);
    assert_eq!(out.started, [GROUP]);
    assert!(bench.node.status(GROUP).is_some());
}

#[test]
fn a_removed_group_answers_its_clients_and_is_never_hosted_again() {
    let mut bench = Bench::leading();
    bench.config(|config| config.max_inflight_groups = 0);
    bench.turn([propose(1, b"waits")]);
    let out = bench.end();
    assert_eq!(out.answers, [(Ticket(1), refused(NotApplied::NoGroup))]);
    assert_eq!(bench.persist(&out).removed, [GROUP]);

    let out = bench.turn([bench.host(), propose(2, b"late")]);
    assert!(out.writes.is_empty());
    assert_eq!(out.answers, [(Ticket(2), refused(NotApplied::NoGroup))]);
}

#[test]
fn commands_of_one_turn_become_one_entry_with_time_seed_and_expected_tickets() {
    let mut bench = Bench::leading();
    let out = bench.turn([propose(1, b"a"), propose(2, b"b")]);
    let entry = appended(&out).pop().unwrap();
    let payload = decode(&entry.payload).unwrap();
    let Body::Commands(group) = payload.body else {
        panic!("not a group of commands");
    };
    assert_eq!(
        (group.len(), group.body(0), group.body(1)),
        (2, &b"a"[..], &b"b"[..])
    );
    assert_eq!((payload.time, payload.seed), (bench.wall, [1; 32]));
    let expect = Task::Expect {
        position: entry.id(),
        tickets: vec![Some(Ticket(1)), Some(Ticket(2))],
    };
    assert_eq!(out.tasks, [(GROUP, expect)]);
    let through = entry.index;
    assert_eq!(
        bench.persist(&out).tasks,
        [(GROUP, Task::Apply { through })]
    );
}

#[test]
fn time_never_runs_backwards_and_a_clock_too_far_behind_is_refused() {
    let mut bench = Bench::leading();
    bench.config(|config| config.max_clock_lag = std::time::Duration::from_secs(10));
    let noon = bench.wall;
    bench.turn([propose(1, b"a")]);
    bench.wall = noon - 9 * SECOND;
    let out = bench.turn([propose(2, b"b")]);
    assert_eq!(decode(&appended(&out)[0].payload).unwrap().time, noon);
    bench.wall = noon - 11 * SECOND;
    let out = bench.turn([propose(3, b"c")]);
    assert!(appended(&out).is_empty());
    assert!(matches!(
        &out.answers[..],
        [(Ticket(3), Answer::NotApplied(NotApplied::Unavailable { reason }))]
            if reason.contains("11 s behind")
    ));
}

#[test]
fn commands_wait_while_the_worker_is_behind_and_then_share_an_entry() {
    let mut bench = Bench::leading();
    bench.config(|config| config.max_inflight_groups = 1);
    let out = bench.turn([propose(1, b"a")]);
    let first = appended(&out)[0].index;
    bench.persist(&out);
    assert!(appended(&bench.turn([propose(2, b"b")])).is_empty());
    assert!(appended(&bench.turn([propose(3, b"c")])).is_empty());
    let out = bench.turn([applied(first)]);
    assert!(matches!(
        &out.tasks[..],
        [(GROUP, Task::Expect { tickets, .. })] if tickets.len() == 2
    ));
}

#[test]
fn who_does_not_lead_refuses_at_once_and_names_the_leader() {
    let mut bench = Bench::new(&[1, 2, 3]);
    bench.node.config.election_timeout = std::time::Duration::from_secs(1);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let out = bench.turn([
        propose(1, b"a"),
        Event::Read {
            group: GROUP,
            mode: coracle_proto::ReadMode::Index,
            ticket: Ticket(2),
        },
    ]);
    let not_leader = refused(NotApplied::NotLeader { leader: None });
    assert_eq!(
        out.answers,
        [(Ticket(2), not_leader.clone()), (Ticket(1), not_leader)]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_full_disk_refuses_commands_but_not_what_makes_room() {
    let mut bench = Bench::leading();
    let out = bench.turn([Event::LowSpace(true), propose(1, b"a"), due(false)]);
    assert_eq!(out.answers, [(Ticket(1), refused(NotApplied::DiskFull))]);
    assert_eq!(bodies(&out), [Body::Checkpoint]);
    let retire = Event::ProposeHost {
        group: GROUP,
        entry: HostEntry::Retire,
        ticket: Some(Ticket(2)),
    };
    let out = bench.turn([retire, propose(3, b"b")]);
    assert_eq!(out.answers, [(Ticket(3), refused(NotApplied::DiskFull))]);
    assert_eq!(bodies(&out), [Body::Retire]);
}

#[test]
fn a_disk_with_room_again_takes_commands_again() {
    let mut bench = Bench::leading();
    bench.turn([Event::LowSpace(true)]);
    assert!(
        bench
            .turn([Event::LowSpace(false), propose(3, b"c")])
            .answers
            .is_empty()
    );
}

#[test]
fn an_urgent_checkpoint_goes_before_the_commands_that_wait() {
    let mut bench = Bench::leading();
    let out = bench.turn([propose(1, b"a"), due(true), due(true)]);
    assert!(matches!(
        bodies(&out)[..],
        [Body::Checkpoint, Body::Commands(_)]
    ));
    assert!(bodies(&bench.turn([due(true)])).is_empty());
}

#[test]
fn the_leader_proposes_create_once_when_the_worker_finds_none() {
    let mut bench = Bench::leading();
    let report = || Event::Report(Report::NotCreated { group: GROUP });
    let out = bench.turn([report()]);
    assert_eq!(bodies(&out), [Body::Create(spec())]);
    assert!(bodies(&bench.turn([report()])).is_empty());
    let at = appended(&out)[0].index;
    bench.persist(&out);
    assert!(bodies(&bench.turn([applied(at)])).is_empty());
    assert_eq!(bodies(&bench.turn([report()])), [Body::Create(spec())]);
}

#[test]
fn a_read_goes_to_the_worker_with_its_read_point() {
    let mut bench = Bench::leading();
    let out = bench.turn([Event::Read {
        group: GROUP,
        mode: coracle_proto::ReadMode::Index,
        ticket: Ticket(5),
    }]);
    let ticket = Ticket(5);
    assert_eq!(out.tasks, [(GROUP, Task::Read { ticket, index: 1 })]);
}

#[test]
fn the_floor_rises_below_a_checkpoint_and_older_files_go_when_it_is_durable() {
    let mut bench = Bench::leading();
    bench.config(|config| config.retained_entries = 2);
    for ticket in 0..9 {
        let out = bench.turn([propose(ticket, b"x")]);
        bench.persist(&out);
    }
    let snapshot = snapshot(LogId { term: 1, index: 8 });
    let report = Report::Checkpointed {
        group: GROUP,
        snapshot: snapshot.clone(),
    };
    let out = bench.turn([applied(8), Event::Report(report)]);
    let compact = out.writes.iter().find_map(|write| match &write.kind {
        WriteKind::Compact { floor } => Some(floor.clone()),
        _ => None,
    });
    let floor = compact.unwrap();
    assert_eq!(
        (floor.last.index, floor.snapshot),
        (6, Some(snapshot.clone()))
    );
    assert!(out.retain.is_empty());
    assert_eq!(
        bench.persist(&out).retain,
        [(GROUP, vec![snapshot.clone()])]
    );
    let status = bench.node.status(GROUP).unwrap();
    assert_eq!((status.floor.index, status.snapshot), (6, Some(snapshot)));
}

#[test]
fn a_damaged_snapshot_of_a_leader_is_replaced_by_one_checkpoint() {
    let mut bench = Bench::leading();
    bench.config(|config| config.retained_entries = 2);
    for ticket in 0..9 {
        let out = bench.turn([propose(ticket, b"x")]);
        bench.persist(&out);
    }
    let last = LogId { term: 1, index: 8 };
    let snapshot = snapshot(last);
    let report = Report::Checkpointed {
        group: GROUP,
        snapshot,
    };
    let out = bench.turn([applied(8), Event::Report(report)]);
    bench.persist(&out);
    let damaged = |last| Event::SnapshotDamaged { group: GROUP, last };

    // One that is not sent any more.
    let older = bench.turn([damaged(LogId { term: 1, index: 7 })]);
    let first = bench.turn([damaged(last)]);
    let again = bench.turn([damaged(last)]);

    assert!(bodies(&older).is_empty());
    assert_eq!(bodies(&first), [Body::Checkpoint]);
    assert!(bodies(&again).is_empty());
}

#[test]
fn a_file_named_by_a_floor_on_its_way_to_the_disk_is_kept() {
    let mut bench = Bench::leading();
    bench.config(|config| config.retained_entries = 2);
    for ticket in 0..9 {
        let out = bench.turn([propose(ticket, b"x")]);
        bench.persist(&out);
    }
    let checkpointed = |index| {
        let snapshot = snapshot(LogId { term: 1, index });
        Event::Report(Report::Checkpointed {
            group: GROUP,
            snapshot,
        })
    };
    let out = bench.turn([applied(4), checkpointed(4)]);
    bench.persist(&out);
    for index in [6, 8] {
        bench.turn([applied(index), checkpointed(index)]);
    }

    let of_no_use = bench.turn([checkpointed(99)]);

    let [(GROUP, kept)] = &of_no_use.retain[..] else {
        panic!("{:?}", of_no_use.retain);
    };
    let mut kept: Vec<_> = kept.iter().map(|kept| kept.last.index).collect();
    kept.sort_unstable();
    assert_eq!(kept, [4, 6, 8]);
}

#[test]
fn a_snapshot_is_installed_only_with_its_file_and_restored_when_its_floor_is_durable() {
    let mut bench = Bench::new(&[1, 2, 3]);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let last = LogId { term: 4, index: 40 };
    let (from, to) = (replica(2), replica(1));
    let offer = |offer, to| Event::SnapshotOffered {
        offer,
        group: GROUP,
        to,
        term: 4,
        last,
    };
    let out = bench.turn([offer(1, to), offer(2, from)]);
    assert_eq!(out.offers, [(1, true), (2, false)]);

    let message = Message::Snapshot {
        meta: coracle_proto::SnapshotMeta {
            last,
            configuration: Configuration::initial([1, 2, 3].map(NodeId)),
        },
    };
    let bare = Envelope {
        group: GROUP,
        from,
        to,
        term: 4,
        message,
    };
    assert!(bench.turn([Event::Received(vec![bare])]).writes.is_empty());

    let snapshot = snapshot(last);
    let arrived = Event::SnapshotArrived {
        group: GROUP,
        from,
        to,
        term: 4,
        snapshot: snapshot.clone(),
    };
    let out = bench.turn([arrived]);
    assert!(matches!(
        &out.writes[..],
        [Write {
            kind: WriteKind::Install { .. },
            ..
        }]
    ));
    assert!(out.tasks.is_empty());
    let out = bench.persist(&out);
    assert_eq!(out.tasks[0], (GROUP, Task::Install { snapshot }));
}

#[test]
fn commands_to_a_halted_worker_are_refused_with_its_reason() {
    let mut bench = Bench::leading();
    let out = bench.turn([Event::Report(Report::Halted {
        group: GROUP,
        reason: "host fault".into(),
    })]);
    assert!(out.fatal.is_empty());
    let out = bench.turn([propose(1, b"a")]);
    let reason = "host fault".into();
    let refusal = refused(NotApplied::Unavailable { reason });
    assert_eq!(out.answers, [(Ticket(1), refusal)]);
}

#[test]
fn commands_wait_for_commitment_and_a_full_queue_says_that_this_is_why() {
    let mut bench = Bench::leading();
    bench.config(|config| config.max_queued_commands = 1);
    let tuning = crate::Tuning {
        max_uncommitted_bytes: Some(1),
        ..crate::Tuning::default()
    };
    bench.turn([Event::Tune(tuning)]);
    let first = bench.turn([propose(1, b"a")]);
    assert_eq!(bodies(&first).len(), 1);
    assert!(bench.turn([propose(2, b"b")]).answers.is_empty());
    let out = bench.turn([propose(3, b"c")]);
    assert_eq!(out.answers, [(Ticket(3), refused(NotApplied::Uncommitted))]);
    assert_eq!(
        bodies(&bench.persist(&first)).len(),
        1,
        "the one that waited"
    );
}

#[test]
fn a_snapshot_that_is_of_no_use_takes_no_other_with_it() {
    let mut bench = Bench::new(&[1, 2, 3]);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let arrived = |term, index| Event::SnapshotArrived {
        group: GROUP,
        from: replica(2),
        to: replica(1),
        term,
        snapshot: snapshot(LogId { term, index }),
    };
    let out = bench.turn([arrived(4, 40)]);
    bench.persist(&out);
    let out = bench.turn([arrived(3, 30)]);
    let kept = vec![snapshot(LogId { term: 4, index: 40 })];
    assert_eq!(out.retain, [(GROUP, kept)]);

    let mut bench = Bench::new(&[1, 2, 3]);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let vote = Message::Vote {
        kind: coracle_proto::VoteKind::Real,
        last: LogId { term: 4, index: 90 },
    };
    let envelope = Envelope {
        group: GROUP,
        from: replica(3),
        to: replica(1),
        term: 5,
        message: vote,
    };
    let out = bench.turn([Event::Received(vec![envelope])]);
    bench.persist(&out);
    assert!(bench.turn([arrived(4, 40)]).retain.is_empty());
}
