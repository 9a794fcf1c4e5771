//! Traces that are known to be wrong are refused, at the event at which they go wrong.
