//! Groups that must go on.

use super::*;

/// Bug 18 (etcd#8243, #8501, raft-rs#83).
///
/// - *Symptom*: a node with a higher term, or half a cluster in the middle of switching pre-vote
///   on, never gets a leader again.
/// - *Cause*: lower terms were ignored without an answer; a pre-candidate kept votes and leader
///   of its round before.
/// - *Cure*: every message of a lower term is answered with the higher one; a new round starts
///   with no votes and no leader.
#[test]
fn bug_18_a_leader_of_a_lower_term_learns_the_higher_one() {
    let mut raft = careful(initial(&[1, 7]));
    for message in [heartbeat(0, 1), append(id(1, 1), &[1], 0)] {
        let effects = step(&mut raft, from(2, 3, message));
        assert!(effects[0].starts_with("send n1.0->n2.0 t7 "), "{effects:?}");
    }
}

/// Bug 18 (etcd#8243, #8501, raft-rs#83).
///
/// - *Symptom*: a node with a higher term, or half a cluster in the middle of switching pre-vote
///   on, never gets a leader again.
/// - *Cause*: lower terms were ignored without an answer; a pre-candidate kept votes and leader
///   of its round before.
/// - *Cure*: every message of a lower term is answered with the higher one; a new round starts
///   with no votes and no leader.
#[test]
fn bug_18_a_new_pre_vote_starts_with_no_votes_and_no_leader() {
    let mut raft = careful(initial(&[1]));
    step(&mut raft, from(2, 1, heartbeat(0, 0)));
    step(&mut raft, timeout(TimeoutKind::Election));
    assert_eq!(raft.leader(), None);
    step(&mut raft, from(3, 1, vote_reply(VoteKind::Pre, false)));
    step(&mut raft, timeout(TimeoutKind::Election));
    step(&mut raft, from(2, 1, vote_reply(VoteKind::Pre, false)));
    assert_eq!(raft.role(), Role::PreCandidate, "one refusal in this round");
}

/// Bug 19 (openraft#1796).
///
/// - *Symptom*: after a partition during a change of the configuration nobody is ever elected.
/// - *Cause*: one half has the newer log, the other the higher term, and each refuses the other's
///   pre-vote.
/// - *Cure*: a refusal carries the term, and the pre-candidate takes it.
#[test]
fn bug_19_a_pre_candidate_takes_the_higher_term_of_a_refusal() {
    let mut raft = careful(initial(&[1]));
    step(&mut raft, timeout(TimeoutKind::Election));
    let effects = step(&mut raft, from(2, 6, vote_reply(VoteKind::Pre, false)));
    assert_eq!(effects, ["persist w6.1 term=6 []", "leader t6 none"]);
    let effects = step(&mut raft, timeout(TimeoutKind::Election));
    assert_eq!(effects, ["leader t6 none"], "asks once the term is durable");
    assert_eq!(
        step(&mut raft, persisted(6, 1))[0],
        "send n1.0->n2.0 t7 pre-vote last=1/1"
    );
}

/// Bug 21 (etcd#10998, raft-rs#57).
///
/// - *Symptom*: a group with a quorum elects nobody.
/// - *Cause*: a promoted learner that did not know it yet refused to vote.
/// - *Cure*: whoever is asked votes.
#[test]
fn bug_21_a_learner_that_does_not_know_of_its_promotion_votes() {
    let mut initial = initial(&[1]);
    let configuration = &mut initial.configurations[0];
    configuration.voters.remove(&replica(1));
    configuration.learners.insert(replica(1));
    let mut raft = Raft::new(config(1), initial, Instant(0), 0);
    step(&mut raft, from(2, 2, vote(VoteKind::Real, id(1, 1))));
    assert_eq!(
        step(&mut raft, persisted(2, 1)),
        ["send n1.0->n2.0 t2 vote granted"]
    );
}

/// Bug 22 (hashicorp#524, #526, #512).
///
/// - *Symptom*: a removed or restarted server deposes every leader.
/// - *Cause*: its higher term was taken over with its request for a vote.
/// - *Cure*: who hears a leader ignores requests for votes, term and all.
#[test]
fn bug_22_a_stranger_with_a_higher_term_deposes_nobody_who_hears_a_leader() {
    let mut raft = careful(initial(&[1]));
    step(&mut raft, from(2, 1, heartbeat(0, 0)));
    let effects = step_at(&mut raft, 500, from(9, 50, vote(VoteKind::Real, id(9, 9))));
    assert_eq!(effects, NOTHING);
    let mut raft = elect(careful_leader());
    let before = raft.clone();
    step(&mut raft, from(9, 50, vote(VoteKind::Real, id(9, 9))));
    assert_eq!(raft, before);
}

/// Bug 25 (etcd#14633).
///
/// - *Symptom*: a follower never gets another entry.
/// - *Cause*: the window was full and the answers that would open it were lost.
/// - *Cure*: the answer to a heartbeat makes the leader ask with an empty append; a lost
///   connection goes back to probing.
#[test]
fn bug_25_a_full_window_whose_answers_are_lost_is_probed() {
    let config = Config {
        max_inflight_appends: 1,
        ..config(1)
    };
    let mut raft = elect(Raft::new(config, initial(&[1]), Instant(0), 0));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, propose("a"));
    assert_eq!(sends(&step(&mut raft, propose("b"))), Vec::<&String>::new());
    // The append arrived, its answer did not: the probe is answered with a match.
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(0))),
        ["send n1.0->n2.0 t2 append prev=2/3 [] commit=0"]
    );
    assert_eq!(
        step(&mut raft, from(2, 2, matched(3))),
        ["send n1.0->n2.0 t2 append prev=2/3 [2/4 \"b\"] commit=0"]
    );
}

/// Bug 26 (openraft#1829, afd6508b, nexus#4247).
///
/// - *Symptom*: a follower never catches up.
/// - *Cause*: its snapshot was not sent because the leader's log was empty above the floor, or
///   the trigger was lost with a failed transfer.
/// - *Cure*: whoever needs what is gone gets a snapshot, again after each failure.
#[test]
fn bug_26_a_leader_whose_log_is_all_compacted_sends_its_snapshot() {
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    let last = id(1, 5);
    let purged = Initial {
        hard_state: HardState {
            term: 1,
            vote: None,
        },
        floor: last,
        snapshot: Some(SnapshotMeta {
            last,
            configuration: configuration.clone(),
        }),
        terms: vec![],
        last: 5,
        configurations: vec![configuration],
    };
    let mut raft = elect(Raft::new(config(1), purged, Instant(0), 0));
    let effects = step(&mut raft, from(2, 2, rejected(5, id(0, 0))));
    assert_eq!(effects, ["send-snapshot n2.0"]);
    // Its trigger is not lost with a failed transfer.
    let (to, delivered) = (replica(2), false);
    step(&mut raft, Input::SnapshotSent { to, delivered });
    step(&mut raft, from(2, 2, heartbeat_reply(0)));
    let effects = step(&mut raft, from(2, 2, rejected(5, id(0, 0))));
    assert_eq!(effects, ["send-snapshot n2.0"]);
}

/// Bug 27 (hashicorp#503, openraft#1810, #808).
///
/// - *Symptom*: a group makes no progress behind a leader with a hung disk, or behind one peer
///   that never answers.
/// - *Cause*: heartbeats need no disk; a call to the peer blocked the loop.
/// - *Cure*: a write that is under way for two checks ends leadership; each peer has its own
///   window.
#[test]
fn bug_27_a_hung_disk_ends_leadership() {
    let mut raft = elect(careful_leader());
    for _ in 0..2 {
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        step(&mut raft, timeout(TimeoutKind::Election));
    }
    assert_eq!(raft.role(), Role::Follower);
}

/// Bug 27 (hashicorp#503, openraft#1810, #808).
///
/// - *Symptom*: a group makes no progress behind a leader with a hung disk, or behind one peer
///   that never answers.
/// - *Cause*: heartbeats need no disk; a call to the peer blocked the loop.
/// - *Cure*: a write that is under way for two checks ends leadership; each peer has its own
///   window.
#[test]
fn bug_27_a_peer_that_never_answers_holds_up_nobody() {
    let config = Config {
        max_inflight_appends: 1,
        ..config(1)
    };
    let mut raft = elect(Raft::new(config, initial(&[1]), Instant(0), 0));
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    for sequence in 3..20 {
        step(&mut raft, propose("x"));
        step(&mut raft, persisted(2, sequence));
        step(&mut raft, from(2, 2, matched(sequence)));
    }
    let status = raft.status();
    assert_eq!(status.commit, 19);
    assert_eq!(status.peers[1].state, ProgressState::Probe);
    assert_eq!(status.peers[1].next, 2);
}

/// Bug 29 (etcd#16220, #21178, dragonboat#256, curvine#1551).
///
/// - *Symptom*: a node panics at every start, or at every heartbeat.
/// - *Cause*: its disk was wiped; or a snapshot was written without its hard state.
/// - *Cure*: acknowledged entries that are missing stop the group with a reason; an install
///   carries the hard state.
#[test]
fn bug_29_lost_data_stops_the_group_with_a_reason_and_installs_carry_the_hard_state() {
    let mut wiped = follower(&[]);
    let effects = step(&mut wiped, from(2, 3, heartbeat(7, 0)));
    assert_eq!(
        effects,
        [
            "fatal: n2.0 says that this replica acknowledged entry 7, but its log ends at 0/0: \
          acknowledged data is lost"
        ]
    );
    let mut behind = follower(&[]);
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    let effects = step(&mut behind, from(2, 3, snapshot(2, 7, configuration)));
    assert!(
        effects[0].starts_with("install-snapshot w3.1 term=3 2/7"),
        "{effects:?}"
    );
}

/// Bug 30 (openraft#1816, #1761).
///
/// - *Symptom*: a client waits for ever.
/// - *Cause*: the answer to its request was dropped with the role or the group.
/// - *Cure*: every proposal and every read ends in exactly one effect.
#[test]
fn bug_30_every_read_ends_also_when_the_group_stops() {
    let mut raft = leader(&[1]);
    step(&mut raft, read(1));
    let effects = step(&mut raft, from(2, 2, matched(99)));
    assert_eq!(effects[0], "read-refused r1: no leader is known");
    assert!(effects[1].starts_with("fatal: "), "{effects:?}");
    assert_eq!(
        step(&mut raft, read(2)),
        ["read-refused r2: no leader is known"]
    );
    assert_eq!(
        step(&mut raft, propose("x")),
        ["refused p1: no leader is known"]
    );
}
