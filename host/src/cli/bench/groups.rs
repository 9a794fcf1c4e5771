//! `coracle bench groups`: many fsms; what they cost while nothing happens, and together.

use std::time::{Duration, Instant};

use clap::Args;
use coracle_client::{Client, Endpoint};
use serde::Serialize;
use tokio::task::JoinSet;

use super::super::{Failure, Global, console, progress};
use super::cluster::Where;
use super::{MAX_CLIENTS, MAX_SECONDS};

/// Most groups of one run.
const MAX_GROUPS: u64 = 10_000;

/// Time for groups that were just created to come to rest.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
Creates the fsms bench-1 to bench-N where they do not exist, measures what the nodes cost while
nothing is asked of them, then applies commands spread over all of them. The fsms stay. CPU is that
of a whole process: with nodes in this process it is that of all of them together.

Example:
  coracle bench groups --groups 100 --plugin kv.wasm")]
pub(in crate::cli) struct Groups {
    /// How many fsms
    #[arg(
        long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=MAX_GROUPS)
    )]
    groups: u64,
    /// Clients that apply commands
    #[arg(
        long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=MAX_CLIENTS)
    )]
    clients: u64,
    /// Time for each measurement
    #[arg(
        long, value_name = "S", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS)
    )]
    seconds: u64,
    #[command(flatten)]
    at: Where,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    groups: u64,
    created_per_second: f64,
    idle: Vec<Idle>,
    commands_per_second: f64,
    errors: u64,
}

/// One node while nothing happens.
#[derive(Debug, Serialize)]
struct Idle {
    endpoint: String,
    cpu_percent: f64,
    messages_per_second: f64,
    memory_bytes: f64,
    quiet_groups: f64,
}

impl Groups {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let (nodes, local) = self.at.open(global).await?;
        let result = self.measure(global, &nodes).await;
        if let Some(local) = local {
            local.shutdown().await;
        }
        let report = result?;
        if global.json() {
            return console::json(&report);
        }
        let head = ["NODE", "IDLE CPU %", "MESSAGES/S", "MEMORY MIB", "QUIET"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(report.idle.iter().map(|idle| {
            vec![
                idle.endpoint.clone(),
                format!("{:.2}", idle.cpu_percent),
                format!("{:.0}", idle.messages_per_second),
                format!("{:.0}", idle.memory_bytes / f64::from(1 << 20)),
                format!("{:.0}", idle.quiet_groups),
            ]
        }));
        console::data(&console::table(&rows))?;
        console::data(&format!(
            "{} groups, created at {:.1}/s; {:.0} commands/s over all, {} errors",
            report.groups, report.created_per_second, report.commands_per_second, report.errors
        ))
    }

    async fn measure(&self, global: &Global, nodes: &[Endpoint]) -> Result<Report, Failure> {
        let client = global.client_of(nodes.to_vec())?;
        let began = Instant::now();
        for number in 1..=self.groups {
            self.at.provide(&client, &name(number)).await?;
        }
        let created_per_second = self.groups as f64 / began.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLE).await;
        let idle = self.idle(global, nodes);
        let idle = progress::during("measuring while nothing happens", idle).await?;
        let load = self.load(&client);
        let (commands, errors) = progress::during("applying commands", load).await?;
        Ok(Report {
            groups: self.groups,
            created_per_second,
            idle,
            commands_per_second: commands as f64 / self.time().as_secs_f64(),
            errors,
        })
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    async fn idle(&self, global: &Global, nodes: &[Endpoint]) -> Result<Vec<Idle>, Failure> {
        let mut before = Vec::new();
        for node in nodes {
            before.push(global.client_of(vec![node.clone()])?.metrics().await?);
        }
        tokio::time::sleep(self.time()).await;
        let mut idle = Vec::new();
        for (node, before) in nodes.iter().zip(before) {
            let after = global.client_of(vec![node.clone()])?.metrics().await?;
            let rate = |name| (sum(&after, name) - sum(&before, name)) / self.seconds as f64;
            idle.push(Idle {
                endpoint: node.to_string(),
                cpu_percent: rate("coracle_process_cpu_seconds_total") * 100.0,
                messages_per_second: rate("coracle_quic_messages_total"),
                memory_bytes: sum(&after, "coracle_process_resident_memory_bytes"),
                quiet_groups: sum(&after, "coracle_raft_groups_quiet"),
            });
        }
        Ok(idle)
    }

    async fn load(&self, client: &Client) -> Result<(u64, u64), Failure> {
        let end = Instant::now() + self.time();
        let mut tasks = JoinSet::new();
        for first in 0..self.clients {
            let (client, groups) = (client.clone(), self.groups);
            tasks.spawn(async move {
                let (mut done, mut errors) = (0, 0);
                let mut number = first;
                while Instant::now() < end {
                    let fsm = name(number % groups + 1);
                    match client.apply(&fsm, "put bench x".into()).await {
                        Ok(_) => done += 1,
                        Err(_) => errors += 1,
                    }
                    number += 1;
                }
                (done, errors)
            });
        }
        let mut all = (0, 0);
        while let Some(sent) = tasks.join_next().await {
            let (done, errors) = sent.map_err(|e| Failure::other(e.to_string()))?;
            all = (all.0 + done, all.1 + errors);
        }
        Ok(all)
    }
}

fn name(number: u64) -> String {
    format!("bench-{number}")
}

/// The sum of all series of a sample.
fn sum(text: &str, sample: &str) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        (name.split('{').next() == Some(sample))
            .then_some(value)?
            .parse::<f64>()
            .ok()
    });
    values.sum()
}
