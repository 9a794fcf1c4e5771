use coracle_proto::{EntryKind, LogId};

use super::rig::{Rig, ok};
use crate::fsm::WorkerState;
use crate::fsm::options::RECENT_ENTRIES;
use crate::task::{Answer, NotApplied, Report, Task};

#[test]
fn a_ticket_that_comes_after_its_entry_is_answered_too() {
    let mut rig = Rig::created(&[]);
    let position = rig.append_commands(&[("append a 1", None)]);
    rig.worker.push(Task::Apply {
        through: position.index,
    });
    rig.run();
    let ticket = rig.ticket();

    rig.worker.push(Task::Expect {
        position,
        tickets: vec![Some(ticket)],
    });

    assert_eq!(
        rig.run(),
        [(
            ticket,
            Answer::Applied {
                index: 2,
                outcome: ok("1"),
                replayed: false
            }
        )]
    );
}

#[test]
fn an_entry_of_another_term_at_its_place_means_not_applied_in_either_order() {
    let mut rig = Rig::created(&[]);
    let (before, after) = (rig.ticket(), rig.ticket());
    let lost = LogId { term: 1, index: 2 };
    rig.worker.push(Task::Expect {
        position: lost,
        tickets: vec![Some(before)],
    });
    rig.term = 2;
    let position = rig.append(EntryKind::Noop, bytes::Bytes::new());
    rig.worker.push(Task::Apply {
        through: position.index,
    });

    let mut answers = rig.run();
    rig.worker.push(Task::Expect {
        position: lost,
        tickets: vec![Some(after)],
    });
    answers.extend(rig.run());

    let overwritten = Answer::NotApplied(NotApplied::Overwritten);
    assert_eq!(
        answers,
        [(before, overwritten.clone()), (after, overwritten)]
    );
}

#[test]
fn a_ticket_that_comes_far_too_late_is_unknown() {
    let mut rig = Rig::created(&[]);
    for _ in 0..RECENT_ENTRIES + 1 {
        let position = rig.append_commands(&[("append a 1", None)]);
        rig.apply(position, 0);
    }
    let ticket = rig.ticket();

    rig.worker.push(Task::Expect {
        position: LogId { term: 1, index: 2 },
        tickets: vec![Some(ticket)],
    });

    assert!(matches!(rig.run()[..], [(t, Answer::Unknown { .. })] if t == ticket));
    assert_eq!(rig.status().state, WorkerState::Running);
}

#[test]
fn a_command_nobody_waits_for_is_skipped_among_those_that_are() {
    let mut rig = Rig::created(&[]);
    let ticket = rig.ticket();
    let position = rig.append_commands(&[("append a 1", None), ("append a 2", None)]);
    rig.worker.push(Task::Expect {
        position,
        tickets: vec![None, Some(ticket)],
    });
    rig.worker.push(Task::Apply {
        through: position.index,
    });

    let answers = rig.run();

    assert!(matches!(
        &answers[..],
        [(t, Answer::Applied { outcome, .. })] if *t == ticket && *outcome == ok("12")
    ));
}

#[test]
fn a_read_is_answered_once_its_point_is_applied() {
    let mut rig = Rig::created(&[]);
    let (reached, waiting) = (rig.ticket(), rig.ticket());
    rig.worker.push(Task::Read {
        ticket: reached,
        index: 1,
    });
    rig.worker.push(Task::Read {
        ticket: waiting,
        index: 2,
    });

    let first = rig.run();
    let position = rig.append_commands(&[("put a 1", None)]);
    rig.worker.push(Task::Apply {
        through: position.index,
    });
    let second = rig.run();

    assert_eq!(first, [(reached, Answer::ReadAt { index: 1 })]);
    assert_eq!(second, [(waiting, Answer::ReadAt { index: 2 })]);
    assert_eq!(rig.query_at(Default::default(), 2, "len").unwrap().0, 2);
}

#[test]
fn a_worker_applies_no_more_than_its_budget_at_once() {
    let mut rig = Rig::created(&[]);
    let last = (0..5)
        .map(|_| rig.append_commands(&[("append a 1", None)]))
        .last()
        .unwrap();
    rig.worker.push(Task::Apply {
        through: last.index,
    });

    let (_, more) = rig.worker.run(2);

    assert!(more);
    assert_eq!(rig.status().applied, 3);
}

#[test]
fn everybody_who_waits_is_told_when_the_replica_is_removed() {
    let mut rig = Rig::created(&[]);
    let (command, read) = (rig.ticket(), rig.ticket());
    let position = rig.append_commands(&[("append a 1", None)]);
    rig.worker.push(Task::Expect {
        position,
        tickets: vec![Some(command)],
    });
    rig.worker.push(Task::Read {
        ticket: read,
        index: position.index,
    });

    let reports = rig.worker.end();

    assert!(matches!(
        &reports[..],
        [
            Report::Answer { ticket: first, answer: Answer::Unknown { .. } },
            Report::Answer { ticket: second, answer: Answer::NotApplied(_) },
        ] if (*first, *second) == (command, read)
    ));
}
