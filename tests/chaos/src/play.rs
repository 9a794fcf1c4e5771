//! Plays a scenario from beginning to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use coracle_client::QueryOptions;
use coracle_history::{Action, History, Outcome, ReadKind, Recorder};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, client_of};
use crate::failure::Failure;
use crate::load::{FSM, Load};
use crate::manifest::{LOGS, MANIFEST, Manifest, PLAN, TIMELINE};
use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::rng::Rng;
use crate::run::{Run, plugin};
use crate::scenario::Scenario;
use crate::timeline::Timeline;
use crate::verdict::{
    self, CHAINS, FAILED, FINAL, HISTORIES, Last, PASSED, READER, SKIPPED, TRACES, VERDICT, Verdict,
};
use crate::watch::Watch;

/// Time in which a healed cluster must be well again.
const WELL_AGAIN: Duration = Duration::from_secs(60);

/// Time for a request of the harness that may compile a plugin.
const SLOW: Duration = Duration::from_secs(120);

/// Bytes of one page of the final reading, about.
const PAGE_BYTES: usize = 200_000;

/// Bytes that a key takes in it beside its value.
const KEY_BYTES: usize = 64;

/// The file of its history.
const THE_END: &str = "the-end.ndjson";

/// What one run is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The scenario.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
    /// Whether it was the long form.
    pub all: bool,
}

/// Where things are, and how to behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program.
    pub binary: PathBuf,
    /// The folder with the components.
    pub plugins: PathBuf,
    /// Where the folders of runs go.
    pub reports: PathBuf,
    /// Whether nodes write what their cores did, to be judged by the abstract specification.
    pub traces: bool,
    /// Of the places of `failpoints`, only these; all if there are none.
    pub places: Vec<String>,
    /// Whether every fault is shown.
    pub verbose: bool,
    /// Set when somebody pressed ctrl-c.
    pub interrupted: Arc<AtomicBool>,
}

/// How a run has ended.
#[derive(Debug, Serialize)]
pub struct Played {
    /// What was played.
    pub plan: Plan,
    /// `passed`, `failed` or `skipped`.
    pub result: &'static str,
    /// Why it has not passed.
    pub why: Vec<String>,
    /// What was done, how often.
    pub faults: BTreeMap<&'static str, u64>,
    /// What was checked.
    pub checked: Option<Verdict>,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Its folder.
    pub folder: PathBuf,
}

impl Played {
    /// A run of which nothing is known yet.
    pub fn of(plan: Plan, folder: PathBuf) -> Self {
        Self {
            plan,
            result: PASSED,
            why: Vec::new(),
            faults: BTreeMap::new(),
            checked: None,
            seconds: 0,
            folder,
        }
    }

    /// It cannot be played here.
    pub fn skip(&mut self, why: String) {
        self.result = SKIPPED;
        self.why.push(why);
    }
}

/// Where a run leaves what was seen.
pub fn folder_of(reports: &Path, plan: &Plan) -> PathBuf {
    reports.join(format!("{}-{}", plan.scenario, plan.seed))
}

/// Plays it; the folder of the run holds all that was seen.
///
/// # Errors
/// If the folder cannot be made; everything else is in the answer.
pub fn play(settings: &Settings, scenario: &Scenario, plan: Plan) -> Result<Played, Failure> {
    let begin = Instant::now();
    let folder = folder_of(&settings.reports, &plan);
    let mut played = Played::of(plan, folder);
    match staged(settings, scenario, &mut played) {
        Ok(()) => {}
        Err(Failure::Skipped(why)) => {
            played.skip(why);
        }
        Err(failure) => played.why.push(failure.to_string()),
    }
    // Also after a failure: what was seen until then may show why.
    if played.result != SKIPPED {
        match verdict::judge(&played.folder, played.why.is_empty()) {
            Ok(checked) => {
                played.why.extend(checked.violations.iter().cloned());
                played.checked = Some(checked);
            }
            Err(failure) if played.why.is_empty() => played.why.push(failure.to_string()),
            Err(_) => {}
        }
        if !played.why.is_empty() {
            played.result = FAILED;
        }
    }
    played.seconds = begin.elapsed().as_secs();
    if played.result == PASSED {
        // Of a good run the logs and histories are enough.
        let _gone = std::fs::remove_dir_all(played.folder.join("cluster"));
        for id in 1..=scenario.nodes_at_most {
            let _gone = std::fs::remove_file(played.folder.join(format!("disk-n{id}")));
        }
    }
    if played.folder.exists() {
        write_json(&played.folder.join(VERDICT), &played)?;
    }
    Ok(played)
}

fn staged(settings: &Settings, scenario: &Scenario, played: &mut Played) -> Result<(), Failure> {
    for tool in scenario.needs {
        tool.check()?;
    }
    let folder = &played.folder;
    let _gone = std::fs::remove_dir_all(folder);
    for name in [LOGS, HISTORIES, CHAINS] {
        let made = std::fs::create_dir_all(folder.join(name));
        made.map_err(|error| Failure::harness("make the folder of the run", error))?;
    }
    write_json(&folder.join(PLAN), &played.plan)?;
    let mut run = set_up(settings, scenario, &played.plan, folder)?;
    let result = act(scenario, played.plan.seed, &mut run);
    played.faults = run.timeline.counts();
    let relayed = match &run.relay {
        Some(relay) => {
            played.faults.extend(relay.counts());
            relay.used()
        }
        None => Ok(()),
    };
    let felt = run.network.felt();
    if let Ok(Some(dropped)) = felt {
        played.faults.insert("packets cut off", dropped);
    }
    // After a failure the clients are still there; their histories are wanted all the same.
    let stopped = stop_load(&mut run);
    played.faults.extend(std::mem::take(&mut run.totals));
    let mut manifest = std::mem::take(&mut run.manifest);
    manifest.timeline = run.timeline.counts().values().sum();
    manifest.traced = settings.traces;
    let mounts = std::mem::take(&mut run.mounts);
    // The nodes end with it.
    drop(run);
    for mount in mounts {
        // A last resort is the end of the warden, which owns the mounts.
        let _gone = program::output(Command::new("umount").arg("-l").arg(mount));
    }
    let felt = felt.map(drop);
    result
        .and(felt)
        .and(relayed)
        .and(stopped)
        .and(note_down(folder, manifest))
}

/// Writes what there must be; the nodes have ended.
fn note_down(folder: &Path, mut manifest: Manifest) -> Result<(), Failure> {
    manifest.weigh(folder, LOGS)?;
    if manifest.traced {
        manifest.weigh(folder, TRACES)?;
    }
    write_json(&folder.join(MANIFEST), &manifest)
}

fn set_up(
    settings: &Settings,
    scenario: &Scenario,
    plan: &Plan,
    folder: &Path,
) -> Result<Run, Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::harness("start a runtime", error))?;
    let network = Network::set_up()?;
    let relay = if scenario.relayed {
        let last = scenario.nodes_at_most;
        Some(Relay::start(runtime.handle(), &network, plan.seed, last)?)
    } else {
        None
    };
    let mut cluster = Cluster::lay_out(
        &settings.binary,
        &folder.join("cluster"),
        &folder.join(LOGS),
        scenario.nodes,
        scenario.settings,
    )?;
    if settings.traces {
        let traces = folder.join(TRACES);
        std::fs::create_dir_all(&traces)
            .map_err(|error| Failure::harness("make a folder", error))?;
        cluster.traces = Some(traces);
    }
    let bound = if plan.all {
        scenario.bound_all
    } else {
        scenario.bound
    };
    Ok(Run {
        cluster,
        network,
        relay,
        rng: Rng::new(plan.seed, 1),
        timeline: Timeline::create(&folder.join(TIMELINE), settings.verbose)?,
        load: None,
        errands: Vec::new(),
        mounts: Vec::new(),
        totals: BTreeMap::new(),
        manifest: Manifest::default(),
        folder: folder.to_owned(),
        plugins: settings.plugins.clone(),
        all: plan.all,
        only: settings.places.clone(),
        runtime: Arc::new(runtime),
        deadline: Instant::now() + WELL_AGAIN,
        bound,
        may_end: BTreeMap::new(),
        interrupted: Arc::clone(&settings.interrupted),
    })
}

fn act(scenario: &Scenario, seed: u64, run: &mut Run) -> Result<(), Failure> {
    (scenario.prepare)(run)?;
    for id in run.cluster.ids() {
        if !run.cluster.is_running(id) {
            run.start(id)?;
        }
    }
    create_fsm(run)?;
    let runtime = Arc::clone(&run.runtime);
    let last = scenario.nodes_at_most;
    let histories = run.folder.join(HISTORIES);
    let watch = Watch::start(runtime.handle(), &run.folder.join(CHAINS), last)?;
    let load = Load::start(
        runtime.handle(),
        &histories,
        &run.timeline,
        seed,
        last,
        scenario.mix,
    )?;
    run.load = Some(load);
    run.deadline = Instant::now() + run.bound;
    let faults = (scenario.faults)(run);
    let well = faults.and_then(|()| well_again(scenario, run));
    // Whoever has ended since the last look.
    let well = well.and_then(|()| run.check());
    let watched = watch.stop(runtime.handle());
    let watched = watched.map(|wrote| run.manifest.chains = wrote);
    well.and(watched)
}

fn create_fsm(run: &mut Run) -> Result<(), Failure> {
    let path = plugin(&run.plugins, "kv");
    run.eventually("the fsm to be created", |run| {
        let path = path.to_string_lossy();
        let arguments = ["fsm", "create", FSM, "--plugin", &path];
        match run.cluster.coracle(&arguments) {
            Ok(_) => Ok(()),
            // A second try after a lost answer.
            Err(failure) if failure.to_string().contains("there is an fsm") => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    })
}

/// Everything that was broken is mended; then the cluster must serve, and agree.
fn well_again(scenario: &Scenario, run: &mut Run) -> Result<(), Failure> {
    run.timeline.note("heal", "everything");
    run.bound = WELL_AGAIN;
    run.deadline = Instant::now() + run.bound;
    run.network.heal()?;
    if let Some(relay) = &run.relay {
        relay.clear();
    }
    for id in run.cluster.paused() {
        run.cluster.pause(id, false)?;
    }
    for id in run.cluster.ids() {
        let gone = run.may_end.contains_key(&id);
        if !run.cluster.is_running(id) && !gone {
            run.start(id)?;
        }
    }
    run.writes(20)?;
    for id in run.cluster.running() {
        run.caught_up(id)?;
    }
    stop_load(run)?;
    read_everything(scenario, run)?;
    agree(run)
}

fn stop_load(run: &mut Run) -> Result<(), Failure> {
    let Some(load) = run.load.take() else {
        return Ok(());
    };
    let (operations, unknown) = load.counts();
    run.totals.insert("operations", operations);
    run.totals.insert("unknown outcomes", unknown);
    let wrote = load.stop(run.runtime.handle())?;
    run.manifest.histories.extend(wrote);
    Ok(())
}

/// Reads every key that a client has ever named, as one more client.
fn read_everything(scenario: &Scenario, run: &mut Run) -> Result<(), Failure> {
    let histories = run.folder.join(HISTORIES);
    let written = verdict::histories(&run.folder)?;
    let client = client_of(&run.cluster.running(), SLOW, true)?;
    let begin = run.timeline.now();
    let count = (PAGE_BYTES / (scenario.mix.padding + KEY_BYTES)).max(2);
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut from = "*".to_owned();
    let index = loop {
        let scan = format!("scan {from} * {count}");
        let page = client.query(FSM, scan.into(), QueryOptions::default());
        let page = run.runtime.block_on(page);
        let page =
            page.map_err(|error| Failure::Violation(format!("the end cannot be read: {error}")))?;
        let text = String::from_utf8_lossy(&page.reply).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let before = values.len();
        values.extend(lines.map(|(key, value)| (key.to_owned(), value.to_owned())));
        match values.last_key_value() {
            Some((last, _)) if values.len() > before => from.clone_from(last),
            _ => break page.index,
        }
    };
    let mut reader = Recorder::new(READER);
    let keys: std::collections::BTreeSet<&String> = written
        .operations
        .iter()
        .map(|operation| &operation.key)
        .collect();
    for key in keys {
        let id = reader.invoke(begin, FSM, key, Action::Read(ReadKind::Linearizable), None);
        let outcome = values
            .get(key)
            .map_or(Outcome::Missing, |value| Outcome::Value(value.clone()));
        reader.answered(id, run.timeline.now(), index, outcome);
    }
    let history = History {
        origin: "the end".to_owned(),
        operations: reader.into_operations(),
        log: None,
    };
    let count = history.operations.len() as u64;
    let file = std::fs::File::create(histories.join(THE_END));
    let written = file.and_then(|file| history.write(&mut std::io::BufWriter::new(file)));
    written.map_err(|error| Failure::harness("write the history of the end", error))?;
    run.manifest.histories.insert(THE_END.to_owned(), count);
    Ok(())
}

/// A checkpoint puts the digest of every node's state into its chain; then all chains are compared.
fn agree(run: &mut Run) -> Result<(), Failure> {
    run.eventually("a checkpoint", |run| {
        let taken = run.cluster.coracle(&["snapshot", FSM]);
        taken.map(drop).map_err(|failure| failure.to_string())
    })?;
    let ends = run.eventually("all nodes to have applied the same", |run| {
        let mut ends = Vec::new();
        for node in run.cluster.running() {
            let status = run.status(node)?;
            ends.push(Last {
                node,
                index: status.applied_index,
                head: status.chain,
            });
        }
        let indexes: Vec<u64> = ends.iter().map(|end| end.index).collect();
        match indexes.windows(2).all(|pair| pair[0] == pair[1]) {
            true => Ok(ends),
            false => Err(format!("they have applied {indexes:?}")),
        }
    })?;
    write_json(&run.folder.join(FINAL), &ends)?;
    run.manifest.ends = ends.iter().map(|end| end.node).collect();
    Ok(())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(value);
    let text = text.map_err(|error| Failure::harness("write json", error))?;
    std::fs::write(path, text)
        .map_err(|error| Failure::harness(format!("write {}", path.display()), error))
}
