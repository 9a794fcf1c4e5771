//! What is said without any write can be wrong as well: pre-votes, reads, leases.

use crate::trace::Trace;
use crate::wrong::last_is_refused;

#[test]
fn a_pre_vote_for_a_shorter_log() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2, 3]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    trace.ask_pre_votes(3, 2, (0, 0));
    trace.hear_pre_vote(2, 2, 3);
    trace.tell(2, r#""event":"grants_pre_vote","term":2,"to":"n3.0""#);
    last_is_refused(&trace, "grants n3.0, whose log ends with 0/0, a pre-vote");
}

#[test]
fn a_pre_vote_of_an_old_term() {
    let mut trace = Trace::of(3);
    trace.ask_pre_votes(3, 1, (0, 0));
    trace.elect(1, 1, &[2]);
    trace.elect(1, 2, &[2]);
    trace.hear_pre_vote(2, 1, 3);
    trace.tell(2, r#""event":"grants_pre_vote","term":1,"to":"n3.0""#);
    last_is_refused(&trace, "grants n3.0 a pre-vote in 1, and is in 2");
}

#[test]
fn a_pre_vote_where_the_vote_was_given_to_another() {
    let mut trace = Trace::of(3);
    trace.ask_pre_votes(3, 1, (0, 0));
    trace.elect(1, 1, &[2]);
    trace.hear_pre_vote(2, 1, 3);
    trace.tell(2, r#""event":"grants_pre_vote","term":1,"to":"n3.0""#);
    last_is_refused(&trace, "in which it voted for another");
}

#[test]
fn a_pre_vote_of_a_leader() {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.ask_pre_votes(2, 2, (0, 0));
    trace.hear_pre_vote(1, 2, 2);
    trace.tell(1, r#""event":"grants_pre_vote","term":2,"to":"n2.0""#);
    last_is_refused(&trace, "n1.0 leads, and grants n2.0 a pre-vote in 2");
}

#[test]
fn a_pre_vote_that_nobody_asked_for() {
    let mut trace = Trace::of(3);
    trace.hear_pre_vote(2, 1, 3);
    trace.tell(2, r#""event":"grants_pre_vote","term":1,"to":"n3.0""#);
    last_is_refused(&trace, "n3.0 asks for pre-votes in 1");
}

#[test]
fn a_campaign_without_a_quorum_of_pre_votes() {
    let mut trace = Trace::careful(3);
    trace.ask_pre_votes(3, 1, (0, 0));
    trace.write(3, Some((1, Some(3))), &[]);
    last_is_refused(&trace, "a quorum would vote for n3.0 in term 1");
}

#[test]
fn a_read_without_a_round() {
    let mut trace = Trace::serving();
    trace.tell(1, r#""event":"reads","ticket":7,"lease":false"#);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "began after round 0");
}

#[test]
fn a_read_by_the_echo_of_an_older_round() {
    let mut trace = Trace::serving();
    trace.round(1, 1, &[2]);
    trace.tell(1, r#""event":"reads","ticket":7,"lease":false"#);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "began after round 1");
}

#[test]
fn a_read_before_an_entry_of_the_own_term_is_committed() {
    let mut trace = Trace::serving();
    trace.elect(2, 2, &[3]);
    trace.tell(2, r#""event":"reads","ticket":7,"lease":false"#);
    trace.round(2, 2, &[3]);
    trace.tell(2, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "before an entry of its term 2 is committed");
}

#[test]
fn a_read_of_what_is_not_committed() {
    let mut trace = Trace::serving();
    trace.append(1, 1, &[2]);
    trace.tell(1, r#""event":"reads","ticket":7,"lease":false"#);
    trace.round(1, 1, &[2]);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":2"#);
    last_is_refused(&trace, "a quorum has entry 2 of a leader");
}

#[test]
fn a_read_that_misses_what_another_node_had_committed() {
    let mut trace = Trace::serving();
    trace.append(1, 1, &[2]);
    trace.append(2, 1, &[2]);
    trace.tell(2, r#""event":"commit","index":2"#);
    trace.tell(1, r#""event":"reads","ticket":7,"lease":false"#);
    trace.round(1, 1, &[2]);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "but 2 was committed when it was asked for");
}

#[test]
fn a_lease_without_promises() {
    let mut trace = Trace::serving();
    trace.round(1, 1, &[2]);
    trace.tell(1, r#""event":"reads","ticket":7,"lease":true"#);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "began after round 1");
}

#[test]
fn a_lease_that_is_kept_after_the_leader_has_let_go() {
    let mut trace = Trace::serving();
    trace.promise(1, 1, &[2]);
    trace.tell(1, r#""event":"hands_over","term":1,"to":"n2.0""#);
    trace.tell(1, r#""event":"reads","ticket":7,"lease":true"#);
    trace.tell(1, r#""event":"read_point","ticket":7,"index":1"#);
    last_is_refused(&trace, "began after round 1");
}

#[test]
fn a_follower_that_reads_by_an_older_answer() {
    let mut trace = Trace::serving();
    trace.tell(2, r#""event":"reads","ticket":5,"lease":false"#);
    trace.question(2, 40, 1, 1);
    trace.tell(2, r#""event":"read_point","ticket":5,"index":1"#);
    trace.tell(2, r#""event":"reads","ticket":6,"lease":false"#);
    trace.tell(2, r#""event":"read_point","ticket":6,"index":1"#);
    last_is_refused(&trace, "neither leads nor asked");
}

#[test]
fn an_answer_of_a_leader_without_a_round() {
    let mut trace = Trace::serving();
    trace.tell(2, r#""event":"reads","ticket":5,"lease":false"#);
    trace.tell(2, r#""event":"asks","to":"n1.0","round":40"#);
    trace.tell(
        1,
        r#""event":"hears_question","by":"n2.0","round":40,"lease":false"#,
    );
    trace.tell(
        1,
        r#""event":"tells","term":1,"to":"n2.0","round":40,"index":1"#,
    );
    last_is_refused(&trace, "began after round 0");
}

#[test]
fn an_echo_of_a_round_that_never_began() {
    let mut trace = Trace::serving();
    trace.tell(2, r#""event":"echoes","term":1,"to":"n1.0","round":9"#);
    last_is_refused(&trace, "n1.0 begins round 9 in term 1");
}
