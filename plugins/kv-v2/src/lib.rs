//! Example plugin kv-v2.
