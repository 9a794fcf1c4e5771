use coracle_proto::EntryKind;

use super::rig::{GROUP, Rig, initial, ok, outcome, spec};
use crate::fsm::{CHAIN_INTERVAL, CHAIN_KEPT, Worker, WorkerOptions, WorkerState};
use crate::task::{Answer, HostEntry, Outcome, Report, Task};
use crate::{Digest, Floor};

#[test]
fn a_replica_that_restarted_from_a_snapshot_has_the_same_chain() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("put a 1", Some("k")), ("trap", None)]);
    let steady = {
        rig.checkpoint();
        rig.commands(&["append a 2", "trap"]);
        rig.host(HostEntry::Checkpoint);
        rig.commands(&["append a 3", "fuel", "append a 4"]);
        rig.twin()
    };

    rig.restart();

    assert_eq!(rig.status(), steady.status());
    assert_ne!(rig.status().chain, Digest([0; 32]));
}

#[test]
fn a_replica_that_restarted_goes_through_the_same_history() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.checkpoint();
    rig.commands(&["append a 2", "trap", "append a 3"]);
    let before = rig.history();

    rig.restart();

    assert_eq!(rig.history(), before);
    assert_eq!(rig.ask("get a"), "123");
}

#[test]
fn a_replica_without_a_snapshot_starts_from_the_first_entry() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    let before = rig.status();

    rig.restart();

    assert_eq!(rig.status(), before);
}

#[test]
fn heads_at_multiples_of_the_interval_are_kept_over_a_snapshot() {
    let mut rig = Rig::created(&[]);
    while rig.status().applied < (CHAIN_KEPT as u64 + 2) * CHAIN_INTERVAL {
        let position = rig.append(EntryKind::Noop, bytes::Bytes::new());
        rig.worker.push(Task::Apply {
            through: position.index,
        });
        rig.run();
    }
    rig.checkpoint();
    let before = rig.status();

    rig.restart();

    assert_eq!(rig.status().chains, before.chains);
    assert_eq!(before.chains.len(), CHAIN_KEPT);
    assert_eq!(before.chains[0].index, 3 * CHAIN_INTERVAL);
}

#[test]
fn a_snapshot_from_a_peer_replaces_everything_and_covered_tickets_are_unknown() {
    let mut leader = Rig::created(&[]);
    leader.keyed(&[("put a 1", Some("k"))]);
    let snapshot = leader.checkpoint();
    let mut behind = Rig::created(&[]);
    leader.snapshots.copy_to(&behind.snapshots);
    let ticket = behind.ticket();
    let position = behind.append_commands(&[("put b 1", None)]);
    behind.worker.push(Task::Expect {
        position,
        tickets: vec![Some(ticket)],
    });

    behind.worker.push(Task::Install { snapshot });
    let answers = behind.run();

    assert!(matches!(answers[..], [(t, Answer::Unknown { .. })] if t == ticket));
    assert_eq!(behind.status(), leader.status());
    assert_eq!(behind.history(), leader.history());
    assert_eq!(behind.ask("get a"), "1");
    let retry = behind.keyed(&[("put a 1", Some("k"))]).remove(0);
    assert!(matches!(retry, Answer::Applied { replayed: true, .. }));
}

#[test]
fn a_snapshot_older_than_what_is_applied_changes_nothing() {
    let mut rig = Rig::created(&[]);
    let snapshot = rig.checkpoint();
    rig.commands(&["put a 1"]);
    let before = rig.status();

    rig.worker.push(Task::Install { snapshot });
    rig.run();

    assert_eq!(rig.status(), before);
}

#[test]
fn a_replica_whose_entries_are_gone_waits_for_a_snapshot() {
    let mut leader = Rig::created(&[]);
    let snapshot = leader.checkpoint();
    let mut behind = Rig::empty(WorkerOptions::default());
    leader.snapshots.copy_to(&behind.snapshots);

    behind.worker.push(Task::Apply { through: 2 });
    behind.run();
    let waiting = behind.status().state;
    behind.worker.push(Task::Install { snapshot });
    behind.run();

    assert!(matches!(waiting, WorkerState::WaitingForSnapshot { .. }));
    assert_eq!(behind.status(), leader.status());
}

#[test]
fn a_missing_plugin_pauses_the_replica_until_it_arrives() {
    let mut rig = Rig::empty(WorkerOptions::default());
    let plugin = spec(&[]).plugin;
    rig.machines.set_present(plugin, false);
    let create = rig.append_host(&HostEntry::Create(spec(&[])));
    let none = rig.apply(create, 1);
    let paused = rig.status();
    rig.run();

    rig.machines.set_present(plugin, true);
    rig.worker.push(Task::PluginArrived { plugin });
    let answers = rig.run();

    assert_eq!(none, []);
    assert_eq!(paused.state, WorkerState::WaitingForPlugin { plugin });
    assert_eq!(paused.applied, 0);
    let missing = |report: &&Report| matches!(report, Report::PluginMissing { .. });
    assert_eq!(rig.reports.iter().filter(missing).count(), 1);
    assert_eq!(outcome(answers[0].1.clone()), Outcome::Done);
}

#[test]
fn a_snapshot_without_its_plugin_pauses_the_replica_too() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.checkpoint();
    let plugin = spec(&[]).plugin;
    rig.machines.set_present(plugin, false);

    let chain = rig.status().chain;
    rig.restart();
    let paused = rig.status();
    rig.machines.set_present(plugin, true);
    rig.worker.push(Task::PluginArrived { plugin });
    rig.run();

    assert_eq!(paused.state, WorkerState::WaitingForPlugin { plugin });
    assert_eq!((paused.chain, rig.status().chain), (chain, chain));
    assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
}

#[test]
fn a_floor_without_its_snapshot_halts_the_replica() {
    let rig = Rig::empty(WorkerOptions::default());
    let floor = Floor {
        last: coracle_proto::LogId { term: 1, index: 5 },
        configuration: initial(),
        snapshot: None,
    };

    let worker = Worker::new(GROUP, rig.context, &floor);

    assert!(matches!(worker.status().state, WorkerState::Halted { .. }));
}
