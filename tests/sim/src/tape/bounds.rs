//! What may stand on a tape. Tapes are edited by hand: one that names a node that is not there, or
//! a cluster that fits no machine, is refused rather than played without what it was about.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::attack::Attack;
use crate::nemesis::VERSIONS;
use crate::plan::{MS, Plan};

/// Voters of the cluster, at most.
const MAX_NODES: u64 = 9;

/// Nodes that may be added, at most.
const MAX_SPARES: u64 = 9;

/// Groups, at most.
const MAX_GROUPS: u64 = 8;

/// Clients, at most.
const MAX_CLIENTS: u64 = 64;

/// Any length of time, in nanoseconds, at most: an hour.
const MAX_TIME: u64 = 3600 * 1000 * MS;

/// Any of the nodes' intervals, in milliseconds, at most.
const MAX_INTERVAL: u64 = 60_000;

/// Any number of bytes, entries, messages or operations, at most.
const MAX_COUNT: u64 = 1 << 30;

/// How often a cut comes back, and how many times as slow a disk is, at most.
const MAX_TIMES: u64 = 1000;

/// How wrong the rate of a clock is, in millionths, at most.
const MAX_DRIFT: i128 = 500_000;

/// Lowest and highest value of a number on a tape. What is not here may be anything.
fn range(field: &str, plan: &Plan) -> Option<(i128, i128)> {
    let (low, high) = match field {
        "nodes" => (1, MAX_NODES),
        "spares" => (0, MAX_SPARES),
        "groups" => (1, MAX_GROUPS),
        "clients" => (1, MAX_CLIENTS),
        "node" | "peer" | "from" | "to" | "side" => (1, plan.all_nodes()),
        "Voter" | "Learner" | "Witness" | "Remove" => (1, plan.all_nodes()),
        "group" => (1, plan.groups),
        "version" => (1, VERSIONS),
        "safety" | "liveness" | "fault_interval" => (MS, MAX_TIME),
        "time" | "period" | "disk_latency" | "network_latency" => (0, MAX_TIME),
        "drop" | "duplicate" | "delay" | "replay" | "leases" | "traps" => (0, 1000),
        "election_timeout" | "heartbeat_interval" => (1, MAX_INTERVAL),
        "clock_drift" => (0, MAX_INTERVAL),
        "times" | "factor" => (1, MAX_TIMES),
        "skew" => return Some((-i128::from(MAX_TIME), i128::from(MAX_TIME))),
        "drift" => return Some((-MAX_DRIFT, MAX_DRIFT)),
        "operations" | "slack" | "quiesce_after" | "cache_bytes" | "retained_entries" => {
            (0, MAX_COUNT)
        }
        bound if bound.starts_with("max_") => (1, MAX_COUNT),
        "applied_hint_entries" | "checkpoint_entries" | "anchor_commits" => (1, MAX_COUNT),
        _ => return None,
    };
    Some((low.into(), high.into()))
}

/// Whether a plan can be played.
pub(super) fn plan(plan: &Plan) -> Result<(), String> {
    let mut plain = plan.clone();
    let atlas = std::mem::take(&mut plain.atlas);
    walk(&plain, plan)?;
    for node in atlas.nodes {
        within("node", node, plan)?;
    }
    let (heartbeat, election) = (
        plan.settings.heartbeat_interval,
        plan.settings.election_timeout,
    );
    match heartbeat < election {
        true => Ok(()),
        false => Err(format!(
            "heartbeat_interval is {heartbeat}, which is not below election_timeout, {election}"
        )),
    }
}

/// Whether a fault is about what the plan has.
pub(crate) fn attack(attack: &Attack, plan: &Plan) -> Result<(), String> {
    walk(attack, plan)
}

/// Whether a fault comes while there are faults.
pub(super) fn time(at: u64, before: u64, plan: &Plan) -> Result<(), String> {
    if at < before {
        return Err(format!("{at} is before the fault above it, at {before}"));
    }
    match at <= plan.safety {
        true => Ok(()),
        false => Err(format!("{at} is after the last fault, at {}", plan.safety)),
    }
}

fn walk(what: &impl Serialize, plan: &Plan) -> Result<(), String> {
    let value = serde_json::to_value(what).map_err(|error| error.to_string())?;
    numbers("", &value, &mut |field, number| within(field, number, plan))
}

fn within(field: &str, number: impl Into<i128> + Display, plan: &Plan) -> Result<(), String> {
    let number = number.into();
    match range(field, plan) {
        Some((low, high)) if !(low..=high).contains(&number) => {
            Err(format!("{field} is {number}, which is not {low} to {high}"))
        }
        _ => Ok(()),
    }
}

/// Every number, with the name of the field in which it stands.
fn numbers(
    field: &str,
    value: &Value,
    look: &mut dyn FnMut(&str, i128) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Number(number) => {
            let signed = number.as_i64().map(i128::from);
            let number = signed.or_else(|| number.as_u64().map(i128::from));
            number.map_or(Ok(()), |number| look(field, number))
        }
        Value::Array(all) => all.iter().try_for_each(|it| numbers(field, it, look)),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(field, it)| numbers(field, it, look)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    #[test]
    fn every_number_of_a_plan_and_a_fault_has_its_bounds_and_what_is_drawn_keeps_them() {
        let free = ["seed", "position", "image", "priority"];
        for seed in 0..40 {
            let (_, tape) = record(Plan::of(seed), false);
            let mut look = |field: &str, _| match range(field, &tape.plan).is_some() {
                true => Ok(()),
                false if free.contains(&field) => Ok(()),
                false => Err(format!("{field} has no bounds")),
            };
            let value = serde_json::to_value(&tape.plan).unwrap();
            assert_eq!(numbers("", &value, &mut look), Ok(()));
            assert_eq!(plan(&tape.plan), Ok(()), "seed {seed}");
            for (_, fault) in &tape.attacks {
                let value = serde_json::to_value(fault).unwrap();
                assert_eq!(numbers("", &value, &mut look), Ok(()));
                assert_eq!(attack(fault, &tape.plan), Ok(()), "seed {seed}");
            }
        }
    }
}
