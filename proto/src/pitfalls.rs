//! Bugs that other implementations had, each as a test. The numbers are those of the list in the
//! project's research on Raft; the ones about membership changes, leadership transfer and leases
//! come with those features, the ones about several replicas are in `tests/suite/pitfalls.rs`.

use crate::testing::{
    append, config, elect, entry, follower, from, heartbeat, heartbeat_reply, id, initial, leader,
    matched, persisted, propose, read, rejected, replica, step, step_at, vote, vote_reply,
};
use crate::{
    Config, Configuration, Entry, EntryKind, Envelope, GroupId, HardState, Initial, Input, Instant,
    Message, NodeId, ProgressState, Raft, ReplicaId, Role, SnapshotMeta, TimeoutKind, VoteKind,
};

const NOTHING: [&str; 0] = [];

fn timeout(kind: TimeoutKind) -> Input {
    Input::Timeout { kind, jitter: 0 }
}

/// Node 1 of three with pre-vote and check-quorum.
fn careful(initial: Initial) -> Raft {
    let config = Config {
        pre_vote: true,
        check_quorum: true,
        ..config(1)
    };
    Raft::new(config, initial, Instant(0), 0)
}

fn alone() -> Initial {
    let mut initial = initial(&[]);
    initial.configurations = vec![Configuration::initial([NodeId(1)])];
    initial
}

fn snapshot(term: u64, index: u64, configuration: Configuration) -> Message {
    let last = id(term, index);
    Message::Snapshot {
        meta: SnapshotMeta {
            last,
            configuration,
        },
    }
}

fn sends(effects: &[String]) -> Vec<&String> {
    effects.iter().filter(|e| e.starts_with("send ")).collect()
}

/// etcd#7625: a configuration that took effect when applied let a candidate count the wrong
/// voters. Here it is in force from its append.
#[test]
fn bug_02_a_candidate_counts_the_voters_of_a_configuration_it_has_not_applied() {
    let mut raft = follower(&[1]);
    let configuration = Entry {
        kind: EntryKind::Configuration,
        payload: Configuration::initial([1, 2, 3, 4, 5].map(NodeId)).encode(),
        ..entry(1, 2)
    };
    let append = Message::Append {
        prev: id(1, 1),
        entries: vec![configuration],
        commit: 0,
    };
    step(&mut raft, from(2, 1, append));
    let effects = step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(sends(&effects), Vec::<&String>::new());
    assert_eq!(
        step(&mut raft, persisted(2, 2)).len(),
        4,
        "asks four others"
    );
    step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, true)));
    assert_eq!(raft.role(), Role::Candidate, "two of five");
    step(&mut raft, from(5, 2, vote_reply(VoteKind::Real, true)));
    assert_eq!(raft.role(), Role::Leader);
}

/// etcd#14370: a sole voter applied what was not durable.
#[test]
fn bug_03_a_sole_voter_commits_nothing_before_it_is_durable() {
    let mut raft = Raft::new(config(1), alone(), Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(raft.role(), Role::Candidate, "not even its vote");
    step(&mut raft, persisted(1, 1));
    let effects = step(&mut raft, propose("a"));
    assert_eq!(effects, ["persist w1.3 [1/2 \"a\"]", "accepted p1 1/2"]);
    assert_eq!(raft.status().commit, 0);
    assert_eq!(step(&mut raft, persisted(1, 3)), ["commit 2"]);
}

/// logcabin#44, paper figure 8: counting copies of an older term's entry.
#[test]
fn bug_04_entries_of_older_terms_are_not_committed_by_counting() {
    let mut raft = leader(&[1, 1]);
    for node in [2, 3] {
        step(&mut raft, from(node, 2, matched(2)));
    }
    assert_eq!(raft.status().commit, 0);
}

/// hashicorp#695: between winning and setting up replication the term moved on, and the old
/// leader sent its entries in a term it never led.
#[test]
fn bug_05_a_deposed_leader_says_nothing_as_leader_of_the_new_term() {
    let mut raft = leader(&[1]);
    step(&mut raft, from(2, 2, matched(1)));
    step(&mut raft, from(3, 5, vote(VoteKind::Real, id(1, 0))));
    let (to, entries) = (replica(2), vec![entry(1, 1)]);
    let late = [
        persisted(5, 3),
        propose("x"),
        timeout(TimeoutKind::Heartbeat),
        Input::LogRead { to, entries },
        from(2, 2, matched(2)),
        from(2, 5, matched(2)),
        from(2, 5, heartbeat_reply(0)),
    ];
    for input in late {
        let effects = step(&mut raft, input);
        let leads = |e: &String| e.contains("append") || e.contains("heartbeat ");
        assert!(!effects.iter().any(leads), "{effects:?}");
    }
}

/// hashicorp#661: term and vote in separate writes let a crash between them vote twice.
#[test]
fn bug_06_term_and_vote_are_one_write() {
    let mut raft = follower(&[1]);
    let effects = step(&mut raft, from(2, 4, vote(VoteKind::Real, id(1, 1))));
    assert_eq!(effects[0], "persist w4.1 term=4 vote=n2.0 []");
    assert_eq!(sends(&effects), Vec::<&String>::new());
    // After a crash, the write is there as a whole, or the vote was never given.
    let voted = HardState {
        term: 4,
        vote: Some(replica(2)),
    };
    let restarted = Initial {
        hard_state: voted,
        ..initial(&[1])
    };
    let mut raft = Raft::new(config(1), restarted, Instant(0), 0);
    assert_eq!(
        step(&mut raft, from(3, 4, vote(VoteKind::Real, id(1, 1)))),
        ["send n1.0->n3.0 t4 vote refused"]
    );
}

/// Stores acknowledged before their fsync (robustmq#2039 and others): here nothing can, because
/// the acknowledgement is made by the completion.
#[test]
fn bug_07_nothing_is_acknowledged_before_it_is_durable() {
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    let claims = [
        append(id(1, 1), &[2], 0),
        vote(VoteKind::Real, id(1, 1)),
        snapshot(2, 9, configuration),
    ];
    for claim in claims {
        let mut raft = follower(&[1]);
        let effects = step(&mut raft, from(2, 2, claim));
        assert_eq!(sends(&effects), Vec::<&String>::new(), "{effects:?}");
        assert_eq!(sends(&step(&mut raft, persisted(2, 1))).len(), 1);
    }
}

/// openraft#1220: a higher vote that was merely seen was stored as given.
#[test]
fn bug_08_a_refused_vote_is_not_recorded_as_given() {
    let mut raft = leader(&[1, 1]);
    step(&mut raft, from(2, 7, vote(VoteKind::Real, id(1, 1))));
    let expected = HardState {
        term: 7,
        vote: None,
    };
    assert_eq!(raft.status().hard_state, expected);
}

/// openraft (cecb5de8), databend#7833: acknowledgements from before a log was reverted counted,
/// and a snapshot left a conflicting tail and an old configuration behind.
#[test]
fn bug_09_reverted_logs_leave_no_acknowledgement_tail_or_configuration() {
    // Given: entries on their way to the disk, acknowledged once durable.
    let mut raft = follower(&[1]);
    step(&mut raft, from(2, 1, append(id(1, 1), &[1, 1, 1], 0)));
    // When: the next leader's snapshot replaces them.
    let configuration = Configuration::initial([2, 3].map(NodeId));
    step(&mut raft, from(3, 2, snapshot(2, 2, configuration.clone())));
    // Then: nothing of them is left.
    assert_eq!(step(&mut raft, persisted(1, 1)), NOTHING);
    assert_eq!(raft.status().last, id(2, 2));
    assert_eq!(raft.status().configuration, configuration);
    assert_eq!(raft.cached(3, 4, 100), None);

    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    assert_eq!(step(&mut raft, from(2, 1, matched(2))), NOTHING);
    assert_eq!(raft.status().peers[0].matched, 0);
}

/// CCF#5325: the probe's position was kept in the match index and committed from.
#[test]
fn bug_10_a_probe_that_is_out_proves_nothing() {
    let mut raft = leader(&[1, 1, 1]);
    step(&mut raft, persisted(2, 2));
    for node in [2, 3] {
        step(&mut raft, from(node, 2, rejected(3, id(1, 2))));
        step(&mut raft, from(node, 2, heartbeat_reply(0)));
    }
    let peer = raft.status().peers[0];
    assert_eq!((peer.matched, peer.next), (0, 3));
    assert_eq!(raft.status().commit, 0);
}

/// etcd#12631, raft-rs#472: a snapshot was refused because the replica was not among the voters
/// it knew, or only among the outgoing ones.
#[test]
fn bug_11_a_snapshot_is_installed_whatever_the_configurations_say() {
    let mut joint = Configuration::initial([4, 5].map(NodeId));
    joint.outgoing = [replica(1), replica(2)].into();
    let strangers = Configuration::initial([7, 8, 9].map(NodeId));
    for configuration in [joint, strangers] {
        let mut raft = follower(&[1]);
        step(&mut raft, from(7, 2, snapshot(2, 9, configuration.clone())));
        assert_eq!(raft.status().configuration, configuration);
    }
}

/// openraft#1511: a restarted leader went on leading.
#[test]
fn bug_12_a_restarted_leader_is_a_follower() {
    let restarted = Initial {
        hard_state: HardState {
            term: 2,
            vote: Some(replica(1)),
        },
        ..initial(&[1, 2])
    };
    let mut raft = Raft::new(config(1), restarted, Instant(0), 0);
    assert_eq!((raft.role(), raft.leader()), (Role::Follower, None));
    assert_eq!(
        step(&mut raft, propose("x")),
        ["refused p1: no leader is known"]
    );
}

/// etcd#7331, #12680: reads before the first commit of a term were stale, then dropped.
#[test]
fn bug_13_reads_before_the_first_commit_of_the_term_wait_and_are_not_dropped() {
    let mut raft = leader(&[1, 1]);
    assert_eq!(step(&mut raft, read(1)), NOTHING);
    step(&mut raft, from(2, 2, heartbeat_reply(0)));
    step(&mut raft, from(2, 2, matched(3)));
    let effects = step(&mut raft, from(3, 2, matched(3)));
    assert!(effects.iter().any(|e| e.contains("round=1")), "{effects:?}");
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(1))),
        ["read-ready r1 index=3"]
    );
}

/// etcd#20418: rounds were named by the client's request, so that a retried request was confirmed
/// by the echo of the first try.
#[test]
fn bug_14_the_echo_of_an_earlier_round_does_not_confirm_a_retried_read() {
    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, read(1));
    step(&mut raft, from(2, 2, heartbeat_reply(1)));
    // The client tries again under the same name; node 3's echo of the first round is late.
    step(&mut raft, read(1));
    let late = step(&mut raft, from(3, 2, heartbeat_reply(1)));
    assert!(!late.iter().any(|e| e.starts_with("read-")), "{late:?}");
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(2))),
        ["read-ready r1 index=2"]
    );
}

/// hashicorp#603: leadership was verified before the index was taken.
#[test]
fn bug_16_the_read_point_is_taken_before_leadership_is_confirmed() {
    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, propose("a"));
    step(&mut raft, read(1));
    step(&mut raft, from(2, 2, matched(3)));
    step(&mut raft, from(3, 2, matched(3)));
    assert_eq!(raft.status().commit, 3);
    assert_eq!(
        step(&mut raft, from(2, 2, heartbeat_reply(1))),
        ["read-ready r1 index=2"]
    );
}

/// etcd-raft#105: a restarted sole voter served reads at the index it had restarted with.
#[test]
fn bug_17_a_restarted_sole_voter_reads_at_its_new_no_op() {
    let restarted = Initial {
        hard_state: HardState {
            term: 1,
            vote: Some(replica(1)),
        },
        terms: vec![id(1, 1)],
        last: 5,
        ..alone()
    };
    let mut raft = Raft::new(config(1), restarted, Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    step(&mut raft, persisted(2, 1));
    assert_eq!(step(&mut raft, read(1)), NOTHING);
    assert_eq!(
        step(&mut raft, persisted(2, 2)),
        ["read-ready r1 index=6", "commit 6"]
    );
}

/// etcd#8243: with pre-vote and check-quorum, a replica of a higher term was never answered.
#[test]
fn bug_18_a_leader_of_a_lower_term_learns_the_higher_one() {
    let mut raft = careful(initial(&[1, 7]));
    for message in [heartbeat(0, 1), append(id(1, 1), &[1], 0)] {
        let effects = step(&mut raft, from(2, 3, message));
        assert!(effects[0].starts_with("send n1.0->n2.0 t7 "), "{effects:?}");
    }
}

/// raft-rs#83: a pre-candidate kept the votes of an earlier round, and its leader.
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

/// openraft#1796: two halves refused each other's pre-votes for ever; a refusal carries the term
/// that makes them meet.
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

/// etcd#10998: a promoted learner that did not know it yet refused to vote.
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

/// hashicorp#524: a removed server with a higher term deposed every leader.
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

/// Check-quorum, but no pre-vote, so that it can be elected in one round.
fn careful_leader() -> Raft {
    let config = Config {
        check_quorum: true,
        ..config(1)
    };
    Raft::new(config, initial(&[1]), Instant(0), 0)
}

/// etcd#14633: the window was full, its answers lost, and nothing was ever sent again.
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

/// openraft (afd6508b), #1829: a follower behind a fully purged log never got a snapshot.
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

/// hashicorp#503: a leader with a hung disk kept its leadership by heartbeats.
#[test]
fn bug_27_a_hung_disk_ends_leadership() {
    let mut raft = elect(careful_leader());
    for _ in 0..2 {
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        step(&mut raft, timeout(TimeoutKind::Election));
    }
    assert_eq!(raft.role(), Role::Follower);
}

/// raft-rs#571: after remove and re-add, answers of the old replica counted for the new one.
#[test]
fn bug_28_a_node_that_was_removed_and_added_again_is_another_replica() {
    let reborn = ReplicaId {
        node: NodeId(2),
        born: 1,
    };
    let mut initial = initial(&[1]);
    let voters = [replica(1), reborn, replica(3)];
    initial.configurations[0].voters = voters.into();
    let mut raft = Raft::new(config(1), initial, Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    step(&mut raft, persisted(2, 1));
    step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, true)));
    assert_eq!(raft.role(), Role::Candidate, "the old replica has no vote");
    let granted = Envelope {
        group: GroupId(7),
        from: reborn,
        to: replica(1),
        term: 2,
        message: vote_reply(VoteKind::Real, true),
    };
    step(&mut raft, Input::Received(granted));
    assert_eq!(raft.role(), Role::Leader);
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, matched(2)));
    assert_eq!(raft.status().commit, 0, "nor does its log count");
}

/// etcd#16220, curvine#1551: a wiped disk, or a snapshot without its hard state, made the process
/// panic for ever.
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

/// openraft#1816: a responder was dropped and its client waited for ever.
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

/// matrixone#24966: an imported snapshot renamed the configuration to the snapshot's index, and
/// compare-and-swap on it split the membership.
#[test]
fn bug_31_a_snapshot_keeps_the_index_of_its_configuration() {
    let mut raft = follower(&[1]);
    let configuration = Configuration {
        index: 4,
        ..Configuration::initial([1, 2].map(NodeId))
    };
    step(&mut raft, from(2, 2, snapshot(2, 9, configuration)));
    assert_eq!(raft.status().configuration.index, 4);
    assert_eq!(raft.configuration_at(9).map(|c| c.index), Some(4));
}

/// A hung peer (openraft#1810) holds up nobody else: its window fills and stays its own.
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
