//! Whoever asks for a change of members or of the leader gets exactly one answer.

use coracle_proto::{
    AppendOutcome, Change, ChangeRefusal, Entry, EntryKind, Envelope, Instant, LogId, Message,
    NodeId, VoteKind,
};

use super::rig::*;
use crate::node::{Event, Outbox};
use crate::task::{Answer, NotApplied, Report, Ticket};

#[test]
fn a_change_is_answered_with_its_index_once_it_is_committed() {
    let mut bench = Bench::leading();
    let out = bench.turn([change(1, Change::Learner(NodeId(2)))]);
    assert!(out.answers.is_empty());
    let out = bench.persist(&out);
    assert_eq!(out.answers, [(Ticket(1), Answer::Changed { index: 2 })]);
    assert_eq!(out.configurations[0].1.learners, [born(2, 2)].into());
}

#[test]
fn a_change_that_cannot_be_is_refused_with_its_reason() {
    let mut bench = Bench::leading();
    let out = bench.turn([change(1, Change::Remove(NodeId(1)))]);
    let why = refused(NotApplied::Change(ChangeRefusal::NoVoters));
    assert_eq!(out.answers, [(Ticket(1), why)]);
}

#[test]
fn a_change_whose_place_another_leaders_entry_takes_was_not_made() {
    let (mut bench, index) = changing();
    let entry = Entry {
        term: 9,
        index,
        kind: EntryKind::Noop,
        payload: bytes::Bytes::new(),
    };
    let prev = LogId {
        term: 1,
        index: index - 1,
    };
    let append = |commit| Message::Append {
        prev,
        entries: vec![entry.clone()],
        commit,
    };
    let out = bench.turn([said(9, append(0))]);
    assert!(bench.persist(&out).answers.is_empty(), "not committed yet");
    let out = bench.turn([said(9, append(index))]);
    let overwritten = refused(NotApplied::Overwritten);
    assert_eq!(out.answers, [(Ticket(1), overwritten)]);
}

#[test]
fn a_change_whose_leader_is_gone_is_unknown_after_bounded_patience() {
    let (mut bench, _) = changing();
    let higher = said(9, Message::AppendReply(AppendOutcome::Matched { index: 1 }));
    let out = bench.turn([higher]);
    bench.persist(&out);
    bench.now = Instant(3900 * SECOND / 1000);
    assert!(answers(&mut bench).is_empty());
    bench.now = Instant(4100 * SECOND / 1000);
    assert!(matches!(
        answers(&mut bench)[..],
        [(Ticket(1), Answer::Unknown { .. })]
    ));
}

#[test]
fn a_change_is_unknown_when_its_replica_is_removed() {
    let (mut bench, _) = changing();
    let out = bench.end();
    assert!(matches!(
        out.answers[..],
        [(Ticket(1), Answer::Unknown { .. })]
    ));
}

#[test]
fn a_transfer_without_anybody_to_lead_is_refused() {
    let mut bench = Bench::leading();
    let out = bench.turn([transfer(1, None)]);
    assert_eq!(out.answers, [(Ticket(1), refused(NotApplied::NoTarget))]);
}

#[test]
fn a_transfer_is_answered_with_the_new_leader() {
    let mut bench = of_three();
    assert!(
        bench
            .turn([transfer(1, Some(NodeId(2)))])
            .answers
            .is_empty()
    );
    let vote = Message::Vote {
        kind: VoteKind::Transfer,
        last: LogId { term: 1, index: 9 },
    };
    let out = bench.turn([said(2, vote)]);
    bench.persist(&out);
    let heartbeat = Message::Append {
        prev: LogId { term: 1, index: 1 },
        entries: Vec::new(),
        commit: 1,
    };
    let out = bench.turn([said(2, heartbeat)]);
    let leader = replica(2);
    assert_eq!(out.answers, [(Ticket(1), Answer::Transferred { leader })]);
}

#[test]
fn a_leader_whose_state_machine_is_halted_hands_over_and_tries_again() {
    let mut bench = of_three();
    let out = bench.turn([Event::Report(Report::Halted {
        group: GROUP,
        reason: "host fault".into(),
    })]);
    assert!(hands_over(&out));
    let mut tries = 0;
    for tenth in 1..=40 {
        bench.now = Instant(tenth * SECOND / 10);
        let out = bench.turn([heard(2), heard(3)]);
        tries += usize::from(hands_over(&out));
    }
    assert!(tries >= 2, "{tries}");
}

fn hands_over(out: &Outbox) -> bool {
    let mut sends = out.sends.iter();
    sends.any(|envelope| envelope.message == Message::TimeoutNow)
}

fn heard(from: u64) -> Event {
    let outcome = AppendOutcome::Matched { index: 1 };
    Event::Received(vec![Envelope {
        group: GROUP,
        from: replica(from),
        to: replica(1),
        term: 1,
        message: Message::AppendReply(outcome),
    }])
}

/// The leader of three, with its first entry committed.
fn of_three() -> Bench {
    let mut bench = Bench::new(&[1, 2, 3]);
    let out = bench.turn([bench.host()]);
    bench.persist(&out);
    let out = bench.turn([Event::Campaign { group: GROUP }]);
    bench.persist(&out);
    let granted = |kind| Message::VoteReply {
        kind,
        granted: true,
    };
    let out = bench.turn([said(1, granted(VoteKind::Pre))]);
    bench.persist(&out);
    let out = bench.turn([said(1, granted(VoteKind::Real))]);
    bench.persist(&out);
    bench.turn([heard(2), heard(3)]);
    bench
}

/// The leader of three with a change that is not committed, and its index.
fn changing() -> (Bench, u64) {
    let mut bench = of_three();
    let out = bench.turn([change(1, Change::Learner(NodeId(4)))]);
    assert!(out.answers.is_empty(), "{:?}", out.answers);
    bench.persist(&out);
    (bench, appended(&out)[0].index)
}

/// A message of node 2.
fn said(term: u64, message: Message) -> Event {
    Event::Received(vec![Envelope {
        group: GROUP,
        from: replica(2),
        to: replica(1),
        term,
        message,
    }])
}

fn answers(bench: &mut Bench) -> Vec<(Ticket, Answer)> {
    bench.turn([]).answers
}
