//! Example plugin hostile.
