//! Headers of the HTTP interface, in lower case as HTTP libraries want them.

/// Request: makes an apply exactly-once within the fsm's session window.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Reply: `true` if the outcome is that of an earlier request with the same key.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// Reply: the log index at which the command was applied, or which a query has seen.
pub const INDEX: &str = "coracle-index";
/// Reply: the term of the entry, where known.
pub const TERM: &str = "coracle-term";
/// Reply: the node that has answered.
pub const NODE: &str = "coracle-node";
/// Reply to a query: how old its state may be, in milliseconds, where that is known.
pub const STALENESS_MS: &str = "coracle-staleness-ms";
/// Request: a stale query is refused if the state is older than this, e.g. `500ms`.
pub const MAX_STALENESS: &str = "coracle-max-staleness";
/// Request: `linearizable` (default), `leader`, `lease` or `stale`; reply: which was given.
pub const CONSISTENCY: &str = "coracle-consistency";
/// Request: answer a query only once this index is applied.
pub const MIN_INDEX: &str = "coracle-min-index";
/// Request: how long the server may take, e.g. `500ms`, `5s`, `1m`.
pub const TIMEOUT: &str = "coracle-timeout";

/// Request: follow the events after this one.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// Longest `Idempotency-Key`, in bytes of visible ASCII.
pub const MAX_KEY_BYTES: usize = 128;

/// Media type of a [`Problem`](crate::Problem).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
