use bytes::Bytes;
use coracle_proto::{Configuration, EntryKind, NodeId};

use super::rig::{Rig, ok, outcome, spec};
use crate::fsm::{WorkerOptions, WorkerState};
use crate::task::{Answer, HostEntry, NotApplied, Outcome, Report};
use crate::{FailureClass, Limits, MachineSpec};

#[test]
fn a_group_is_applied_in_order_and_each_command_gets_its_outcome() {
    let mut rig = Rig::created(&[]);

    let outcomes = rig.outcomes(&["put a 1", "get a", "get b"]);

    assert_eq!(
        outcomes,
        [ok(""), ok("1"), Outcome::Refused(b"no such key".to_vec())]
    );
    assert_eq!(rig.status().state, WorkerState::Running);
}

#[test]
fn a_command_before_create_is_refused_and_the_node_is_told() {
    let mut rig = Rig::empty(WorkerOptions::default());

    let answers = rig.commands(&["put a 1"]);

    assert!(matches!(
        &answers[..],
        [Answer::NotApplied(NotApplied::Unavailable { .. })]
    ));
    assert!(
        rig.reports
            .iter()
            .any(|r| matches!(r, Report::NotCreated { .. }))
    );
    assert_eq!(rig.status().state, WorkerState::Starting);
}

#[test]
fn a_second_create_changes_nothing() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);

    let second = outcome(rig.host(HostEntry::Create(spec(&[("version", "x")]))));

    assert_eq!(second, Outcome::Done);
    assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
}

#[test]
fn a_create_whose_init_refuses_fails_the_same_way_ever_after() {
    let mut rig = Rig::empty(WorkerOptions::default());

    let first = outcome(rig.host(HostEntry::Create(spec(&[("init", "refuse")]))));
    let second = outcome(rig.host(HostEntry::Create(spec(&[]))));

    let failed = Outcome::HostEntryFailed {
        call: "init".into(),
        class: None,
        message: b"asked for".to_vec(),
    };
    assert_eq!((&first, &second), (&failed, &failed));
    assert!(matches!(rig.status().state, WorkerState::Failed { .. }));
    assert!(matches!(
        rig.commands(&["put a 1"])[..],
        [Answer::NotApplied(NotApplied::Unavailable { .. })]
    ));
}

#[test]
fn after_retire_everything_is_refused() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("put a 1", Some("k"))]);

    assert_eq!(outcome(rig.host(HostEntry::Retire)), Outcome::Done);

    for answer in [
        rig.keyed(&[("put a 1", Some("k"))]).remove(0),
        rig.host(HostEntry::Checkpoint),
        rig.host(HostEntry::Activate(spec(&[]))),
        rig.host(HostEntry::Create(spec(&[]))),
    ] {
        assert!(
            matches!(&answer, Answer::NotApplied(NotApplied::Unavailable { reason }) if reason.contains("retired")),
            "{answer:?}"
        );
    }
    assert_eq!(rig.status().state, WorkerState::Retired);
}

#[test]
fn a_command_above_the_limit_of_its_fsm_is_cut_and_the_others_go_on() {
    let mut rig = Rig::empty(WorkerOptions::default());
    let limits = Limits {
        command_bytes: 8,
        ..Limits::default()
    };
    rig.host(HostEntry::Create(MachineSpec {
        limits,
        ..spec(&[])
    }));

    let answers = rig.commands(&["put a 1", "put bb 22", "get bb"]);

    assert_eq!(
        answers[1],
        Answer::NotApplied(NotApplied::TooLarge { bytes: 9, limit: 8 })
    );
    assert_eq!(outcome(answers[0].clone()), ok(""));
    assert!(matches!(outcome(answers[2].clone()), Outcome::Refused(_)));
}

#[test]
fn a_reply_above_the_limit_is_a_bad_result_of_that_command_alone() {
    let mut rig = Rig::empty(WorkerOptions::default());
    let limits = Limits {
        reply_bytes: 4,
        ..Limits::default()
    };
    rig.host(HostEntry::Create(MachineSpec {
        limits,
        ..spec(&[])
    }));

    let outcomes = rig.outcomes(&["append a 123", "append a 456", "append b 1"]);

    assert_eq!(
        outcomes,
        [ok("123"), Outcome::Failed(FailureClass::BadResult), ok("1")]
    );
    assert_eq!(rig.outcomes(&["get a"]), [ok("123")]);
}

#[test]
fn time_never_goes_back_whatever_a_leader_stamped() {
    let mut rig = Rig::created(&[]);
    let stamped =
        |time| crate::payload::encode_commands(time, [0; 32], &[super::rig::command("time", None)]);

    let late = rig.append(EntryKind::Normal, stamped(9_000_000));
    let late = rig.apply(late, 1).remove(0);
    let early = rig.append(EntryKind::Normal, stamped(5));
    let early = rig.apply(early, 1).remove(0);

    assert_eq!(outcome(late), ok("9000000"));
    assert_eq!(outcome(early), ok("9000000"));
}

#[test]
fn the_configuration_follows_its_entries() {
    let mut rig = Rig::created(&[]);
    let mut configuration = Configuration::initial([NodeId(1), NodeId(2), NodeId(3)]);
    configuration.index = 2;

    let position = rig.append(EntryKind::Configuration, configuration.encode());
    rig.apply(position, 0);

    assert_eq!(rig.status().configuration, configuration);
    assert_eq!(rig.checkpoint().configuration, configuration);
}

#[test]
fn an_entry_this_build_cannot_read_halts_the_replica() {
    let mut rig = Rig::created(&[]);

    let position = rig.append(EntryKind::Normal, Bytes::from_static(&[1, 99]));
    let answers = rig.apply(position, 1);

    assert!(matches!(answers[..], [Answer::Unknown { .. }]));
    assert!(matches!(rig.status().state, WorkerState::Halted { .. }));
    assert_eq!(rig.status().applied, 1);
}
