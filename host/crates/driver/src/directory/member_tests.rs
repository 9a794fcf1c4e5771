//! Nodes that come, change and go, and the tokens they come with.

use std::collections::BTreeSet;

use coracle_proto::NodeId;

use super::*;

const HOUR: u64 = 3_600_000_000_000;

fn founder(node: u64) -> Founder {
    Founder {
        node: NodeId(node),
        quic: format!("127.0.0.1:{}", 7400 + 2 * node),
        http: format!("http://127.0.0.1:{}", 7401 + 2 * node),
    }
}

/// A cluster of these voters, founded at index 1.
fn cluster(nodes: impl IntoIterator<Item = u64>) -> DirectoryState {
    let mut state = DirectoryState::default();
    let found = DirectoryCommand::FoundCluster {
        cluster: "c".into(),
        founders: nodes.into_iter().map(founder).collect(),
    };
    state.apply(1, 0, found).expect("is founded");
    state
}

fn token(role: NodeRole, uses: u32) -> DirectoryCommand {
    DirectoryCommand::CreateToken {
        id: 5,
        token: JoinToken {
            verifier: [7; 32],
            role,
            expires: HOUR,
            uses_left: uses,
        },
    }
}

fn newcomer(key: u8) -> NewNode {
    NewNode {
        token: 5,
        key: [key; 32],
        name: None,
        quic: format!("127.0.0.1:{}", 9000 + u16::from(key)),
        http: format!("http://127.0.0.1:{}", 9500 + u16::from(key)),
    }
}

fn add(key: u8) -> DirectoryCommand {
    DirectoryCommand::AddNode(newcomer(key))
}

fn id(reply: Vec<u8>) -> u64 {
    u64::from_le_bytes(reply.try_into().expect("an id"))
}

fn remove(node: u64) -> DirectoryCommand {
    DirectoryCommand::RemoveNode {
        node: NodeId(node),
        expected: None,
    }
}

fn drop_node(node: u64) -> DirectoryCommand {
    DirectoryCommand::DropNode { node: NodeId(node) }
}

fn set_role(node: u64, role: NodeRole) -> DirectoryCommand {
    DirectoryCommand::SetNodeRole {
        node: NodeId(node),
        role,
        expected: None,
    }
}

fn staged(node: u64) -> DirectoryCommand {
    DirectoryCommand::CompleteStaging { node: NodeId(node) }
}

fn ids(nodes: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    nodes.into_iter().map(NodeId).collect()
}

#[test]
fn a_cluster_is_founded_once() {
    let mut state = cluster([1, 2, 3]);
    let before = state.clone();
    let again = DirectoryCommand::FoundCluster {
        cluster: "other".into(),
        founders: vec![founder(9)],
    };
    state.apply(2, 0, again).expect("is without effect");
    assert_eq!(state, before);
    assert_eq!(state.wanted_system().voters, ids([1, 2, 3]));
}

#[test]
fn a_node_with_a_token_is_a_learner_until_it_has_caught_up() {
    let mut state = cluster([1]);
    state.apply(2, 0, token(NodeRole::Voter, 1)).expect("token");

    let node = id(state.apply(3, 0, add(1)).expect("joins"));

    assert_eq!(node, 2);
    assert_eq!(state.wanted_system().learners, ids([2]));
    state.apply(4, 0, staged(2)).expect("has caught up");
    assert_eq!(state.wanted_system().voters, ids([1, 2]));
    assert_eq!(state.members.index, 4);
}

#[test]
fn a_bearer_of_a_learners_token_stays_a_learner() {
    let mut state = cluster([1]);
    state
        .apply(2, 0, token(NodeRole::Learner, 1))
        .expect("token");
    state.apply(3, 0, add(1)).expect("joins");
    state.apply(4, 0, staged(2)).expect("is without effect");
    assert_eq!(state.wanted_system().learners, ids([2]));
}

#[test]
fn a_token_admits_as_many_as_it_says_and_no_more() {
    let mut state = cluster([1]);
    state
        .apply(2, 0, token(NodeRole::Learner, 2))
        .expect("token");
    for key in [1, 2] {
        state.apply(3, 0, add(key)).expect("joins");
    }
    let before = state.clone();
    assert_eq!(state.apply(4, 0, add(3)), Err(Refusal::TokenUsed));
    assert_eq!(state, before);
}

#[test]
fn the_same_request_again_gets_the_same_id_and_uses_nothing() {
    let mut state = cluster([1]);
    state.apply(2, 0, token(NodeRole::Voter, 1)).expect("token");
    let first = id(state.apply(3, 0, add(1)).expect("joins"));
    let again = id(state.apply(4, 0, add(1)).expect("is answered"));
    assert_eq!((first, again, state.members.last_node), (2, 2, 2));
}

#[test]
fn each_token_that_is_no_good_is_refused_for_its_reason() {
    let mut state = cluster([1]);
    state.apply(2, 0, token(NodeRole::Voter, 1)).expect("token");
    assert_eq!(state.apply(3, HOUR, add(1)), Err(Refusal::TokenExpired));
    let revoke = DirectoryCommand::RevokeToken { id: 5 };
    state.apply(4, 0, revoke.clone()).expect("revokes");
    assert_eq!(state.apply(5, 0, add(1)), Err(Refusal::UnknownToken));
    state.apply(6, 0, revoke).expect("may be repeated");
}

#[test]
fn expired_tokens_go_when_others_come() {
    let mut state = cluster([1]);
    state.apply(2, 0, token(NodeRole::Voter, 1)).expect("token");
    let DirectoryCommand::CreateToken { token: later, .. } = token(NodeRole::Voter, 1) else {
        unreachable!("it makes one");
    };
    let token = JoinToken {
        expires: 2 * HOUR,
        ..later
    };
    let create = DirectoryCommand::CreateToken { id: 6, token };
    state.apply(3, HOUR, create).expect("token");
    assert_eq!(state.members.tokens.keys().collect::<Vec<_>>(), [&6]);
}

#[test]
fn a_taken_name_or_address_is_refused_with_its_owner() {
    let mut state = cluster([1]);
    state.apply(2, 0, token(NodeRole::Voter, 9)).expect("token");
    let mut named = newcomer(1);
    named.name = Some("blue".into());
    state
        .apply(3, 0, DirectoryCommand::AddNode(named.clone()))
        .expect("joins");
    let same_name = NewNode {
        name: named.name.clone(),
        ..newcomer(2)
    };
    let same_address = NewNode {
        quic: named.quic,
        ..newcomer(2)
    };
    let refused = |state: &mut DirectoryState, new| {
        let refusal = state.apply(4, 0, DirectoryCommand::AddNode(new));
        refusal.expect_err("is refused").to_string()
    };
    assert!(refused(&mut state, same_name).starts_with("name taken: node 2"));
    assert!(refused(&mut state, same_address).starts_with("address taken: node 2"));
}

#[test]
fn the_id_of_a_removed_node_never_comes_back_not_even_from_a_snapshot() {
    let mut state = cluster([1, 2, 3]);
    assert_eq!(
        state.apply(2, 0, drop_node(3)),
        Err(Refusal::NotLeaving { node: 3 })
    );
    state.apply(3, 0, remove(3)).expect("leaves");
    let fsm = tests::placed(Placement::All);
    assert_eq!(state.wanted(&fsm).voters, ids([1, 2]));
    assert_eq!(state.wanted_system().voters, ids([1, 2, 3]));
    assert!(!state.members.is_removed(NodeId(3)));
    state.apply(4, 0, drop_node(3)).expect("is gone");
    assert_eq!(state.wanted_system().voters, ids([1, 2]));
    state.apply(5, 0, drop_node(3)).expect("may be repeated");
    state.apply(6, 0, remove(3)).expect("may be repeated");

    let mut state = DirectoryState::decode(&state.encode()).expect("decodes");
    assert!(state.members.is_removed(NodeId(3)));
    assert!(!state.members.is_removed(NodeId(4)));
    let promote = set_role(3, NodeRole::Voter);
    assert_eq!(
        state.apply(7, 0, promote),
        Err(Refusal::RemovedNode { node: 3 })
    );
    state.apply(8, 0, token(NodeRole::Voter, 1)).expect("token");
    assert_eq!(id(state.apply(9, 0, add(1)).expect("joins")), 4);
}

#[test]
fn the_last_voter_can_neither_go_nor_be_demoted() {
    let mut state = cluster([1, 2]);
    state.apply(2, 0, remove(2)).expect("leaves");
    for command in [
        remove(1),
        set_role(1, NodeRole::Learner),
        set_role(1, NodeRole::Witness),
    ] {
        let refusal = state.apply(3, 0, command).expect_err("is refused");
        assert!(
            refusal.to_string().starts_with("would lose quorum: "),
            "{refusal}"
        );
    }
}

#[test]
fn a_change_is_made_only_at_the_index_that_it_names() {
    let mut state = cluster([1, 2, 3]);
    let priority = |expected, priority| DirectoryCommand::SetPriority {
        node: NodeId(2),
        priority,
        expected,
    };
    state.apply(7, 0, priority(Some(1), 5)).expect("is at 1");
    let refusal = state.apply(8, 0, priority(Some(1), 6));
    assert_eq!(
        refusal,
        Err(Refusal::OtherIndex {
            expected: 1,
            actual: 7
        })
    );
    state
        .apply(9, 0, priority(Some(1), 5))
        .expect("holds already");
    assert_eq!(state.members.index, 7);
}

#[test]
fn a_node_is_replaced_at_the_moment_the_new_one_has_caught_up() {
    let mut state = cluster([1, 2, 3]);
    state
        .apply(2, 0, token(NodeRole::Learner, 1))
        .expect("token");
    state.apply(3, 0, add(1)).expect("joins");
    let replace = DirectoryCommand::ReplaceNode {
        old: NodeId(1),
        new: NodeId(4),
        expected: None,
    };
    state.apply(4, 0, replace.clone()).expect("begins");
    assert_eq!(state.wanted_system().voters, ids([1, 2, 3]));

    state.apply(5, 0, staged(4)).expect("has caught up");

    let fsm = tests::placed(Placement::All);
    assert_eq!(state.wanted(&fsm).voters, ids([2, 3, 4]));
    assert_eq!(state.wanted_system().voters, ids([1, 2, 3, 4]));
    assert_eq!(
        state.apply(6, 0, replace),
        Err(Refusal::Leaving { node: 1 })
    );
}

#[test]
fn a_witness_votes_in_group_0_and_only_witnesses_the_fsms() {
    let mut state = cluster([1, 2, 3]);
    state
        .apply(2, 0, set_role(3, NodeRole::Witness))
        .expect("is demoted");
    assert_eq!(state.wanted_system().voters, ids([1, 2, 3]));
    let fsm = tests::placed(Placement::All);
    let wanted = state.wanted(&fsm);
    assert_eq!(wanted.voters, ids([1, 2]));
    assert_eq!(wanted.witnesses, ids([3]));
}

#[test]
fn an_fsm_runs_where_it_is_placed() {
    let mut state = cluster([1, 2, 3]);
    let fsm = tests::placed(Placement::Nodes(vec![NodeId(2), NodeId(3)]));
    assert_eq!(state.wanted(&fsm).voters, ids([2, 3]));
    state.apply(2, 0, remove(2)).expect("leaves");
    assert_eq!(state.wanted(&fsm).voters, ids([3]));

    state.fsms.insert("kv".into(), fsm);
    let refusal = state.apply(3, 0, remove(3)).expect_err("runs nowhere else");
    assert!(refusal.to_string().contains("fsm kv"), "{refusal}");
    let place = |nodes: &[u64]| DirectoryCommand::PlaceFsm {
        name: "kv".into(),
        placement: Placement::Nodes(nodes.iter().copied().map(NodeId).collect()),
    };
    assert_eq!(
        state.apply(4, 0, place(&[2, 3])),
        Err(Refusal::BadPlacement { node: 2 })
    );
    state.apply(5, 0, place(&[1])).expect("is placed");
    state.apply(6, 0, remove(3)).expect("leaves");
}

#[test]
fn a_late_report_of_a_deposed_leader_is_not_taken() {
    let mut state = cluster([1]);
    let fsm = tests::placed(Placement::All);
    let group = fsm.group;
    state.fsms.insert("kv".into(), fsm);
    let report = |index| DirectoryCommand::ReportMembers {
        group,
        members: GroupMembers {
            index,
            ..GroupMembers::default()
        },
    };
    state.apply(2, 0, report(8)).expect("reports");
    state.apply(3, 0, report(4)).expect("is late");
    let members = state.fsm("kv").and_then(|fsm| fsm.members.as_ref());
    assert_eq!(members.map(|members| members.index), Some(8));
}
