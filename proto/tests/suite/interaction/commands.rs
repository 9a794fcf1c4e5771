//! The commands of the interaction vectors.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Config, Configuration, DEFAULT_PRIORITY, Input, LogId, NodeId, SnapshotMeta, TransferId,
};

use super::blocks::{raft_log, raft_state, status};
use super::born;
use super::change::Change;
use super::node::{GROUP, Options, TICK};
use super::world::{Proposal, World};
use crate::datadriven::Step;
use crate::script::Command;

/// Ticks of the election timeout, unless `add-nodes` says otherwise.
const ELECTION_TICKS: u32 = 3;

/// What a command had to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Nothing that is compared line by line.
    Done,
    /// An error that etcd-raft has a name for.
    Error(&'static str),
    RaftState(Vec<String>),
    RaftLog(Vec<String>),
    Status(Vec<String>),
}

/// Runs one command; the error is a broken invariant, or a command that is not of the format.
pub(crate) fn run(world: &mut World, step: &Step) -> Result<Output, String> {
    let command = Command::parse(&step.command);
    match command.name {
        // Nothing is logged; a quiet block has nothing to compare.
        "log-level" | "_breakpoint" => {}
        "add-nodes" => add_nodes(world, &command)?,
        "campaign" => world.step(node(&command)?, Input::Campaign { jitter: 0 })?,
        "compact" => return compact(world, &command),
        "deliver-msgs" => deliver(world, &command)?,
        "forget-leader" => world.step(node(&command)?, Input::ForgetLeader)?,
        "process-append-thread" => for_each(world, &command, |world, node| {
            world.process_append_thread(node).map(drop)
        })?,
        "process-apply-thread" => for_each(world, &command, |world, node| {
            world.process_apply_thread(node).map(drop)
        })?,
        "process-ready" => for_each(world, &command, World::process_ready)?,
        "propose" => {
            let payload = command.words.get(1).copied().unwrap_or_default();
            let payload = Bytes::copy_from_slice(payload.as_bytes());
            return propose(world, node(&command)?, Proposal::Command(payload));
        }
        "propose-conf-change" => return propose_change(world, &command, &step.input),
        "raft-log" => return Ok(Output::RaftLog(raft_log(world, node(&command)?))),
        "raft-state" => return Ok(Output::RaftState(raft_state(world))),
        "report-unreachable" => {
            let peer = NodeId(number(&command, 1)?);
            world.step(node(&command)?, Input::PeerDown(peer))?;
        }
        "send-snapshot" => {
            let (from, to) = (node(&command)?, number(&command, 1)?);
            let to = world.replica(from, to);
            world.send_snapshot(from, to)?;
        }
        "set-randomized-election-timeout" => {
            let ticks = ticks(&command, "timeout", ELECTION_TICKS)?;
            world.node(node(&command)?)?.set_election_ticks(ticks);
        }
        "stabilize" => {
            let nodes = nodes(&command)?;
            let all = world.all();
            world.stabilize(if nodes.is_empty() { &all } else { &nodes })?;
        }
        "status" => return Ok(Output::Status(status(world, node(&command)?))),
        "tick" => {
            let count = number(&command, 1)?;
            tick(world, node(&command)?, count)?;
        }
        "tick-election" => {
            let number = node(&command)?;
            let count = world.node(number)?.options.election_ticks;
            tick(world, number, u64::from(count))?;
        }
        "tick-heartbeat" => tick(world, node(&command)?, 1)?,
        "transfer-leadership" => transfer(world, &command)?,
        other => return Err(format!("no such command: {other}")),
    }
    Ok(Output::Done)
}

fn add_nodes(world: &mut World, command: &Command<'_>) -> Result<(), String> {
    let mut configuration = Configuration::default();
    let mut last = 0;
    let mut state: &[u8] = &[];
    let mut options = Options {
        async_writes: false,
        max_applied_bytes: usize::MAX,
        election_ticks: ELECTION_TICKS,
        config: stub(),
    };
    for (key, values) in &command.options {
        let ids = || -> Result<Vec<_>, String> {
            values.iter().map(|v| Ok(born(parse(v)?, 0))).collect()
        };
        let value = values.first().copied().unwrap_or_default();
        let config = &mut options.config;
        match *key {
            "voters" => configuration.voters = ids()?.into_iter().collect(),
            "learners" => configuration.learners = ids()?.into_iter().collect(),
            "index" => last = parse(value)?,
            "content" => state = value.as_bytes(),
            "async-storage-writes" => options.async_writes = flag(value)?,
            "prevote" => config.pre_vote = flag(value)?,
            "checkquorum" => config.check_quorum = flag(value)?,
            "inflight" => config.max_inflight_appends = parse(value)?,
            "max-committed-size-per-ready" => options.max_applied_bytes = parse(value)?,
            "election-tick" => {
                options.election_ticks = parse(value)?;
                config.election_timeout = TICK * options.election_ticks;
            }
            "heartbeat-tick" => config.heartbeat_interval = TICK * parse::<u32>(value)?,
            // How a change is checked, when a removed leader steps down and which kind of read is
            // asked for are not settings here; the table of differences names what follows.
            "disable-conf-change-validation" | "step-down-on-removal" => {
                flag(value)?;
            }
            "read-only" => match value {
                "safe" | "lease-based" => {}
                other => return Err(format!("no such way to read: {other}")),
            },
            other => return Err(format!("no such option of add-nodes: {other}")),
        }
    }
    world.add(number(command, 0)?, &options, last, &configuration, state);
    Ok(())
}

/// No limits, no pre-vote, no check-quorum, as in the scripts' own harness.
fn stub() -> Config {
    Config {
        group: GROUP,
        id: born(0, 0),
        election_timeout: TICK * ELECTION_TICKS,
        heartbeat_interval: TICK,
        pre_vote: false,
        check_quorum: false,
        max_append_bytes: usize::MAX,
        max_append_entries: usize::MAX,
        max_inflight_appends: usize::MAX,
        max_inflight_bytes: usize::MAX,
        max_uncommitted_bytes: usize::MAX,
        cache_bytes: usize::MAX,
        max_pending_reads: usize::MAX,
        priority: DEFAULT_PRIORITY,
        clock_drift: Duration::ZERO,
        quiesce_after: 0,
    }
}

fn compact(world: &mut World, command: &Command<'_>) -> Result<Output, String> {
    let (number, index) = (node(command)?, number(command, 1)?);
    let state = world.node(number)?;
    let last: LogId = state
        .disk
        .id_at(index)
        .ok_or_else(|| format!("node {number} has no entry {index}"))?;
    let configuration = state.raft.configuration_at(index).cloned();
    let configuration = configuration.ok_or_else(|| format!("{index} is below the floor"))?;
    state.disk.entries.retain(|entry| entry.index > index);
    state.disk.floor = last;
    state.disk.configuration = configuration;
    let snapshot: SnapshotMeta = state.snapshot.clone();
    state.disk.snapshot = Some(snapshot.clone());
    let floor = last;
    world.step(number, Input::Compacted { floor, snapshot })?;
    Ok(Output::RaftLog(raft_log(world, number)))
}

fn deliver(world: &mut World, command: &Command<'_>) -> Result<(), String> {
    let kind = command.values("type").and_then(|values| values.first());
    for to in nodes(command)? {
        world.deliver(to, kind.copied(), false)?;
    }
    for lost in command.values("drop").unwrap_or_default() {
        world.deliver(parse(lost)?, kind.copied(), true)?;
    }
    Ok(())
}

fn propose(world: &mut World, node: u64, proposal: Proposal) -> Result<Output, String> {
    let outcome = world.propose(node, proposal)?;
    Ok(outcome.map_or_else(Output::Error, |()| Output::Done))
}

fn propose_change(world: &mut World, command: &Command<'_>, input: &str) -> Result<Output, String> {
    let v1 = command
        .values("v1")
        .is_some_and(|values| values == ["true"]);
    let transition = command.values("transition").and_then(|v| v.first());
    let change = Change::parse(input, v1, transition.copied())?;
    let proposal = match change.is_only_updates() {
        true => Proposal::Command(Bytes::new()),
        false => Proposal::Change(change),
    };
    propose(world, node(command)?, proposal)
}

fn transfer(world: &mut World, command: &Command<'_>) -> Result<(), String> {
    let id = |key| {
        let value = command.values(key).and_then(|values| values.first());
        parse::<u64>(value.ok_or_else(|| format!("transfer-leadership without {key}"))?)
    };
    let (from, to) = (id("from")?, Some(NodeId(id("to")?)));
    let id = TransferId(1);
    world.step(from, Input::Transfer { id, to })
}

fn tick(world: &mut World, number: u64, count: u64) -> Result<(), String> {
    for _ in 0..count {
        world.node(number)?.tick();
    }
    world.invariants.observe(&world.nodes)
}

fn for_each(
    world: &mut World,
    command: &Command<'_>,
    mut run: impl FnMut(&mut World, u64) -> Result<(), String>,
) -> Result<(), String> {
    let nodes = nodes(command)?;
    nodes.into_iter().try_for_each(|node| run(world, node))
}

fn nodes(command: &Command<'_>) -> Result<Vec<u64>, String> {
    command.words.iter().map(|word| parse(word)).collect()
}

fn node(command: &Command<'_>) -> Result<u64, String> {
    number(command, 0)
}

fn number(command: &Command<'_>, at: usize) -> Result<u64, String> {
    parse(command.words.get(at).copied().unwrap_or_default())
}

fn ticks(command: &Command<'_>, key: &str, default: u32) -> Result<u32, String> {
    let value = command.values(key).and_then(|values| values.first());
    value.map_or(Ok(default), |value| parse(value))
}

fn flag(value: &str) -> Result<bool, String> {
    parse(value)
}

fn parse<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("not a value: {value:?}"))
}
