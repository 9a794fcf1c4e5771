//! Lies that the world may be told: each invariant is not only right, it is asked, at every place at
//! which the world has something to show to it.

use std::cell::Cell;

use coracle_driver::task::{Answer, Outcome, Task};
use coracle_driver::{Digest, Outbox, Reply, WriteKind};
use coracle_proto::{AppendOutcome, EntryKind, Message, NodeId, ReplicaId};

use crate::client::Found;
use crate::{Plan, run};

/// The node that lies.
const LIAR: NodeId = NodeId(1);

/// Seeds within which a lie must be found.
const SEEDS: u64 = 60;

/// What is told wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Write,
    Leader,
    NoStepDown,
    Acknowledgement,
    Configuration,
    Commit,
    Snapshot,
    Chain,
    Stop,
    Result,
    ReadPoint,
    Changed,
    Query,
}

/// With the invariant that it breaks.
const LIES: [(Lie, &str); 13] = [
    (Lie::Write, "log matching"),
    (Lie::Leader, "election safety"),
    (Lie::NoStepDown, "check-quorum"),
    (Lie::Acknowledgement, "persist before send"),
    (Lie::Configuration, "membership"),
    (Lie::Commit, "state machine safety"),
    (Lie::Snapshot, "state machine safety"),
    (Lie::Chain, "state machine safety"),
    (Lie::Stop, "typed refusal"),
    (Lie::Result, "exactly once"),
    (Lie::ReadPoint, "linearizability"),
    (Lie::Changed, "membership"),
    (Lie::Query, "history"),
];

thread_local! {
    static LIE: Cell<Option<Lie>> = const { Cell::new(None) };
}

fn is(lie: Lie) -> bool {
    LIE.get() == Some(lie)
}

/// What a node wants done, or what the liar says that it does.
pub(super) fn turned(node: NodeId, out: &mut Outbox) {
    let Some(lie) = LIE.get().filter(|_| node == LIAR) else {
        return;
    };
    for write in &mut out.writes {
        if let (Lie::Write, WriteKind::Append { entries, .. }) = (lie, &mut write.kind) {
            let normal = entries.iter_mut().filter(|it| it.kind == EntryKind::Normal);
            normal.for_each(|entry| entry.payload = b"another".as_slice().into());
        }
    }
    for envelope in &mut out.sends {
        let outcome = AppendOutcome::Matched { index: u64::MAX };
        if let (Lie::Acknowledgement, Message::AppendReply(said)) = (lie, &mut envelope.message) {
            *said = outcome;
        }
    }
    for change in &mut out.leadership {
        if lie == Lie::Leader && change.leader.is_some() {
            change.leader = Some(ReplicaId {
                node: LIAR,
                born: 0,
            });
        }
    }
    if lie == Lie::NoStepDown {
        out.leadership.retain(|change| change.leads);
    }
    for (_, configuration) in &mut out.configurations {
        if lie == Lie::Configuration {
            configuration.voters.pop_first();
        }
    }
    for (_, task) in &mut out.tasks {
        match (lie, task) {
            (Lie::Commit, Task::Apply { through }) => *through += 1,
            (Lie::Snapshot, Task::Install { snapshot }) => snapshot.last.index += 1000,
            _ => {}
        }
    }
    if lie == Lie::Stop
        && let Some(change) = out.leadership.first()
    {
        out.fatal.push((change.group, "no reason at all".into()));
    }
    out.answers.iter_mut().for_each(|(_, it)| answered(it));
}

/// What anybody is answered.
pub(super) fn answered(answer: &mut Answer) {
    match (LIE.get(), answer) {
        (Some(Lie::Result), Answer::Applied { outcome, .. }) => {
            *outcome = Outcome::Ok(b"a lie".to_vec());
        }
        (Some(Lie::ReadPoint), Answer::ReadAt { index }) => *index = 0,
        (Some(Lie::Changed), Answer::Changed { index }) => *index += 1,
        _ => {}
    }
}

/// What a query finds.
pub(super) fn found(found: &mut Found) {
    if let (true, Found::Reply(_, reply)) = (is(Lie::Query), found) {
        *reply = Reply::Ok(b"a lie".to_vec());
    }
}

/// What a worker says of its chain.
pub(super) fn chain(node: NodeId, chain: Digest) -> Digest {
    match is(Lie::Chain) && node == LIAR {
        true => Digest([9; 32]),
        false => chain,
    }
}

#[test]
fn every_lie_that_the_world_is_told_breaks_its_invariant() {
    for (lie, invariant) in LIES {
        LIE.set(Some(lie));
        let broken = (0..SEEDS).find_map(|seed| run(Plan::of(seed), false).err());
        LIE.set(None);
        let broken = broken.unwrap_or_else(|| panic!("{lie:?} is not noticed"));
        assert_eq!(broken.invariant, invariant, "{lie:?}: {broken}");
    }
}
