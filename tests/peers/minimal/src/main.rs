//! Coracle's core beside openraft and the `raft` crate, in the shape of openraft's "minimal"
//! benchmark: three nodes in one process, logs in memory, no network but channels, empty commands,
//! and clients that wait for one answer before they ask again. Nothing here is durable and nothing
//! crosses a socket: it measures what the cores cost, and only in comparison.

mod cores;
mod openraft;
mod report;

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tokio::runtime::{Builder, Runtime};

use report::Report;

/// Time for an answer, after which a client takes the subject to be stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes in one process, empty commands.
#[derive(Debug, Parser)]
struct Args {
    /// Clients, each waiting for its answer before it asks again
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 256, 1024, 4096])]
    clients: Vec<u64>,
    /// Seconds per measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds; the subjects take turns in each, so that noise meets all of them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads that run the nodes
    #[arg(long, default_value_t = 2)]
    server_workers: usize,
    /// Only these
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = [Subject::Coracle, Subject::Openraft, Subject::Raft])]
    subjects: Vec<Subject>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Subject {
    /// Coracle's core.
    Coracle,
    /// openraft 0.10.
    Openraft,
    /// The `raft` crate.
    Raft,
}

/// A way to ask a leader for one empty command.
trait Client: Clone + Send + 'static {
    /// Ends when the command is committed and applied on the leader.
    fn write(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut report = Report::default();
    for round in 1..=args.rounds {
        for &clients in &args.clients {
            for &subject in &args.subjects {
                let rate = measure(&args, subject, clients)?;
                eprintln!("round {round}: {subject:?}, {clients} clients: {rate:.0} commands/s");
                report.add(subject, clients, rate);
            }
        }
    }
    print!("{report}");
    Ok(())
}

fn measure(args: &Args, subject: Subject, clients: u64) -> anyhow::Result<f64> {
    let servers = runtime("server", args.server_workers)?;
    let period = Duration::from_secs_f64(args.seconds);
    let rate = match subject {
        Subject::Coracle => load(servers.block_on(cores::coracle())?, clients, period),
        Subject::Raft => load(servers.block_on(cores::raft_rs())?, clients, period),
        Subject::Openraft => load(servers.block_on(openraft::start())?, clients, period),
    };
    servers.shutdown_background();
    rate
}

fn runtime(name: &str, workers: usize) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).thread_name(name);
    Ok(builder.enable_all().build()?)
}

/// Commands answered per second.
fn load(client: impl Client, clients: u64, period: Duration) -> anyhow::Result<f64> {
    let runtime = runtime("client", 1)?;
    runtime.block_on(async {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(ask(client.clone(), begin + period)))
            .collect();
        let mut answered = 0;
        for task in tasks {
            answered += task.await??;
        }
        Ok(answered as f64 / begin.elapsed().as_secs_f64())
    })
}

async fn ask(client: impl Client, end: Instant) -> anyhow::Result<u64> {
    let mut answered = 0;
    while Instant::now() < end {
        tokio::time::timeout(PATIENCE, client.write()).await??;
        answered += 1;
    }
    Ok(answered)
}
