//! What entries, snapshots and the directory hold, and what a guest answers.

use bytes::Bytes;
use coracle_driver::directory::{
    DirectoryCommand, DirectoryState, Founder, GroupMembers, JoinToken, NewNode, NodeRole,
    Placement,
};
use coracle_driver::fsm::{SnapshotHeader, decode_outcomes, encode_outcomes, fuzzing};
use coracle_driver::payload::{self, Body};
use coracle_driver::task::{Command, HostEntry, Outcome};
use coracle_driver::{Digest, Limits, MachineSpec, Reply};
use coracle_fuzz::{Tape, damaged, input, within};
use coracle_proto::{GroupId, NodeId, ReplicaId};
use coracle_runtime::{check_outcomes, count_commands};

const SLACK: usize = 16 << 10;

fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([3; 32]),
        config: vec![("a".into(), "1".into()), ("b".into(), String::new())],
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let command = |body: &'static [u8], key| Command {
        body: Bytes::from_static(body),
        key,
    };
    let commands = [command(b"put a 1", Some([9; 16])), command(b"", None)];
    let hosts = [
        HostEntry::Create(spec()),
        HostEntry::Activate(spec()),
        HostEntry::Checkpoint,
        HostEntry::Retire,
        HostEntry::Restore {
            image: Digest([4; 32]),
            fresh: true,
        },
    ];
    let mut all = vec![payload::encode_commands(7, [1; 32], &commands).to_vec()];
    all.extend(hosts.map(|entry| payload::encode_host(7, [1; 32], &entry).to_vec()));
    all
}

/// As the entry would be written again, where it can be: the principal has no writer yet.
fn encoded_again(decoded: &payload::Payload) -> Option<Bytes> {
    let entry = match &decoded.body {
        Body::Commands(group) => {
            let header = |at: usize| group.headers().get(at).copied().unwrap_or_default();
            let commands: Vec<Command> = (0..group.len())
                .map(|at| Command {
                    body: Bytes::copy_from_slice(group.body(at)),
                    key: header(at).key,
                })
                .collect();
            let said = group.headers().iter().any(|header| header.principal != 0);
            let again = payload::encode_commands(decoded.time, decoded.seed, &commands);
            return (!said).then_some(again);
        }
        Body::Create(spec) => HostEntry::Create(spec.clone()),
        Body::Activate(spec) => HostEntry::Activate(spec.clone()),
        Body::Checkpoint => HostEntry::Checkpoint,
        Body::Retire => HostEntry::Retire,
        Body::Restore { image, fresh } => HostEntry::Restore {
            image: *image,
            fresh: *fresh,
        },
    };
    Some(payload::encode_host(decoded.time, decoded.seed, &entry))
}

#[test]
fn entry_payload() {
    let seeds = payloads();
    fuzz!(60_000, 256, |tape: &[u8]| {
        let bytes = Bytes::from(input(&mut Tape::new(tape), &seeds));
        let _ = payload::time_of(&bytes);
        let Ok(decoded) = within(SLACK + 32 * bytes.len(), || payload::decode(&bytes)) else {
            return;
        };
        if let Body::Commands(group) = &decoded.body {
            let counted = count_commands(group.frame()).expect("the guest's frame is sound");
            assert_eq!(counted as usize, group.len());
        }
        if let Some(again) = encoded_again(&decoded) {
            assert_eq!(payload::decode(&again), Ok(decoded), "it comes back");
        }
    });
}

#[test]
fn guest_outcomes() {
    let seeds = [
        encode_outcomes(&[]),
        encode_outcomes(&[Reply::Ok(vec![1; 40]), Reply::Refused(Vec::new())]),
        encode_outcomes(&vec![Reply::Ok(vec![2]); 9]),
    ];
    let limits = Limits {
        reply_bytes: 100,
        group_reply_bytes: 300,
        ..Limits::default()
    };
    let sandbox = coracle_runtime::Limits {
        reply_bytes: limits.reply_bytes,
        group_reply_bytes: limits.group_reply_bytes,
        ..coracle_runtime::Limits::default()
    };
    fuzz!(60_000, 256, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let commands = *tape.pick(&[0usize, 2, 9, 1]);
        let frame = input(&mut tape, &seeds);
        let allowed = SLACK + 64 * frame.len();
        let decoded = within(allowed, || decode_outcomes(&frame, commands, &limits));
        let checked = check_outcomes(&frame, commands as u32, &sandbox);
        assert_eq!(decoded.is_ok(), checked.is_ok(), "host and sandbox agree");
        if let Ok(outcomes) = decoded {
            let replies: Vec<Reply> = outcomes.into_iter().filter_map(reply).collect();
            assert_eq!(encode_outcomes(&replies), frame, "one encoding only");
        }
    });
}

fn reply(outcome: Outcome) -> Option<Reply> {
    match outcome {
        Outcome::Ok(bytes) => Some(Reply::Ok(bytes)),
        Outcome::Refused(bytes) => Some(Reply::Refused(bytes)),
        _ => None,
    }
}

#[test]
fn sessions() {
    let seeds = [
        fuzzing::sessions(&[]),
        fuzzing::sessions(&[b"one".to_vec(), Vec::new(), vec![7; 300]]),
    ];
    fuzz!(30_000, 200, |tape: &[u8]| {
        let bytes = Bytes::from(input(&mut Tape::new(tape), &seeds));
        let read = within(256 * 1024 + 64 * bytes.len(), || {
            fuzzing::read(bytes.clone())
        });
        if let Some(again) = read {
            assert_eq!(
                fuzzing::read(again.clone().into()),
                Some(again),
                "it comes back"
            );
        }
    });
}

#[test]
fn snapshot_header() {
    let seeds = [fuzzing::snapshot_header()];
    assert!(
        SnapshotHeader::decode(&seeds[0]).is_ok(),
        "the seed is sound"
    );
    fuzz!(30_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK + 128 * bytes.len(), || SnapshotHeader::decode(&bytes));
        if let Ok(header) = read {
            let again = SnapshotHeader::decode(&header.encode());
            assert_eq!(again, Ok(header), "it comes back");
        }
    });
}

fn directory_commands() -> Vec<DirectoryCommand> {
    use DirectoryCommand as C;
    let node = NodeId(4);
    let replica = |node| ReplicaId {
        node: NodeId(node),
        born: 0,
    };
    let text = |text: &str| text.to_owned();
    let founder = |node: u64| Founder {
        node: NodeId(node),
        quic: format!("127.0.0.1:{node}"),
        http: format!("http://127.0.0.1:{node}"),
    };
    let (quic, http) = (text("127.0.0.1:4"), text("http://127.0.0.1:4"));
    vec![
        C::FoundCluster {
            cluster: text("c"),
            founders: (1..=3).map(founder).collect(),
        },
        C::RegisterPlugin {
            digest: Digest([3; 32]),
            name: text("kv"),
            version: text("1"),
            bytes: 7,
        },
        C::CreateFsm {
            name: text("a"),
            plugin: Digest([3; 32]),
            config: vec![(text("k"), text("v"))],
            limits: Limits::default(),
            nodes: (1..=3).map(NodeId).collect(),
        },
        C::SetFsmPlugin {
            group: GroupId(3),
            plugin: Digest([3; 32]),
        },
        C::CreateToken {
            id: 5,
            token: JoinToken {
                verifier: [7; 32],
                role: NodeRole::Voter,
                expires: u64::MAX,
                uses_left: 9,
            },
        },
        C::AddNode(NewNode {
            token: 5,
            key: [1; 32],
            name: None,
            quic: quic.clone(),
            http: http.clone(),
        }),
        C::RegisterNode {
            node,
            quic: quic.clone(),
            http: http.clone(),
        },
        C::SetNodeRole {
            node,
            role: NodeRole::Learner,
            expected: None,
        },
        C::ReplaceNode {
            old: NodeId(1),
            new: node,
            expected: None,
        },
        C::CompleteStaging { node },
        C::SetNodeAddress {
            node,
            quic,
            http,
            expected: Some(3),
        },
        C::SetPriority {
            node,
            priority: 9,
            expected: None,
        },
        C::RemoveNode {
            node,
            expected: None,
        },
        C::DropNode { node },
        C::RevokeToken { id: 5 },
        C::ReportMembers {
            group: GroupId(3),
            members: GroupMembers {
                index: 9,
                voters: vec![replica(1), replica(2)],
                learners: vec![replica(4)],
                witnesses: Vec::new(),
            },
        },
        C::PlaceFsm {
            name: text("a"),
            placement: Placement::Nodes(vec![NodeId(1), node]),
        },
        C::RetireFsm { name: text("a") },
        C::DropFsm { group: GroupId(3) },
    ]
}

/// Commands of one run, at most.
const MAX_COMMANDS: usize = 24;

#[test]
fn directory() {
    let seeds: Vec<Vec<u8>> = directory_commands()
        .iter()
        .map(DirectoryCommand::encode)
        .collect();
    fuzz!(15_000, 300, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let mut state = DirectoryState::default();
        let mut index = 0;
        while !tape.is_empty() && index < MAX_COMMANDS as u64 {
            index += 1;
            let time = tape.small(1 << 40);
            let seed = tape.pick(&seeds).clone();
            let bytes = match tape.byte() % 3 {
                0 => damaged(&mut tape, seed),
                _ => seed,
            };
            let allowed = SLACK + 64 * bytes.len();
            let command = within(allowed, || DirectoryCommand::decode(&bytes));
            if let Ok(command) = command {
                let again = DirectoryCommand::decode(&command.encode());
                assert_eq!(again, Ok(command.clone()), "it comes back");
                let before = state.clone();
                if state.apply(index, time, command).is_err() {
                    assert_eq!(state, before, "what is refused changes nothing");
                }
            }
        }
        assert_eq!(DirectoryState::decode(&state.encode()), Ok(state));
    });
}

#[test]
fn directory_state() {
    let mut state = DirectoryState::default();
    let mut refused = Vec::new();
    for (index, command) in (1..).zip(directory_commands().into_iter().take(12)) {
        let name = format!("{command:?}");
        refused.extend(state.apply(index, 1, command).err().map(|why| (name, why)));
    }
    assert!(state.fsm("a").is_some(), "{refused:?}");
    let seeds = [state.encode(), DirectoryState::default().encode()];
    fuzz!(15_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK + 64 * bytes.len(), || DirectoryState::decode(&bytes));
        if let Ok(state) = read {
            assert_eq!(DirectoryState::decode(&state.encode()), Ok(state));
        }
    });
}
