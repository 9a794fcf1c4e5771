//! Making a connection to a node.

use std::net::SocketAddr;

use coracle_proto::NodeId;
use quinn::{ConnectError, Connection, ConnectionError};

use crate::config::TransportError;
use crate::hello::{Hello, HelloError};
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::SERVER_NAME;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Settings(#[from] TransportError),
    #[error("cannot dial: {0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
}

/// Dials a node and exchanges hellos. Its certificate has been checked when this returns.
pub(crate) async fn dial(
    shared: &Shared,
    node: NodeId,
    addr: SocketAddr,
    alpn: &'static [u8],
) -> Result<(Connection, Hello), DialError> {
    let limit = shared.limits.dial_timeout;
    tokio::time::timeout(limit, attempt(shared, node, addr, alpn))
        .await
        .unwrap_or(Err(DialError::Timeout(limit)))
}

async fn attempt(
    shared: &Shared,
    node: NodeId,
    addr: SocketAddr,
    alpn: &'static [u8],
) -> Result<(Connection, Hello), DialError> {
    let config = quic::client(&shared.tls, &shared.limits, node, alpn)?;
    let endpoint = shared.endpoint().ok_or(ConnectError::EndpointStopping)?;
    let connection = endpoint.connect_with(config, addr, SERVER_NAME)?.await?;
    match shared.hello.greet(&connection, node).await {
        Ok(hello) => Ok((connection, hello)),
        Err(error) => {
            if error.is_refusal() {
                quic::close_connection(&connection, close::REFUSED, &error.to_string());
            }
            // The listener's reason for closing says more than the stream that it cut.
            match connection.close_reason() {
                Some(reason @ ConnectionError::ApplicationClosed(_)) => Err(reason.into()),
                Some(reason @ ConnectionError::ConnectionClosed(_)) => Err(reason.into()),
                _ => Err(error.into()),
            }
        }
    }
}
