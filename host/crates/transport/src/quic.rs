//! The socket and the settings of QUIC: one endpoint that both listens and dials.

use std::net::SocketAddr;
use std::sync::Arc;

use coracle_proto::NodeId;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Limits, TransportError};
use crate::limits::{
    BULK_SEND_WINDOW_BYTES, CONNECTION_WINDOW_BYTES, INCOMING_BUFFER_BYTES, MAX_BI_STREAMS,
    MAX_INCOMING, MAX_UNI_STREAMS, RAFT_SEND_WINDOW_BYTES, SOCKET_BUFFER_BYTES,
    STREAM_WINDOW_BYTES,
};
use crate::tls::{ALPN_BULK, Tls};

/// Why one side closed a connection, as an application error code.
pub(crate) mod close {
    use quinn::VarInt;

    pub(crate) const DONE: VarInt = VarInt::from_u32(0);
    pub(crate) const SHUTDOWN: VarInt = VarInt::from_u32(1);
    pub(crate) const REFUSED: VarInt = VarInt::from_u32(2);
    pub(crate) const MALFORMED: VarInt = VarInt::from_u32(3);
    pub(crate) const SPOOFED: VarInt = VarInt::from_u32(4);
    pub(crate) const SUPERSEDED: VarInt = VarInt::from_u32(5);
    pub(crate) const STALE: VarInt = VarInt::from_u32(6);
    pub(crate) const NOT_MEMBER: VarInt = VarInt::from_u32(7);
    pub(crate) const IDENTITY: VarInt = VarInt::from_u32(8);
}

/// Opens the endpoint that both listens and dials.
pub(crate) fn endpoint(
    listen: SocketAddr,
    tls: &Tls,
    limits: &Limits,
) -> Result<Endpoint, TransportError> {
    let server = server(tls, limits)?;
    let open = || {
        let socket = socket(listen)?;
        let endpoint = EndpointConfig::default();
        Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))
    };
    open().map_err(|source| TransportError::Listen { listen, source })
}

/// Settings for listening.
pub(crate) fn server(tls: &Tls, limits: &Limits) -> Result<ServerConfig, TransportError> {
    let mut server = ServerConfig::with_crypto(Arc::new(tls.server()?));
    server
        .transport_config(Arc::new(transport(limits, RAFT_SEND_WINDOW_BYTES)?))
        .migration(false)
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES * MAX_INCOMING as u64);
    Ok(server)
}

fn socket(listen: SocketAddr) -> std::io::Result<std::net::UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // Loss at high rates is mostly overflow of these; too small is slow, not wrong.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

/// Settings for dialling one node on one ALPN.
pub(crate) fn client(
    tls: &Tls,
    limits: &Limits,
    expected: NodeId,
    alpn: &'static [u8],
) -> Result<ClientConfig, TransportError> {
    let send_window = if alpn == ALPN_BULK {
        BULK_SEND_WINDOW_BYTES
    } else {
        RAFT_SEND_WINDOW_BYTES
    };
    let mut config = ClientConfig::new(Arc::new(tls.client(expected, alpn)?));
    config.transport_config(Arc::new(transport(limits, send_window)?));
    Ok(config)
}

/// Settings for dialling without a certificate.
pub(crate) fn anonymous(
    crypto: QuicClientConfig,
    limits: &Limits,
) -> Result<ClientConfig, TransportError> {
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport(limits, RAFT_SEND_WINDOW_BYTES)?));
    Ok(config)
}

fn transport(limits: &Limits, send_window: u64) -> Result<TransportConfig, TransportError> {
    let idle = IdleTimeout::try_from(limits.idle_timeout).map_err(|error| TransportError::Tls {
        reason: format!("idle timeout {:?}: {error}", limits.idle_timeout),
    })?;
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits.keep_alive_interval))
        .initial_rtt(limits.initial_rtt)
        .congestion_controller_factory(Arc::new(CubicConfig::default()))
        .max_concurrent_uni_streams(MAX_UNI_STREAMS)
        .max_concurrent_bidi_streams(MAX_BI_STREAMS)
        .stream_receive_window(STREAM_WINDOW_BYTES)
        .receive_window(CONNECTION_WINDOW_BYTES)
        .send_window(send_window)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0);
    Ok(config)
}

/// Closes with a reason that fits in a packet.
pub(crate) fn close_connection(connection: &quinn::Connection, code: VarInt, reason: &str) {
    const MAX_REASON_BYTES: usize = 512;
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    connection.close(code, &reason.as_bytes()[..end]);
}
