//! Where a benchmark runs: a cluster that is there, or nodes in this process.

use std::path::PathBuf;

use clap::Args;
use coracle_client::{Client, ClientError, Code, CreateFsm, DigestHex, Endpoint, LimitOverrides};

use super::super::local::LocalCluster;
use super::super::{Failure, Global, fsm, progress, start};

/// Where to measure.
#[derive(Debug, Args)]
pub(super) struct Where {
    /// Create fsms from this plugin where they do not exist
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Nodes in this process, without --endpoint
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u64,
    /// Folder for nodes in this process [default: the temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Where {
    /// The endpoints, and the nodes behind them if they are in this process.
    pub(super) async fn open(
        &self,
        global: &Global,
    ) -> Result<(Vec<Endpoint>, Option<LocalCluster>), Failure> {
        if !global.endpoints.is_empty() {
            return Ok((global.endpoints(), None));
        }
        if self.plugin.is_none() {
            let text = "want --plugin FILE for nodes in this process, or --endpoint URL";
            return Err(Failure::usage(text));
        }
        start::log_to_stderr("error")?;
        let starting = LocalCluster::start(self.nodes, self.dir.as_deref());
        let cluster = progress::during("starting nodes", starting).await?;
        Ok((cluster.endpoints()?, Some(cluster)))
    }

    /// Creates the fsm if it does not exist.
    pub(super) async fn provide(&self, client: &Client, name: &str) -> Result<(), Failure> {
        let missing = |error: &ClientError| error.code() == Some(Code::NotFound);
        match (client.get_fsm(name).await, &self.plugin) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(plugin)) if missing(&error) => {
                let spec = CreateFsm {
                    // Set once the plugin is uploaded.
                    plugin: DigestHex([0; 32]),
                    config: [].into(),
                    limits: LimitOverrides::default(),
                };
                fsm::create(client, name, plugin, spec).await.map(|_| ())
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}
