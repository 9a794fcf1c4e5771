//! `coracle start`.

mod join;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Config, ConfigError};
use crate::server::{self, LogControl};
use crate::ticket::Ticket;

/// Overrides `log.level` of the configuration.
const LOG_VARIABLE: &str = "CORACLE_LOG";

#[derive(Debug, Args)]
#[command(after_help = "\
Runs until SIGTERM or SIGINT, which ends it cleanly. Logs go to stderr; CORACLE_LOG (e.g. debug,
or coracle=trace) overrides log.level of the configuration.

With --join the node first asks the cluster of the ticket to let it in, and lays out its folder;
the same command again, or a later start with --config DIR/coracle.toml, starts the node that is
there. It is a learner until it has caught up.

Examples:
  coracle start --config cluster/n1/coracle.toml
  coracle start --join crc1... --data-dir node4 --quic 10.0.0.4:7400 --http 127.0.0.1:7401")]
pub(super) struct Start {
    /// The node's configuration
    #[arg(long, value_name = "FILE", required_unless_present = "join")]
    config: Option<PathBuf>,
    /// Join a running cluster with a ticket of `coracle token create join`
    #[arg(
        long,
        value_name = "TICKET",
        conflicts_with = "config",
        requires = "data_dir",
        env = "CORACLE_TICKET",
        hide_env_values = true
    )]
    join: Option<String>,
    /// Where the node that joins will live; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where its peers reach it [default: this machine's address, the first free port from 7400]
    #[arg(long, value_name = "IP:PORT", requires = "join")]
    quic: Option<SocketAddr>,
    /// Where its clients reach it [default: 127.0.0.1, the port after that of --quic]
    #[arg(long, value_name = "IP:PORT", requires = "join")]
    http: Option<SocketAddr>,
    /// Append what the node does to this file, for `coracle-trace` to judge (docs/testing.md)
    #[arg(long, value_name = "FILE", env = "CORACLE_TRACE_EVENTS", hide = true)]
    trace_events: Option<PathBuf>,
    /// A name for it, beside its id
    #[arg(long, value_name = "NAME", requires = "join")]
    name: Option<String>,
}

impl Start {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        if let (Some(ticket), Some(folder)) = (&self.join, &self.data_dir) {
            let ticket: Ticket = ticket.parse()?;
            return join::run(self, ticket, folder).await;
        }
        let path = self.config.as_ref();
        let path = path.ok_or_else(|| Failure::usage("want --config, or --join and --data-dir"))?;
        let mut config = Config::load(path)?;
        config.trace_events.clone_from(&self.trace_events);
        let log = log_to_stderr(&config.log.level)?;
        server::run(config, log)
            .await
            .map_err(|e| Failure::other(format!("{e:#}")))
    }
}

/// Logs go to stderr, as `CORACLE_LOG` or else `level` says.
pub(super) fn log_to_stderr(level: &str) -> Result<LogControl, Failure> {
    let directives = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(&directives)
        .map_err(|e| Failure::usage(format!("log level {directives:?}: {e}")))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Without its `ansi` feature the crate panics if it is told to colour.
        .with_ansi(false)
        .with_filter_reloading();
    let filter = subscriber.reload_handle();
    subscriber
        .try_init()
        .map_err(|e| Failure::other(format!("cannot log: {e}")))?;
    Ok(LogControl::new(move |directives| {
        let new = EnvFilter::try_new(directives).map_err(|e| format!("{directives:?}: {e}"))?;
        filter.reload(new).map_err(|e| e.to_string())
    }))
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Invalid { .. } => Self::usage(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}
