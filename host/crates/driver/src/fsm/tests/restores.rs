//! Restoring a running state machine from an image; disks that are damaged or full.

use super::memory::Stage;
use super::rig::{GROUP, Rig, ok, outcome};
use crate::fsm::WorkerState;
use crate::task::{Answer, HostEntry, NotApplied, Outcome, Report, Task};
use crate::{Digest, FailureClass, Section, SnapshotRef};

/// An image of a state in which `a` is 1 and the command with the key `k` is remembered.
fn image(rig: &mut Rig) -> SnapshotRef {
    rig.keyed(&[("put a 1", Some("k"))]);
    let snapshot = rig.checkpoint();
    rig.snapshots.add_image(&snapshot);
    snapshot
}

fn restore(image: &SnapshotRef) -> HostEntry {
    HostEntry::Restore {
        image: image.digest,
        fresh: false,
    }
}

#[test]
fn state_and_sessions_are_those_of_the_image_and_commands_around_it_have_their_outcomes() {
    let mut rig = Rig::created(&[]);
    let image = image(&mut rig);
    rig.keyed(&[("put b 2", Some("later"))]);
    let chain = rig.status().chain;

    let before = rig.append_commands(&[("put c 3", None)]);
    let entry = rig.append_host(&restore(&image));
    let after = rig.append_commands(&[("get b", None), ("append a 9", None)]);
    let mut answers = rig.apply(before, 1);
    answers.extend(rig.apply(entry, 1));
    answers.extend(rig.apply(after, 2));

    let outcomes: Vec<_> = answers.into_iter().map(outcome).collect();
    assert_eq!(outcomes[1], Outcome::Done);
    assert_eq!(rig.ask("get a"), "19");
    assert!(matches!(outcomes[2], Outcome::Refused(_)), "{outcomes:?}");
    // A key from before the image is known again, a later one is not.
    let replayed = rig.keyed(&[("put a 1", Some("k")), ("put b 2", Some("later"))]);
    let was = |at: usize| matches!(&replayed[at], Answer::Applied { replayed: true, .. });
    assert!(was(0) && !was(1), "{replayed:?}");
    assert_ne!(rig.status().chain, chain);

    // Whoever comes later needs no image, and is the same.
    let status = rig.status();
    rig.restart();
    rig.run();
    assert_eq!(rig.status().chain, status.chain);
}

#[test]
fn a_replica_without_the_image_waits_and_goes_on_when_it_is_there() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("put a 1", None)]);
    let snapshot = rig.checkpoint();
    rig.commands(&["put a 2"]);
    let position = rig.append_host(&restore(&snapshot));

    assert_eq!(rig.apply(position, 1), []);
    assert!(matches!(
        rig.status().state,
        WorkerState::WaitingForSnapshot { .. }
    ));
    assert!(rig.reports.contains(&Report::ImageMissing {
        group: GROUP,
        image: snapshot.digest
    }));

    rig.snapshots.add_image(&snapshot);
    rig.worker.push(Task::Retry);
    let answers = rig.run();
    assert_eq!(outcome(answers[0].1.clone()), Outcome::Done);
    assert_eq!(rig.ask("get a"), "1");
}

#[test]
fn a_restore_that_the_guest_refuses_keeps_the_old_state() {
    for (how, class) in [("refuse", None), ("trap", Some(FailureClass::Trap))] {
        let mut source = Rig::created(&[]);
        let image = image(&mut source);
        let mut rig = Rig::created(&[("restore", how)]);
        source.snapshots.copy_to(&rig.snapshots);
        rig.snapshots.add_image(&image);
        rig.commands(&["put a 2"]);

        let failed = outcome(rig.host(restore(&image)));

        match failed {
            Outcome::HostEntryFailed {
                call, class: found, ..
            } => {
                assert_eq!((call.as_str(), found), ("restore", class));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.ask("get a"), "2");
        assert_eq!(rig.outcomes(&["append a 3"]), [ok("23")]);
    }
}

#[test]
fn a_checkpoint_follows_a_refused_restore_so_that_nobody_needs_the_image_again() {
    let mut source = Rig::created(&[]);
    let image = image(&mut source);
    source.snapshots.damage(Section::State);
    let mut rig = Rig::created(&[]);
    source.snapshots.copy_to(&rig.snapshots);
    rig.snapshots.add_image(&image);
    rig.commands(&["put a 2"]);

    let refused = outcome(rig.host(restore(&image)));
    assert!(
        matches!(refused, Outcome::HostEntryFailed { .. }),
        "{refused:?}"
    );
    let due = Report::CheckpointDue {
        group: GROUP,
        urgent: true,
    };
    assert!(rig.reports.contains(&due), "{:?}", rig.reports);

    rig.checkpoint();
    rig.snapshots.remove_images();
    rig.restart();
    assert_eq!(rig.status().state, WorkerState::Running);
    assert_eq!(rig.ask("get a"), "2");
}

#[test]
fn a_fresh_start_from_an_image_is_refused_once_a_command_was_applied() {
    let mut rig = Rig::created(&[]);
    let image = image(&mut rig);
    let fresh = || HostEntry::Restore {
        image: image.digest,
        fresh: true,
    };
    assert!(matches!(
        outcome(rig.host(fresh())),
        Outcome::HostEntryFailed { .. }
    ));

    let mut other = Rig::created(&[]);
    rig.snapshots.copy_to(&other.snapshots);
    other.snapshots.add_image(&image);
    assert_eq!(outcome(other.host(fresh())), Outcome::Done);
    assert_eq!(other.ask("get a"), "1");
    assert!(matches!(
        outcome(other.host(fresh())),
        Outcome::HostEntryFailed { .. }
    ));
}

#[test]
fn nothing_is_restored_before_creation_or_after_the_end() {
    let image = HostEntry::Restore {
        image: Digest([1; 32]),
        fresh: false,
    };
    let mut rig = Rig::created(&[]);
    rig.host(HostEntry::Retire);
    let answer = rig.host(image);
    assert!(
        matches!(&answer, Answer::NotApplied(NotApplied::Unavailable { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_checkpoint_without_room_waits_and_is_taken_when_there_is_some() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.snapshots.set_full(true);
    let position = rig.append_host(&HostEntry::Checkpoint);
    let behind = rig.append_commands(&[("append a 2", None)]);

    assert_eq!(rig.apply(position, 1), []);
    assert!(matches!(
        rig.status().state,
        WorkerState::WaitingForRoom { .. }
    ));
    assert!(rig.reports.contains(&Report::NoRoom { group: GROUP }));
    rig.worker.push(Task::Retry);
    assert_eq!(rig.run(), []);

    rig.snapshots.set_full(false);
    rig.worker.push(Task::Retry);
    let answers = rig.run();
    assert_eq!(outcome(answers[0].1.clone()), Outcome::Done);
    assert_eq!(rig.apply(behind, 1).len(), 1);
    assert_eq!(rig.ask("get a"), "12");
}

#[test]
fn a_checkpoint_whose_file_has_no_room_is_taken_again_by_an_instance_that_was_never_asked() {
    for stage in [Stage::State, Stage::End] {
        let mut rig = Rig::created(&[]);
        rig.commands(&["put a 1"]);
        let mut elsewhere = rig.twin();
        rig.snapshots.set_full_at(Some(stage));
        let position = rig.append_host(&HostEntry::Checkpoint);
        assert_eq!(rig.apply(position, 1), []);
        let state = rig.status().state;
        assert!(
            matches!(state, WorkerState::WaitingForRoom { .. }),
            "{state:?}"
        );

        rig.snapshots.set_full_at(None);
        rig.worker.push(Task::Retry);
        let answers = rig.run();

        assert_eq!(outcome(answers[0].1.clone()), Outcome::Done, "{stage:?}");
        elsewhere.checkpoint();
        assert_eq!(rig.status().chain, elsewhere.status().chain, "{stage:?}");
    }
}

#[test]
fn a_damaged_snapshot_is_waited_out_and_replaced_by_a_newer_one() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.checkpoint();
    rig.commands(&["append a 2"]);
    let mut sound = rig.twin();
    let newer = sound.checkpoint();
    rig.snapshots.damage(Section::Sessions);

    rig.restart();
    rig.run();
    assert!(
        matches!(rig.status().state, WorkerState::WaitingForSnapshot { .. }),
        "{:?}",
        rig.status().state
    );

    sound.snapshots.copy_to(&rig.snapshots);
    rig.worker.push(Task::Install { snapshot: newer });
    rig.run();
    assert_eq!(rig.status().state, WorkerState::Running);
    assert_eq!(rig.ask("get a"), "12");
}
