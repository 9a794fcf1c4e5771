//! Example plugin kv.
