//! Any workload, with restarts and rebuilds anywhere, comes to the same as without them.

use proptest::prelude::*;

use super::rig::{Rig, spec};
use crate::task::HostEntry;
use crate::{Digest, MachineSpec};

#[derive(Debug, Clone)]
enum Step {
    Commands(Vec<(&'static str, Option<&'static str>)>),
    Host(HostEntry),
    /// The process starts again.
    Restart,
    /// The instance is lost and made anew.
    Rebuild,
    /// The twin answers a query.
    Query,
}

fn other(config: &[(&str, &str)]) -> HostEntry {
    HostEntry::Activate(MachineSpec {
        plugin: Digest([2; 32]),
        ..spec(config)
    })
}

fn commands() -> impl Strategy<Value = Step> {
    let body = prop_oneof![
        4 => Just("append a x"),
        4 => Just("add n 1"),
        2 => Just("random"),
        1 => Just("trap"),
        1 => Just("trap-in-group"),
        1 => Just("miscount"),
        1 => Just("del a"),
    ];
    let key = prop_oneof![3 => Just(None), 1 => Just(Some("k")), 1 => Just(Some("l"))];
    prop::collection::vec((body, key), 1..6).prop_map(Step::Commands)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => commands(),
        1 => Just(Step::Host(HostEntry::Checkpoint)),
        1 => Just(Step::Host(other(&[("version", "v")]))),
        1 => Just(Step::Host(other(&[("snapshot", "trap")]))),
        1 => Just(Step::Host(other(&[("restore", "trap")]))),
        1 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Query),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    #[test]
    fn restarts_rebuilds_and_queries_change_nothing(steps in prop::collection::vec(step(), 1..25)) {
        let mut plain = Rig::created(&[]);
        let mut tried = Rig::created(&[]);
        for step in &steps {
            match step {
                Step::Commands(commands) => {
                    prop_assert_eq!(tried.keyed(commands), plain.keyed(commands));
                }
                Step::Host(entry) => {
                    prop_assert_eq!(tried.host(entry.clone()), plain.host(entry.clone()));
                }
                Step::Restart => tried.restart(),
                Step::Rebuild => tried.worker.live = None,
                Step::Query => {
                    let history = tried.history();
                    prop_assert_eq!(tried.ask("history"), history);
                }
            }
        }
        prop_assert_eq!(tried.history(), plain.history());
        prop_assert_eq!(tried.status(), plain.status());
        prop_assert_eq!(tried.reader.status().differences, 0);
    }
}
