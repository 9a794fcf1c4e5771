//! The invariants on who stands, helps, leads and counts, each on a state that is known to be wrong,
//! beside one that is right.

use coracle_proto::{EntryKind, HardState, LogId, Message, VoteKind};
use sha2::{Digest as _, Sha256};

use super::tests::{
    GROUP, append, append_entries, assert_violates, cluster, commit, entry, envelope, hard_state,
    replica, write,
};
use super::*;
use crate::plan::MS;

/// Of the settings that [`cluster`] has.
const ELECTION: u64 = 300 * MS;

#[test]
fn a_candidate_without_a_quorum_of_pre_votes_violates_pre_vote() {
    let mut world = cluster(5);
    take(&mut world, 1, 0, [pre_vote_reply(2, 1, 4)]);
    assert_violates(stand(&mut world, 1, 4), "pre-vote");

    let mut world = cluster(5);
    let grants = [2, 3].map(|from| pre_vote_reply(from, 1, 4));
    take(&mut world, 1, 0, grants.clone());
    assert_eq!(stand(&mut world, 1, 4), Ok(()));
    assert_violates(stand(&mut world, 1, 5), "pre-vote");
    take(&mut world, 1, 0, grants);
    world.crashed(NodeId(1), &[]);
    assert_violates(stand(&mut world, 1, 6), "pre-vote");
}

#[test]
fn only_the_leader_of_the_term_before_may_call_a_candidate() {
    let mut world = cluster(3);
    hard_state(&mut world, 1, 4, None);
    take(&mut world, 1, 0, [envelope(2, 1, 4, Message::TimeoutNow)]);
    assert_eq!(stand(&mut world, 1, 5), Ok(()));
    take(&mut world, 1, 0, [envelope(2, 1, 4, Message::TimeoutNow)]);
    assert_violates(stand(&mut world, 1, 6), "pre-vote");
}

#[test]
fn a_vote_against_a_leader_that_is_heard_violates_stickiness() {
    for kind in [VoteKind::Pre, VoteKind::Real] {
        let helps = |patience| {
            let mut world = cluster(3);
            hard_state(&mut world, 1, 4, None);
            take(&mut world, 1, 0, [heartbeat(2, 1, 4, false)]);
            take(&mut world, 1, patience, [vote(kind, 3, 1, 5, id(0, 0))]);
            hard_state(&mut world, 1, 5, Some(3));
            world.sent(&envelope(1, 3, 5, granted(kind)))
        };
        assert_violates(helps(ELECTION - 1), "stickiness");
        assert_eq!(helps(ELECTION), Ok(()));
    }
}

#[test]
fn a_vote_in_spite_of_a_promise_violates_stickiness_until_the_leader_hands_over() {
    let helps = |between: Envelope| {
        let mut world = cluster(3);
        hard_state(&mut world, 1, 4, None);
        take(&mut world, 1, 0, [heartbeat(2, 1, 4, true)]);
        let hold = Duration::from_nanos(ELECTION);
        let promise = Message::HeartbeatReply {
            round: 7,
            hold,
            priority: 0,
        };
        world.sent(&envelope(1, 2, 4, promise)).unwrap();
        // The leader is forgotten, the promise is not.
        world.takes(
            NodeId(1),
            Instant(1),
            &[Event::ForgetLeader { group: GROUP }],
        );
        let asks = vote(VoteKind::Pre, 3, 1, 5, id(0, 0));
        take(&mut world, 1, 2, [between, asks]);
        world.sent(&envelope(1, 3, 5, granted(VoteKind::Pre)))
    };
    let idle = envelope(3, 1, 4, Message::Wake);
    assert_violates(helps(idle), "stickiness");
    let handed = vote(VoteKind::Transfer, 3, 1, 5, id(0, 0));
    assert_eq!(helps(handed), Ok(()));
}

/// Found by seed 777000987: a node that had stood still read all that in one turn.
#[test]
fn who_was_told_to_campaign_may_help_another_whatever_the_old_leader_still_says() {
    let helps = |first: Message| {
        let mut world = cluster(3);
        hard_state(&mut world, 1, 4, None);
        let old = [envelope(2, 1, 4, first), heartbeat(2, 1, 4, false)];
        let asks = vote(VoteKind::Real, 3, 1, 6, id(0, 0));
        take(&mut world, 1, 0, old.into_iter().chain([asks]));
        hard_state(&mut world, 1, 6, Some(3));
        world.sent(&envelope(1, 3, 6, granted(VoteKind::Real)))
    };
    assert_violates(helps(Message::Wake), "stickiness");
    assert_eq!(helps(Message::TimeoutNow), Ok(()));
}

#[test]
fn a_pre_vote_for_a_log_that_is_behind_or_a_term_that_is_over_violates_stickiness() {
    let helps = |term, last| {
        let mut world = cluster(3);
        hard_state(&mut world, 1, 4, None);
        append(&mut world, 1, &[(1, 1), (3, 2)]).unwrap();
        take(&mut world, 1, 0, [vote(VoteKind::Pre, 3, 1, term, last)]);
        world.sent(&envelope(1, 3, term, granted(VoteKind::Pre)))
    };
    assert_eq!(helps(5, id(3, 2)), Ok(()));
    assert_violates(helps(5, id(2, 9)), "stickiness");
    assert_violates(helps(3, id(3, 2)), "stickiness");
}

#[test]
fn a_leader_that_hears_no_quorum_must_step_down_in_time_unless_all_are_silent() {
    let lead = |world: &mut Invariants| {
        let leader = Some(replica(1));
        world
            .leader(GROUP, NodeId(1), Instant(0), 4, leader)
            .unwrap();
    };
    let wait = |world: &mut Invariants, from: u64, by: &[u64]| {
        (1..=30).try_for_each(|step| {
            let answers = by.iter().map(|peer| heartbeat_reply(*peer, 1, 4));
            take(world, 1, from + step * ELECTION / 10, answers);
            world.turned(NodeId(1))
        })
    };
    let mut world = cluster(5);
    lead(&mut world);
    assert_eq!(wait(&mut world, 0, &[2, 3]), Ok(()));
    assert_violates(wait(&mut world, 3 * ELECTION, &[2]), "check-quorum");

    let mut world = cluster(5);
    lead(&mut world);
    let (last, commit) = (id(0, 0), 0);
    let quiesce = Message::Quiesce { last, commit };
    world.sent(&envelope(1, 2, 4, quiesce)).unwrap();
    assert_eq!(wait(&mut world, 0, &[]), Ok(()));

    let mut world = cluster(5);
    lead(&mut world);
    // One long pause is no lack of looks.
    take(&mut world, 1, 9 * ELECTION, []);
    assert_eq!(world.turned(NodeId(1)), Ok(()));
}

#[test]
fn a_witness_must_neither_lead_nor_be_told_to_nor_be_fed_first() {
    let mut world = cluster(3);
    let mut members = Configuration::initial((1..=3).map(NodeId));
    members.witnesses.insert(replica(3));
    let members_entry = Entry {
        term: 1,
        index: 1,
        kind: EntryKind::Configuration,
        payload: members.encode(),
    };
    for node in [1, 3] {
        append_entries(&mut world, node, vec![members_entry.clone()]).unwrap();
    }
    members.index = 1;
    for node in [1, 3] {
        world.configured(GROUP, NodeId(node), &members).unwrap();
    }
    let leads = |world: &mut Invariants, node: u64, term| {
        world.leader(GROUP, NodeId(node), Instant(0), term, Some(replica(node)))
    };
    assert_eq!(leads(&mut world, 1, 4), Ok(()));
    assert_violates(leads(&mut world, 3, 5), "witness");

    let call = |to| envelope(1, to, 4, Message::TimeoutNow);
    assert_eq!(world.sent(&call(2)), Ok(()));
    assert_violates(world.sent(&call(3)), "witness");

    let feed = |to| {
        let entries = vec![entry(1, 2)];
        let (prev, commit) = (id(1, 1), 0);
        let append = Message::Append {
            prev,
            entries,
            commit,
        };
        envelope(1, to, 4, append)
    };
    assert_eq!(world.sent(&feed(2)), Ok(()));
    assert_violates(world.sent(&feed(3)), "witness");
    append(&mut world, 1, &[(1, 2)]).unwrap();
    assert_eq!(world.sent(&feed(3)), Ok(()));
}

#[test]
fn a_head_that_leaves_outcomes_out_violates_the_outcome_chain() {
    // Whatever the head after the first entries is.
    let first = Digest([3; 32]);
    let shows = |head| {
        let mut world = cluster(1);
        let applied =
            |world: &mut Invariants, index, head| world.applied(GROUP, NodeId(1), index, head);
        commit(&mut world, &[("append l k;", Some(1))]).unwrap();
        applied(&mut world, 2, first).unwrap();
        let commands = [
            ("append l b;", None),
            ("append l k;", Some(1)),
            ("trap", None),
        ];
        commit(&mut world, &commands).unwrap();
        applied(&mut world, 3, head)
    };
    let link = |verdicts: &[&[u8]]| {
        let mut hasher = Sha256::new();
        hasher.update(first.0);
        hasher.update(3_u64.to_le_bytes());
        hasher.update((verdicts.len() as u32).to_le_bytes());
        verdicts.iter().for_each(|verdict| hasher.update(verdict));
        hasher.update([0]);
        Digest(hasher.finalize().into())
    };
    let applied = b"\0\0\x04\0\0\0\0\0\0\0k;b;";
    let replayed = b"\x01\x02\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0k;";
    let trapped = b"\0\x02\0";
    assert_eq!(shows(link(&[applied, replayed, trapped])), Ok(()));
    assert_violates(shows(link(&[])), "outcome chain");
    assert_violates(shows(link(&[applied, applied, trapped])), "outcome chain");
}

/// A node begins a turn at this time of its clock, with these messages.
pub(super) fn take(
    world: &mut Invariants,
    at: u64,
    now: u64,
    messages: impl IntoIterator<Item = Envelope>,
) {
    let messages = messages.into_iter().collect();
    world.takes(NodeId(at), Instant(now), &[Event::Received(messages)]);
}

/// A node writes a vote for itself.
fn stand(world: &mut Invariants, node: u64, term: Term) -> Check {
    let write = write(WriteKind::Append {
        hard_state: Some(HardState {
            term,
            vote: Some(replica(node)),
        }),
        entries: Vec::new(),
    });
    world.written(NodeId(node), &write)
}

fn vote(kind: VoteKind, from: u64, to: u64, term: Term, last: LogId) -> Envelope {
    envelope(from, to, term, Message::Vote { kind, last })
}

fn granted(kind: VoteKind) -> Message {
    let granted = true;
    Message::VoteReply { kind, granted }
}

fn pre_vote_reply(from: u64, to: u64, term: Term) -> Envelope {
    envelope(from, to, term, granted(VoteKind::Pre))
}

pub(super) fn heartbeat(from: u64, to: u64, term: Term, lease: bool) -> Envelope {
    let (commit, round) = (0, 7);
    let message = Message::Heartbeat {
        commit,
        round,
        lease,
    };
    envelope(from, to, term, message)
}

fn heartbeat_reply(from: u64, to: u64, term: Term) -> Envelope {
    let message = Message::HeartbeatReply {
        round: 7,
        hold: Duration::ZERO,
        priority: 0,
    };
    envelope(from, to, term, message)
}

pub(super) fn id(term: Term, index: Index) -> LogId {
    LogId { term, index }
}
