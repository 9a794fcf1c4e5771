use coracle_proto::Instant;

use super::rig::{Rig, ok, outcome, spec};
use crate::FailureClass;
use crate::fsm::{MAX_FAILURES, QueryError, WorkerOptions, WorkerState};
use crate::task::{Answer, HostEntry, NotApplied, Outcome, Report, Task};

#[test]
fn a_trap_in_a_group_leaves_no_effect_and_the_others_go_on() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);

    let outcomes = rig.outcomes(&["append a 2", "trap", "append a 3"]);

    assert_eq!(
        outcomes,
        [ok("12"), Outcome::Failed(FailureClass::Trap), ok("123")]
    );
    assert_eq!(rig.outcomes(&["append a 4"]), [ok("1234")]);
}

#[test]
fn every_class_of_failure_is_told_apart() {
    let mut rig = Rig::created(&[]);

    let outcomes = rig.outcomes(&["fuel", "memory", "stack", "miscount", "trap"]);

    use FailureClass::{BadResult, Fuel, Memory, Stack, Trap};
    assert_eq!(
        outcomes,
        [Fuel, Memory, Stack, BadResult, Trap].map(Outcome::Failed)
    );
}

#[test]
fn a_group_that_fails_only_together_loses_nothing() {
    let mut rig = Rig::created(&[]);

    let outcomes = rig.outcomes(&["append a 1", "trap-in-group", "append a 2"]);

    assert_eq!(outcomes, [ok("1"), ok("alone"), ok("12")]);
}

#[test]
fn an_urgent_checkpoint_is_due_after_a_failure_until_it_is_taken() {
    let mut rig = Rig::created(&[]);

    rig.commands(&["put a 1", "trap"]);
    rig.commands(&["put a 1"]);
    let before = rig.take_reports();
    rig.checkpoint();
    rig.take_reports();
    rig.commands(&["put a 1"]);

    let urgent = |report: &&Report| matches!(report, Report::CheckpointDue { urgent: true, .. });
    assert_eq!(before.iter().filter(urgent).count(), 2);
    assert_eq!(rig.reports.iter().filter(urgent).count(), 0);
}

#[test]
fn a_rebuild_goes_through_the_same_history() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1", "put b 2"]);
    rig.keyed(&[("append a 1", Some("k")), ("append a 1", Some("k"))]);
    rig.commands(&["append a 2", "fuel", "trap-in-group", "append a 3"]);
    rig.commands(&["trap"]);
    rig.commands(&["append a 4"]);
    let before = rig.history();

    rig.worker.live = None;
    let rebuilt = rig.history();

    assert_eq!(rebuilt, before);
    assert_eq!(rig.ask("history"), before);
    assert_eq!(rig.twin().history(), before);
    assert_eq!(rig.outcomes(&["get a"]), [ok("11234")]);
}

#[test]
fn past_max_failures_the_fsm_is_suspended_until_a_checkpoint() {
    let mut rig = Rig::created(&[]);
    let traps = vec!["trap"; MAX_FAILURES as usize - 1];
    rig.commands(&traps);

    // The limit is reached in the middle of this group.
    let answers = rig.commands(&["put a 1", "trap", "put b 1", "trap"]);
    let after = rig.commands(&["put c 1"]);
    rig.checkpoint();
    let resumed = rig.outcomes(&["get a", "get b", "put c 1"]);

    let suspended =
        |answer: &Answer| matches!(answer, Answer::NotApplied(NotApplied::Suspended { .. }));
    assert_eq!(outcome(answers[0].clone()), ok(""));
    assert_eq!(
        outcome(answers[1].clone()),
        Outcome::Failed(FailureClass::Trap)
    );
    assert!(suspended(&answers[2]) && suspended(&answers[3]) && suspended(&after[0]));
    assert_eq!(resumed[0], ok("1"));
    assert!(matches!(resumed[1], Outcome::Refused(_)));
    assert_eq!(resumed[2], ok(""));
}

#[test]
fn a_fault_of_the_host_halts_the_replica_and_nothing_is_decided() {
    let mut rig = Rig::created(&[]);
    let read = rig.ticket();
    rig.worker.push(Task::Read {
        ticket: read,
        index: 99,
    });

    let answers = rig.commands(&["put a 1", "host-fault"]);

    assert!(matches!(
        answers[..],
        [Answer::Unknown { .. }, Answer::Unknown { .. }]
    ));
    assert_eq!(rig.status().applied, 1);
    assert!(matches!(rig.status().state, WorkerState::Halted { .. }));
    let halted = |report: &&Report| matches!(report, Report::Halted { .. });
    assert_eq!(rig.reports.iter().filter(halted).count(), 1);
    assert!(matches!(
        rig.query_at(Instant(0), 0, "len"),
        Err(QueryError::Halted { .. })
    ));
}

#[test]
fn a_halted_replica_refuses_reads_and_knows_nothing_of_later_commands() {
    let mut rig = Rig::created(&[]);
    let waiting = rig.ticket();
    rig.worker.push(Task::Read {
        ticket: waiting,
        index: 2,
    });
    let position = rig.append_commands(&[("host-fault", None)]);
    rig.worker.push(Task::Apply {
        through: position.index,
    });
    let first = rig.run();

    let later = rig.ticket();
    rig.worker.push(Task::Read {
        ticket: later,
        index: 1,
    });
    let second = rig.run();

    for answers in [first, second] {
        assert!(matches!(
            answers[..],
            [(_, Answer::NotApplied(NotApplied::Unavailable { .. }))]
        ));
    }
    assert!(matches!(
        rig.commands(&["put a 1"])[..],
        [Answer::Unknown { .. }]
    ));
}

#[test]
fn all_replicas_conclude_the_same_of_a_group_with_failures() {
    let mut rig = Rig::empty(WorkerOptions::default());
    rig.host(HostEntry::Create(spec(&[])));
    rig.keyed(&[("put a 1", Some("k")), ("trap", Some("t")), ("fuel", None)]);
    rig.keyed(&[("put a 2", Some("k")), ("trap", Some("t"))]);

    let twin = rig.twin();

    assert_eq!(twin.status(), rig.status());
}
