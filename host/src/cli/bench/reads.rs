//! `coracle bench reads`: queries per second by how fresh they are.

use std::time::{Duration, Instant};

use clap::Args;
use coracle_client::{Client, Consistency, Endpoint, QueryOptions};
use serde::Serialize;
use tokio::task::JoinSet;

use super::super::{Failure, Global, console, progress};
use super::cluster::Where;
use super::histogram::Histogram;
use super::{MAX_CLIENTS, MAX_SECONDS};

/// A client that fails this often in a row gives up.
const MAX_FAILURES: u32 = 10;

/// What is compared.
const MODES: [(&str, Consistency); 4] = [
    ("linearizable", Consistency::Linearizable),
    ("leader", Consistency::Leader),
    ("lease", Consistency::Lease),
    ("stale", Consistency::Stale),
];

#[derive(Debug, Args)]
#[command(after_help = "\
Each client sends one query after the other (`get bench`), the clients spread over all endpoints.

Example:
  coracle bench reads --plugin kv.wasm --clients 1,64")]
pub(in crate::cli) struct Reads {
    /// Numbers of clients
    #[arg(
        long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 16, 64],
        value_parser = clap::value_parser!(u64).range(1..=MAX_CLIENTS)
    )]
    clients: Vec<u64>,
    /// Time for each measurement
    #[arg(
        long, value_name = "S", default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS)
    )]
    seconds: u64,
    /// The fsm; it must understand `put KEY VALUE` and `get KEY`
    #[arg(long, value_name = "NAME", default_value = "kv")]
    fsm: String,
    #[command(flatten)]
    at: Where,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Cell {
    consistency: &'static str,
    clients: u64,
    queries_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    errors: u64,
}

impl Reads {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let (nodes, local) = self.at.open(global).await?;
        let result = self.measure(global, &nodes).await;
        if let Some(local) = local {
            local.shutdown().await;
        }
        let cells = result?;
        if global.json() {
            return console::json(&cells);
        }
        let head = [
            "CONSISTENCY",
            "CLIENTS",
            "QUERIES/S",
            "P50 MS",
            "P99 MS",
            "ERRORS",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(cells.iter().map(|cell| {
            vec![
                cell.consistency.to_owned(),
                cell.clients.to_string(),
                format!("{:.0}", cell.queries_per_second),
                format!("{:.2}", cell.p50_ms),
                format!("{:.2}", cell.p99_ms),
                cell.errors.to_string(),
            ]
        }));
        console::data(&console::table(&rows))
    }

    async fn measure(&self, global: &Global, nodes: &[Endpoint]) -> Result<Vec<Cell>, Failure> {
        let client = global.client_of(nodes.to_vec())?;
        self.at.provide(&client, &self.fsm).await?;
        client.apply(&self.fsm, "put bench x".into()).await?;
        let mut cells = Vec::new();
        for (word, consistency) in MODES {
            for &clients in &self.clients {
                let label = format!("{word}, {clients} clients");
                let cell = self.cell(global, nodes, word, consistency, clients);
                cells.push(progress::during(&label, cell).await?);
            }
        }
        Ok(cells)
    }

    async fn cell(
        &self,
        global: &Global,
        nodes: &[Endpoint],
        word: &'static str,
        consistency: Consistency,
        clients: u64,
    ) -> Result<Cell, Failure> {
        let began = Instant::now();
        let end = began + Duration::from_secs(self.seconds);
        let mut tasks = JoinSet::new();
        for endpoint in nodes.iter().cycle().take(clients as usize) {
            let client = global.client_of(vec![endpoint.clone()])?;
            tasks.spawn(ask(client, self.fsm.clone(), consistency, end));
        }
        let mut all = Histogram::new();
        let mut errors = 0;
        while let Some(asked) = tasks.join_next().await {
            let (latencies, failed) = asked.map_err(|e| Failure::other(e.to_string()))?;
            all.merge(&latencies);
            errors += failed;
        }
        Ok(Cell {
            consistency: word,
            clients,
            queries_per_second: all.total() as f64 / began.elapsed().as_secs_f64(),
            p50_ms: all.quantile_ms(0.5),
            p99_ms: all.quantile_ms(0.99),
            errors,
        })
    }
}

async fn ask(
    client: Client,
    fsm: String,
    consistency: Consistency,
    end: Instant,
) -> (Histogram, u64) {
    let mut latencies = Histogram::new();
    let mut errors = 0;
    let mut in_a_row = 0;
    let options = QueryOptions {
        consistency,
        ..QueryOptions::default()
    };
    while Instant::now() < end && in_a_row < MAX_FAILURES {
        let began = Instant::now();
        match client.query(&fsm, "get bench".into(), options).await {
            Ok(_) => {
                latencies.record(began.elapsed());
                in_a_row = 0;
            }
            Err(_) => {
                errors += 1;
                in_a_row += 1;
            }
        }
    }
    (latencies, errors)
}
