//! Bodies about the nodes of the cluster and the tokens that let more of them in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a node is to the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// It votes and runs the fsms.
    Voter,
    /// It runs the fsms and does not vote.
    Learner,
    /// It votes and runs no fsm.
    Witness,
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Witness => "witness",
        })
    }
}

/// Not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no role: want voter, learner or witness")]
pub struct InvalidRole {
    text: String,
}

impl FromStr for MemberRole {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        match text {
            "voter" => Ok(Self::Voter),
            "learner" => Ok(Self::Learner),
            "witness" => Ok(Self::Witness),
            _ => Err(InvalidRole {
                text: text.chars().take(20).collect(),
            }),
        }
    }
}

/// A node of the cluster, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its id; never used again.
    pub node: u64,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is now.
    pub role: MemberRole,
    /// What it becomes once it has caught up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub becomes: Option<MemberRole>,
    /// The node whose place it takes then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// It is being removed.
    #[serde(default)]
    pub leaving: bool,
    /// Where its peers reach it.
    pub quic: String,
    /// Where its clients reach it.
    pub http: String,
    /// Election priority; the default is 4.
    pub priority: u8,
    /// Whether it leads group 0.
    pub leads: bool,
    /// Whether the node that answers reaches it; itself it always does.
    pub reachable: bool,
    /// Of the log of group 0, how much it is known to have; only its leader knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// How many entries it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Fsms in whose groups it is.
    pub fsms: u64,
}

/// `GET /v1/members`: the nodes as one node sees them. Needs no leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberList {
    /// The node that answers.
    pub view: u64,
    /// The cluster's name.
    pub cluster: String,
    /// Leader of group 0, if known.
    pub leader: Option<u64>,
    /// Term of group 0.
    pub term: u64,
    /// Index of the last change of the members, for `if_index`.
    pub index: u64,
    /// How many more voters may fail before nothing can be decided; `null` where it is not known,
    /// which is where no leader is.
    pub tolerance: Option<u64>,
    /// Groups whose members are not yet as wanted: names of fsms, and `group 0`.
    pub pending: Vec<String>,
    /// By id.
    pub members: Vec<MemberInfo>,
}

/// `POST /v1/members/{node}/{promote|demote|replace|address|priority}` and
/// `DELETE /v1/members/{node}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMember {
    /// What is to change.
    pub change: MemberChange,
    /// Only if [`MemberList::index`] is still this.
    pub if_index: Option<u64>,
    /// Even if a majority of the voters that are left cannot be reached now.
    pub force: bool,
}

/// What is to change about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// Give it a vote once it has caught up.
    Promote {
        /// Voter or witness.
        role: MemberRole,
    },
    /// Take its vote.
    Demote,
    /// Remove it, for good.
    Remove,
    /// Let another node take its role, once that has caught up; then remove it.
    Replace {
        /// The other node.
        by: u64,
    },
    /// Where it is reached from now on.
    Address {
        /// Its QUIC address.
        quic: String,
        /// Its HTTP address.
        http: String,
    },
    /// Its election priority.
    Priority {
        /// It.
        priority: u8,
    },
}

/// Parameters of a change, as JSON. Each change takes its own; those missing are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeParameters {
    /// For promote: voter if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<MemberRole>,
    /// For replace: the node that comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<u64>,
    /// For address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic: Option<String>,
    /// For address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// For priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Only if [`MemberList::index`] is still this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_index: Option<u64>,
    /// Even if a majority of the voters that are left cannot be reached now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl MemberChange {
    /// The last part of its path; empty for a removal, which has a method of its own.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Promote { .. } => "promote",
            Self::Demote => "demote",
            Self::Remove => "",
            Self::Replace { .. } => "replace",
            Self::Address { .. } => "address",
            Self::Priority { .. } => "priority",
        }
    }
}

impl ChangeMember {
    /// The change that this path and these parameters ask for.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn new(operation: &str, given: ChangeParameters) -> Result<Self, String> {
        let missing = |what: &str| format!("{operation} needs {what}");
        let change = match operation {
            "promote" => match given.role.unwrap_or(MemberRole::Voter) {
                MemberRole::Learner => {
                    return Err("promote to voter or witness; to learner is demote".to_owned());
                }
                role => MemberChange::Promote { role },
            },
            "demote" => MemberChange::Demote,
            "remove" => MemberChange::Remove,
            "replace" => MemberChange::Replace {
                by: given.by.ok_or_else(|| missing("`by`, a node"))?,
            },
            "address" => MemberChange::Address {
                quic: given.quic.ok_or_else(|| missing("`quic`"))?,
                http: given.http.ok_or_else(|| missing("`http`"))?,
            },
            "priority" => MemberChange::Priority {
                priority: given.priority.ok_or_else(|| missing("`priority`"))?,
            },
            other => {
                return Err(format!(
                    "{other:?}: want promote, demote, replace, address or priority"
                ));
            }
        };
        Ok(Self {
            change,
            if_index: given.if_index,
            force: given.force,
        })
    }

    /// Its parameters, for the body of a request.
    pub fn parameters(&self) -> ChangeParameters {
        let common = ChangeParameters {
            if_index: self.if_index,
            force: self.force,
            ..ChangeParameters::default()
        };
        match &self.change {
            MemberChange::Promote { role } => ChangeParameters {
                role: Some(*role),
                ..common
            },
            MemberChange::Demote | MemberChange::Remove => common,
            MemberChange::Replace { by } => ChangeParameters {
                by: Some(*by),
                ..common
            },
            MemberChange::Address { quic, http } => ChangeParameters {
                quic: Some(quic.clone()),
                http: Some(http.clone()),
                ..common
            },
            MemberChange::Priority { priority } => ChangeParameters {
                priority: Some(*priority),
                ..common
            },
        }
    }
}

/// The change is recorded; the groups follow, see [`MemberList::pending`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChanged {
    /// Index of the members from now on.
    pub index: u64,
    /// [`MemberList::tolerance`] before.
    pub tolerance_before: Option<u64>,
    /// What it will be.
    pub tolerance_after: Option<u64>,
}

/// `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What its bearer becomes.
    #[serde(default = "voter")]
    pub role: MemberRole,
    /// How long it is good for, seconds.
    #[serde(default = "hour")]
    pub ttl_seconds: u64,
    /// How many nodes may join with it.
    #[serde(default = "once")]
    pub uses: u32,
}

fn voter() -> MemberRole {
    MemberRole::Voter
}

fn hour() -> u64 {
    3600
}

fn once() -> u32 {
    1
}

/// A token was made. The ticket is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// Its id, 16 hex digits.
    pub id: String,
    /// What to give to `coracle start --join`. Secret: who has it can be a node.
    pub ticket: String,
    /// What its bearer becomes.
    pub role: MemberRole,
    /// When it expires, seconds since the Unix epoch.
    pub expires: u64,
    /// How many nodes may join with it.
    pub uses: u32,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCreated({}, ticket redacted)", self.id)
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its id, 16 hex digits.
    pub id: String,
    /// What its bearer becomes.
    pub role: MemberRole,
    /// When it expires, seconds since the Unix epoch.
    pub expires: u64,
    /// How many nodes may still join with it.
    pub uses_left: u32,
}

/// `GET /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// By id.
    pub tokens: Vec<TokenInfo>,
}

/// `DELETE /v1/tokens/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Which.
    pub id: String,
}

/// `PUT /v1/fsms/{fsm}/placement`: where an fsm is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceFsm {
    /// On these nodes; `null`: on all, also those that come later.
    pub nodes: Option<Vec<u64>>,
}

/// It is recorded; the group follows, see [`MemberList::pending`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The fsm.
    pub name: String,
    /// Where it is to run; `null`: everywhere.
    pub nodes: Option<Vec<u64>>,
}

/// The id of a node as people write it: `4` or `n4`.
pub fn node_id(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('n').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_way_over_http() {
        for change in [
            MemberChange::Promote {
                role: MemberRole::Witness,
            },
            MemberChange::Demote,
            MemberChange::Replace { by: 4 },
            MemberChange::Priority { priority: 7 },
        ] {
            let change = ChangeMember {
                change,
                if_index: Some(9),
                force: true,
            };
            let json = serde_json::to_string(&change.parameters()).expect("json");
            let given = serde_json::from_str(&json).expect("parameters");
            let again = ChangeMember::new(change.change.operation(), given);
            assert_eq!(again, Ok(change));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = ChangeParameters::default;
        let error = ChangeMember::new("replace", none()).expect_err("by whom");
        assert!(error.contains("`by`"), "{error}");
        assert!(ChangeMember::new("explode", none()).is_err());
    }

    #[test]
    fn a_ticket_is_not_printed_by_accident() {
        let made = TokenCreated {
            id: "01".into(),
            ticket: "crc1secret".into(),
            role: MemberRole::Voter,
            expires: 0,
            uses: 1,
        };
        assert!(!format!("{made:?}").contains("secret"));
    }
}
