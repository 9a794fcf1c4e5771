//! What one node asks of another on behalf of a client, and how it can fail.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use coracle_client::{Code, Outcome as Happened};
use coracle_driver::task::{Answer, NotApplied, Outcome};
use coracle_driver::{Digest, FailureClass};
use coracle_proto::{GroupId, Index, NodeId};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::join::wire::Admission;

/// Version of the encoding; a peer of another version is refused by name.
const VERSION: u8 = 1;

/// A request that one node may make of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Call {
    /// Apply a command at the leader of the group.
    Apply {
        group: u64,
        body: Vec<u8>,
        key: Option<[u8; 16]>,
    },
    /// Answer a linearizable query at the leader of the group.
    Query {
        group: u64,
        request: Vec<u8>,
        min_index: Index,
    },
    /// Apply a command of the directory at the leader of group 0.
    Directory { command: Vec<u8> },
    /// Confirm the read point of a group at its leader.
    ReadPoint {
        group: u64,
        /// By the leader's lease, if it has one.
        lease: bool,
    },
    /// Create an fsm: at the leader of group 0.
    CreateFsm {
        name: String,
        plugin: Digest,
        config: BTreeMap<String, String>,
        limits: Vec<u8>,
    },
    /// Remove an fsm: at the leader of group 0.
    RemoveFsm { name: String },
    /// Upgrade: at the leader of the group.
    Upgrade {
        group: u64,
        name: String,
        plugin: Digest,
    },
    /// Take a checkpoint: at the leader of the group.
    Checkpoint { group: u64 },
    /// A directory's command about a member: at the leader of group 0, which knows who is there.
    Member { command: Vec<u8>, force: bool },
    /// A node with a ticket wants to join: at the leader of group 0.
    Join {
        proof: [u8; 32],
        fields: Vec<u8>,
        exporter: Hidden,
    },
    /// The key of the cluster's authority, for a voter that has none.
    AuthorityKey,
    /// The node that asks is at another address from now on. It says so itself.
    Moved { quic: String },
    /// Restore from an image: at the leader of the group.
    Restore {
        group: u64,
        image: Digest,
        fresh: bool,
    },
    /// Have this image durable here; fetch it from the node `from` if need be.
    StageImage { image: Digest, from: u64 },
    /// Have this plugin's bytes durable and compiled here; fetch them from the node `from` if need be.
    Stage { plugin: Digest, from: u64 },
    /// Hand the group's leadership over: at its leader.
    Transfer { group: u64, to: Option<u64> },
    /// Change settings of the node that is asked. Values are JSON.
    Configure { set: BTreeMap<String, String> },
    /// Whether the node that is asked is drained.
    Draining,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Applied at `index`.
    Applied {
        index: Index,
        reply: Vec<u8>,
        replayed: bool,
        /// The term of the entry, where it is known.
        term: Option<u64>,
    },
    /// Answered by a state that had applied `index`.
    Queried { index: Index, reply: Vec<u8> },
    /// A read point, or where a host entry was applied.
    At { index: Index },
    /// A group.
    Group { group: u64 },
    /// Who leads now.
    Leader { node: u64 },
    /// A member was changed; the tolerance of failures before and after.
    Member {
        index: Index,
        before: u64,
        after: u64,
    },
    /// A new node is let in.
    Admitted(Admission),
    /// The key of the cluster's authority.
    AuthorityKey(Hidden),
    /// Done.
    Done,
    /// Whether it is drained.
    Draining { on: bool },
}

/// Bytes that no log may show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hidden(pub(super) Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) detail: String,
    pub(super) outcome: Happened,
    /// The guest's bytes, in a refusal.
    pub(super) reply: Vec<u8>,
    /// For `NotLeader`: who leads, if known.
    pub(super) leader: Option<u64>,
    /// The entry, where it was applied.
    pub(super) index: Option<Index>,
    pub(super) is_final: bool,
    /// The outcome of an earlier command with the same key.
    pub(super) replayed: bool,
    /// One line each, for instance imports that are not allowed.
    pub(super) details: Vec<String>,
}

impl Failure {
    /// It has not happened and will not.
    pub(super) fn not_applied(code: Code, detail: impl Into<String>) -> Self {
        Self::new(code, Happened::NotApplied, detail)
    }

    /// It may have happened.
    pub(super) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(Code::OutcomeUnknown, Happened::Unknown, detail)
    }

    /// Time ran out while it was under way.
    pub(super) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(Code::Timeout, Happened::Unknown, detail)
    }

    fn new(code: Code, outcome: Happened, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            code,
            detail,
            outcome,
            reply: Vec::new(),
            leader: None,
            index: None,
            is_final: false,
            replayed: false,
            details: Vec::new(),
        }
    }

    fn refused(index: Index, reply: Vec<u8>) -> Self {
        let detail = match std::str::from_utf8(&reply) {
            Ok(text) => format!("the state machine refused it: {text}"),
            Err(_) => format!("the state machine refused it with {} bytes", reply.len()),
        };
        Self {
            reply,
            index: (index > 0).then_some(index),
            ..Self::new(Code::Refused, Happened::Applied, detail)
        }
    }

    pub(super) fn query_refused(reply: Vec<u8>) -> Self {
        Self::refused(0, reply)
    }

    pub(super) fn failed(class: FailureClass, index: Option<Index>) -> Self {
        let what = match class {
            FailureClass::Trap => "it trapped",
            FailureClass::Fuel => "it ran out of fuel",
            FailureClass::Memory => "it asked for more memory than its limit",
            FailureClass::Stack => "it recursed too deep",
            FailureClass::BadResult => "its reply was malformed or too large",
        };
        let detail = format!("the call into the state machine failed: {what}; it has no effect");
        Self {
            index,
            ..Self::new(code_of(class), Happened::NotApplied, detail)
        }
    }

    /// Waiting will not help: the group is retired, or its state machine never started.
    pub(super) fn last_word(detail: impl Into<String>) -> Self {
        Self {
            is_final: true,
            ..Self::not_applied(Code::Unavailable, detail)
        }
    }

    /// Whether waiting will not help.
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }

    /// Where the client's call may go instead.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.leader.map(NodeId)
    }
}

/// Turns an answer of the driver into the answer to a call.
pub(super) fn from_answer(answer: Answer) -> Result<Reply, Failure> {
    match answer {
        Answer::Applied {
            index,
            outcome,
            replayed,
        } => from_outcome(index, outcome, replayed),
        Answer::ReadAt { index } | Answer::Changed { index } => Ok(Reply::At { index }),
        Answer::Transferred { leader } => Ok(Reply::Leader {
            node: leader.node.0,
        }),
        Answer::NotApplied(why) => Err(from_not_applied(why)),
        Answer::Unknown { reason } => Err(Failure::unknown(reason)),
    }
}

fn from_outcome(index: Index, outcome: Outcome, replayed: bool) -> Result<Reply, Failure> {
    let result = match outcome {
        Outcome::Ok(reply) => Ok(Reply::Applied {
            index,
            reply,
            replayed,
            term: None,
        }),
        Outcome::Refused(reply) => Err(Failure::refused(index, reply)),
        Outcome::Failed(class) => Err(Failure::failed(class, Some(index))),
        Outcome::Done => Ok(Reply::At { index }),
        Outcome::HostEntryFailed {
            call,
            class,
            message,
        } => {
            let why = match class {
                Some(FailureClass::Trap) => "trapped".to_owned(),
                Some(FailureClass::Fuel) => "ran out of fuel".to_owned(),
                Some(FailureClass::Memory) => "asked for more memory than its limit".to_owned(),
                Some(FailureClass::Stack) => "recursed too deep".to_owned(),
                Some(FailureClass::BadResult) => "gave a malformed or too large result".to_owned(),
                None => format!("refused: {}", String::from_utf8_lossy(&message)),
            };
            let code = match call.as_str() {
                "init" => Code::InitFailed,
                "restore" => Code::RestoreFailed,
                _ => Code::CheckpointFailed,
            };
            let detail = format!("`{call}` of the plugin {why}; everything is as before");
            let failure = Failure::not_applied(code, detail);
            Err(Failure {
                reply: message,
                index: Some(index),
                ..failure
            })
        }
    };
    result.map_err(|failure| Failure {
        replayed,
        ..failure
    })
}

fn from_not_applied(why: NotApplied) -> Failure {
    match why {
        NotApplied::NotLeader { leader } => Failure {
            leader: leader.map(|replica| replica.node.0),
            ..Failure::not_applied(Code::NotLeader, "this node does not lead the group")
        },
        NotApplied::Busy => {
            Failure::not_applied(Code::Busy, "too many commands are waiting on this node")
        }
        NotApplied::Uncommitted => Failure::not_applied(
            Code::Uncommitted,
            "the leader's log has too many uncommitted bytes: its followers are behind",
        ),
        NotApplied::Transferring => Failure::not_applied(
            Code::Transferring,
            "the leader is handing its leadership over",
        ),
        NotApplied::Change(refusal) => Failure::not_applied(Code::Conflict, refusal.to_string()),
        NotApplied::NoTarget => Failure::not_applied(
            Code::Conflict,
            "there is no voter that leadership could be handed over to",
        ),
        NotApplied::TransferTimedOut => Failure::not_applied(
            Code::Unavailable,
            "the node did not take leadership over in time; the leader is as before",
        ),
        NotApplied::Suspended { reason } => Failure::not_applied(
            Code::Suspended,
            format!(
                "the fsm is suspended until its next checkpoint (`coracle snapshot take`): {reason}"
            ),
        ),
        NotApplied::DiskFull => Failure::not_applied(
            Code::DiskFull,
            "the leader's disk is nearly full: free some space, commands are taken again then",
        ),
        NotApplied::Overwritten => Failure::not_applied(
            Code::Unavailable,
            "leadership was lost before the command was committed",
        ),
        NotApplied::NoGroup => {
            Failure::not_applied(Code::Unavailable, "this node does not host the group yet")
        }
        NotApplied::KeyReused => Failure::not_applied(
            Code::KeyReused,
            "the idempotency key was used before with another body",
        ),
        NotApplied::Unavailable { reason } => Failure::last_word(reason),
        NotApplied::TooLarge { bytes, limit } => Failure::not_applied(
            Code::TooLarge,
            format!("the command has {bytes} bytes, the limit is {limit}"),
        ),
    }
}

fn code_of(class: FailureClass) -> Code {
    match class {
        FailureClass::Trap => Code::Trap,
        FailureClass::Fuel => Code::Fuel,
        FailureClass::Memory => Code::Memory,
        FailureClass::Stack => Code::Stack,
        FailureClass::BadResult => Code::BadResult,
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.code, failure.detail)
            .with_outcome(failure.outcome)
            .with_leader(failure.leader)
            .with_details(failure.details)
            .with_replayed(failure.replayed);
        if !failure.reply.is_empty() || failure.code == Code::Refused {
            error = error.with_reply(failure.reply);
        }
        match failure.index {
            Some(index) => error.with_index(index),
            None => error,
        }
    }
}

impl Call {
    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::ReadPoint { .. })
    }

    /// The group whose leader it is for, if it names one.
    pub(super) fn group(&self) -> Option<GroupId> {
        match self {
            Self::Apply { group, .. }
            | Self::Query { group, .. }
            | Self::ReadPoint { group, .. }
            | Self::Transfer { group, .. }
            | Self::Upgrade { group, .. }
            | Self::Restore { group, .. }
            | Self::Checkpoint { group } => Some(GroupId(*group)),
            Self::Directory { .. }
            | Self::CreateFsm { .. }
            | Self::RemoveFsm { .. }
            | Self::Member { .. }
            | Self::Join { .. }
            | Self::AuthorityKey
            | Self::Draining
            | Self::Moved { .. }
            | Self::Configure { .. }
            | Self::StageImage { .. }
            | Self::Stage { .. } => None,
        }
    }

    /// Whether it may be sent again when nobody knows what became of it.
    pub(super) fn is_idempotent(&self) -> bool {
        match self {
            Self::Apply { key, .. } => key.is_some(),
            Self::Query { .. }
            | Self::ReadPoint { .. }
            | Self::Checkpoint { .. }
            | Self::Configure { .. }
            | Self::StageImage { .. }
            | Self::Stage { .. }
            | Self::Member { .. }
            | Self::Join { .. }
            | Self::AuthorityKey
            | Self::Draining
            | Self::Moved { .. }
            // Those that are sent on their own: registering, reporting, dropping.
            | Self::Directory { .. } => true,
            Self::CreateFsm { .. }
            | Self::RemoveFsm { .. }
            | Self::Transfer { .. }
            | Self::Restore { .. }
            | Self::Upgrade { .. } => false,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        decode(bytes)
    }
}

/// Encodes what is answered to a peer.
pub(super) fn encode_result(result: &Result<Reply, Failure>) -> Bytes {
    encode(result)
}

/// Decodes what a peer answered; what cannot be read leaves the outcome unknown.
pub(super) fn decode_result(bytes: &[u8]) -> Result<Reply, Failure> {
    decode(bytes).unwrap_or_else(|error| {
        Err(Failure::unknown(format!(
            "the leader's answer could not be read: {error}"
        )))
    })
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    let bytes = postcard::to_extend(value, vec![VERSION]);
    Bytes::from(bytes.expect("owned values without maps of unknown length always encode"))
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| format!("malformed call: {error}"))
        }
        Some((version, _)) => Err(format!(
            "calls of version {version} are not known here (this is {VERSION})"
        )),
        None => Err("empty call".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_survives_the_way_to_a_peer() {
        let call = Call::Apply {
            group: 7,
            body: b"put a 1".to_vec(),
            key: Some([3; 16]),
        };
        let decoded = Call::decode(&call.encode()).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{call:?}"));
    }

    #[test]
    fn a_call_of_another_version_is_refused_by_name() {
        let mut bytes = Call::ReadPoint {
            group: 1,
            lease: false,
        }
        .encode()
        .to_vec();
        bytes[0] = 9;
        let error = Call::decode(&bytes).unwrap_err();
        assert!(error.contains("version 9"), "{error}");
    }

    #[test]
    fn an_unreadable_answer_leaves_the_outcome_unknown() {
        let failure = decode_result(b"\x01\xff\xff").unwrap_err();
        assert_eq!(failure.outcome, Happened::Unknown);
    }
}
