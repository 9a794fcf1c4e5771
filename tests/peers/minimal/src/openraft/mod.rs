//! openraft, with a log and a state machine that keep as little as it lets them.

mod network;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, Raft};

use crate::Client;
use network::Router;
use store::{Log, Machine};

openraft::declare_raft_types!(
    /// Empty commands, empty answers.
    pub(crate) Types:
        D = store::Empty,
        R = store::Empty,
        Node = (),
);

/// One node.
pub(crate) type Node = Raft<Types, Arc<Machine>>;

const NODES: [u64; 3] = [0, 1, 2];
const START: Option<Duration> = Some(Duration::from_secs(10));

#[derive(Clone)]
struct Leader(Node);

impl Client for Leader {
    async fn write(&self) -> anyhow::Result<()> {
        self.0.client_write(store::Empty).await?;
        Ok(())
    }
}

/// Three nodes, the first of which leads. The settings are those of openraft's own benchmark.
pub(crate) async fn start() -> anyhow::Result<impl Client> {
    let config = Config {
        election_timeout_min: 200,
        election_timeout_max: 2000,
        purge_batch_size: 1024,
        max_payload_entries: 1024,
        ..Config::default()
    };
    let config = Arc::new(config.validate()?);
    let router = Router::default();
    for id in NODES {
        let (log, machine) = (Arc::new(Log::default()), Arc::new(Machine::default()));
        let node = Raft::new(id, config.clone(), router.clone(), log, machine).await?;
        router.add(id, node);
    }
    let first = router.node(NODES[0])?;
    first.initialize(BTreeSet::from(NODES)).await?;
    for id in NODES {
        let started = router.node(id)?;
        started
            .wait(START)
            .applied_index_at_least(Some(1), "start")
            .await?;
    }
    Ok(Leader(first))
}
