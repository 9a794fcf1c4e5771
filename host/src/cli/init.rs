//! `coracle init`.

use std::path::PathBuf;

use clap::Args;
use coracle_transport::identity::IdentityError;
use serde::Serialize;

use super::{Failure, Global, console};
use crate::init::{InitError, Node, init, local_addresses};

#[derive(Debug, Args)]
#[command(after_help = "\
Writes DIR/ca.crt, DIR/ca.key (keep it secret: who has it can be any node) and, for each node,
DIR/nN/{coracle.toml,node.crt,node.key,ca.crt,ca.key}. Node N listens on ports BASE+2(N-1) (QUIC) and
BASE+2(N-1)+1 (HTTP) of 127.0.0.1.

To grow the cluster later, make a ticket on a node that runs, with `coracle token create join`.

Example:
  coracle init --nodes 3 --dir cluster && coracle start --config cluster/n1/coracle.toml")]
pub(super) struct Init {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u64,
    /// Where; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// First port
    #[arg(long, value_name = "PORT", default_value_t = 7400)]
    base_port: u16,
    /// The cluster's name [default: a random one]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

/// What `-o json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    nodes: &'a [Node],
}

impl Init {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let nodes = local_addresses(self.nodes, self.base_port)
            .and_then(|addresses| init(&self.dir, self.cluster.as_deref(), &addresses, ""))?;
        if global.json() {
            return console::json(&Document { nodes: &nodes });
        }
        let head = ["NODE", "QUIC", "HTTP", "CONFIG"]
            .map(str::to_owned)
            .to_vec();
        let rows = nodes.iter().map(|node| {
            let config = node.config.display().to_string();
            vec![
                format!("n{}", node.id),
                node.quic.to_string(),
                node.http.clone(),
                config,
            ]
        });
        console::data(&console::table(
            &std::iter::once(head).chain(rows).collect::<Vec<_>>(),
        ))?;
        console::say("next: start each node with `coracle start --config CONFIG`");
        Ok(())
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Nodes(_)
            | InitError::PortZero
            | InitError::Ports { .. }
            | InitError::Identity(IdentityError::Label { .. }) => Self::usage(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}
