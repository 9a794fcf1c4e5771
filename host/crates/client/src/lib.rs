//! The client library: applies, queries and administers over HTTP.
