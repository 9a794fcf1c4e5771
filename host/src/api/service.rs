//! What the HTTP layer, the demo and the benchmark ask of a node.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{
    Barrier, Check, Code, ConfigChange, ConfigChanged, ConfigView, CreateFsm, DigestHex, Drained,
    EventFilter, FsmInfo, Leaders, Leadership, PluginInfo, Removed, Snapshotted, Spread, Status,
    Upgraded,
};

use super::{ApiError, Members, Snapshots};
use crate::events::Subscriber;

/// An answer on its way. Dropping it abandons the wait, not the deed.
pub type Future<'a, T> =
    Pin<Box<dyn std::future::Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// How fresh a query's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// It reflects everything acknowledged before the query came: the leader confirms with a
    /// majority that it leads, and this node answers.
    #[default]
    Linearizable,
    /// The same, and the leader answers.
    Leader,
    /// The same as long as clocks do not drift more than they may: the leader's lease stands for
    /// the majority.
    Lease,
    /// It reflects what this node has applied.
    Stale,
}

impl Consistency {
    /// Its word in the header.
    pub fn word(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Leader => "leader",
            Self::Lease => "lease",
            Self::Stale => "stale",
        }
    }
}

/// What a query asks of the state that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryTerms {
    /// How fresh.
    pub consistency: Consistency,
    /// At an applied index of at least this.
    pub min_index: Option<u64>,
    /// For a stale query: no older than this.
    pub max_staleness: Option<Duration>,
}

impl QueryTerms {
    /// # Errors
    /// If one of them contradicts another.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.max_staleness.is_some() && self.consistency != Consistency::Stale {
            let detail = format!(
                "a bound of staleness is for stale queries, and this one is {}",
                self.consistency.word()
            );
            return Err(ApiError::new(Code::BadRequest, detail));
        }
        Ok(())
    }
}

/// What may be done with a group's leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderAction {
    /// Hand it over.
    Transfer {
        /// To this node; none: to the one that is best placed.
        to: Option<u64>,
    },
    /// Give it up, to whoever is best placed.
    StepDown,
    /// Have this node stand for election.
    Campaign,
    /// Have this node follow nobody until a leader speaks again.
    Forget,
    /// Have a majority confirm the leader.
    Verify,
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
    /// The node that was asked.
    pub node: u64,
}

/// A query was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queried {
    /// The applied index it saw.
    pub index: u64,
    /// The guest's answer.
    pub reply: Vec<u8>,
    /// What was given.
    pub consistency: Consistency,
    /// The term of the group, as far as the node knows.
    pub term: Option<u64>,
    /// The node whose state has answered.
    pub node: u64,
    /// How old the state may be, where that is known.
    pub staleness: Option<Duration>,
}

/// A node as the outside sees it. Requests to a follower are forwarded below this trait.
///
/// Names of fsms are checked by the caller. Every future ends: those with a `timeout` argument by
/// themselves shortly after it, the others because the caller drops them.
pub trait Service: Members + Snapshots + fmt::Debug + Send + Sync + 'static {
    /// Applies a command; `key` makes it exactly-once.
    fn apply<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        key: Option<String>,
        timeout: Duration,
    ) -> Future<'a, Applied>;

    /// Answers a query on these terms.
    fn query<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        terms: QueryTerms,
        timeout: Duration,
    ) -> Future<'a, Queried>;

    /// Answers once everything that was acknowledged before is applied here.
    fn barrier<'a>(&'a self, fsm: &'a str, timeout: Duration) -> Future<'a, Barrier>;

    /// Who leads, as this node knows: one fsm's group, or all.
    fn leaders<'a>(&'a self, fsm: Option<&'a str>) -> Future<'a, Leaders>;

    /// Does something with the leadership of an fsm's group, or of group 0.
    fn lead<'a>(
        &'a self,
        fsm: Option<&'a str>,
        action: LeaderAction,
        timeout: Duration,
    ) -> Future<'a, Leadership>;

    /// Spreads the leaders of all fsms over the nodes.
    fn spread(&self, timeout: Duration) -> Future<'_, Spread>;

    /// Hands all leaderships over and takes no new ones, or does so no more.
    fn drain(&self, on: bool, timeout: Duration) -> Future<'_, Drained>;

    /// The settings in force.
    fn config(&self) -> Future<'_, ConfigView>;

    /// Changes settings, here or on every node.
    fn set_config(&self, change: ConfigChange, timeout: Duration) -> Future<'_, ConfigChanged>;

    /// The metrics, as text.
    fn scrape(&self) -> Future<'_, String>;

    /// Follows this node's events, from now on or after `from`.
    ///
    /// # Errors
    /// If too many do already.
    fn follow(&self, filter: EventFilter, from: Option<u64>) -> Result<Subscriber, ApiError>;

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
