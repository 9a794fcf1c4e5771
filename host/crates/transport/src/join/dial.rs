//! The asking side of a join.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Endpoint};

use crate::config::Limits;
use crate::frame;
use crate::limits::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, JOIN_ANSWER_TIMEOUT, MAX_JOIN_BYTES};
use crate::quic::{self, close};
use crate::tls::SERVER_NAME;

use super::pinned::{Judgement, PinnedVerifier};
use super::{ANSWERED, BUSY, JoinError, NOT_HERE, exporter};

/// Asks the node at `addr` to let this one in. It must show a certificate from the authority whose
/// public key has the SHA-256 `ca_spki_pin` (see [`spki_pin`](crate::identity::spki_pin)). The
/// request is made from the secret that only the two ends of this connection know.
pub async fn dial(
    addr: SocketAddr,
    ca_spki_pin: [u8; 32],
    request: impl FnOnce([u8; 32]) -> Bytes,
) -> Result<Bytes, JoinError> {
    let unreachable = |reason: String| JoinError::Unreachable { addr, reason };
    let local: SocketAddr = match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(local).map_err(|error| unreachable(error.to_string()))?;
    let result = connect_and_ask(&endpoint, addr, ca_spki_pin, request).await;
    endpoint.close(close::DONE, b"done");
    // Without it the other end would hold the connection until it times out.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
    result
}

async fn connect_and_ask(
    endpoint: &Endpoint,
    addr: SocketAddr,
    pin: [u8; 32],
    request: impl FnOnce([u8; 32]) -> Bytes,
) -> Result<Bytes, JoinError> {
    let unreachable = |reason: String| JoinError::Unreachable { addr, reason };
    let verifier = Arc::new(PinnedVerifier::new(pin));
    let crypto = Arc::clone(&verifier)
        .settings()
        .map_err(|error| unreachable(error.to_string()))?;
    let config = quic::anonymous(crypto, &Limits::default())
        .map_err(|error| unreachable(error.to_string()))?;
    let connecting = endpoint
        .connect_with(config, addr, SERVER_NAME)
        .map_err(|error| unreachable(error.to_string()))?;
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(refused(addr, &verifier, error)),
        Err(_) => {
            return Err(unreachable(format!(
                "timed out after {HANDSHAKE_TIMEOUT:?}"
            )));
        }
    };
    let lost = |reason: &str| JoinError::Lost {
        addr,
        reason: reason.to_owned(),
    };
    let secret = exporter(&connection).ok_or_else(|| lost("no secret could be derived"))?;
    let request = request(secret);
    if request.len() > MAX_JOIN_BYTES {
        let bytes = request.len();
        return Err(JoinError::TooLarge { bytes });
    }
    tokio::time::timeout(JOIN_ANSWER_TIMEOUT, ask(&connection, addr, request))
        .await
        .unwrap_or(Err(JoinError::Timeout {
            addr,
            after: JOIN_ANSWER_TIMEOUT,
        }))
}

/// What the verifier thought of the certificate says more than the alert that it caused.
fn refused(addr: SocketAddr, verifier: &PinnedVerifier, error: ConnectionError) -> JoinError {
    match verifier.judgement() {
        Some(Judgement::OtherAuthority) => JoinError::WrongAuthority { addr },
        Some(Judgement::Invalid(reason)) => JoinError::Untrusted { addr, reason },
        None => JoinError::Unreachable {
            addr,
            reason: error.to_string(),
        },
    }
}

async fn ask(
    connection: &Connection,
    addr: SocketAddr,
    request: Bytes,
) -> Result<Bytes, JoinError> {
    let lost = |error: &dyn std::fmt::Display| JoinError::Lost {
        addr,
        reason: match connection.close_reason() {
            Some(reason) => reason.to_string(),
            None => error.to_string(),
        },
    };
    let (mut send, mut recv) = connection.open_bi().await.map_err(|error| lost(&error))?;
    // A side that has made up its mind already stops reading; its status says how.
    let _ = frame::write(&mut send, request).await;
    let _ = send.finish();
    let mut status = [0];
    let read = recv.read_exact(&mut status).await;
    read.map_err(|error| lost(&error))?;
    match status[0] {
        ANSWERED => frame::read(&mut recv, MAX_JOIN_BYTES)
            .await
            .map_err(|error| lost(&error)),
        BUSY => Err(JoinError::Busy { addr }),
        NOT_HERE => Err(JoinError::NotHere { addr }),
        other => Err(lost(&format!("reply has unknown status {other}"))),
    }
}
