//! `coracle bench`: how fast it is, beside what the disk allows.

mod cluster;
mod disk;
mod groups;
mod histogram;
mod load;
mod reads;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use coracle_client::{Client, ClientError, Code, CreateFsm, DigestHex, Endpoint, LimitOverrides};
use serde::Serialize;

use super::local::LocalCluster;
use super::{Failure, Global, console, fsm, progress, start};
use load::Cell;

/// Clients at a time.
const MAX_CLIENTS: u64 = 4096;
/// The shortest command that can be told from others of its size: `put kNNNN x`.
const MIN_SIZE: u64 = 12;
const MAX_SIZE: u64 = 1 << 20;
const MAX_SECONDS: u64 = 3600;

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Commands per second and their latency, for each number of clients and size
    Apply(Apply),
    /// Queries per second by how fresh they are
    Reads(reads::Reads),
    /// Many fsms: what they cost while nothing happens, and their throughput together
    Groups(groups::Groups),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Measures the cluster of --endpoint; without one, three nodes in this process, as in the demo, with
the fsm created from --plugin. Each client sends one command after the other (`put KEY VALUE`,
SIZE bytes in all) to the leader. Fsyncs are those of the node with the most. The rate of
fdatasync is that of 4 KiB writes to one file in --dir, measured in the same run.

Examples:
  coracle bench apply --plugin kv.wasm
  coracle bench apply --endpoint http://127.0.0.1:7401 --clients 64 --sizes 128 --seconds 10 -o json")]
pub(super) struct Apply {
    /// Numbers of clients
    #[arg(
        long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 16, 64, 256],
        value_parser = clap::value_parser!(u64).range(1..=MAX_CLIENTS)
    )]
    clients: Vec<u64>,
    /// Bytes of a command
    #[arg(
        long, value_name = "BYTES,...", value_delimiter = ',', default_values_t = [16, 128, 1024],
        value_parser = clap::value_parser!(u64).range(MIN_SIZE..=MAX_SIZE)
    )]
    sizes: Vec<u64>,
    /// Time for each measurement
    #[arg(
        long, value_name = "S", default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS)
    )]
    seconds: u64,
    /// The fsm; it must understand `put KEY VALUE`
    #[arg(long, value_name = "NAME", default_value = "kv")]
    fsm: String,
    /// Create the fsm from this plugin if it does not exist
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Nodes in this process, without --endpoint
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u64,
    /// Folder on the disk to measure, and for nodes in this process [default: the temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    fdatasyncs_per_second: f64,
    results: Vec<Cell>,
}

impl Bench {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Apply(apply) => apply.run(global).await,
            Self::Reads(reads) => reads.run(global).await,
            Self::Groups(groups) => groups.run(global).await,
        }
    }
}

impl Apply {
    async fn run(&self, global: &Global) -> Result<(), Failure> {
        let report = if global.endpoints.is_empty() {
            self.in_process(global).await?
        } else {
            self.measure(global, global.endpoints()).await?
        };
        if global.json() {
            console::json(&report)
        } else {
            console::data(&text(&report))
        }
    }

    async fn in_process(&self, global: &Global) -> Result<Report, Failure> {
        if self.plugin.is_none() {
            let text = "want --plugin FILE for nodes in this process, or --endpoint URL";
            return Err(Failure::usage(text));
        }
        start::log_to_stderr("error")?;
        let starting = LocalCluster::start(self.nodes, self.dir.as_deref());
        let cluster = progress::during("starting nodes", starting).await?;
        let result = match cluster.endpoints() {
            Ok(endpoints) => self.measure(global, endpoints).await,
            Err(error) => Err(error),
        };
        cluster.shutdown().await;
        result
    }

    async fn measure(&self, global: &Global, nodes: Vec<Endpoint>) -> Result<Report, Failure> {
        self.provide_fsm(&global.client_of(nodes.clone())?).await?;
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let raw = disk::fdatasyncs_per_second(dir);
        let raw = progress::during("measuring the disk", raw).await?;
        let mut results = Vec::new();
        for &size in &self.sizes {
            for &clients in &self.clients {
                let load = load::Load {
                    fsm: &self.fsm,
                    clients,
                    size,
                    time: self.time(),
                };
                let label = format!("{clients} clients, {size} bytes");
                let cell = progress::during(&label, load.run(global, &nodes)).await?;
                results.push(cell);
            }
        }
        Ok(Report {
            fdatasyncs_per_second: raw,
            results,
        })
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    async fn provide_fsm(&self, client: &Client) -> Result<(), Failure> {
        let missing = |error: &ClientError| error.code() == Some(Code::NotFound);
        match (client.get_fsm(&self.fsm).await, &self.plugin) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(plugin)) if missing(&error) => {
                let plugin_set_later = DigestHex([0; 32]);
                let limits = LimitOverrides::default();
                let spec = CreateFsm {
                    plugin: plugin_set_later,
                    config: [].into(),
                    limits,
                };
                fsm::create(client, &self.fsm, plugin, spec)
                    .await
                    .map(|_| ())
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

fn text(report: &Report) -> String {
    let head = [
        "BYTES",
        "CLIENTS",
        "COMMANDS/S",
        "P50 MS",
        "P99 MS",
        "FSYNCS/S",
        "COMMANDS/FSYNC",
        "ERRORS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for cell in &report.results {
        let or_dash = |value: Option<f64>, digits| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        rows.push(vec![
            cell.size.to_string(),
            cell.clients.to_string(),
            format!("{:.0}", cell.commands_per_second),
            format!("{:.2}", cell.p50_ms),
            format!("{:.2}", cell.p99_ms),
            or_dash(cell.fsyncs_per_second, 0),
            or_dash(cell.commands_per_fsync(), 1),
            cell.errors.to_string(),
        ]);
    }
    let raw = report.fdatasyncs_per_second;
    format!(
        "{}\nthe disk alone: {raw:.0} fdatasyncs/s of 4 KiB",
        console::table(&rows)
    )
}
