//! A cluster in this process, over real loopback QUIC and real files in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use coracle_client::{Client, Endpoint};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Failure;
use super::status::View;
use crate::config::Config;
use crate::init::{self, Addresses};
use crate::server::{self, Handle};

/// Ports are drawn from here: below those that the kernel gives to outgoing connections, so that
/// a port is still free when its node comes back, and above those of the tests.
const PORTS: std::ops::Range<u16> = 30_000..32_700;
/// Bases of ports tried.
const MAX_DRAWS: usize = 64;
/// Between two looks at something that is awaited.
const POLL: Duration = Duration::from_millis(20);
/// For one look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// For anything that is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes, some of which may be down.
#[derive(Debug)]
pub(super) struct LocalCluster {
    nodes: Vec<LocalNode>,
    folder: TempDir,
}

#[derive(Debug)]
struct LocalNode {
    files: init::Node,
    handle: Option<Handle>,
}

impl LocalCluster {
    /// Starts `count` nodes in a new folder below `parent`, or the system's temporary folder.
    pub(super) async fn start(count: u64, parent: Option<&Path>) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("coracle-");
        let folder = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let folder =
            folder.map_err(|e| Failure::other(format!("cannot make a temporary folder: {e}")))?;
        let addresses = free_addresses(count)?;
        let files = init::init(&folder.path().join("cluster"), None, &addresses, "")?;
        let nodes = files
            .into_iter()
            .map(|files| LocalNode {
                files,
                handle: None,
            })
            .collect();
        let mut cluster = Self { nodes, folder };
        for id in cluster.ids() {
            cluster.start_node(id).await?;
        }
        Ok(cluster)
    }

    /// Where everything is stored.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All nodes' files.
    pub(super) fn files(&self) -> impl Iterator<Item = &init::Node> {
        self.nodes.iter().map(|node| &node.files)
    }

    fn ids(&self) -> Vec<u64> {
        self.files().map(|files| files.id).collect()
    }

    fn node(&mut self, id: u64) -> Result<&mut LocalNode, Failure> {
        let count = self.nodes.len();
        let node = self.nodes.iter_mut().find(|node| node.files.id == id);
        node.ok_or_else(|| Failure::usage(format!("there is no node n{id}, only n1 to n{count}")))
    }

    /// Starts a node that is down.
    pub(super) async fn start_node(&mut self, id: u64) -> Result<(), Failure> {
        let node = self.node(id)?;
        if node.handle.is_some() {
            return Err(Failure::usage(format!("n{id} is running")));
        }
        let config = Config::load(&node.files.config)?;
        let started = server::start(config).await;
        node.handle = Some(started.map_err(|e| Failure::other(format!("n{id}: {e:#}")))?);
        Ok(())
    }

    /// Ends a node as a crash does.
    pub(super) async fn kill_node(&mut self, id: u64) -> Result<(), Failure> {
        let Some(handle) = self.node(id)?.handle.take() else {
            return Err(Failure::usage(format!("n{id} is not running")));
        };
        handle.kill().await;
        Ok(())
    }

    /// How many nodes run.
    pub(super) fn running(&self) -> usize {
        self.nodes
            .iter()
            .filter(|node| node.handle.is_some())
            .count()
    }

    /// Whether enough nodes run to decide anything.
    pub(super) fn has_majority(&self) -> bool {
        self.running() > self.nodes.len() / 2
    }

    /// All endpoints, those of nodes that are down too.
    pub(super) fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let parsed = self.files().map(|files| files.http.parse());
        let parsed: Result<_, coracle_client::InvalidEndpoint> = parsed.collect();
        parsed.map_err(|e| Failure::other(e.to_string()))
    }

    /// What every node says of itself.
    pub(super) async fn views(&self) -> Result<Vec<View>, Failure> {
        let mut views = Vec::new();
        for endpoint in self.endpoints()? {
            let builder = Client::builder(vec![endpoint.clone()]).timeout(LOOK_TIMEOUT);
            let status = builder.retries(false).build()?.status().await;
            views.push(View {
                endpoint: endpoint.to_string(),
                status,
            });
        }
        Ok(views)
    }

    /// Waits until `found` finds something in what the nodes say.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        mut found: impl FnMut(&[View]) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&self.views().await?) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(Failure::other(format!("no {what} within {PATIENCE:?}")));
            }
            sleep(POLL).await;
        }
    }

    /// Ends all nodes cleanly; the folder goes with the cluster.
    pub(super) async fn shutdown(mut self) {
        let mut tasks = JoinSet::new();
        for handle in self.nodes.iter_mut().filter_map(|node| node.handle.take()) {
            tasks.spawn(handle.shutdown());
        }
        tasks.join_all().await;
    }
}

/// A run of ports that are free now.
fn free_addresses(nodes: u64) -> Result<Vec<Addresses>, Failure> {
    // Different processes should look in different places.
    let spread = std::process::id() % u32::from(PORTS.end - PORTS.start);
    let mut base = PORTS.start + spread as u16;
    for _ in 0..MAX_DRAWS {
        let addresses = init::local_addresses(nodes, base)?;
        if addresses.iter().all(is_free) {
            return Ok(addresses);
        }
        base += 2 * nodes as u16;
        if base >= PORTS.end {
            base = PORTS.start;
        }
    }
    Err(Failure::other(format!(
        "no {} free ports in {PORTS:?}",
        2 * nodes
    )))
}

fn is_free(addresses: &Addresses) -> bool {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    UdpSocket::bind(local(addresses.quic.port())).is_ok()
        && TcpListener::bind(local(addresses.http.port())).is_ok()
}
