//! Traces that are right are explained, whatever the order of the nodes among each other.

use coracle_spec::{Event, validate, validate_merged};

use crate::trace::Trace;

/// An election, a commit, a crash, another leader, and a late follower that installs a snapshot.
fn long() -> Trace {
    let mut trace = Trace::of(3);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1, 2]);
    trace.append(2, 1, &[1, 2]);
    trace.tell(2, r#""event":"acknowledges","term":1,"index":2"#);
    trace.tell(1, r#""event":"commit","index":2"#);
    trace.tell(
        1,
        r#""event":"compact","id":"c","last":{"term":1,"index":2}"#,
    );
    trace.tell(1, r#""event":"durable","id":"c""#);
    trace.boot(1);
    trace.start(1, (1, Some(1)), (1, 2), (1, 2));
    trace.elect(2, 2, &[1]);
    trace.append(2, 2, &[3]);
    trace.append(1, 2, &[3]);
    trace.tell(2, r#""event":"commit","index":3"#);
    let install = r#""event":"install","id":"i","hard_state":{"term":2,"vote":null},"last":{"term":2,"index":3}"#;
    trace.tell(3, install);
    trace.tell(3, r#""event":"durable","id":"i""#);
    trace
}

#[test]
fn a_long_trace_is_explained() {
    let report = validate(long().events()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((report.leaders, report.committed), (2, 3));
}

#[test]
fn the_order_between_nodes_does_not_matter() {
    for nodes in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut events: Vec<Event> = long().events();
        events.sort_by_key(|event| nodes.iter().position(|node| *node == event.node));
        let report = validate_merged(events).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.committed, 3);
    }
}

#[test]
fn what_was_on_its_way_to_the_disk_may_be_found_or_not() {
    for last in [0, 1] {
        let mut trace = Trace::of(3);
        trace.elect(1, 1, &[2]);
        trace.append(1, 1, &[1]);
        trace.write(2, None, &[(1, 1)]);
        trace.boot(2);
        trace.start(2, (1, Some(1)), (0, 0), (last, last));
        validate(trace.events()).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Reads of the leader by a round and by its lease, and of a follower; a transfer without pre-votes.
fn talkative() -> Trace {
    let mut trace = Trace::careful(3);
    trace.ask_pre_votes(1, 1, (0, 0));
    trace.hear_pre_vote(2, 1, 1);
    trace.tell(2, r#""event":"grants_pre_vote","term":1,"to":"n1.0""#);
    trace.elect(1, 1, &[2]);
    trace.append(1, 1, &[1]);
    trace.append(2, 1, &[1]);
    trace.tell(1, r#""event":"commit","index":1"#);
    trace.tell(1, r#""event":"reads","ticket":1,"lease":false"#);
    trace.promise(1, 1, &[2]);
    trace.tell(1, r#""event":"read_point","ticket":1,"index":1"#);
    trace.tell(1, r#""event":"reads","ticket":2,"lease":true"#);
    trace.tell(1, r#""event":"read_point","ticket":2,"index":1"#);
    trace.tell(2, r#""event":"reads","ticket":1,"lease":false"#);
    trace.question(2, 40, 1, 1);
    trace.tell(2, r#""event":"read_point","ticket":1,"index":1"#);
    trace.tell(1, r#""event":"hands_over","term":1,"to":"n2.0""#);
    trace.elect(2, 2, &[3]);
    trace.tell(1, r#""event":"steps_down""#);
    trace
}

#[test]
fn pre_votes_reads_and_a_transfer_are_explained() {
    for nodes in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut events: Vec<Event> = talkative().events();
        let ordered = validate(events.clone());
        let ordered = ordered.unwrap_or_else(|failure| panic!("{failure}"));
        events.sort_by_key(|event| nodes.iter().position(|node| *node == event.node));
        assert_eq!(validate_merged(events), Ok(ordered));
    }
}
