//! Entries, votes and configurations that must not be lost, or counted twice.

use super::*;

/// Bug 2 (etcd#7625).
///
/// - *Symptom*: a candidate wins with a majority of voters that are none any more.
/// - *Cause*: a configuration took effect when it was applied, and the candidate had not applied
///   it yet.
/// - *Cure*: a configuration is in force from its append.
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

/// Bug 3 (etcd#14370, #10508).
///
/// - *Symptom*: a single node that crashes has lost what it had applied and answered.
/// - *Cause*: with nobody to wait for, entries were committed at append, before the own disk had
///   them.
/// - *Cure*: a leader counts its own log only as far as it is durable, a candidate its own vote
///   likewise.
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

/// Bug 4 (logcabin#44, paper figure 8).
///
/// - *Symptom*: a committed entry is overwritten by a later leader.
/// - *Cause*: a leader counted copies of an older term's entry.
/// - *Cure*: only an entry of the own term is committed by counting; those before it come along.
#[test]
fn bug_04_entries_of_older_terms_are_not_committed_by_counting() {
    let mut raft = leader(&[1, 1]);
    for node in [2, 3] {
        step(&mut raft, from(node, 2, matched(2)));
    }
    assert_eq!(raft.status().commit, 0);
}

/// Bug 5 (hashicorp#695).
///
/// - *Symptom*: logs diverge: entries carry a term that their leader never led.
/// - *Cause*: heartbeats ran beside the state machine and moved the term between winning and
///   setting up replication.
/// - *Cure*: all terms change in one place, and a message carries the term in which it was made.
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

/// Bug 6 (hashicorp#661).
///
/// - *Symptom*: a server votes twice in one term after a crash.
/// - *Cause*: term and vote were separate writes.
/// - *Cure*: they are one record in one write.
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

/// Bug 7 (robustmq#2039, ahnlich#387, hiqlite#361).
///
/// - *Symptom*: acknowledged entries are gone after a power failure.
/// - *Cause*: the interface let a store acknowledge before its fsync.
/// - *Cure*: an acknowledgement is made by the completion of the write, and by nothing else.
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

/// Bug 8 (openraft#1220).
///
/// - *Symptom*: a candidate whose log is behind is elected.
/// - *Cause*: a higher term that a refusing voter had merely seen was stored as its vote.
/// - *Cure*: a refusal moves the term and gives no vote.
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

/// Bug 9 (openraft cecb5de8, #1808, #1894, databend#7833).
///
/// - *Symptom*: entries are committed that only one replica holds; a snapshot leaves a tail and a
///   configuration of another history.
/// - *Cause*: an acknowledgement from before the log was reverted was counted, and installing
///   replaced only a part.
/// - *Cure*: writes are named by term and sequence, a truncation takes back what they promise,
///   and a snapshot replaces all of log and configurations.
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

/// Bug 10 (CCF#5325).
///
/// - *Symptom*: an entry is committed that no follower holds.
/// - *Cause*: the position of a probe was kept in the match index.
/// - *Cure*: match is proof and next is hope: two fields, and never one from the other.
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

/// Bug 11 (etcd#12631, #13741, raft-rs#472).
///
/// - *Symptom*: a replica never catches up: it refuses every snapshot.
/// - *Cause*: it looked for itself among the voters of the configuration it knew, or of the
///   incoming half only.
/// - *Cure*: a snapshot of the leader is installed whatever the configurations say.
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

/// Bug 12 (openraft#1511, #1385).
///
/// - *Symptom*: a restarted leader serves what it no longer has.
/// - *Cause*: it went on leading in the term of before its restart.
/// - *Cure*: every replica starts as a follower.
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

/// Bug 28 (raft-rs#571, etcd-io/raft#349).
///
/// - *Symptom*: entries are committed that a re-added node does not hold; it votes twice.
/// - *Cause*: answers of the removed replica counted for the new one.
/// - *Cure*: a member is a replica: node and entry that added it, on both ends of every message.
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

/// Bug 31 (matrixone#24966).
///
/// - *Symptom*: two halves of the members each believe that they are the group.
/// - *Cause*: an imported snapshot named the configuration after itself, and compare-and-swap
///   took it for the newest.
/// - *Cure*: a configuration keeps the index of its entry.
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
