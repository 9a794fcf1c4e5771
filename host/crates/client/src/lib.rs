//! The client library: applies, queries and administers over HTTP. Also holds the words that
//! client and server share (bodies, headers, problems), so that they cannot drift apart.

mod client;
mod duration;
mod endpoint;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod key;
mod members;
mod model;
mod operate;
mod policy;
mod problem;
mod snapshots;

pub use client::{Applied, Client, ClientBuilder, Consistency, EventStream, Queried, QueryOptions};
pub use duration::{InvalidDuration, parse_duration};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{AttemptError, ClientError};
pub use event::{Event, EventFilter, EventKind, Happening, InvalidKind};
pub use key::random_key;
pub use members::{
    ChangeMember, ChangeParameters, CreateToken, InvalidRole, MemberChange, MemberChanged,
    MemberInfo, MemberList, MemberRole, PlaceFsm, Placed, TokenCreated, TokenInfo, TokenList,
    TokenRevoked, node_id,
};
pub use model::{
    ChainHead, Check, CreateFsm, DigestHex, FsmInfo, FsmList, FsmState, FsmStatus, InvalidDigest,
    InvalidName, LimitOverrides, PluginInfo, PluginList, Probe, RecoveredInfo, Removed,
    Snapshotted, Status, Upgrade, Upgraded, check_fsm_name,
};
pub use operate::{
    Barrier, ConfigChange, ConfigChanged, ConfigView, Drained, LeaderOrder, Leaders, Leadership,
    Moved, NodeChanged, NotMoved, Setting, Spread,
};
pub use problem::{Code, Outcome, Problem};
pub use snapshots::{
    ImageReceived, Restore, Restored, SNAPSHOT_PART_BYTES, SnapshotInfo, SnapshotList,
};
