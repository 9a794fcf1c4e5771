//! An abstract specification of Raft, without any optimisation, and a judge of traces.
//!
//! The specification is that of the thesis: terms, votes, logs, commitment, a configuration in force
//! from its append on, snapshots as prefixes of the log; and a disk that writes later than it is
//! asked; pre-votes, and reads by rounds of heartbeats or by lease. It shares no code with the core. [`Spec`] has one method per action, which refuses what
//! the action does not allow. A trace ([`Event`]) says what the replicas of a run asked their disks
//! to write, what became durable, and what they took for committed; [`validate`] looks for the first
//! event that no action explains, [`validate_merged`] does so without a common clock.

mod commit;
pub mod event;
mod ids;
mod log;
mod merge;
mod pre_vote;
mod quorum;
mod read;
mod reads;
mod refusal;
mod replica;
mod spec;
mod validator;
mod write;

pub use event::Event;
pub use ids::{Index, LogId, ReplicaId, Term};
pub use merge::{Failure, Report, validate, validate_merged};
pub use read::{ReadError, read};
pub use refusal::{Refusal, Verdict};
pub use spec::Spec;
pub use validator::Validator;
