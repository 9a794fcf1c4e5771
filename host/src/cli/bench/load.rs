//! Clients that send one command after the other.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_client::{Client, Endpoint, Status};
use serde::Serialize;
use tokio::task::JoinSet;

use super::super::{Failure, Global};
use super::histogram::Histogram;

/// Keys written; more would only measure the growth of the map.
const KEYS: u64 = 10_000;
/// A client that fails this often in a row gives up.
const MAX_FAILURES: u32 = 10;

/// One measurement.
pub(super) struct Load<'a> {
    pub(super) fsm: &'a str,
    pub(super) clients: u64,
    pub(super) size: u64,
    pub(super) time: Duration,
}

/// Its result.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) clients: u64,
    pub(super) size: u64,
    pub(super) commands: u64,
    pub(super) commands_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Of the node with the most, if nodes count them.
    pub(super) fsyncs_per_second: Option<f64>,
    pub(super) errors: u64,
}

impl Cell {
    pub(super) fn commands_per_fsync(&self) -> Option<f64> {
        self.fsyncs_per_second
            .filter(|f| *f > 0.0)
            .map(|f| self.commands_per_second / f)
    }
}

struct Sent {
    latencies: Histogram,
    errors: u64,
    last_error: Option<Failure>,
}

impl Load<'_> {
    pub(super) async fn run(&self, global: &Global, nodes: &[Endpoint]) -> Result<Cell, Failure> {
        let before = statuses(global, nodes).await?;
        let client = client(global, leader_first(self.fsm, nodes, &before))?;
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..self.clients {
            let client = client.clone();
            let (fsm, size) = (self.fsm.to_owned(), self.size);
            tasks.spawn(send(client, fsm, number, size, started + self.time));
        }
        let mut all = Sent {
            latencies: Histogram::new(),
            errors: 0,
            last_error: None,
        };
        while let Some(sent) = tasks.join_next().await {
            let sent = sent.map_err(|e| Failure::other(e.to_string()))?;
            all.latencies.merge(&sent.latencies);
            all.errors += sent.errors;
            all.last_error = sent.last_error.or(all.last_error);
        }
        let seconds = started.elapsed().as_secs_f64();
        if let (0, Some(error)) = (all.latencies.total(), all.last_error) {
            return Err(error);
        }
        let after = statuses(global, nodes).await?;
        Ok(Cell {
            clients: self.clients,
            size: self.size,
            commands: all.latencies.total(),
            commands_per_second: all.latencies.total() as f64 / seconds,
            p50_ms: all.latencies.quantile_ms(0.5),
            p99_ms: all.latencies.quantile_ms(0.99),
            fsyncs_per_second: fsyncs(&before, &after).map(|n| n as f64 / seconds),
            errors: all.errors,
        })
    }
}

/// Without retries and so without keys: what is measured is the command, not the session table.
fn client(global: &Global, nodes: Vec<Endpoint>) -> Result<Client, Failure> {
    let mut builder = Client::builder(nodes).retries(false);
    if let Some(timeout) = global.timeout {
        builder = builder.timeout(timeout);
    }
    Ok(builder.build()?)
}

async fn send(client: Client, fsm: String, number: u64, size: u64, end: Instant) -> Sent {
    let mut sent = Sent {
        latencies: Histogram::new(),
        errors: 0,
        last_error: None,
    };
    let mut failures = 0;
    let mut key = number;
    while Instant::now() < end && failures < MAX_FAILURES {
        key = (key * 31 + 7) % KEYS;
        let started = Instant::now();
        match client.apply(&fsm, command(key, size)).await {
            Ok(_) => {
                sent.latencies.record(started.elapsed());
                failures = 0;
            }
            Err(error) => {
                sent.errors += 1;
                sent.last_error = Some(error.into());
                failures += 1;
            }
        }
    }
    sent
}

/// `put kNNNN xxx...`, `size` bytes in all.
fn command(key: u64, size: u64) -> Bytes {
    let mut text = format!("put k{key:04} ");
    let missing = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .saturating_sub(text.len());
    text.extend(std::iter::repeat_n('x', missing.max(1)));
    text.into()
}

async fn statuses(global: &Global, nodes: &[Endpoint]) -> Result<Vec<Option<Status>>, Failure> {
    let mut statuses = Vec::new();
    for node in nodes {
        statuses.push(global.client_of(vec![node.clone()])?.status().await.ok());
    }
    Ok(statuses)
}

/// The endpoints, that of the fsm's leader first.
fn leader_first(fsm: &str, nodes: &[Endpoint], statuses: &[Option<Status>]) -> Vec<Endpoint> {
    let leads = |status: &Status| {
        status
            .fsms
            .iter()
            .any(|f| f.name == fsm && f.leader == Some(status.node))
    };
    let mut nodes = nodes.to_vec();
    let position = statuses
        .iter()
        .position(|status| status.as_ref().is_some_and(leads));
    if let Some(position) = position {
        nodes.swap(0, position);
    }
    nodes
}

fn fsyncs(before: &[Option<Status>], after: &[Option<Status>]) -> Option<u64> {
    let count = |status: &Option<Status>| status.as_ref().and_then(|s| s.fsyncs);
    let pairs = before.iter().zip(after);
    pairs
        .filter_map(|(b, a)| Some(count(a)?.saturating_sub(count(b)?)))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_exactly_the_size_asked_for() {
        for size in [super::super::MIN_SIZE, 16, 128, 1024] {
            assert_eq!(command(9999, size).len() as u64, size);
        }
        assert_eq!(command(7, 16), "put k0007 xxxxxx");
    }

    #[test]
    fn the_busiest_node_counts() {
        let status = |fsyncs| {
            Some(Status {
                node: 1,
                leader: None,
                term: 0,
                fsms: vec![],
                fsyncs,
                recovered: None,
            })
        };
        let before = [status(Some(10)), status(Some(5)), None];
        let after = [status(Some(30)), status(Some(45)), status(Some(1000))];
        assert_eq!(fsyncs(&before, &after), Some(40));
        assert_eq!(fsyncs(&[status(None)], &[status(None)]), None);
    }
}
