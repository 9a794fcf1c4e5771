//! The durable log on redb, and snapshot files.
