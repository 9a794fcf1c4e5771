//! The invariants on what is counted, answered, granted and said, each on a state that is known to be wrong,
//! beside one that is right.

use coracle_driver::Floor;
use coracle_proto::{
    AppendOutcome, EntryKind, HardState, Message, PeerStatus, ProgressState, ReadMode, Role,
};

use super::role_tests::{heartbeat, id, take};
use super::tests::{
    GROUP, append, append_entries, assert_violates, cluster, entry, envelope, floor, hard_state,
    replica, write,
};
use super::*;

#[test]
fn an_entry_of_an_older_term_must_not_be_committed_by_counting_replicas() {
    // Figure 3.7: the leader of term 4 has brought an entry of term 2 to a majority.
    let commits = |own: &[(Term, Index)]| {
        let mut world = cluster(3);
        append(&mut world, 1, &[(1, 1), (2, 2)]).unwrap();
        append(&mut world, 2, &[(1, 1)]).unwrap();
        for node in [1, 2] {
            hard_state(&mut world, node, 4, None);
        }
        append(&mut world, 2, &[(2, 2)]).unwrap();
        append(&mut world, 1, own).unwrap();
        append(&mut world, 2, own).unwrap();
        world.committed(GROUP, NodeId(1), 4, 2)
    };
    assert_eq!(commits(&[(4, 3)]), Ok(()));
    assert_violates(commits(&[]), "commit quorum");
}

#[test]
fn a_configuration_before_the_last_one_or_the_first_own_entry_is_committed_violates_membership() {
    let adds = |on: &[u64], entries: Vec<Entry>| {
        let mut world = cluster(3);
        hard_state(&mut world, 1, 4, Some(2));
        let leader = Some(replica(1));
        world
            .leader(GROUP, NodeId(1), Instant(0), 4, leader)
            .unwrap();
        for node in on {
            append_entries(&mut world, *node, entries.clone()).unwrap();
        }
        let next = entries.len() as Index + 1;
        append_entries(&mut world, 1, vec![members(4, next, 1..=4)])
    };
    assert_eq!(adds(&[1, 2], vec![entry(4, 1)]), Ok(()));
    assert_violates(adds(&[1], vec![entry(4, 1)]), "membership");

    let mut world = cluster(3);
    hard_state(&mut world, 1, 4, Some(2));
    let leader = Some(replica(1));
    world
        .leader(GROUP, NodeId(1), Instant(0), 4, leader)
        .unwrap();
    for node in [1, 2] {
        append(&mut world, node, &[(4, 1)]).unwrap();
    }
    append_entries(&mut world, 1, vec![members(4, 2, 1..=4)]).unwrap();
    let second = append_entries(&mut world, 1, vec![members(4, 3, 1..=5)]);
    assert_violates(second, "membership");
}

#[test]
fn a_tail_that_does_not_follow_an_installed_snapshot_violates_log_matching() {
    let installs = |term, truncate| {
        let mut world = cluster(1);
        append(&mut world, 1, &[(1, 1), (1, 2), (2, 3)]).unwrap();
        let last = id(term, 2);
        let kind = WriteKind::Install {
            hard_state: None,
            floor: Floor { last, ..floor() },
            truncate,
        };
        world.written(NodeId(1), &write(kind))
    };
    assert_eq!(installs(3, true), Ok(()));
    assert_eq!(installs(1, false), Ok(()));
    assert_violates(installs(3, false), "log matching");
}

#[test]
fn a_read_must_not_be_granted_before_its_index_is_applied() {
    let world = cluster(1);
    assert_eq!(world.granted(NodeId(1), 4, 4), Ok(()));
    assert_violates(world.granted(NodeId(1), 4, 3), "linearizability");
}

#[test]
fn what_was_said_to_another_replica_of_the_node_must_not_be_answered() {
    let answers = |asked: u64, message: Message, answer: Message| {
        let mut world = cluster(2);
        let born = |node: u64, born: Index| ReplicaId {
            node: NodeId(node),
            born,
        };
        let question = Envelope {
            to: born(1, asked),
            ..envelope(2, 1, 4, message)
        };
        take(&mut world, 1, 0, [question]);
        world.sent(&envelope(1, 2, 4, answer))
    };
    let beat = || heartbeat(2, 1, 4, false).message;
    assert_eq!(answers(0, beat(), echo(7)), Ok(()));
    // Of an older term: heard, and nothing confirmed.
    assert_eq!(answers(0, beat(), echo(0)), Ok(()));
    assert_violates(answers(9, beat(), echo(7)), "answers");
    assert_violates(answers(0, beat(), echo(6)), "answers");
    let rejected = AppendOutcome::Rejected {
        rejected: 3,
        hint: id(0, 0),
    };
    let rejected = || Message::AppendReply(rejected);
    let probe = || Message::Append {
        prev: id(2, 3),
        entries: Vec::new(),
        commit: 0,
    };
    assert_eq!(answers(0, probe(), rejected()), Ok(()));
    assert_violates(answers(9, probe(), rejected()), "answers");
}

#[test]
fn a_read_that_no_later_round_confirms_violates_fresh_reads() {
    let reads = |first: &[u64], then: &[u64]| {
        let mut world = leads();
        begin_round(&mut world, 6);
        ask(&mut world, ReadMode::Index, 1);
        world.sent(&round(6)).unwrap();
        begin_round(&mut world, 7);
        let echoes = first.iter().map(|from| envelope(*from, 1, 4, echo(6)));
        take(&mut world, 1, 2, echoes);
        let echoes = then.iter().map(|from| envelope(*from, 1, 4, echo(7)));
        take(&mut world, 1, 3, echoes);
        world.read_ready(GROUP, NodeId(1), Ticket(1))
    };
    assert_eq!(reads(&[], &[2]), Ok(()));
    assert_violates(reads(&[2, 3], &[]), "fresh reads");
    assert_violates(reads(&[], &[]), "fresh reads");
}

#[test]
fn a_lease_that_is_over_or_was_let_go_violates_fresh_reads() {
    let reads = |mode, at, told: bool| {
        let mut world = leads();
        begin_round(&mut world, 6);
        let hold = Duration::from_nanos(100);
        let promise = Message::HeartbeatReply {
            round: 6,
            hold,
            priority: 0,
        };
        take(&mut world, 1, 1, [envelope(2, 1, 4, promise)]);
        if told {
            world.sent(&envelope(1, 2, 4, Message::TimeoutNow)).unwrap();
        }
        ask(&mut world, mode, at);
        world.read_ready(GROUP, NodeId(1), Ticket(1))
    };
    assert_eq!(reads(ReadMode::Lease, 99, false), Ok(()));
    assert_violates(reads(ReadMode::Lease, 100, false), "fresh reads");
    assert_violates(reads(ReadMode::Lease, 99, true), "fresh reads");
    assert_violates(reads(ReadMode::Index, 99, false), "fresh reads");
}

#[test]
fn a_replica_that_says_of_itself_what_its_log_does_not_violates_own_word() {
    let says = |change: fn(&mut Status)| {
        let mut world = cluster(3);
        append_entries(&mut world, 1, vec![entry(2, 1), members(2, 2, 1..=3)]).unwrap();
        hard_state(&mut world, 1, 4, Some(2));
        let mut status = status();
        change(&mut status);
        world.said(GROUP, &status)
    };
    assert_eq!(says(|_| ()), Ok(()));
    assert_violates(says(|it| it.last = id(2, 3)), "own word");
    assert_violates(says(|it| it.hard_state.vote = None), "own word");
    let rolled_back = says(|it| it.configuration = Configuration::initial([NodeId(1)]));
    assert_violates(rolled_back, "own word");
}

#[test]
fn a_leader_that_counts_a_peer_beyond_what_it_said_in_this_term_or_has_violates_own_word() {
    let counts = |told_in, theirs, next| {
        let mut world = cluster(3);
        append_entries(&mut world, 1, vec![entry(2, 1), members(2, 2, 1..=3)]).unwrap();
        hard_state(&mut world, 1, 4, Some(2));
        append(&mut world, 2, &[(theirs, 1)]).unwrap();
        let matched = AppendOutcome::Matched { index: 1 };
        let answer = envelope(2, 1, told_in, Message::AppendReply(matched));
        take(&mut world, 1, 0, [answer]);
        let mut status = status();
        status.peers = vec![peer(1, next)];
        world.said(GROUP, &status)
    };
    assert_eq!(counts(4, 2, 2), Ok(()));
    assert_violates(counts(3, 2, 2), "own word");
    assert_violates(counts(4, 1, 2), "own word");
    assert_violates(counts(4, 2, 1), "own word");
}

/// Node 1 leads three in term 4.
fn leads() -> Invariants {
    let mut world = cluster(3);
    hard_state(&mut world, 1, 4, Some(2));
    let leader = Some(replica(1));
    world
        .leader(GROUP, NodeId(1), Instant(0), 4, leader)
        .unwrap();
    world
}

/// In a turn of its own the leader sends a heartbeat of this round.
fn begin_round(world: &mut Invariants, number: u64) {
    take(world, 1, 0, []);
    world.sent(&round(number)).unwrap();
}

fn round(round: u64) -> Envelope {
    let message = Message::Heartbeat {
        commit: 0,
        round,
        lease: true,
    };
    envelope(1, 2, 4, message)
}

/// A client asks the leader for a read point, at this time of its clock.
fn ask(world: &mut Invariants, mode: ReadMode, now: u64) {
    let event = Event::Read {
        group: GROUP,
        mode,
        ticket: Ticket(1),
    };
    world.takes(NodeId(1), Instant(now), &[event]);
}

fn echo(round: u64) -> Message {
    Message::HeartbeatReply {
        round,
        hold: Duration::ZERO,
        priority: 0,
    }
}

/// What node 1 should say of itself in term 4.
fn status() -> Status {
    let mut configuration = Configuration::initial((1..=3).map(NodeId));
    configuration.index = 2;
    Status {
        id: replica(1),
        role: Role::Leader,
        hard_state: HardState {
            term: 4,
            vote: Some(replica(2)),
        },
        leader: Some(replica(1)),
        commit: 0,
        last: id(2, 2),
        floor: id(0, 0),
        configuration,
        configuration_committed: false,
        transferee: None,
        uncommitted_bytes: 0,
        quiet: false,
        peers: Vec::new(),
    }
}

/// What a leader says of node 2.
fn peer(matched: Index, next: Index) -> PeerStatus {
    PeerStatus {
        id: replica(2),
        matched,
        next,
        state: ProgressState::Replicate,
        active: true,
        inflight_appends: 0,
        inflight_bytes: 0,
    }
}

/// An entry with these voters.
fn members(term: Term, index: Index, voters: impl IntoIterator<Item = u64>) -> Entry {
    Entry {
        kind: EntryKind::Configuration,
        payload: Configuration::initial(voters.into_iter().map(NodeId)).encode(),
        ..entry(term, index)
    }
}
