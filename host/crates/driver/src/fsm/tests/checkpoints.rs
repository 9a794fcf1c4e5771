use super::rig::{GROUP, Rig, ok, outcome, spec};
use crate::fsm::{SnapshotHeader, WorkerOptions, WorkerState};
use crate::task::{HostEntry, Outcome, Report};
use crate::{FailureClass, Limits, MachineSpec};

fn small() -> WorkerOptions {
    WorkerOptions {
        checkpoint_entries: 3,
        ..WorkerOptions::default()
    }
}

fn due(rig: &Rig) -> usize {
    let due = |report: &&Report| matches!(report, Report::CheckpointDue { .. });
    rig.reports.iter().filter(due).count()
}

#[test]
fn a_checkpoint_starts_a_new_history_on_every_replica() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.checkpoint();
    rig.commands(&["append a 2"]);

    let mut twin = rig.twin();

    assert_eq!(twin.history(), rig.history());
    assert_eq!(twin.status(), rig.status());
    assert_eq!(rig.ask("get a"), "12");
}

#[test]
fn the_header_holds_what_a_new_replica_needs() {
    let mut rig = Rig::created(&[("version", "v")]);
    rig.keyed(&[("put a 1", Some("k"))]);

    let snapshot = rig.checkpoint();

    let reader = rig
        .context
        .snapshots
        .open(GROUP, snapshot.last, &snapshot.digest);
    let header = SnapshotHeader::decode(reader.expect("there").header()).expect("decodes");
    assert_eq!((header.group, header.last.index), (GROUP, 3));
    assert_eq!(header.spec, spec(&[("version", "v")]));
    assert_eq!(header.environment.time, 3000);
    assert_eq!(header.sessions.commands, 1);
    assert_eq!(header.configuration, snapshot.configuration);
}

#[test]
fn a_header_that_is_none_is_refused() {
    assert!(SnapshotHeader::decode(&[]).is_err());
    assert!(SnapshotHeader::decode(&[2, 0, 0, 0, 1]).is_err());
    assert!(SnapshotHeader::decode(&[1, 0, 0, 0, 1]).is_err());
}

#[test]
fn a_checkpoint_is_due_by_entries_and_not_again_before_as_many_more() {
    let mut rig = Rig::empty(small());
    rig.host(HostEntry::Create(spec(&[])));
    rig.commands(&["put a 1"]);
    rig.commands(&["put a 1"]);
    assert_eq!(due(&rig), 0);

    rig.commands(&["put a 1"]);
    assert_eq!(due(&rig), 1);

    rig.checkpoint();
    rig.commands(&["put a 1"]);
    assert_eq!(due(&rig), 1);
}

#[test]
fn a_checkpoint_is_due_by_bytes_and_by_fuel() {
    for options in [
        WorkerOptions {
            checkpoint_bytes: 150,
            ..WorkerOptions::default()
        },
        WorkerOptions {
            checkpoint_fuel: 1,
            ..WorkerOptions::default()
        },
    ] {
        let mut rig = Rig::empty(options);
        rig.host(HostEntry::Create(spec(&[])));
        assert_eq!(due(&rig), 0);
        rig.commands(&["put a 1", "put a 2"]);
        assert_eq!(due(&rig), 1, "{options:?}");
    }
}

#[test]
fn after_a_checkpoint_that_fails_the_old_history_goes_on() {
    for (setting, call, class) in [
        (("snapshot", "trap"), "snapshot", Some(FailureClass::Trap)),
        (("snapshot", "refuse"), "snapshot", None),
        (("restore", "trap"), "restore", Some(FailureClass::Trap)),
    ] {
        let mut rig = Rig::empty(small());
        rig.host(HostEntry::Create(spec(&[setting])));
        rig.commands(&["put a 1", "trap"]);
        let before = rig.history();

        let failed = outcome(rig.host(HostEntry::Checkpoint));

        assert!(
            matches!(&failed, Outcome::HostEntryFailed { call: c, class: k, .. } if c == call && *k == class),
            "{failed:?}"
        );
        assert_eq!(rig.history(), before);
        assert_eq!(rig.last_snapshot(), None);
        let reported = due(&rig);
        assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
        assert_eq!(due(&rig), reported, "tried again at once");
        assert_eq!(rig.twin().status(), rig.status());
    }
}

#[test]
fn a_snapshot_above_its_limit_fails_the_checkpoint() {
    let mut rig = Rig::empty(WorkerOptions::default());
    let limits = Limits {
        snapshot_bytes: 10,
        ..Limits::default()
    };
    rig.host(HostEntry::Create(MachineSpec {
        limits,
        ..spec(&[])
    }));
    rig.commands(&["put abcdef ghijkl"]);

    let failed = outcome(rig.host(HostEntry::Checkpoint));

    assert!(matches!(
        failed,
        Outcome::HostEntryFailed {
            class: Some(FailureClass::BadResult),
            ..
        }
    ));
    assert_eq!(rig.outcomes(&["get abcdef"]), [ok("ghijkl")]);
}

#[test]
fn a_host_fault_in_snapshot_halts_the_replica() {
    let mut rig = Rig::created(&[("snapshot", "host-fault")]);

    rig.host(HostEntry::Checkpoint);

    assert!(matches!(rig.status().state, WorkerState::Halted { .. }));
}
