//! QUIC between nodes, with mutual TLS.
