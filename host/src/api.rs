//! What the outside sees of a node: a trait that the server implements, and HTTP over it.

pub mod error;
pub mod http;
pub mod members;
pub mod service;
pub mod snapshots;

pub use error::ApiError;
pub use members::Members;
pub use service::{Applied, Consistency, Future, LeaderAction, Queried, QueryTerms, Service};
pub use snapshots::{OpenSnapshot, Snapshots};
