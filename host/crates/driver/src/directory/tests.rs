use std::sync::Arc;

use coracle_proto::{GroupId, NodeId};
use proptest::prelude::*;

use super::*;
use crate::fsm::decode_outcomes;
use crate::fsm::native_kv::NativeKvs;
use crate::payload::frame_of;
use crate::task::Outcome;
use crate::{Digest, Environment, Limits, Machine, MachineSpec, Machines, Source};

const PLUGIN: Digest = Digest([3; 32]);

fn register(digest: Digest) -> DirectoryCommand {
    DirectoryCommand::RegisterPlugin {
        digest,
        name: "kv".into(),
        version: "1".into(),
        bytes: 10,
    }
}

fn create(name: &str) -> DirectoryCommand {
    DirectoryCommand::CreateFsm {
        name: name.into(),
        plugin: PLUGIN,
        config: vec![("a".into(), "1".into())],
        limits: Limits::default(),
        nodes: vec![NodeId(1), NodeId(2)],
    }
}

fn retire(name: &str) -> DirectoryCommand {
    DirectoryCommand::RetireFsm { name: name.into() }
}

/// With the plugin registered.
fn state() -> DirectoryState {
    let mut state = DirectoryState::default();
    state.apply(1, 0, register(PLUGIN)).expect("registers");
    state
}

pub(super) fn placed(placement: Placement) -> Fsm {
    Fsm {
        group: GroupId(9),
        plugin: PLUGIN,
        created: PLUGIN,
        config: Vec::new(),
        limits: Limits::default(),
        nodes: Vec::new(),
        retiring: false,
        placement,
        members: None,
    }
}

#[test]
fn an_fsm_gets_the_index_of_its_entry_as_its_group() {
    let mut state = state();

    let reply = state.apply(9, 0, create("kv"));

    assert_eq!(reply, Ok(9u64.to_le_bytes().to_vec()));
    let fsm = state.fsm("kv").expect("is there");
    assert_eq!((fsm.group, fsm.retiring), (GroupId(9), false));
}

#[test]
fn the_same_request_again_gets_the_same_group_even_after_an_upgrade() {
    let mut state = state();
    state.apply(9, 0, create("kv")).expect("creates");
    let upgraded = Digest([4; 32]);
    state.apply(10, 0, register(upgraded)).expect("registers");
    let group = GroupId(9);
    let report = DirectoryCommand::SetFsmPlugin {
        group,
        plugin: upgraded,
    };
    state.apply(11, 0, report).expect("is reported");

    let again = state.apply(12, 0, create("kv"));

    assert_eq!(again, Ok(9u64.to_le_bytes().to_vec()));
    assert_eq!(state.fsm("kv").map(|fsm| fsm.plugin), Some(upgraded));
}

#[test]
fn another_request_for_a_taken_name_is_refused() {
    let mut state = state();
    state.apply(9, 0, create("kv")).expect("creates");
    let mut other = create("kv");
    if let DirectoryCommand::CreateFsm { config, .. } = &mut other {
        config.clear();
    }
    let before = state.clone();

    let refusal = state.apply(10, 0, other).expect_err("is refused");

    assert_eq!(
        refusal.to_string(),
        "conflict: there is an fsm kv already, group 9"
    );
    assert_eq!(state, before);
}

#[test]
fn two_fsms_of_one_entry_cannot_share_an_id() {
    let mut state = state();
    state.apply(9, 0, create("a")).expect("creates");
    assert_eq!(
        state.apply(9, 0, create("b")),
        Err(Refusal::SameEntry { index: 9 })
    );
}

#[test]
fn a_name_is_free_again_once_its_group_is_dropped() {
    let mut state = state();
    let group = GroupId(9);
    let drop = || DirectoryCommand::DropFsm { group };
    state.apply(9, 0, create("kv")).expect("creates");
    assert_eq!(
        state.apply(10, 0, drop()),
        Err(Refusal::NotRetiring { group: 9 })
    );

    state.apply(11, 0, retire("kv")).expect("retires");
    state.apply(12, 0, retire("kv")).expect("may be repeated");
    assert!(matches!(
        state.apply(13, 0, create("kv")),
        Err(Refusal::Retiring { .. })
    ));
    state.apply(14, 0, drop()).expect("drops");
    state.apply(15, 0, drop()).expect("may be repeated");

    assert_eq!(
        state.apply(16, 0, create("kv")),
        Ok(16u64.to_le_bytes().to_vec())
    );
}

#[test]
fn what_is_not_there_is_refused_as_not_found() {
    let mut state = DirectoryState::default();
    let group = GroupId(5);
    for command in [
        create("kv"),
        retire("kv"),
        DirectoryCommand::SetFsmPlugin {
            group,
            plugin: PLUGIN,
        },
    ] {
        let refusal = state
            .apply(2, 0, command)
            .expect_err("is refused")
            .to_string();
        assert!(refusal.starts_with("not found: "), "{refusal}");
    }
    state.apply(3, 0, register(PLUGIN)).expect("registers");
    let report = DirectoryCommand::SetFsmPlugin {
        group,
        plugin: PLUGIN,
    };
    assert_eq!(
        state.apply(4, 0, report),
        Err(Refusal::UnknownGroup { group: 5 })
    );
}

#[test]
fn bad_names_nodes_and_settings_are_refused_as_bad_requests() {
    let mut state = state();
    let long = "x".repeat(MAX_NAME + 1);
    for name in ["", "-a", "0", "a/b", "A", "a b", "a.b", &long] {
        let refusal = state.apply(2, 0, create(name)).expect_err(name).to_string();
        assert!(refusal.starts_with("bad request: "), "{refusal}");
    }
    for (index, name) in (2..).zip(["a", "kv-2_y", &long[1..]]) {
        assert!(state.apply(index, 0, create(name)).is_ok(), "{name}");
    }
    for (nodes_, config_) in [
        (vec![], vec![]),
        (vec![NodeId(2), NodeId(2)], vec![]),
        (vec![NodeId(1)], vec![("b", "1"), ("a", "1")]),
        (vec![NodeId(1)], vec![("a", "1"), ("a", "2")]),
    ] {
        let mut bad = create("bad");
        if let DirectoryCommand::CreateFsm { nodes, config, .. } = &mut bad {
            *nodes = nodes_;
            *config = config_
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect();
        }
        let refusal = state.apply(99, 0, bad).expect_err("is refused").to_string();
        assert!(refusal.starts_with("bad request: "), "{refusal}");
    }
}

/// A source over bytes.
struct Bytes(Vec<u8>);

impl Source for Bytes {
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String> {
        let rest = self.0.split_off(max.min(self.0.len()));
        Ok(std::mem::replace(&mut self.0, rest))
    }
}

impl crate::Sink for Bytes {
    fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.0.extend(chunk);
        Ok(())
    }
}

fn environment(index: u64) -> Environment {
    Environment {
        index,
        time: 0,
        seed: [0; 32],
    }
}

fn spec() -> MachineSpec {
    MachineSpec {
        plugin: MachineSpec::NATIVE,
        config: Vec::new(),
        limits: Limits::default(),
        contract: String::new(),
        epoch: 0,
    }
}

fn apply(machine: &mut dyn Machine, index: u64, commands: &[Vec<u8>]) -> Vec<Outcome> {
    let frame = frame_of(commands.iter().map(Vec::as_slice));
    let answer = machine.apply(&environment(index), &frame).expect("works");
    decode_outcomes(&answer, commands.len(), &Limits::default()).expect("decodes")
}

#[test]
fn only_the_live_instance_publishes_and_a_restored_one_is_the_same() {
    let handle = DirectoryHandle::default();
    let machines = NativeMachines::new(handle.clone(), Arc::new(NativeKvs::new()));
    let mut live = machines
        .start(&spec(), &environment(1), None, false)
        .expect("starts");
    let mut twin = machines
        .start(&spec(), &environment(1), None, true)
        .expect("starts");

    let outcomes = apply(
        live.as_mut(),
        5,
        &[
            register(PLUGIN).encode(),
            create("kv").encode(),
            create("kv2").encode(),
            b"noise".to_vec(),
        ],
    );
    apply(twin.as_mut(), 5, &[register(Digest([9; 32])).encode()]);

    assert_eq!(outcomes[1], Outcome::Ok(5u64.to_le_bytes().to_vec()));
    assert!(matches!(
        outcomes[2..],
        [Outcome::Refused(_), Outcome::Refused(_)]
    ));
    let published = handle.state();
    assert_eq!(published.plugins.keys().collect::<Vec<_>>(), [&PLUGIN]);

    let mut saved = Bytes(Vec::new());
    live.snapshot(&environment(6), &mut saved).expect("saves");
    let other = DirectoryHandle::default();
    let machines = NativeMachines::new(other.clone(), Arc::new(NativeKvs::new()));
    let restored = machines.start(&spec(), &environment(6), Some(&mut saved), false);
    restored.expect("restores");
    assert_eq!(other.state(), published);
}

#[test]
fn a_directory_that_is_rebuilt_does_not_publish_what_it_was_before() {
    let handle = DirectoryHandle::default();
    let machines = NativeMachines::new(handle.clone(), Arc::new(NativeKvs::new()));
    let start = || machines.start(&spec(), &environment(1), None, false);
    let commands = [register(PLUGIN).encode(), create("kv").encode()];
    apply(start().expect("starts").as_mut(), 5, &commands);

    let mut again = start().expect("starts again");

    assert!(handle.state().fsm("kv").is_some(), "it is still wanted");
    apply(again.as_mut(), 5, &commands);
    apply(again.as_mut(), 6, &[retire("kv").encode()]);
    assert!(handle.state().fsm("kv").is_some_and(|fsm| fsm.retiring));
}

#[test]
fn other_plugins_are_left_to_the_other_machines() {
    let kvs = Arc::new(NativeKvs::new());
    kvs.set_present(PLUGIN, false);
    let machines = NativeMachines::new(DirectoryHandle::default(), kvs);

    assert!(machines.has(&MachineSpec::NATIVE));
    assert!(!machines.has(&PLUGIN));
}

proptest! {
    #[test]
    fn noise_is_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut versioned = vec![1];
        versioned.extend(&noise);
        for bytes in [&noise, &versioned] {
            if let Ok(command) = DirectoryCommand::decode(bytes) {
                let _ = state().apply(3, 0, command);
            }
            let _ = DirectoryState::decode(bytes);
        }
    }
}
