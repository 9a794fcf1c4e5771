//! Calls instead of a network.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};

use super::{Node, Types};

/// All nodes.
#[derive(Clone, Default)]
pub(crate) struct Router(Arc<Mutex<BTreeMap<u64, Node>>>);

impl Router {
    pub(super) fn add(&self, id: u64, node: Node) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert(id, node);
    }

    pub(super) fn node(&self, id: u64) -> anyhow::Result<Node> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes
            .get(&id)
            .cloned()
            .with_context(|| format!("no node {id}"))
    }
}

impl RaftNetworkFactory<Types> for Router {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &()) -> Peer {
        Peer {
            router: self.clone(),
            target,
            node: None,
        }
    }
}

/// The way to one node.
pub(crate) struct Peer {
    router: Router,
    target: u64,
    node: Option<Node>,
}

impl Peer {
    fn node(&mut self) -> Result<&Node, Unreachable<Types>> {
        if self.node.is_none() {
            self.node = self.router.node(self.target).ok();
        }
        let absent = std::io::Error::other("the node has not started");
        self.node.as_ref().ok_or_else(|| Unreachable::new(&absent))
    }
}

fn failed(error: impl std::error::Error + 'static) -> Unreachable<Types> {
    Unreachable::new(&error)
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Cursor<Vec<u8>>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.node()?.append_entries(request).await;
        Ok(answer.map_err(failed)?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.node()?.vote(request).await;
        Ok(answer.map_err(failed)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Self::SnapshotData>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let answer = self.node()?.install_full_snapshot(vote, snapshot).await;
        Ok(answer.map_err(failed)?)
    }
}
