//! The incoming side: admitting peers, reading their lanes.

use std::sync::Arc;

use bytes::Bytes;
use coracle_proto::{Envelope, NodeId};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, ConnectionError, Endpoint, Incoming, RecvStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::OwnedSemaphorePermit;

use crate::codec::{self, CodecError};
use crate::frame::{self, FrameError};
use crate::hello::{Greeted, HelloError};
use crate::limits::{
    HANDSHAKE_TIMEOUT, MAX_FRAME_BYTES, MAX_INBOUND_CONNECTIONS, VALIDATE_ADDRESS_ABOVE,
};
use crate::mutant::mutant;
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::{self, ALPN_BULK, ALPN_JOIN, PeerRefused};
use crate::writer::STREAM_ENVELOPES;
use crate::{bulk, join, request};

/// Why an incoming connection was not admitted.
#[derive(Debug, thiserror::Error)]
enum AdmitError {
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Peer(#[from] PeerRefused),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("{0}")]
    NotAccepted(String),
    #[error("no hello within {HANDSHAKE_TIMEOUT:?}")]
    Timeout,
    #[error("no certificate")]
    NoCertificate,
}

impl AdmitError {
    /// The code that the connection is closed with.
    fn code(&self) -> VarInt {
        match self {
            Self::NotAccepted(_) => close::NOT_MEMBER,
            Self::Peer(_)
            | Self::NoCertificate
            | Self::Hello(HelloError::ForeignCluster { .. } | HelloError::OtherNode { .. }) => {
                close::IDENTITY
            }
            _ => close::REFUSED,
        }
    }
}

/// A connection that was let in, and what it is for.
enum Admitted {
    Peer(Arrived),
    Join(Connection),
}

/// A peer's connection.
pub(crate) struct Arrived {
    pub(crate) connection: Connection,
    pub(crate) node: NodeId,
    pub(crate) greeted: Greeted,
    bulk: bool,
}

/// An entry in the list of incoming connections, as long as it lives.
struct Registered<'a> {
    shared: &'a Shared,
    id: usize,
}

impl<'a> Registered<'a> {
    /// Nothing if the node was removed since it was let in: whoever cut its connections then did
    /// not see this one.
    fn new(shared: &'a Shared, peer: &Arrived) -> Option<Self> {
        let id = peer.connection.stable_id();
        let entry = (peer.node, peer.connection.clone());
        shared.arrived().insert(id, entry);
        let registered = Self { shared, id };
        match shared.handler.accepts(peer.node) {
            Ok(()) => Some(registered),
            Err(refusal) => {
                let reason = refusal.of(peer.node);
                quic::close_connection(&peer.connection, close::NOT_MEMBER, &reason);
                None
            }
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.shared.arrived().remove(&self.id);
    }
}

/// Admits peers until the endpoint is closed.
pub(crate) async fn accept_all(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(slot) = Arc::clone(&shared.inbound_slots).try_acquire_owned() else {
            shared.counters.connections_refused.one();
            incoming.refuse();
            continue;
        };
        let open = MAX_INBOUND_CONNECTIONS - shared.inbound_slots.available_permits();
        if open > VALIDATE_ADDRESS_ABOVE && incoming.may_retry() {
            // Fails only for one that may not retry.
            let _ = incoming.retry();
            continue;
        }
        tokio::spawn(handle(Arc::clone(&shared), incoming, slot));
    }
}

async fn handle(shared: Arc<Shared>, incoming: Incoming, _slot: OwnedSemaphorePermit) {
    let remote = incoming.remote_address();
    let admitted = tokio::time::timeout(HANDSHAKE_TIMEOUT, admit(&shared, incoming))
        .await
        .unwrap_or(Err(AdmitError::Timeout));
    match admitted {
        Ok(Admitted::Join(connection)) => join::serve(&shared, &connection).await,
        Ok(Admitted::Peer(peer)) => {
            let Some(_registered) = Registered::new(&shared, &peer) else {
                return;
            };
            match peer.bulk {
                true => bulk::serve_all(&shared, &peer).await,
                false => serve(&shared, &peer).await,
            }
        }
        Err(error) => {
            shared.counters.connections_refused.one();
            tracing::warn!(%remote, "connection refused: {error}");
        }
    }
}

async fn admit(shared: &Shared, incoming: Incoming) -> Result<Admitted, AdmitError> {
    let connection = incoming.await?;
    let purpose = alpn(&connection);
    if purpose.as_deref() == Some(ALPN_JOIN) {
        return Ok(Admitted::Join(connection));
    }
    let refuse = |error: AdmitError| {
        quic::close_connection(&connection, error.code(), &error.to_string());
        error
    };
    let certificate =
        certificate_of(&connection).ok_or_else(|| refuse(AdmitError::NoCertificate))?;
    let node =
        tls::node_of(shared.tls().cluster(), &certificate).map_err(|error| refuse(error.into()))?;
    if let Err(refusal) = shared.handler.accepts(node) {
        return Err(refuse(AdmitError::NotAccepted(refusal.of(node))));
    }
    let greeted = shared.hello.answer(&connection, node).await;
    let greeted = greeted.map_err(|error| refuse(error.into()))?;
    Ok(Admitted::Peer(Arrived {
        connection,
        node,
        greeted,
        bulk: purpose.as_deref() == Some(ALPN_BULK),
    }))
}

fn certificate_of(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

fn alpn(connection: &Connection) -> Option<Vec<u8>> {
    let data = connection.handshake_data()?;
    data.downcast::<HandshakeData>().ok()?.protocol
}

/// Reads a raft connection until it ends.
async fn serve(shared: &Arc<Shared>, peer: &Arrived) {
    let Arrived {
        connection,
        node,
        greeted,
        ..
    } = peer;
    let node = *node;
    let older = shared.inbound().insert(node, connection.clone());
    if let Some(older) = older {
        quic::close_connection(&older, close::SUPERSEDED, "connected again");
    }
    if let Some(outgoing) = shared.peer(node) {
        outgoing.heard_from(greeted);
    }
    tokio::join!(
        read_lanes(shared, node, greeted.version, connection),
        request::serve_all(shared, node, connection),
    );
    let mut inbound = shared.inbound();
    let current = inbound.get(&node).map(Connection::stable_id);
    if current == Some(connection.stable_id()) {
        inbound.remove(&node);
    }
    drop(inbound);
    if let Some(peer) = shared.peer(node) {
        peer.counters.ended(connection);
    }
}

async fn read_lanes(shared: &Arc<Shared>, node: NodeId, version: u16, connection: &Connection) {
    while let Ok(stream) = connection.accept_uni().await {
        let (shared, connection) = (Arc::clone(shared), connection.clone());
        tokio::spawn(async move {
            let Err(error) = read_lane(&shared, node, version, stream).await else {
                return;
            };
            let code = match error {
                LaneError::Frame(FrameError::Lost(_)) => return,
                LaneError::Spoofed { .. } => close::SPOOFED,
                _ => close::MALFORMED,
            };
            shared.counters.frames_refused.one();
            tracing::warn!(peer = %node, "frame refused: {error}");
            quic::close_connection(&connection, code, &error.to_string());
        });
    }
}

/// Why a frame, and with it the connection, is refused.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("envelope is from {claimed}, the connection is from {node}")]
    Spoofed { claimed: NodeId, node: NodeId },
    #[error("stream has unknown kind {0}")]
    Kind(u8),
}

async fn read_lane(
    shared: &Shared,
    node: NodeId,
    version: u16,
    mut stream: RecvStream,
) -> Result<(), LaneError> {
    let mut kind = [0];
    stream
        .read_exact(&mut kind)
        .await
        .map_err(FrameError::from)?;
    if kind[0] != STREAM_ENVELOPES {
        return Err(LaneError::Kind(kind[0]));
    }
    while let Some(frame) = frame::read_next(&mut stream, MAX_FRAME_BYTES).await? {
        let bytes = frame.len();
        let envelopes = open_frame(node, version, frame)?;
        shared.counters.frames_received.one();
        shared.counters.bytes_received.add(bytes);
        shared.counters.envelopes_received.add(envelopes.len());
        shared.handler.received(node, envelopes);
    }
    Ok(())
}

/// Decodes a frame; every envelope in it must be from the node at the other end.
fn open_frame(node: NodeId, version: u16, frame: Bytes) -> Result<Vec<Envelope>, LaneError> {
    let envelopes = codec::decode(frame, version)?;
    let foreign = envelopes.iter().find(|envelope| envelope.from.node != node);
    match foreign.filter(|_| !mutant!(SenderNotChecked)) {
        Some(envelope) => Err(LaneError::Spoofed {
            claimed: envelope.from.node,
            node,
        }),
        None => Ok(envelopes),
    }
}
