//! Each invariant on a state that is known to be wrong, beside one that is right.

use bytes::Bytes;
use coracle_driver::payload::encode_commands;
use coracle_driver::payload::encode_host;
use coracle_driver::task::{Command, HostEntry};
use coracle_driver::{Floor, SnapshotRef, WriteKind};
use coracle_proto::{
    AppendOutcome, Configuration, EntryKind, HardState, Initial, LogId, Message, VoteKind,
};

use super::*;

pub(super) const GROUP: GroupId = GroupId(1);

#[test]
fn two_leaders_of_one_term_violate_election_safety() {
    let mut world = cluster(3);
    assert_eq!(
        world.leader(GROUP, NodeId(1), Instant(0), 4, Some(replica(1))),
        Ok(())
    );
    assert_eq!(
        world.leader(GROUP, NodeId(2), Instant(0), 4, Some(replica(1))),
        Ok(())
    );
    assert_eq!(
        world.leader(GROUP, NodeId(2), Instant(0), 5, Some(replica(2))),
        Ok(())
    );
    let second = world.leader(GROUP, NodeId(3), Instant(0), 4, Some(replica(3)));
    assert_violates(second, "election safety");
}

#[test]
fn a_node_stops_only_for_a_cause_and_never_by_a_mistake() {
    let world = cluster(3);
    let lost = Refusal::Lost("acknowledged data is missing".into());
    let stopped = |harms: &[Harm], refusal: &Refusal| {
        let harms = harms.iter().copied().collect();
        world.stopped(NodeId(1), &harms, refusal)
    };
    assert_eq!(stopped(&[Harm::Power, Harm::Lie], &lost), Ok(()));
    assert_violates(stopped(&[Harm::Power, Harm::Full], &lost), "typed refusal");
    assert_violates(stopped(&[], &lost), "typed refusal");
    let full = Refusal::Full("no room".into());
    assert_eq!(stopped(&[Harm::Full], &full), Ok(()));
    assert_violates(stopped(&[Harm::Error], &full), "typed refusal");
    let halted = Refusal::Stopped("a state machine halted".into());
    assert_eq!(stopped(&[Harm::Error], &halted), Ok(()));
    assert_violates(stopped(&[Harm::Full], &halted), "typed refusal");
    let impossible = Refusal::Impossible("a committed entry is gone".into());
    assert_eq!(stopped(&[Harm::Lie], &impossible), Ok(()));
    let excuses = [Harm::Power, Harm::Error, Harm::Full];
    assert_violates(stopped(&excuses, &impossible), "typed refusal");
    let mistake = Refusal::Other("the log is in use".into());
    assert_violates(stopped(&[Harm::Damage], &mistake), "typed refusal");
}

#[test]
fn two_votes_in_one_term_violate_vote_once_even_after_a_restart() {
    let mut world = cluster(3);
    hard_state(&mut world, 1, 7, Some(2));
    assert_eq!(world.sent(&grant(1, 2, 7)), Ok(()));
    world.crashed(NodeId(1), &[]);
    hard_state(&mut world, 1, 7, Some(3));
    assert_violates(world.sent(&grant(1, 3, 7)), "vote once");
}

#[test]
fn a_vote_that_is_not_durable_must_not_be_sent() {
    let mut world = cluster(3);
    assert_violates(world.sent(&grant(1, 2, 7)), "persist before send");
    hard_state(&mut world, 1, 7, Some(2));
    assert_eq!(world.sent(&grant(1, 2, 7)), Ok(()));
}

#[test]
fn an_acknowledgement_of_what_is_not_durable_must_not_be_sent() {
    let mut world = cluster(3);
    append(&mut world, 1, &[(1, 1), (1, 2)]).unwrap();
    let probe = Message::Append {
        prev: LogId::default(),
        entries: Vec::new(),
        commit: 0,
    };
    let asked = Event::Received(vec![envelope(2, 1, 0, probe)]);
    world.takes(NodeId(1), Instant(0), &[asked]);
    assert_eq!(world.sent(&matched(1, 2)), Ok(()));
    assert_violates(world.sent(&matched(1, 3)), "persist before send");
}

#[test]
fn two_entries_with_one_name_violate_log_matching() {
    let mut world = cluster(3);
    append(&mut world, 1, &[(1, 1), (2, 2)]).unwrap();
    append(&mut world, 2, &[(1, 1), (2, 2)]).unwrap();
    // The same entry after another one.
    assert_violates(append(&mut world, 3, &[(2, 1), (2, 2)]), "log matching");
    let mut other = entry(2, 2);
    other.payload = Bytes::from_static(b"other");
    assert_violates(append_entries(&mut world, 1, vec![other]), "log matching");
}

#[test]
fn a_leader_of_a_higher_term_must_have_what_was_committed_and_one_of_a_lower_need_not() {
    let mut world = cluster(3);
    for node in [1, 2] {
        append(&mut world, node, &[(1, 1), (3, 2)]).unwrap();
    }
    append(&mut world, 3, &[(1, 1)]).unwrap();
    world.committed(GROUP, NodeId(1), 3, 2).unwrap();
    assert_eq!(
        world.leader(GROUP, NodeId(3), Instant(0), 2, Some(replica(3))),
        Ok(())
    );
    let late = world.leader(GROUP, NodeId(3), Instant(0), 4, Some(replica(3)));
    assert_violates(late, "leader completeness");
}

#[test]
fn an_entry_on_a_minority_must_not_be_committed() {
    let mut world = cluster(3);
    append(&mut world, 1, &[(1, 1)]).unwrap();
    let early = world.committed(GROUP, NodeId(1), 1, 1);
    assert_violates(early, "commit quorum");
}

#[test]
fn another_entry_or_another_outcome_at_one_index_violates_state_machine_safety() {
    let mut world = cluster(1);
    append(&mut world, 1, &[(1, 1), (1, 2)]).unwrap();
    world.committed(GROUP, NodeId(1), 1, 2).unwrap();
    let (one, other) = (Digest([1; 32]), Digest([2; 32]));
    assert_eq!(world.applied(GROUP, NodeId(1), 2, one), Ok(()));
    let differs = world.applied(GROUP, NodeId(1), 2, other);
    assert_violates(differs, "state machine safety");
    let beyond = world.applied(GROUP, NodeId(1), 3, one);
    assert_violates(beyond, "state machine safety");

    world.crashed(NodeId(1), &[]);
    append(&mut world, 1, &[(2, 2)]).unwrap();
    let replaced = world.committed(GROUP, NodeId(1), 2, 2);
    assert_violates(replaced, "state machine safety");
}

#[test]
fn what_is_durable_is_found_again_or_recovery_is_violated() {
    let mut world = cluster(1);
    host(&mut world, 1);
    append(&mut world, 1, &[(1, 1), (1, 2)]).unwrap();
    hard_state(&mut world, 1, 3, None);
    let lost = write(WriteKind::Append {
        hard_state: None,
        entries: vec![entry(3, 3)],
    });
    world.crashed(NodeId(1), std::slice::from_ref(&lost));
    let found = world.recovered(GROUP, NodeId(1), Some(&found(3, 2)));
    assert_eq!(found, Ok(()), "what was on its way may be lost");

    world.crashed(NodeId(1), std::slice::from_ref(&lost));
    let kept = self::found(3, 3);
    let found = world.recovered(GROUP, NodeId(1), Some(&kept));
    assert_eq!(found, Ok(()), "what was on its way may be there");
    for wrong in [self::found(3, 2), self::found(2, 3)] {
        world.crashed(NodeId(1), &[]);
        assert_violates(world.recovered(GROUP, NodeId(1), Some(&wrong)), "recovery");
    }
    assert_violates(world.recovered(GROUP, NodeId(1), None), "recovery");
}

#[test]
fn configurations_that_differ_or_do_not_overlap_violate_membership() {
    let mut world = cluster(3);
    let at = |index, voters: &[u64]| Configuration {
        index,
        ..Configuration::initial(voters.iter().copied().map(NodeId))
    };
    let said = |world: &mut Invariants, node, index, voters: &[u64]| {
        world.configured(GROUP, NodeId(node), &at(index, voters))
    };
    assert_eq!(said(&mut world, 1, 4, &[1, 2, 3, 4]), Ok(()));
    assert_eq!(said(&mut world, 2, 4, &[1, 2, 3, 4]), Ok(()));
    assert_violates(said(&mut world, 3, 4, &[1, 2, 4]), "membership");

    let mut world = cluster(3);
    assert_violates(said(&mut world, 1, 4, &[1, 4, 5]), "membership");
}

#[test]
fn a_change_that_is_not_committed_must_not_be_called_made() {
    let mut world = cluster(3);
    assert_violates(world.changed(GROUP, 4), "membership");
}

#[test]
fn a_replica_that_is_not_hosted_must_not_speak() {
    let mut world = cluster(3);
    let mut speaks = envelope(1, 2, 0, Message::Wake);
    assert_eq!(world.sent(&speaks), Ok(()));
    speaks.from.born = 5;
    assert_violates(world.sent(&speaks), "membership");
}

/// Found by seed 8000307: both logs were empty, and the older replica was taken for the younger.
#[test]
fn a_replica_that_took_the_place_of_another_is_found_as_itself() {
    let mut world = cluster(1);
    host(&mut world, 1);
    let younger = write(WriteKind::Host {
        floor: floor(),
        born: 18,
    });
    let nothing = || found(0, 0);
    let reborn = |born| RecoveredGroup {
        initial: Initial::default(),
        born,
        ..nothing()
    };
    world.crashed(NodeId(1), &[younger]);
    let recovered = world.recovered(GROUP, NodeId(1), Some(&reborn(18)));
    assert_eq!(recovered, Ok(()));
    world.crashed(NodeId(1), &[]);
    let older = world.recovered(GROUP, NodeId(1), Some(&reborn(0)));
    assert_violates(older, "recovery");
}

#[test]
fn a_command_has_one_effect_with_one_outcome() {
    let mut world = cluster(1);
    let (bare, keyed) = ("append l b;", "append l k;");
    commit(
        &mut world,
        &[(keyed, Some(1)), (bare, None), (keyed, Some(1))],
    )
    .unwrap();
    let ok = |text: &str| Outcome::Ok(text.into());
    let told = |world: &mut Invariants, body: &'static str, index, outcome| {
        let key = (body == keyed).then_some([1; 16]);
        world.acknowledged(GROUP, &command(body, key), 0, index, &outcome)
    };
    assert_eq!(told(&mut world, keyed, 2, ok("k;")), Ok(()));
    assert_eq!(told(&mut world, bare, 2, ok("k;b;")), Ok(()));
    let twice = told(&mut world, bare, 2, ok("k;b;k;"));
    assert_violates(twice, "exactly once");
    let lost = told(&mut world, "append l lost;", 2, ok("lost;"));
    assert_violates(lost, "exactly once");
    assert_violates(commit(&mut world, &[(bare, None)]), "exactly once");
}

#[test]
fn what_was_called_not_applied_must_not_take_effect() {
    let mut world = cluster(1);
    let bare = command("append l x;", None);
    assert_eq!(world.refused(GROUP, &bare), Ok(()));
    let applied = commit(&mut world, &[("append l x;", None)]);
    assert_violates(applied, "exactly once");
}

#[test]
fn a_restored_image_takes_back_what_came_after_it_and_what_is_remembered_of_that() {
    let mut world = cluster(1);
    let add = || command("add a 1", Some([1; 16]));
    let said = |world: &mut Invariants, index, value: &str| {
        let outcome = Outcome::Ok(value.as_bytes().to_vec());
        world.acknowledged(GROUP, &add(), 0, index, &outcome)
    };
    commit(&mut world, &[("add b 1", None)]).unwrap();
    let image = Digest([5; 32]);
    world.exported(GROUP, image, 2);
    commit(&mut world, &[("add a 1", Some(1))]).unwrap();
    let restore = HostEntry::Restore {
        image,
        fresh: false,
    };
    commit_payload(&mut world, encode_host(0, [0; 32], &restore)).unwrap();
    assert!(world.is_restored(GROUP));
    // It is sent again: once more it is the first.
    commit(&mut world, &[("add a 1", Some(1))]).unwrap();
    let (before, after) = (3, 5);
    assert_eq!(said(&mut world, before, "1"), Ok(()));
    assert_eq!(said(&mut world, after, "1"), Ok(()));
    assert_violates(said(&mut world, after, "2"), "exactly once");
    assert_violates(said(&mut world, 4, "1"), "exactly once");

    let unknown = HostEntry::Restore {
        image: Digest([6; 32]),
        fresh: false,
    };
    let unknown = commit_payload(&mut world, encode_host(0, [0; 32], &unknown));
    assert_violates(unknown, "exactly once");
}

#[test]
fn a_later_question_must_not_get_an_earlier_answer() {
    let mut acknowledged = Acknowledged::default();
    assert_eq!(acknowledged.command(0, 9), Ok(()));
    let floor = acknowledged.highest();
    assert_eq!(acknowledged.read(floor, 9), Ok(()));
    assert_violates(acknowledged.read(floor, 8), "linearizability");
    assert_violates(acknowledged.command(floor, 9), "linearizability");
}

pub(super) fn assert_violates(check: Check, invariant: &str) {
    let violation = check.expect_err("no violation");
    assert_eq!(violation.invariant, invariant, "{violation}");
}

pub(super) fn replica(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(super) fn entry(term: Term, index: Index) -> Entry {
    Entry {
        term,
        index,
        kind: EntryKind::Noop,
        payload: Bytes::new(),
    }
}

pub(super) fn write(kind: WriteKind) -> Write {
    Write {
        group: GROUP,
        id: None,
        kind,
    }
}

/// A write that is asked for and durable at once.
fn done(world: &mut Invariants, node: u64, kind: WriteKind) -> Check {
    let write = write(kind);
    world.written(NodeId(node), &write)?;
    world.durable(NodeId(node), &[write]);
    Ok(())
}

pub(super) fn append(world: &mut Invariants, node: u64, ids: &[(Term, Index)]) -> Check {
    let entries = ids.iter().map(|(term, index)| entry(*term, *index));
    append_entries(world, node, entries.collect())
}

pub(super) fn append_entries(world: &mut Invariants, node: u64, entries: Vec<Entry>) -> Check {
    let hard_state = None;
    let kind = WriteKind::Append {
        hard_state,
        entries,
    };
    done(world, node, kind)
}

pub(super) fn hard_state(world: &mut Invariants, node: u64, term: Term, vote: Option<u64>) {
    let vote = vote.map(replica);
    let kind = WriteKind::Append {
        hard_state: Some(HardState { term, vote }),
        entries: Vec::new(),
    };
    done(world, node, kind).unwrap();
}

pub(super) fn floor() -> Floor {
    Floor {
        last: LogId::default(),
        configuration: Configuration::default(),
        snapshot: None::<SnapshotRef>,
    }
}

/// Nodes that host the group and have nothing yet.
pub(super) fn cluster(nodes: u64) -> Invariants {
    let mut world = Invariants::new(nodes, 0, 1, &Settings::default());
    (1..=nodes).for_each(|node| host(&mut world, node));
    world
}

pub(super) fn host(world: &mut Invariants, node: u64) {
    let kind = WriteKind::Host {
        floor: floor(),
        born: 0,
    };
    done(world, node, kind).unwrap();
}

fn found(term: Term, last: Index) -> RecoveredGroup {
    let mut terms = vec![LogId { term: 1, index: 1 }];
    if last > 2 {
        terms.push(LogId { term: 3, index: 3 });
    }
    RecoveredGroup {
        initial: Initial {
            hard_state: HardState { term, vote: None },
            terms,
            last,
            ..Initial::default()
        },
        born: 0,
        floor: floor(),
        applied: 0,
    }
}

fn grant(from: u64, to: u64, term: Term) -> Envelope {
    let kind = VoteKind::Real;
    let granted = true;
    envelope(from, to, term, Message::VoteReply { kind, granted })
}

fn matched(from: u64, index: Index) -> Envelope {
    let outcome = AppendOutcome::Matched { index };
    envelope(from, 2, 0, Message::AppendReply(outcome))
}

pub(super) fn envelope(from: u64, to: u64, term: Term, message: Message) -> Envelope {
    Envelope {
        group: GROUP,
        from: replica(from),
        to: replica(to),
        term,
        message,
    }
}

/// Commits these commands as one entry, after a `Create` if there is none yet.
pub(super) fn commit(world: &mut Invariants, commands: &[(&'static str, Option<u8>)]) -> Check {
    if world.committed_entries(GROUP) == 0 {
        let create = HostEntry::Create(crate::spec());
        commit_payload(world, encode_host(0, [0; 32], &create))?;
    }
    let commands: Vec<_> = commands
        .iter()
        .map(|(body, key)| command(body, key.map(|key| [key; 16])))
        .collect();
    commit_payload(world, encode_commands(0, [0; 32], &commands))
}

fn command(body: &'static str, key: Option<[u8; 16]>) -> Command {
    let body = Bytes::from_static(body.as_bytes());
    Command { body, key }
}

fn commit_payload(world: &mut Invariants, payload: Bytes) -> Check {
    let index = world.committed_entries(GROUP) + 1;
    let entry = Entry {
        kind: EntryKind::Normal,
        payload,
        ..entry(1, index)
    };
    append_entries(world, 1, vec![entry])?;
    world.committed(GROUP, NodeId(1), 1, index)
}
