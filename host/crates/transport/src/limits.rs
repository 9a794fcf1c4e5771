//! Every bound of the transport that is not a setting.

use std::time::Duration;

use quinn::VarInt;

/// Largest frame on a lane, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;
/// Envelopes in one frame; in version 2 an envelope can be a single byte.
pub const MAX_BATCH_ENVELOPES: usize = 1 << 16;
/// Memory that one frame may take, in bytes: its batch, uncompressed, and the envelopes in it. A few
/// bytes can stand for many elements. What a lane puts into a frame weighs enough that no frame of
/// ours needs more (`codec/write.rs`).
pub const MAX_BATCH_MEMORY_BYTES: usize = MEMORY_PER_WEIGHT * MAX_FRAME_BYTES;
/// Bytes of memory per byte of [`weight`](crate::codec::weight), at most.
pub(crate) const MEMORY_PER_WEIGHT: usize = 4;
/// Largest body of a request or reply, in bytes.
pub const MAX_REQUEST_BYTES: usize = 16 << 20;
/// Largest header or reply of a bulk transfer, in bytes.
pub const MAX_BULK_HEADER_BYTES: usize = 64 << 10;
/// Append lanes per peer; groups are spread over them by id.
pub const APPEND_LANES: u8 = 4;
/// Requests being handled at once, over all peers.
pub const MAX_INBOUND_REQUESTS: usize = 1024;
/// Bytes of request bodies being received or handled at once, over all peers.
pub const MAX_INBOUND_REQUEST_BYTES: usize = 64 << 20;
/// Bulk transfers being served at once, over all peers.
pub const MAX_INBOUND_BULK: usize = 8;
/// Bulk transfers being asked for at once, over all peers.
pub const MAX_OUTBOUND_BULK: usize = 8;
/// Connections accepted and not yet closed.
pub const MAX_INBOUND_CONNECTIONS: usize = 512;
/// Control envelopes kept for a peer that is not connected, in bytes; the newest are kept.
pub const HELD_CONTROL_BYTES: usize = 64 << 10;
/// Engine epochs that a node may run.
pub const MAX_EPOCHS: usize = 64;
/// Largest request or reply of a join, in bytes.
pub const MAX_JOIN_BYTES: usize = 64 << 10;
/// Joins being answered at once.
pub const MAX_INBOUND_JOINS: usize = 8;
/// Joins that may come at once after a pause; then one per [`JOIN_INTERVAL`].
pub const JOIN_BURST: u32 = 32;
/// See [`JOIN_BURST`]. Secrets in tickets are long, so that this is about load, not about guessing.
pub const JOIN_INTERVAL: Duration = Duration::from_millis(100);

/// Largest hello.
pub(crate) const MAX_HELLO_BYTES: usize = 1024;
/// An append frame is closed once it holds so many bytes.
pub(crate) const APPEND_FRAME_BYTES: usize = 1 << 20;
/// A frame is received in pieces of at most so many bytes; memory grows with what has arrived.
pub(crate) const READ_CHUNK_BYTES: usize = 256 << 10;
/// Bulk data is read from its source in pieces of so many bytes.
pub(crate) const BULK_CHUNK_BYTES: usize = 256 << 10;
/// Of a throttled transfer in pieces of at least so many bytes.
pub(crate) const MIN_BULK_CHUNK_BYTES: usize = 4 << 10;
/// Bulk data cannot be throttled below this many bytes per second: it would look like a stall.
pub const MIN_BULK_RATE: u64 = 16 << 10;
/// Beyond this many open connections an unknown address must first prove that it is its own.
pub(crate) const VALIDATE_ADDRESS_ABOVE: usize = 64;
/// Handshakes waiting to be looked at.
pub(crate) const MAX_INCOMING: usize = 128;
/// Bytes buffered for each of them.
pub(crate) const INCOMING_BUFFER_BYTES: u64 = 64 << 10;
/// Long-lived streams a peer may open on one connection: its lanes, and some to spare.
pub(crate) const MAX_UNI_STREAMS: VarInt = VarInt::from_u32(8);
/// Requests a peer may have open on one connection.
pub(crate) const MAX_BI_STREAMS: VarInt = VarInt::from_u32(256);
/// Unread bytes a peer may have in flight on one stream.
pub(crate) const STREAM_WINDOW_BYTES: VarInt = VarInt::from_u32(4 << 20);
/// Unread bytes a peer may have in flight on one connection.
pub(crate) const CONNECTION_WINDOW_BYTES: VarInt = VarInt::from_u32(16 << 20);
/// Unacknowledged bytes of ours on one raft connection; also bounds its queueing delay.
pub(crate) const RAFT_SEND_WINDOW_BYTES: u64 = 4 << 20;
/// Unacknowledged bytes of ours on one bulk connection.
pub(crate) const BULK_SEND_WINDOW_BYTES: u64 = 16 << 20;
/// Asked of the kernel for the socket, each way; it grants less if its own limit is lower.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// A silent peer is given at least so long: below, lost packets look like lost peers.
pub(crate) const MIN_DETECTION: Duration = Duration::from_millis(500);
/// From the first packet of an incoming connection to its hello.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the body of an incoming request, once it has begun.
pub(crate) const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// For the request of a join, once its connection stands.
pub(crate) const JOIN_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// For the answer to a join: it is agreed on by the cluster.
pub(crate) const JOIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For a reply to be acknowledged before its connection is closed.
pub(crate) const JOIN_LINGER: Duration = Duration::from_secs(2);
/// First pause after a failed attempt to connect.
pub(crate) const MIN_BACKOFF: Duration = Duration::from_millis(20);
/// At shutdown, for what is queued to arrive.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// At shutdown, for peers to learn of it.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// At shutdown, how often to look whether the socket is closed.
pub(crate) const RELEASE_POLL: Duration = Duration::from_millis(1);
