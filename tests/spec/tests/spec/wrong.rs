//! Traces that are known to be wrong are refused, at the event at which they go wrong.

use coracle_spec::{Refusal, validate, validate_merged};

use crate::trace::Trace;

/// The refused event's place in the trace, and why.
fn refused(trace: &Trace) -> (usize, String) {
    let failure = validate(trace.events()).expect_err("a wrong trace");
    let at = trace
        .events()
        .iter()
        .position(|event| *event == failure.event);
    (
        at.expect("an event of the trace"),
        failure.refusal.to_string(),
    )
}

/// The last event is the wrong one, and everything before is right.
pub(crate) fn last_is_refused(trace: &Trace, because: &str) {
    let (at, why) = refused(trace);
    assert_eq!(at + 1, trace.events().len(), "refused too early: {why}");
    assert!(why.contains(because), "{why}");
}

#[test]
fn two_leaders_in_a_term() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.campaign(3, 1);
    trace.tell(3, r#""event":"leads","term":1"#);
    last_is_refused(&trace, "n3.0 leads term 1, as n1.0 does");
}

#[test]
fn a_leader_without_votes() {
    let mut trace = Trace::of(3);
    trace.campaign(1, 1);
    trace.tell(1, r#""event":"leads","term":1"#);
    last_is_refused(&trace, "a quorum votes for n1.0 in term 1");
}

#[test]
fn a_vote_that_changes_in_a_term() {
    let mut trace = Trace::of(3);
    trace.campaign(1, 1);
    trace.campaign(3, 1);
    trace.vote(2, 1, 1);
    trace.write(2, Some((1, Some(3))), &[]);
    last_is_refused(&trace, "n2.0 changes its vote in term 1");
}

#[test]
fn a_vote_for_a_shorter_log() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    trace.campaign(3, 2);
    trace.write(2, Some((2, Some(3))), &[]);
    last_is_refused(&trace, "votes for n3.0, whose log ends with 0/0");
}

#[test]
fn a_vote_that_leaves_before_it_is_durable() {
    let mut trace = Trace::of(3);
    trace.campaign(1, 1);
    trace.write(2, Some((1, Some(1))), &[]);
    trace.tell(2, r#""event":"grants","term":1,"to":"n1.0""#);
    last_is_refused(&trace, "that is not durable");
}

#[test]
fn an_acknowledgement_that_leaves_before_it_is_durable() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.write(2, None, &[(1, 1)]);
    trace.tell(2, r#""event":"acknowledges","term":1,"index":1"#);
    last_is_refused(&trace, "n2.0 acknowledges 1 in term 1, but durable is 0/0");
}

#[test]
fn a_commit_without_a_quorum() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.tell(1, r#""event":"commit","index":1"#);
    last_is_refused(&trace, "a quorum has entry 1 of a leader");
}

/// Figure 8 of the paper: an entry of an old term is on a quorum, and still not committed.
#[test]
fn a_commit_of_an_old_term_by_counting() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.elect(1, 2, &[3]);
    trace.append(1, 2, &[2]);
    trace.write(3, None, &[(1, 1)]);
    trace.durable(3);
    trace.tell(1, r#""event":"commit","index":1"#);
    last_is_refused(&trace, "a quorum has entry 1 of a leader");
}

#[test]
fn an_entry_that_its_leader_does_not_have() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.write(2, None, &[(1, 1), (1, 2)]);
    last_is_refused(&trace, "n1.0 appends 1/2");
}

#[test]
fn a_truncated_committed_entry() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    trace.tell(1, r#""event":"commit","index":1"#);
    trace.tell(2, r#""event":"commit","index":1"#);
    trace.elect(1, 2, &[2]);
    trace.append(1, 2, &[2]);
    trace.write(2, None, &[(2, 1)]);
    last_is_refused(
        &trace,
        "n2.0 overwrites entry 1, which it took for committed",
    );
}

#[test]
fn a_term_that_goes_back() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.write(2, Some((0, None)), &[]);
    last_is_refused(&trace, "n2.0 goes back from term 1 to 0");
}

#[test]
fn a_restart_that_lost_what_was_durable() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    trace.tell(2, r#""event":"commit","index":1"#);
    trace.boot(2);
    trace.start(2, (1, Some(1)), (0, 0), (0, 0));
    last_is_refused(&trace, "n2.0 finds term 1, floor 0 and last 0/0");
}

#[test]
fn a_restart_that_forgot_its_vote() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.boot(2);
    trace.start(2, (1, None), (0, 0), (0, 0));
    last_is_refused(&trace, "n2.0 finds term 1");
}

#[test]
fn a_snapshot_beyond_what_is_committed() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1, 2]);
    trace.append(2, 1, &[1]);
    trace.tell(1, r#""event":"commit","index":1"#);
    trace.tell(
        1,
        r#""event":"compact","id":"c","last":{"term":1,"index":2}"#,
    );
    last_is_refused(
        &trace,
        "n1.0 forgets its log up to 1/2, but took only 1 for committed",
    );
}

#[test]
fn a_snapshot_of_what_nobody_committed() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1, 2]);
    trace.append(2, 1, &[1]);
    trace.write(3, Some((1, None)), &[]);
    trace.tell(
        3,
        r#""event":"install","id":"i","hard_state":null,"last":{"term":1,"index":2}"#,
    );
    last_is_refused(&trace, "a quorum has entry 2 of a leader");
}

#[test]
fn a_joint_configuration_that_is_committed_by_one_half() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    let joint = r#"{"voters":["n1.0","n4.2"],"outgoing":["n1.0","n2.0","n3.0"]}"#;
    let entry = format!(r#"{{"term":1,"index":2,"configuration":{joint}}}"#);
    for node in [1, 2] {
        let write = format!(r#""event":"write","id":"j{node}","entries":[{entry}]"#);
        trace.tell(node, &write);
        trace.tell(node, &format!(r#""event":"durable","id":"j{node}""#));
    }
    trace.tell(1, r#""event":"commit","index":2"#);
    last_is_refused(&trace, "a quorum has entry 2 of a leader");
}

#[test]
fn a_second_configuration_before_the_first_is_committed() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    for (index, voters) in [(2, r#""n1.0","n2.0""#), (3, r#""n1.0""#)] {
        let entry =
            format!(r#"{{"term":1,"index":{index},"configuration":{{"voters":[{voters}]}}}}"#);
        trace.tell(
            1,
            &format!(r#""event":"write","id":"c{index}","entries":[{entry}]"#),
        );
    }
    last_is_refused(&trace, "the configuration of entry 2 is committed");
}

#[test]
fn a_line_that_is_missing() {
    let mut trace = Trace::of(3);
    trace.skip(2);
    trace.tell(2, r#""event":"boot""#);
    last_is_refused(&trace, "the trace lacks event 2 of this node");
}

#[test]
fn a_wrong_trace_is_wrong_in_every_order() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.tell(1, r#""event":"commit","index":1"#);
    let mut events = trace.events();
    events.sort_by_key(|event| std::cmp::Reverse(event.node));
    let failure = validate_merged(events).expect_err("no quorum has the entry");
    assert_eq!(failure.event, *trace.events().last().expect("events"));
    assert!(matches!(failure.refusal, Refusal::Missing(_)));
}
