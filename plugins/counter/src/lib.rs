//! Example plugin counter.
