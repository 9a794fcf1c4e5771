//! What a transport asks of the node it belongs to.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use coracle_proto::{Envelope, NodeId};

use crate::bulk::{BulkReader, BulkSource};

/// A boxed future, so that [`Handler`] can be a trait object.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Why a node with a valid certificate may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was a member.
    Removed,
    /// It is not, as far as is known here.
    Unknown,
}

impl Refusal {
    /// What the refused node is told.
    pub(crate) fn of(self, node: NodeId) -> String {
        match self {
            Self::Removed => format!("{node} was removed from this cluster"),
            Self::Unknown => format!("{node} is not a member of this cluster"),
        }
    }
}

/// Receives what peers send. The first three are called from the tasks that read the network, and
/// must not block: a slow `received` holds up that peer's lane, and nothing else.
///
/// `from` is always the node in the peer's certificate.
pub trait Handler: Send + Sync {
    /// A frame arrived; every envelope's sender is `from`. Frames of one lane arrive in order and
    /// one after the other, those of different lanes at the same time.
    fn received(&self, from: NodeId, envelopes: Vec<Envelope>);

    /// The connection *to* this node stands: what is sent now goes out.
    fn peer_up(&self, node: NodeId);

    /// The connection to this node was lost, and with it an unknown part of what was sent. Comes
    /// after a `peer_up`, once.
    fn peer_down(&self, node: NodeId);

    /// Whether this node may connect here; asked for every connection, of every kind. The
    /// certificate is valid already; a node that was removed still has one.
    fn accepts(&self, node: NodeId) -> Result<(), Refusal> {
        let _ = node;
        Ok(())
    }

    /// Answers a node that has no certificate yet, and is not authenticated by anything but what
    /// `request` says. `exporter` is a secret of this very connection, which the asking side has
    /// too: a proof bound to it cannot be carried over to another connection. The reply has at
    /// most [`MAX_JOIN_BYTES`](crate::MAX_JOIN_BYTES); an empty one says that nobody can join here.
    fn join(&self, request: Bytes, exporter: [u8; 32]) -> BoxFuture<Bytes> {
        let _ = (request, exporter);
        Box::pin(std::future::ready(Bytes::new()))
    }

    /// Answers a request.
    fn request(&self, from: NodeId, body: Bytes) -> BoxFuture<Bytes>;

    /// Takes a bulk transfer in and answers it. An `Err` is told to the sender.
    fn bulk(
        &self,
        from: NodeId,
        header: Bytes,
        reader: BulkReader,
    ) -> BoxFuture<Result<Bytes, String>>;

    /// Gives a peer the bytes that `header` asks for. An `Err` is told to it.
    fn bulk_fetch(
        &self,
        from: NodeId,
        header: Bytes,
    ) -> BoxFuture<Result<Box<dyn BulkSource>, String>>;
}
