//! Membership changes by their exact effects.

use bytes::Bytes;

use crate::testing::{
    append, change, config, elect, follower, from, heartbeat, heartbeat_reply, id, initial, leader,
    matched, persisted, propose, read, rejected, replica, sets, step, vote, vote_reply,
};
use crate::{
    Change, ChangeRefusal, Config, Configuration, ConfigurationChange, Envelope, GroupId, Initial,
    Input, Instant, Message, NodeId, ProposalId, Raft, ReplicaId, Role, SnapshotMeta, TimeoutKind,
    Transition, VoteKind,
};
use Change::{Learner, Remove, Voter, Witness};

const NOTHING: [&str; 0] = [];

fn node(node: u64) -> NodeId {
    NodeId(node)
}

fn of(index: u64, nodes: &[u64]) -> Configuration {
    Configuration {
        index,
        ..Configuration::initial(nodes.iter().copied().map(NodeId))
    }
}

/// Node 1 of 1, 2 and 3, leader of term 2 whose no-op at 2 is committed everywhere.
fn serving() -> Raft {
    commit_opening(leader(&[1]))
}

fn commit_opening(mut raft: Raft) -> Raft {
    step(&mut raft, persisted(2, 2));
    for peer in [2, 3] {
        step(&mut raft, from(peer, 2, matched(2)));
    }
    raft
}

/// Like [`serving`], with a joint configuration at 3 that leaves node 3 for node 4.
fn replacing() -> Raft {
    let mut raft = serving();
    step(&mut raft, change(&[Voter(node(4)), Remove(node(3))]));
    step(&mut raft, persisted(2, 3));
    raft
}

fn refused(raft: &mut Raft, change: ConfigurationChange) -> String {
    let id = ProposalId(1);
    let effects = step(raft, Input::ChangeConfiguration { id, change });
    assert_eq!(effects.len(), 1, "{effects:?}");
    effects.into_iter().next().expect("one effect")
}

fn asking(changes: &[Change], transition: Transition) -> ConfigurationChange {
    ConfigurationChange {
        expect: None,
        changes: changes.to_vec(),
        transition,
    }
}

fn why(refusal: ChangeRefusal) -> String {
    format!("refused p1: {refusal}")
}

fn peers(raft: &Raft) -> Vec<String> {
    let peers = raft.status().peers;
    peers.iter().map(|peer| peer.id.to_string()).collect()
}

#[test]
fn a_new_member_is_fed_and_counted_from_the_append_of_its_configuration() {
    let mut raft = serving();
    assert_eq!(
        step(&mut raft, change(&[Voter(node(4))])),
        [
            "persist w2.3 [2/3 configuration]",
            "send n1.0->n2.0 t2 append prev=2/2 [2/3 configuration] commit=2",
            "send n1.0->n3.0 t2 append prev=2/2 [2/3 configuration] commit=2",
            "send n1.0->n4.3 t2 append prev=2/2 [2/3 configuration] commit=2",
            "accepted p1 2/3"
        ]
    );
    step(&mut raft, persisted(2, 3));
    assert_eq!(
        step(&mut raft, from(2, 2, matched(3))),
        NOTHING,
        "two of four"
    );
    assert_eq!(
        step(&mut raft, from(3, 2, matched(3))),
        [
            "send n1.0->n2.0 t2 append prev=2/3 [] commit=3",
            "send n1.0->n3.0 t2 append prev=2/3 [] commit=3",
            "commit 3",
            "configuration-committed 3 voters=(n1.0 n2.0 n3.0 n4.3)"
        ]
    );
}

#[test]
fn a_change_that_is_not_due_is_refused_with_its_reason() {
    let mut raft = serving();
    let expected = ConfigurationChange {
        expect: Some(9),
        ..asking(&[Voter(node(4))], Transition::Auto)
    };
    let (expected_index, actual) = (9, 0);
    assert_eq!(
        refused(&mut raft, expected),
        why(ChangeRefusal::Changed {
            expected: expected_index,
            actual
        })
    );
    let leave = asking(&[], Transition::Auto);
    assert_eq!(refused(&mut raft, leave), why(ChangeRefusal::NotJoint));
    let nobody = asking(&[1, 2, 3].map(|n| Remove(node(n))), Transition::Auto);
    assert_eq!(refused(&mut raft, nobody), why(ChangeRefusal::NoVoters));

    step(&mut raft, change(&[Voter(node(4)), Remove(node(3))]));
    let next = asking(&[Learner(node(5))], Transition::Auto);
    let in_progress = why(ChangeRefusal::InProgress { index: 3 });
    assert_eq!(refused(&mut raft, next.clone()), in_progress);
    let mut follower = follower(&[1]);
    assert_eq!(
        refused(&mut follower, next),
        "refused p1: no leader is known"
    );
}

#[test]
fn a_change_is_made_only_of_the_configuration_that_the_caller_expects() {
    let mut raft = serving();
    let learner = ConfigurationChange {
        expect: Some(0),
        ..asking(&[Learner(node(4))], Transition::Auto)
    };
    let id = ProposalId(1);
    let change = learner.clone();
    let effects = step(&mut raft, Input::ChangeConfiguration { id, change });
    assert_eq!(effects.last().map(String::as_str), Some("accepted p1 2/3"));
    let (expected, actual) = (0, 3);
    assert_eq!(
        refused(&mut raft, learner),
        why(ChangeRefusal::Changed { expected, actual }),
        "the same again"
    );
}

/// Ongaro 2015: two leaders that each change one voter of a configuration before they committed
/// anything end up with majorities that do not meet.
#[test]
fn bug_01_no_change_before_an_entry_of_the_own_term_is_committed() {
    let mut raft = leader(&[1]);
    step(&mut raft, persisted(2, 2));
    let learner = asking(&[Learner(node(4))], Transition::Auto);
    assert_eq!(
        refused(&mut raft, learner.clone()),
        why(ChangeRefusal::NotReady)
    );
    step(&mut raft, from(2, 2, matched(1)));
    assert_eq!(
        refused(&mut raft, learner),
        why(ChangeRefusal::NotReady),
        "an older entry is not enough"
    );
    step(&mut raft, from(2, 2, matched(2)));
    let effects = step(&mut raft, change(&[Learner(node(4))]));
    assert_eq!(effects.last().map(String::as_str), Some("accepted p1 2/3"));
}

#[test]
fn a_joint_configuration_is_left_as_soon_as_it_is_committed_by_both_halves() {
    let mut raft = replacing();
    assert_eq!(
        step(&mut raft, from(3, 2, matched(3))),
        NOTHING,
        "a majority of the outgoing half only"
    );
    assert_eq!(
        step(&mut raft, from(2, 2, matched(3))),
        [
            "persist w2.4 [2/4 configuration]",
            "send n1.0->n2.0 t2 append prev=2/3 [] commit=3",
            "send n1.0->n3.0 t2 append prev=2/3 [] commit=3",
            "send n1.0->n2.0 t2 append prev=2/3 [2/4 configuration] commit=3",
            "send n1.0->n3.0 t2 append prev=2/3 [2/4 configuration] commit=3",
            "commit 3",
            "configuration-committed 3 voters=(n1.0 n2.0 n4.3)&&(n1.0 n2.0 n3.0) autoleave"
        ]
    );
    let configuration = raft.status().configuration;
    assert_eq!(configuration.to_string(), "voters=(n1.0 n2.0 n4.3)");
}

#[test]
fn an_explicit_joint_configuration_stays_until_it_is_asked_to_leave() {
    let mut raft = serving();
    let id = ProposalId(1);
    let change = asking(&[Voter(node(4))], Transition::Explicit);
    step(&mut raft, Input::ChangeConfiguration { id, change });
    step(&mut raft, persisted(2, 3));
    let effects = step(&mut raft, from(2, 2, matched(3)));
    assert!(effects.iter().all(|e| !e.starts_with("persist")));
    step(&mut raft, from(3, 2, matched(3)));
    let again = asking(&[Voter(node(5))], Transition::Auto);
    assert_eq!(refused(&mut raft, again), why(ChangeRefusal::Joint));

    let change = asking(&[], Transition::Auto);
    let effects = step(&mut raft, Input::ChangeConfiguration { id, change });
    assert_eq!(effects[0], "persist w2.4 [2/4 configuration]");
    assert!(!raft.status().configuration.is_joint());
}

/// etcd#14538, raft-rs: the leader that entered the joint configuration was to leave it, and no
/// other did.
#[test]
fn bug_32_a_new_leader_leaves_the_joint_configuration_of_another() {
    // Given: a follower that knows of a joint configuration, of which it leads the next term.
    let mut raft = follower(&[1]);
    let joint = of(0, &[1, 2, 3])
        .enter_joint(2, true, &[Remove(node(3)), Learner(node(2))])
        .expect("joint");
    let entries = vec![sets(1, 2, &joint)];
    let (prev, commit) = (id(1, 1), 2);
    let message = Message::Append {
        prev,
        entries,
        commit,
    };
    step(&mut raft, from(2, 1, message));
    step(&mut raft, persisted(1, 1));
    step(&mut raft, Input::Campaign { jitter: 0 });
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, true)));
    assert_eq!(raft.role(), Role::Leader);
    // When: it commits its first entry.
    step(&mut raft, persisted(2, 3));
    let effects = step(&mut raft, from(3, 2, matched(3)));
    // Then
    assert_eq!(effects[0], "persist w2.4 [2/4 configuration]");
    let configuration = raft.status().configuration;
    assert_eq!(configuration.to_string(), "voters=(n1.0) learners=(n2.0)");
}

#[test]
fn bug_32_a_leader_that_could_not_leave_the_joint_configuration_tries_again() {
    let mut raft = replacing();
    // Given: the disk hangs, and the queue of writes is full.
    let mut last = 3;
    while step(&mut raft, propose("")).last().map(String::as_str) != Some("refused p1: busy") {
        last += 1;
    }
    // When: the joint configuration is committed.
    step(&mut raft, from(2, 2, matched(3)));
    let effects = step(&mut raft, from(3, 2, matched(3)));
    assert!(!effects.iter().any(|e| e.starts_with("persist")));
    assert!(raft.status().configuration.is_joint());
    // Then: it is left once there is room.
    let effects = step(&mut raft, persisted(2, 4));
    let leaving = format!("[2/{} configuration]", last + 1);
    assert!(effects[0].ends_with(&leaving), "{}", effects[0]);
}

#[test]
fn a_removed_member_is_told_of_its_removal_and_then_forgotten() {
    let mut raft = serving();
    step(&mut raft, change(&[Remove(node(3))]));
    step(&mut raft, persisted(2, 3));
    assert_eq!(peers(&raft), ["n2.0", "n3.0"]);
    let effects = step(&mut raft, from(2, 2, matched(3)));
    assert!(
        effects.contains(&"send n1.0->n3.0 t2 append prev=2/3 [] commit=3".to_owned()),
        "{effects:?}"
    );
    assert_eq!(peers(&raft), ["n2.0", "n3.0"], "it has not answered");
    step(&mut raft, from(3, 2, matched(3)));
    assert_eq!(peers(&raft), ["n2.0"]);
    assert_eq!(raft.contacts(), [node(2)]);
}

#[test]
fn a_removed_member_that_does_not_answer_is_forgotten_at_the_next_quorum_check() {
    let mut raft = serving();
    step(&mut raft, change(&[Remove(node(3))]));
    step(&mut raft, persisted(2, 3));
    let (kind, jitter) = (TimeoutKind::Election, 0);
    step(&mut raft, Input::Timeout { kind, jitter });
    assert_eq!(peers(&raft), ["n2.0", "n3.0"], "it is not committed");
    step(&mut raft, from(2, 2, matched(3)));
    step(&mut raft, Input::Timeout { kind, jitter });
    assert_eq!(peers(&raft), ["n2.0"]);
}

/// etcd#11038: a removed leader went on sending heartbeats. etcd-raft#77: it stepped down when
/// another configuration was committed than the one that removes it.
#[test]
fn bug_23_a_removed_leader_steps_down_when_the_final_configuration_is_committed() {
    let mut raft = serving();
    let steps = [Remove(node(1)), Voter(node(4))];
    step(&mut raft, change(&steps));
    step(&mut raft, persisted(2, 3));
    step(&mut raft, from(2, 2, matched(3)));
    let joint = step(&mut raft, from(3, 2, matched(3)));
    assert_eq!(joint[0], "persist w2.4 [2/4 configuration]");
    step(&mut raft, persisted(2, 4));
    assert_eq!(raft.role(), Role::Leader, "who else leaves the joint one?");

    step(&mut raft, from(2, 2, matched(4)));
    assert_eq!(
        raft.role(),
        Role::Leader,
        "one of three, not counting itself"
    );
    assert_eq!(
        step(&mut raft, from(3, 2, matched(4))),
        [
            "send n1.0->n2.0 t2 append prev=2/4 [] commit=4",
            "send n1.0->n3.0 t2 append prev=2/4 [] commit=4",
            "send n1.0->n2.0 t2 timeout-now",
            "commit 4",
            "configuration-committed 4 voters=(n2.0 n3.0 n4.3)",
            "leader t2 none"
        ]
    );
    let campaign = step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(campaign, NOTHING, "nor does it campaign again");
}

#[test]
fn a_demoted_leader_steps_down_and_learns_on() {
    let mut raft = serving();
    step(&mut raft, change(&[Learner(node(1))]));
    step(&mut raft, persisted(2, 3));
    step(&mut raft, from(2, 2, matched(3)));
    step(&mut raft, from(3, 2, matched(3)));
    assert_eq!(raft.role(), Role::Follower);
    let effects = step(&mut raft, from(3, 3, append(id(2, 3), &[3], 3)));
    assert_eq!(effects[0], "persist w3.4 term=3 [3/4 \"e4\"]");
}

#[test]
fn a_removed_leader_hands_over_to_no_witness_and_to_no_learner() {
    let mut known = initial(&[1]);
    known.configurations[0].witnesses = [replica(3)].into();
    known.configurations[0].learners = [replica(4)].into();
    let mut raft = commit_opening(elect(Raft::new(config(1), known, Instant(0), 0)));
    step(&mut raft, change(&[Remove(node(1))]));
    for peer in [3, 4, 2] {
        let effects = step(&mut raft, from(peer, 2, matched(3)));
        let asked: Vec<_> = effects.iter().filter(|e| e.contains("timeout")).collect();
        let expected = (peer == 2).then_some("send n1.0->n2.0 t2 timeout-now");
        assert_eq!(asked, Vec::from_iter(expected));
    }
}

/// Committed at 2: nodes 1, 2 and 4; node 3 is out.
fn without_three() -> Raft {
    let mut known = initial(&[1, 1]);
    known.configurations.push(of(2, &[1, 2, 4]));
    let mut raft = Raft::new(config(1), known, Instant(0), 0);
    step(&mut raft, from(2, 1, heartbeat(2, 0)));
    raft
}

/// hashicorp#524, #526: a removed server with a higher term deposed every leader. Here without
/// check-quorum, whose stickiness would hide it.
#[test]
fn bug_22_a_replica_whose_removal_is_committed_gets_no_vote_and_its_term_does_not_count() {
    let mut raft = without_three();
    for (kind, name) in [
        (VoteKind::Pre, "pre-vote"),
        (VoteKind::Real, "vote"),
        (VoteKind::Transfer, "transfer-vote"),
    ] {
        assert_eq!(
            step(&mut raft, from(3, 9, vote(kind, id(1, 9)))),
            [format!("send n1.0->n3.0 t1 {name} refused")],
        );
    }
    for message in [matched(2), rejected(2, id(1, 1)), heartbeat_reply(0)] {
        assert_eq!(step(&mut raft, from(3, 9, message)), NOTHING);
    }
    assert_eq!(raft.status().hard_state.term, 1);
    assert_eq!(raft.leader(), Some(replica(2)));
}

#[test]
fn a_removed_leader_is_followed_until_another_is_elected() {
    let mut raft = without_three();
    let effects = step(&mut raft, from(3, 2, append(id(1, 2), &[2], 2)));
    assert_eq!(
        effects,
        ["persist w2.1 term=2 [2/3 \"e3\"]", "leader t2 n3.0"]
    );
}

#[test]
fn a_replica_whose_removal_is_not_committed_still_gets_votes() {
    let mut known = initial(&[1, 1]);
    known.configurations.push(of(2, &[1, 2, 4]));
    let mut raft = Raft::new(config(1), known, Instant(0), 0);
    step(&mut raft, from(3, 2, vote(VoteKind::Real, id(1, 2))));
    assert_eq!(
        step(&mut raft, persisted(2, 1)),
        ["send n1.0->n3.0 t2 vote granted"]
    );
}

#[test]
fn a_node_that_was_added_again_gets_votes_where_its_return_is_not_known() {
    let mut raft = without_three();
    let again = ReplicaId {
        born: 7,
        ..replica(3)
    };
    let ask = Input::Received(Envelope {
        group: GroupId(7),
        from: again,
        to: replica(1),
        term: 2,
        message: vote(VoteKind::Real, id(1, 9)),
    });
    step(&mut raft, ask);
    assert_eq!(
        step(&mut raft, persisted(2, 1)),
        ["send n1.0->n3.7 t2 vote granted"]
    );
}

#[test]
fn a_replica_whose_removal_is_committed_votes_and_answers_but_does_not_campaign() {
    let mut known = initial(&[1, 1]);
    known.configurations.push(of(2, &[2, 3]));
    let mut raft = Raft::new(config(1), known, Instant(0), 0);
    let effects = step(&mut raft, from(2, 1, heartbeat(2, 4)));
    assert_eq!(
        effects,
        [
            "send n1.0->n2.0 t1 heartbeat-reply round=4",
            "commit 2",
            "configuration-committed 2 voters=(n2.0 n3.0)",
            "leader t1 n2.0"
        ]
    );
    step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(raft.role(), Role::Follower);
    assert_eq!(raft.status().hard_state.term, 1);
    step(&mut raft, from(3, 2, vote(VoteKind::Real, id(1, 2))));
    let effects = step(&mut raft, persisted(2, 1));
    assert_eq!(effects, ["send n1.0->n3.0 t2 vote granted"]);
}

/// It may have the longest log, and it votes in the joint configuration that the others have.
#[test]
fn a_restarted_replica_campaigns_though_it_votes_only_between_the_known_commit_and_the_last() {
    let learner = of(2, &[1, 2, 3])
        .simple(3, &[Learner(node(1))])
        .expect("one voter");
    let known = Initial {
        configurations: vec![of(0, &[2, 3]), of(2, &[1, 2, 3]), learner],
        ..initial(&[1, 1, 1])
    };
    let mut raft = Raft::new(config(1), known, Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(raft.role(), Role::Candidate);

    step(&mut raft, from(2, 1, heartbeat(3, 0)));
    step(&mut raft, from(2, 2, heartbeat(3, 0)));
    step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(raft.role(), Role::Follower, "its demotion is committed");
}

/// Of an addition that was overwritten.
#[test]
fn a_replica_whose_addition_never_was_is_nobody_once_its_index_is_committed() {
    let mut raft = follower(&[1, 1, 1]);
    let never = ReplicaId {
        born: 3,
        ..replica(4)
    };
    let ask = || {
        Input::Received(Envelope {
            group: GroupId(7),
            from: never,
            to: replica(1),
            term: 9,
            message: vote(VoteKind::Real, id(2, 3)),
        })
    };
    step(&mut raft, from(2, 1, heartbeat(2, 0)));
    let mut early = raft.clone();
    step(&mut early, ask());
    assert_eq!(early.status().hard_state.term, 9);
    step(&mut raft, from(2, 1, heartbeat(3, 0)));
    assert_eq!(step(&mut raft, ask()), ["send n1.0->n4.3 t1 vote refused"]);
}

#[test]
fn a_change_that_is_overwritten_leaves_no_trace() {
    let mut raft = follower(&[1]);
    let entries = vec![sets(1, 2, &of(2, &[2, 3]))];
    let (prev, commit) = (id(1, 1), 0);
    let message = Message::Append {
        prev,
        entries,
        commit,
    };
    step(&mut raft, from(2, 1, message));
    assert!(!raft.status().configuration.is_voter(replica(1)));
    let effects = step(&mut raft, from(3, 2, append(id(1, 1), &[2], 2)));
    assert_eq!(raft.status().configuration, of(0, &[1, 2, 3]));
    assert!(
        !effects
            .iter()
            .any(|e| e.contains("configuration-committed"))
    );
    step(&mut raft, persisted(2, 2));
    step(&mut raft, Input::Campaign { jitter: 0 });
    assert_eq!(raft.role(), Role::Candidate);
}

#[test]
fn every_committed_configuration_is_told_once_in_order_and_again_after_a_restart() {
    let known = || Initial {
        configurations: vec![of(0, &[1]), of(2, &[1, 2]), of(3, &[1, 2, 3])],
        ..initial(&[1, 1, 1])
    };
    let told = |effects: Vec<String>| -> Vec<String> {
        let told = effects.iter();
        let told = told.filter_map(|e| e.strip_prefix("configuration-committed "));
        told.map(str::to_owned).collect()
    };
    let mut raft = Raft::new(config(1), known(), Instant(0), 0);
    assert_eq!(
        told(step(&mut raft, from(2, 1, heartbeat(3, 0)))),
        ["2 voters=(n1.0 n2.0)", "3 voters=(n1.0 n2.0 n3.0)"]
    );
    assert_eq!(told(step(&mut raft, from(2, 1, heartbeat(3, 0)))), NOTHING);

    let compacted = Initial {
        floor: id(1, 2),
        terms: vec![id(1, 3)],
        configurations: known().configurations.split_off(1),
        ..known()
    };
    let mut raft = Raft::new(config(1), compacted, Instant(0), 0);
    assert_eq!(
        told(step(&mut raft, from(2, 1, heartbeat(2, 0)))),
        ["2 voters=(n1.0 n2.0)"]
    );
}

#[test]
fn a_sole_voter_that_has_run_no_timer_does_not_step_down_when_it_adds_another() {
    let mut alone = initial(&[]);
    alone.configurations = vec![of(0, &[1])];
    let checked = Config {
        check_quorum: true,
        ..config(1)
    };
    let mut raft = Raft::new(checked, alone, Instant(0), 0);
    step(&mut raft, Input::Campaign { jitter: 0 });
    step(&mut raft, persisted(1, 1));
    step(&mut raft, persisted(1, 2));
    let at = 60_000;
    crate::testing::step_at(&mut raft, at, change(&[Voter(node(2))]));
    let (due, _) = raft.deadline().expect("it has a peer now");
    assert_eq!(due.0 / 1_000_000, at + 100, "a heartbeat");
    let (kind, jitter) = (TimeoutKind::Election, 0);
    crate::testing::step_at(&mut raft, at + 1000, Input::Timeout { kind, jitter });
    assert_eq!(raft.role(), Role::Leader, "it had no time to answer");
    crate::testing::step_at(&mut raft, at + 2000, Input::Timeout { kind, jitter });
    assert_eq!(raft.role(), Role::Follower);
}

#[test]
fn a_read_is_granted_though_those_who_were_asked_are_voters_no_more() {
    let mut pair = initial(&[1]);
    pair.configurations = vec![of(0, &[1, 2])];
    let mut raft = commit_opening(elect(Raft::new(config(1), pair, Instant(0), 0)));
    step(&mut raft, read(1));
    let effects = step(&mut raft, change(&[Remove(node(2))]));
    assert!(
        effects.contains(&"read-ready r1 index=2".to_owned()),
        "{effects:?}"
    );
}

#[test]
fn a_witness_votes_and_acknowledges_but_gets_no_payloads() {
    let mut raft = serving();
    step(&mut raft, change(&[Witness(node(4))]));
    let witness = ReplicaId {
        node: node(4),
        born: 3,
    };
    let answer = |message| {
        Input::Received(Envelope {
            group: GroupId(7),
            from: witness,
            to: replica(1),
            term: 2,
            message,
        })
    };
    step(&mut raft, persisted(2, 3));
    assert_eq!(
        step(&mut raft, answer(rejected(2, id(1, 1)))),
        ["send n1.0->n4.3 t2 append prev=1/1 [2/2 noop, 2/3 configuration] commit=2"]
    );
    step(&mut raft, answer(matched(3)));
    let effects = step(&mut raft, propose("secret"));
    assert_eq!(
        effects[1..],
        [
            "send n1.0->n2.0 t2 append prev=2/3 [2/4 \"secret\"] commit=2",
            "send n1.0->n3.0 t2 append prev=2/3 [2/4 \"secret\"] commit=2",
            "accepted p1 2/4"
        ]
    );
    assert_eq!(
        step(&mut raft, persisted(2, 4)),
        ["send n1.0->n4.3 t2 append prev=2/3 [2/4 \"\"] commit=2"],
        "once it is durable where its payload is"
    );
    let inflight = |raft: &Raft| -> Vec<usize> {
        let peers = raft.status().peers;
        peers.iter().map(|peer| peer.inflight_bytes).collect()
    };
    assert_eq!(inflight(&raft)[2], 0, "what is sent counts");
    step(&mut raft, from(2, 2, matched(4)));
    assert_eq!(raft.status().commit, 3, "of entry 4, two of four");
    step(&mut raft, answer(matched(4)));
    assert_eq!(raft.status().commit, 4);
}

/// Else, once that leader is gone, the witness refuses its vote to the only one who can lead.
#[test]
fn a_witness_gets_nothing_that_only_a_leader_without_a_vote_has_on_its_disk() {
    let mut known = initial(&[1]);
    known.configurations[0].witnesses = [replica(3)].into();
    let mut raft = commit_opening(elect(Raft::new(config(1), known, Instant(0), 0)));
    step(&mut raft, change(&[Remove(node(1))]));
    let durable = step(&mut raft, persisted(2, 3));
    assert_eq!(durable, NOTHING);
    let effects = step(&mut raft, from(2, 2, matched(3)));
    assert_eq!(
        effects,
        ["send n1.0->n3.0 t2 append prev=2/2 [2/3 configuration] commit=2"]
    );
}

#[test]
fn a_witness_below_the_floor_gets_what_the_snapshot_covers_and_no_file() {
    let mut known = initial(&[1]);
    known.configurations[0].witnesses = [replica(2)].into();
    let mut raft = elect(Raft::new(config(1), known.clone(), Instant(0), 0));
    step(&mut raft, persisted(2, 2));
    step(&mut raft, from(3, 2, matched(2)));
    let (floor, configuration) = (id(2, 2), known.configurations.remove(0));
    let snapshot = SnapshotMeta {
        last: floor,
        configuration,
    };
    step(&mut raft, Input::Compacted { floor, snapshot });
    assert_eq!(
        step(&mut raft, from(2, 2, rejected(1, id(0, 0)))),
        ["send n1.0->n2.0 t2 snapshot 2/2 voters=(n1.0 n2.0 n3.0) witnesses=(n2.0)"]
    );
    let lost = step(&mut raft, from(2, 2, heartbeat_reply(0)));
    assert_eq!(lost, ["send n1.0->n2.0 t2 append prev=2/2 [] commit=2"]);
    let again = step(&mut raft, from(2, 2, rejected(2, id(0, 0))));
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].contains("snapshot 2/2"), "{again:?}");
    step(&mut raft, from(2, 2, matched(2)));
    step(&mut raft, propose("x"));
    step(&mut raft, persisted(2, 3));
    assert_eq!(raft.status().peers[0].next, 4, "pipelined");
}

#[test]
fn a_witness_never_campaigns() {
    let mut known = initial(&[1]);
    known.configurations[0].witnesses = [replica(1)].into();
    let mut raft = Raft::new(config(1), known, Instant(0), 0);
    let (kind, jitter) = (TimeoutKind::Election, 0);
    assert_eq!(step(&mut raft, Input::Timeout { kind, jitter }), NOTHING);
    assert_eq!(step(&mut raft, Input::Campaign { jitter }), NOTHING);
    step(&mut raft, from(2, 1, Message::TimeoutNow));
    assert_eq!(raft.role(), Role::Follower);
    let empty = Bytes::new();
    let command = crate::Entry {
        payload: empty,
        ..crate::testing::entry(1, 2)
    };
    let (prev, entries, commit) = (id(1, 1), vec![command], 0);
    let message = Message::Append {
        prev,
        entries,
        commit,
    };
    step(&mut raft, from(2, 1, message));
    let effects = step(&mut raft, persisted(1, 1));
    assert_eq!(effects, ["send n1.0->n2.0 t1 matched 2"]);
}
