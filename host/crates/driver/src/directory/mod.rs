//! The directory: the native state machine of the system group.
