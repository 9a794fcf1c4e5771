//! What the HTTP layer, the demo and the benchmark ask of a node.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{
    Check, CreateFsm, DigestHex, FsmInfo, PluginInfo, Removed, Snapshotted, Status, Upgraded,
};

use super::{ApiError, Members};

/// An answer on its way. Dropping it abandons the wait, not the deed.
pub type Future<'a, T> =
    Pin<Box<dyn std::future::Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// How fresh a query's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// It reflects everything acknowledged before the query came.
    #[default]
    Linearizable,
    /// It reflects what this node has applied.
    Stale,
}

/// A command was applied, and the guest said ok.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where in the log.
    pub index: u64,
    /// The term of that entry, where it is known.
    pub term: Option<u64>,
    /// The guest's answer.
    pub reply: Vec<u8>,
    /// True if it was applied before under the same key, and this is that answer.
    pub replayed: bool,
}

/// A query was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queried {
    /// The applied index it saw.
    pub index: u64,
    /// The guest's answer.
    pub reply: Vec<u8>,
}

/// A node as the outside sees it. Requests to a follower are forwarded below this trait.
///
/// Names of fsms are checked by the caller. Every future ends: those with a `timeout` argument by
/// themselves shortly after it, the others because the caller drops them.
pub trait Service: Members + fmt::Debug + Send + Sync + 'static {
    /// Applies a command; `key` makes it exactly-once.
    fn apply<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        key: Option<String>,
        timeout: Duration,
    ) -> Future<'a, Applied>;

    /// Answers a query at an applied index of at least `min_index`.
    fn query<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        consistency: Consistency,
        min_index: Option<u64>,
        timeout: Duration,
    ) -> Future<'a, Queried>;

    /// Stores a plugin whose digest the caller has verified; answers once a majority has it.
    fn put_plugin(&self, digest: DigestHex, bytes: Bytes) -> Future<'_, PluginInfo>;

    /// All plugins, sorted by digest.
    fn list_plugins(&self) -> Future<'_, Vec<PluginInfo>>;

    /// Creates an fsm; answers when it serves. Asking again for the same is a success.
    fn create_fsm<'a>(&'a self, name: &'a str, spec: CreateFsm) -> Future<'a, FsmInfo>;

    /// All fsms, sorted by name.
    fn list_fsms(&self) -> Future<'_, Vec<FsmInfo>>;

    /// One fsm.
    fn get_fsm<'a>(&'a self, name: &'a str) -> Future<'a, FsmInfo>;

    /// Retires an fsm and removes its group.
    fn remove_fsm<'a>(&'a self, name: &'a str) -> Future<'a, Removed>;

    /// Replaces the plugin of an fsm at a log index; answers when the new one serves.
    fn upgrade<'a>(&'a self, name: &'a str, plugin: DigestHex) -> Future<'a, Upgraded>;

    /// Takes a snapshot now.
    fn snapshot<'a>(&'a self, name: &'a str) -> Future<'a, Snapshotted>;

    /// How this node sees the cluster; must not need a leader.
    fn status(&self) -> Future<'_, Status>;

    /// Whether the process works at all. Looks at this node only: an outage of the cluster must
    /// not get every node restarted.
    fn live(&self) -> Vec<Check>;

    /// Whether this node should get requests.
    fn ready(&self) -> Vec<Check>;
}
