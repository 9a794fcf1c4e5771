//! `coracle start`.

use std::io;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Config, ConfigError};
use crate::server;

/// Overrides `log.level` of the configuration.
const LOG_VARIABLE: &str = "CORACLE_LOG";

#[derive(Debug, Args)]
#[command(after_help = "\
Runs until SIGTERM or SIGINT, which ends it cleanly. Logs go to stderr; CORACLE_LOG (e.g. debug,
or coracle=trace) overrides log.level of the configuration.

Example:
  coracle start --config cluster/n1/coracle.toml")]
pub(super) struct Start {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Start {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let config = Config::load(&self.config)?;
        log_to_stderr(&config.log.level)?;
        server::run(config)
            .await
            .map_err(|e| Failure::other(format!("{e:#}")))
    }
}

/// Logs go to stderr, as `CORACLE_LOG` or else `level` says.
pub(super) fn log_to_stderr(level: &str) -> Result<(), Failure> {
    let directives = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(&directives)
        .map_err(|e| Failure::usage(format!("log level {directives:?}: {e}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Without its `ansi` feature the crate panics if it is told to colour.
        .with_ansi(false)
        .try_init()
        .map_err(|e| Failure::other(format!("cannot log: {e}")))
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Invalid { .. } => Self::usage(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}
