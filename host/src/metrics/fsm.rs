//! State machines and their plugins.

use std::collections::BTreeMap;

use coracle_driver::fsm::WorkerStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::catalogue::{Catalogue, set, show};
use super::labels::{Fsm, FsmPlugin, FsmResult, FsmState};
use super::per_group::PerGroup;
use super::{GroupScene, Scene};

/// State machines and their plugins.
#[derive(Debug)]
pub(crate) struct Fsms {
    commands: Family<FsmResult, Counter>,
    fuel: Family<Fsm, Counter>,
    memory: Family<Fsm, Gauge>,
    sessions: Family<Fsm, Gauge>,
    forgotten: Family<Fsm, Counter>,
    failures: Family<Fsm, Gauge>,
    snapshot_index: Family<Fsm, Gauge>,
    state: Family<FsmState, Gauge>,
    plugin: Family<FsmPlugin, Gauge>,
    /// Time a worker took for one entry, mean of a turn.
    pub(crate) apply: PerGroup,
    /// Time from a query to its answer at the reader.
    pub(crate) query: PerGroup,
    /// Time for `snapshot` of a guest.
    pub(crate) snapshot: Histogram,
    /// Time for instantiation and `restore` of a guest.
    pub(crate) restore: Histogram,
    /// Time to stage a plugin.
    pub(crate) compile: Histogram,
}

impl Fsms {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            commands: c.counters("fsm_apply", "Commands applied here, by what came of them"),
            fuel: c.counters("fsm_fuel", "Fuel used by applied commands"),
            memory: c.gauges("fsm_memory_bytes", "Memory of the instance that applies"),
            sessions: c.gauges("fsm_sessions", "Remembered commands with a key"),
            forgotten: c.counters(
                "fsm_sessions_forgotten",
                "Commands with a key that were forgotten to make room for newer ones",
            ),
            failures: c.gauges(
                "fsm_failures",
                "Commands that failed since the last snapshot: at 64 the fsm is suspended",
            ),
            snapshot_index: c.gauges("fsm_snapshot_index", "Last index of the newest snapshot"),
            state: c.gauges("fsm_state", "1 for the state the fsm is in here"),
            plugin: c.gauges("plugin_info", "1 for the plugin an fsm runs"),
            apply: c.per_group(
                "fsm_apply_seconds",
                "Time to apply one entry, mean of a turn",
            ),
            query: c.per_group("fsm_query_seconds", "Time to answer one query"),
            snapshot: c.seconds("fsm_snapshot_seconds", "Time of a guest's snapshot call"),
            restore: c.seconds(
                "fsm_restore_seconds",
                "Time to start a guest from a snapshot",
            ),
            compile: c.seconds(
                "plugin_compile_seconds",
                "Time to stage a plugin; little if its compiled code was on the disk",
            ),
        }
    }

    pub(super) fn show(&self, scene: &Scene) {
        for family in [
            &self.memory,
            &self.sessions,
            &self.failures,
            &self.snapshot_index,
        ] {
            family.clear();
        }
        self.commands.clear();
        self.fuel.clear();
        self.state.clear();
        self.plugin.clear();
        let mut shown = BTreeMap::new();
        for group in &scene.groups {
            shown.insert(group.status.group, group.fsm.clone());
            if let Some(worker) = &group.worker {
                self.show_one(group, worker);
            }
        }
        let hosted: std::collections::BTreeSet<_> = shown.keys().copied().collect();
        let full = hosted.len() == scene.hosted;
        for times in [&self.apply, &self.query] {
            times.show(shown.clone(), &|group| !full || hosted.contains(&group));
        }
    }

    fn show_one(&self, group: &GroupScene, worker: &WorkerStatus) {
        let fsm = Fsm {
            fsm: group.fsm.clone(),
        };
        let totals = &worker.totals;
        for (result, count) in [
            ("ok", totals.ok),
            ("refused", totals.refused),
            ("failed", totals.failed),
            ("replayed", totals.replayed),
        ] {
            let fsm = group.fsm.clone();
            show(&self.commands, &FsmResult { fsm, result }, count);
        }
        show(&self.fuel, &fsm, totals.fuel);
        set(&self.memory, &fsm, worker.memory_bytes);
        set(&self.sessions, &fsm, worker.sessions as u64);
        show(&self.forgotten, &fsm, totals.forgotten);
        set(&self.failures, &fsm, u64::from(worker.failures));
        set(&self.snapshot_index, &fsm, worker.snapshot_index);
        let state = FsmState {
            fsm: group.fsm.clone(),
            state: group.state.clone(),
        };
        set(&self.state, &state, 1);
        if let Some((name, version, digest)) = group.plugin.clone() {
            let fsm = group.fsm.clone();
            let labels = FsmPlugin {
                fsm,
                name,
                version,
                digest,
            };
            set(&self.plugin, &labels, 1);
        }
    }
}
