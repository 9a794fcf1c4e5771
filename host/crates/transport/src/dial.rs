//! Making a connection to a node.

use std::net::SocketAddr;

use coracle_proto::NodeId;
use quinn::{ConnectError, Connection, ConnectionError};

use crate::failure::PeerFailure;
use crate::hello::{Greeted, HelloError};
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::SERVER_NAME;

/// Dials a node and exchanges hellos. Its certificate has been checked when this returns.
pub(crate) async fn dial(
    shared: &Shared,
    node: NodeId,
    addr: SocketAddr,
    alpn: &'static [u8],
) -> Result<(Connection, Greeted), PeerFailure> {
    let limit = shared.limits.dial_timeout;
    tokio::time::timeout(limit, attempt(shared, node, addr, alpn))
        .await
        .unwrap_or(Err(PeerFailure::Timeout(limit)))
}

async fn attempt(
    shared: &Shared,
    node: NodeId,
    addr: SocketAddr,
    alpn: &'static [u8],
) -> Result<(Connection, Greeted), PeerFailure> {
    let config =
        quic::client(&shared.tls(), &shared.limits, node, alpn).map_err(PeerFailure::network)?;
    let endpoint = shared
        .endpoint()
        .ok_or_else(|| PeerFailure::network(ConnectError::EndpointStopping))?;
    let connecting = endpoint
        .connect_with(config, addr, SERVER_NAME)
        .map_err(|error| PeerFailure::network(format!("cannot dial: {error}")))?;
    let connection = connecting.await?;
    match shared.hello.greet(&connection, node).await {
        Ok(greeted) => Ok((connection, greeted)),
        Err(error) => {
            if error.is_refusal() {
                quic::close_connection(&connection, close::REFUSED, &error.to_string());
            }
            Err(failure(&connection, error))
        }
    }
}

/// The listener's reason for closing says more than the stream that it cut.
fn failure(connection: &Connection, error: HelloError) -> PeerFailure {
    match connection.close_reason() {
        Some(reason @ ConnectionError::ApplicationClosed(_)) => return reason.into(),
        Some(reason @ ConnectionError::ConnectionClosed(_)) => return reason.into(),
        _ => {}
    }
    match error {
        HelloError::Versions(mismatch) => mismatch.into(),
        HelloError::ForeignCluster { .. } | HelloError::OtherNode { .. } => {
            PeerFailure::identity(error)
        }
        HelloError::Connection(error) => error.into(),
        other => PeerFailure::network(other),
    }
}
