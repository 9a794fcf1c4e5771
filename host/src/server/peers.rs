//! What this node does when a peer speaks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use coracle_driver::{Event, Snapshots as _};
use coracle_proto::{Envelope, GroupId, NodeId};
use coracle_transport::{BoxFuture, BulkReader, BulkSource, BytesSource, Handler, Refusal};
use tokio::time::Instant;
use tracing::{debug, info};

use super::Shell;
use super::admit;
use super::bulk::Bulk;
use super::call::{Call, Failure, Reply, encode_result};
use super::transfer::{self, SnapshotSource};
use coracle_client::{Code, Happening};

/// Time a peer's call may take here. The peer's own deadline is usually earlier.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// What a peer asks for.
fn fetched(shell: &Shell, wanted: Bulk) -> Result<Box<dyn BulkSource>, String> {
    match wanted {
        Bulk::Plugin { digest } => {
            let bytes = shell
                .plugins
                .read(digest)
                .map_err(|error| error.to_string())?;
            Ok(Box::new(BytesSource::new(bytes)))
        }
        Bulk::Image { digest } => {
            let image = shell
                .files
                .image(&digest)
                .map_err(|error| error.to_string())?;
            let reader = shell.files.open_image(&digest);
            let reader = reader.map_err(|error| error.to_string())?;
            Ok(Box::new(SnapshotSource::new(reader, image.last, digest)))
        }
        Bulk::Snapshot(_) | Bulk::Newest { .. } => {
            Err("snapshots are sent, not fetched".to_owned())
        }
    }
}

/// Receives what peers send.
#[derive(Debug)]
pub(super) struct PeerHandler {
    /// The transport is part of what it belongs to.
    shell: Weak<Shell>,
}

impl PeerHandler {
    pub(super) fn new(shell: &Arc<Shell>) -> Self {
        Self {
            shell: Arc::downgrade(shell),
        }
    }
}

impl Handler for PeerHandler {
    fn received(&self, from: NodeId, envelopes: Vec<Envelope>) {
        let Some(shell) = self.shell.upgrade() else {
            return;
        };
        if !shell.inbox.receive(envelopes) {
            debug!(%from, "messages dropped: the node is overloaded");
        }
    }

    fn peer_up(&self, node: NodeId) {
        if let Some(shell) = self.shell.upgrade() {
            info!(peer = %node, "connected");
            shell.tell_all(Happening::PeerUp { peer: node.0 });
            shell.inbox.push(Event::PeerUp(node));
        }
    }

    fn peer_down(&self, node: NodeId) {
        if let Some(shell) = self.shell.upgrade() {
            info!(peer = %node, "connection lost");
            shell.tell_all(Happening::PeerDown { peer: node.0 });
            shell.inbox.push(Event::PeerDown(node));
        }
    }

    fn accepts(&self, node: NodeId) -> Result<(), Refusal> {
        match self.shell.upgrade() {
            Some(shell) if !shell.is_welcome(node) => Err(Refusal::Removed),
            _ => Ok(()),
        }
    }

    fn join(&self, request: Bytes, exporter: [u8; 32]) -> BoxFuture<Bytes> {
        let shell = self.shell.upgrade();
        Box::pin(async move {
            let Some(shell) = shell else {
                return Bytes::new();
            };
            let stopped = shell.stopped();
            tokio::select! {
                answer = admit::answer(shell, request, exporter) => answer,
                () = stopped => Bytes::new(),
            }
        })
    }

    fn request(&self, from: NodeId, body: Bytes) -> BoxFuture<Bytes> {
        let shell = self.shell.upgrade();
        Box::pin(async move {
            let result = match (shell, Call::decode(&body)) {
                (Some(shell), Ok(Call::Moved { quic })) => moved(&shell, from, &quic),
                (Some(shell), Ok(Call::AuthorityKey)) => shell.share_authority(from),
                (Some(shell), Ok(call)) => {
                    let stopped = shell.stopped();
                    tokio::select! {
                        result = shell.execute(call, Instant::now() + CALL_TIMEOUT) => result,
                        () = stopped => Err(Failure::unknown("the node that was asked stopped")),
                    }
                }
                (None, _) => Err(Failure::not_applied(
                    Code::Unavailable,
                    "the node is stopping",
                )),
                (_, Err(reason)) => {
                    let detail = format!("a call of {from}: {reason}");
                    Err(Failure::not_applied(Code::BadRequest, detail))
                }
            };
            encode_result(&result)
        })
    }

    fn bulk(
        &self,
        from: NodeId,
        header: Bytes,
        reader: BulkReader,
    ) -> BoxFuture<Result<Bytes, String>> {
        let shell = self.shell.upgrade();
        Box::pin(async move {
            let shell = shell.ok_or("the node is stopping")?;
            match Bulk::decode(&header)? {
                Bulk::Snapshot(offer) => {
                    let stopped = shell.stopped();
                    tokio::select! {
                        result = transfer::receive(shell, from, offer, reader) => result,
                        () = stopped => Err("the node is stopping".to_owned()),
                    }
                }
                Bulk::Plugin { .. } | Bulk::Newest { .. } | Bulk::Image { .. } => {
                    Err("this is fetched, not sent".to_owned())
                }
            }
        })
    }

    fn bulk_fetch(
        &self,
        _from: NodeId,
        header: Bytes,
    ) -> BoxFuture<Result<Box<dyn BulkSource>, String>> {
        let shell = self.shell.upgrade();
        Box::pin(async move {
            let shell = shell.ok_or("the node is stopping")?;
            let wanted = Bulk::decode(&header)?;
            if let Bulk::Newest { group, at_least } = wanted {
                return transfer::give(&shell, GroupId(group), at_least).await;
            }
            transfer::blocking(move || fetched(&shell, wanted)).await
        })
    }
}

/// A peer is reached elsewhere from now on. Its certificate proves that it is the one; the
/// directory follows.
fn moved(shell: &Shell, node: NodeId, quic: &str) -> Result<Reply, Failure> {
    let address = quic.parse().map_err(|_| {
        let detail = format!("{quic:?} is not an address");
        Failure::not_applied(Code::BadRequest, detail)
    })?;
    info!(peer = %node, %address, "it has moved");
    shell.transport()?.set_peer(node, address);
    Ok(Reply::Done)
}

impl Shell {
    /// Whether a node may speak to this one: a node that was removed for good may not, once its
    /// removal is committed in group 0 as well.
    fn is_welcome(&self, node: NodeId) -> bool {
        let removed = self.directory.state().members.is_removed(node);
        let member = self.views.get(GroupId::SYSTEM).is_some_and(|status| {
            let members = status.configuration.members();
            members.iter().any(|id| id.node == node)
        });
        !removed || member
    }
}
