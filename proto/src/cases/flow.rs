//! Flow control: what a leader sends, when it waits, and what makes it go on.

use super::{NOTHING, beat, durable, peer, sent};
use crate::testing::{
    config, elect, from, heartbeat_reply, id, initial, leader, matched, propose, rejected, replica,
    step,
};
use crate::{Config, Input, Instant, NodeId, ProgressState, Raft};

fn windowed(appends: usize) -> Raft {
    let config = Config {
        max_inflight_appends: appends,
        ..config(1)
    };
    let mut raft = elect(Raft::new(config, initial(&[]), Instant(0), 0));
    durable(&mut raft);
    raft
}

/// Probing: one message, then nothing before an answer or a heartbeat's.
#[test]
fn progress_paused() {
    let mut raft = leader(&[]);
    let effects: Vec<_> = (0..3).flat_map(|_| step(&mut raft, propose("x"))).collect();
    assert_eq!(sent(&effects, 2), NOTHING, "the no-op was the probe");
    assert_eq!(peer(&raft, 2).state, ProgressState::Probe);
}

/// A heartbeat's answer lets a paused probe go on.
#[test]
fn progress_resume_by_heartbeat_resp() {
    let mut raft = leader(&[]);
    step(&mut raft, propose("x"));
    beat(&mut raft);
    assert_eq!(sent(&step(&mut raft, propose("y")), 2), NOTHING);
    let effects = step(&mut raft, from(2, 1, heartbeat_reply(0)));
    assert_eq!(sent(&effects, 2).len(), 1, "{effects:?}");
    assert_eq!(sent(&step(&mut raft, propose("z")), 2), NOTHING, "one only");
}

/// A leader always knows its own progress.
#[test]
fn progress_leader() {
    let mut raft = leader(&[]);
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(1)));
    for index in 2..=5 {
        step(&mut raft, propose("foo"));
        durable(&mut raft);
        step(&mut raft, from(2, 1, matched(index)));
        assert_eq!(raft.status().commit, index);
    }
}

/// Large payloads are split by size, and no more than the window is under way.
#[test]
fn progress_flow_control() {
    let config = Config {
        max_inflight_appends: 3,
        max_append_bytes: 2048,
        ..config(1)
    };
    let mut raft = elect(Raft::new(config, initial(&[]), Instant(0), 0));
    durable(&mut raft);
    let payload: &'static str = Box::leak("a".repeat(1000).into_boxed_str());
    for _ in 0..10 {
        step(&mut raft, propose(payload));
    }
    // As the probe the no-op alone was sent; the rest waits for the answer.
    let effects = step(&mut raft, from(2, 1, matched(1)));
    let entries = |effects: &[String]| -> Vec<usize> {
        let of = sent(effects, 2);
        of.iter().map(|e| e.matches("aaa\"").count()).collect()
    };
    assert_eq!(entries(&effects), [2, 2, 2], "three messages of two");
    let effects = step(&mut raft, from(2, 1, matched(3)));
    assert_eq!(entries(&effects), [2]);
    let effects = step(&mut raft, from(2, 1, matched(7)));
    assert_eq!(entries(&effects), [2], "what is left");
}

/// The window fills, and then nothing is sent.
#[test]
fn msg_app_flow_control_full() {
    let mut raft = windowed(4);
    step(&mut raft, from(2, 1, matched(1)));
    for _ in 0..4 {
        assert_eq!(sent(&step(&mut raft, propose("x")), 2).len(), 1);
    }
    assert_eq!(peer(&raft, 2).inflight_appends, 4);
    for _ in 0..10 {
        assert_eq!(sent(&step(&mut raft, propose("x")), 2), NOTHING);
    }
}

/// An answer opens the window by as much as it covers; an older one opens nothing.
#[test]
fn msg_app_flow_control_move_forward() {
    let mut raft = windowed(4);
    step(&mut raft, from(2, 1, matched(1)));
    for _ in 0..4 {
        step(&mut raft, propose("x"));
    }
    for answered in 2..5 {
        let mut effects = step(&mut raft, from(2, 1, matched(answered)));
        effects.extend(step(&mut raft, propose("x")));
        assert_eq!(sent(&step(&mut raft, propose("x")), 2), NOTHING);
        step(&mut raft, from(2, 1, matched(answered - 1)));
        assert_eq!(peer(&raft, 2).inflight_appends, 4);
    }
}

/// A full window whose answers are lost: one empty append per heartbeat's answer.
#[test]
fn msg_app_flow_control_recv_heartbeat() {
    let mut raft = windowed(4);
    step(&mut raft, from(2, 1, matched(1)));
    for _ in 0..5 {
        step(&mut raft, propose("x"));
    }
    for _ in 0..5 {
        let effects = step(&mut raft, from(2, 1, heartbeat_reply(0)));
        let found = sent(&effects, 2);
        assert_eq!(found, ["t1 append prev=1/5 [] commit=1"]);
    }
}

/// Above the limit proposals are refused, until something is committed; an empty one is not.
#[test]
fn uncommitted_entry_limit() {
    let config = Config {
        max_uncommitted_bytes: 10,
        ..config(1)
    };
    let mut raft = elect(Raft::new(config, initial(&[]), Instant(0), 0));
    durable(&mut raft);
    let accepted = |effects: &[String]| effects.iter().any(|e| e.starts_with("accepted"));
    for _ in 0..2 {
        assert!(accepted(&step(&mut raft, propose("12345"))));
    }
    let refused = step(&mut raft, propose("6"));
    assert_eq!(refused, ["refused p1: too much is uncommitted"]);
    assert!(accepted(&step(&mut raft, propose(""))), "costs nothing");
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(4)));
    assert!(accepted(&step(&mut raft, propose("12345"))));
    // One that is larger than the limit on its own is taken where nothing else waits.
    durable(&mut raft);
    step(&mut raft, from(2, 1, matched(5)));
    assert!(accepted(&step(&mut raft, propose("more than ten bytes"))));
}

/// A rejection sends the leader back; an answer of an older term does not.
#[test]
fn leader_app_resp() {
    let mut raft = leader(&[1, 1]);
    durable(&mut raft);
    let before = peer(&raft, 2);
    assert_eq!((before.matched, before.next), (0, 3));
    step(&mut raft, from(2, 1, rejected(2, id(1, 1))));
    assert_eq!(peer(&raft, 2), before, "another term's");

    let effects = step(&mut raft, from(2, 2, rejected(2, id(1, 1))));
    assert_eq!(sent(&effects, 2).len(), 1);
    assert_eq!((peer(&raft, 2).matched, peer(&raft, 2).next), (0, 2));

    step(&mut raft, from(2, 2, matched(2)));
    let now = peer(&raft, 2);
    assert_eq!((now.matched, now.next), (2, 4), "the rest was sent");
    assert_eq!(now.state, ProgressState::Replicate);
}

/// Answers of a peer that is behind do not make the leader send what it has sent.
#[test]
fn msg_app_resp_wait_reset() {
    let mut raft = leader(&[]);
    durable(&mut raft);
    let effects = step(&mut raft, from(2, 1, matched(1)));
    assert_eq!(raft.status().commit, 1);
    assert_eq!(sent(&effects, 2), ["t1 append prev=1/1 [] commit=1"]);
    let effects = step(&mut raft, propose("x"));
    assert_eq!(sent(&effects, 2).len(), 1);
    assert_eq!(sent(&effects, 3), NOTHING, "still waiting for the probe");
    let effects = step(&mut raft, from(3, 1, matched(1)));
    assert_eq!(
        sent(&effects, 3),
        ["t1 append prev=1/1 [1/2 \"x\"] commit=1"]
    );
}

/// Pipelining: each proposal is sent at once, on top of what is under way.
#[test]
fn send_append_for_progress_replicate() {
    let mut raft = windowed(16);
    step(&mut raft, from(2, 1, matched(1)));
    for index in 2..12 {
        let effects = step(&mut raft, propose("x"));
        let expected = format!("t1 append prev=1/{} [1/{index} \"x\"] commit=1", index - 1);
        assert_eq!(sent(&effects, 2), [expected]);
    }
}

/// How far ahead a leader counts depends on whether it probes or pipelines.
#[test]
fn leader_increase_next() {
    let mut raft = windowed(16);
    step(&mut raft, from(2, 1, matched(1)));
    step(&mut raft, propose("x"));
    assert_eq!(peer(&raft, 2).next, 3, "pipelined");
    assert_eq!(peer(&raft, 3).next, 1, "probed");
}

/// A peer that cannot be reached is probed again from where the logs are known to meet.
#[test]
fn recv_msg_unreachable() {
    let mut raft = windowed(16);
    step(&mut raft, from(2, 1, matched(1)));
    for _ in 0..3 {
        step(&mut raft, propose("x"));
    }
    assert_eq!(peer(&raft, 2).next, 5);
    step(&mut raft, Input::PeerDown(NodeId(2)));
    let now = peer(&raft, 2);
    assert_eq!(now.id, replica(2));
    assert_eq!(
        (now.state, now.matched, now.next),
        (ProgressState::Probe, 1, 2)
    );
}
