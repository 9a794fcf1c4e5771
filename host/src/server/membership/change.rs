//! Changing the members and the tokens on behalf of an operator.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_client::{
    ChangeMember, Code, CreateToken, MemberChange, MemberChanged, MemberList, PlaceFsm, Placed,
    TokenCreated, TokenInfo, TokenList, TokenRevoked,
};
use coracle_driver::GroupStatus;
use coracle_driver::directory::{DirectoryCommand, DirectoryState, JoinToken, NodeRole, Placement};
use coracle_proto::{GroupId, NodeId, ReadMode, Role};
use coracle_transport::identity::spki_pin;
use tokio::time::Instant;

use super::super::Shell;
use super::super::call::{Call, Failure, Reply};
use super::super::execute::{directory_refusal, refused_as};
use super::super::service::NodeService;
use super::super::storage::fill_random;
use super::list::{node_role, role, tolerance};
use crate::api::{ApiError, Future, Members};
use crate::ticket::{MAX_ADDRESSES, Secret, Ticket};

/// For voters who have not answered a leader yet to do so.
const QUORUM_PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at them.
const QUORUM_PAUSE: Duration = Duration::from_millis(50);

/// The longest time a token is good for.
pub(crate) const MAX_TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

impl Members for NodeService {
    fn members(&self) -> Future<'_, MemberList> {
        Box::pin(async {
            let members = self.0.members().await;
            members.ok_or_else(|| ApiError::new(Code::Unavailable, "the node is stopping"))
        })
    }

    fn change_member(
        &self,
        node: u64,
        change: ChangeMember,
        timeout: Duration,
    ) -> Future<'_, MemberChanged> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            let command = command(NodeId(node), &change)?;
            let call = Call::Member {
                command: command.encode(),
                force: change.force,
            };
            let reply = self.0.at_leader(call, deadline).await;
            match reply.map_err(directory_refusal)? {
                Reply::Member {
                    index,
                    before,
                    after,
                } => Ok(MemberChanged {
                    index,
                    tolerance_before: Some(before),
                    tolerance_after: Some(after),
                }),
                reply => Err(unexpected(&reply).into()),
            }
        })
    }

    fn place_fsm(&self, name: String, place: PlaceFsm, timeout: Duration) -> Future<'_, Placed> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            let placement = match place.nodes.clone() {
                None => Placement::All,
                Some(mut nodes) => {
                    nodes.sort_unstable();
                    nodes.dedup();
                    Placement::Nodes(nodes.into_iter().map(NodeId).collect())
                }
            };
            let command = DirectoryCommand::PlaceFsm {
                name: name.clone(),
                placement,
            };
            self.directory(&command, deadline).await?;
            let nodes = place.nodes;
            Ok(Placed { name, nodes })
        })
    }

    fn create_token(&self, token: CreateToken, timeout: Duration) -> Future<'_, TokenCreated> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(make_token(&self.0, &token, deadline).await?) })
    }

    fn tokens(&self, timeout: Duration) -> Future<'_, TokenList> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            self.catch_up(deadline).await?;
            let state = self.0.directory.state();
            let tokens = state.members.tokens.iter().map(|(id, token)| TokenInfo {
                id: format!("{id:016x}"),
                role: role(token.role),
                expires: token.expires / NANOS,
                uses_left: token.uses_left,
            });
            Ok(TokenList {
                tokens: tokens.collect(),
            })
        })
    }

    fn revoke_token(&self, id: u64, timeout: Duration) -> Future<'_, TokenRevoked> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            self.catch_up(deadline).await?;
            let token = format!("{id:016x}");
            if !self.0.directory.state().members.tokens.contains_key(&id) {
                let detail = format!("there is no token {token}; see `coracle token list`");
                return Err(ApiError::new(Code::NotFound, detail));
            }
            let command = DirectoryCommand::RevokeToken { id };
            self.directory(&command, deadline).await?;
            Ok(TokenRevoked { id: token })
        })
    }
}

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;

fn command(node: NodeId, change: &ChangeMember) -> Result<DirectoryCommand, Failure> {
    let expected = change.if_index;
    Ok(match &change.change {
        MemberChange::Promote { role } => DirectoryCommand::SetNodeRole {
            node,
            role: node_role(*role),
            expected,
        },
        MemberChange::Demote => DirectoryCommand::SetNodeRole {
            node,
            role: NodeRole::Learner,
            expected,
        },
        MemberChange::Remove => DirectoryCommand::RemoveNode { node, expected },
        MemberChange::Replace { by } => DirectoryCommand::ReplaceNode {
            old: node,
            new: NodeId(*by),
            expected,
        },
        MemberChange::Address { quic, http } => DirectoryCommand::SetNodeAddress {
            node,
            quic: address(quic)?.to_string(),
            http: format!("http://{}", address(http.trim_start_matches("http://"))?),
            expected,
        },
        MemberChange::Priority { priority } => DirectoryCommand::SetPriority {
            node,
            priority: *priority,
            expected,
        },
    })
}

/// Peers dial it: an address and a port, none of them left open.
pub(in super::super) fn address(text: &str) -> Result<SocketAddr, Failure> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|at| at.port() != 0 && !at.ip().is_unspecified())
        .ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            let detail = format!("{shown:?} is no address to dial: want IP:PORT, as 10.0.0.4:7400");
            Failure::not_applied(Code::BadRequest, detail)
        })
}

impl Shell {
    /// Changes a member; this node must lead group 0, since it knows who can be reached.
    pub(in super::super) async fn member_here(
        &self,
        command: &[u8],
        force: bool,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let refused = |refusal: coracle_driver::directory::Refusal| {
            Failure::not_applied(Code::BadRequest, refusal.to_string())
        };
        let command = DirectoryCommand::decode(command).map_err(refused)?;
        self.led_system().await?;
        self.know_members(deadline).await?;
        let state = self.directory.state();
        let voters = voters_after(&state, &command);
        if let DirectoryCommand::SetNodeRole { node, .. } = &command {
            let staying = state.members.check_staying(*node);
            staying.map_err(|refusal| refused_as(&refusal.to_string()))?;
        }
        let system = match takes_vote(&command) && !force {
            true => self.with_quorum(&voters).await?,
            false => self.led_system().await?,
        };
        let before = tolerance(&system.raft.configuration, |node| is_active(&system, node));
        let index = match self.directory_here(&command, deadline).await? {
            Reply::Applied { .. } => self.directory.state().members.index,
            reply => return Err(unexpected(&reply)),
        };
        let alive = voters.iter().filter(|node| is_active(&system, **node));
        let after = alive.count().saturating_sub(voters.len() / 2 + 1) as u64;
        Ok(Reply::Member {
            index,
            before,
            after,
        })
    }

    /// Group 0, if this node leads it.
    async fn led_system(&self) -> Result<GroupStatus, Failure> {
        let stopping = || Failure::not_applied(Code::Unavailable, "the node is stopping");
        let system = self.system_status().await.ok_or_else(stopping)?;
        let system = system.filter(|system| system.raft.role == Role::Leader);
        system.ok_or_else(|| {
            let leader = self.leader(GroupId::SYSTEM).map(|l| l.0);
            let failure = Failure::not_applied(Code::NotLeader, "this node does not lead group 0");
            Failure { leader, ..failure }
        })
    }

    /// Group 0, if a majority of these answers. Who has just begun to lead has not heard everybody.
    async fn with_quorum(&self, voters: &BTreeSet<NodeId>) -> Result<GroupStatus, Failure> {
        let patience = Instant::now() + QUORUM_PATIENCE;
        loop {
            let system = self.led_system().await?;
            match check_quorum(&system, voters) {
                Ok(()) => return Ok(system),
                Err(failure) if Instant::now() > patience => return Err(failure),
                Err(_) => tokio::time::sleep(QUORUM_PAUSE).await,
            }
        }
    }

    /// Waits until this node, which has begun to lead group 0, has the members its predecessors
    /// left, or in a new cluster the founders.
    async fn know_members(&self, deadline: Instant) -> Result<(), Failure> {
        let mut changes = self.changes();
        self.read_point(GroupId::SYSTEM, ReadMode::Index, deadline)
            .await?;
        while self.directory.state().members.nodes.is_empty() {
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                let detail = "the members are not known yet: this node has only begun to lead";
                return Err(Failure::not_applied(Code::Unavailable, detail));
            }
        }
        Ok(())
    }
}

fn takes_vote(command: &DirectoryCommand) -> bool {
    match command {
        DirectoryCommand::RemoveNode { .. } => true,
        DirectoryCommand::SetNodeRole { role, .. } => *role != NodeRole::Voter,
        _ => false,
    }
}

/// The nodes with a vote once the command is carried out.
fn voters_after(state: &DirectoryState, command: &DirectoryCommand) -> BTreeSet<NodeId> {
    let nodes = state.members.nodes.iter();
    let votes = nodes.filter(|(_, node)| !node.leaving && node.role.votes());
    let mut voters: BTreeSet<NodeId> = votes.map(|(id, _)| *id).collect();
    match command {
        DirectoryCommand::RemoveNode { node, .. } => {
            voters.remove(node);
        }
        DirectoryCommand::SetNodeRole { node, role, .. } if role.votes() => {
            voters.insert(*node);
        }
        DirectoryCommand::SetNodeRole { node, .. } => {
            voters.remove(node);
        }
        DirectoryCommand::ReplaceNode { old, new, .. } => {
            voters.remove(old);
            voters.insert(*new);
        }
        _ => {}
    }
    voters
}

fn check_quorum(system: &GroupStatus, voters: &BTreeSet<NodeId>) -> Result<(), Failure> {
    let silent = voters.iter().filter(|node| !is_active(system, **node));
    let silent: Vec<String> = silent.map(ToString::to_string).collect();
    let alive = voters.len() - silent.len();
    if voters.is_empty() || 2 * alive > voters.len() {
        return Ok(());
    }
    let detail = format!(
        "would leave {alive} of {} voters that answer, a majority is {}; silent: {}. Bring them \
         back or remove them first; with --force it is carried out as soon as a majority answers",
        voters.len(),
        voters.len() / 2 + 1,
        silent.join(", ")
    );
    Err(Failure::not_applied(Code::WouldLoseQuorum, detail))
}

fn is_active(system: &GroupStatus, node: NodeId) -> bool {
    let mut peers = system.raft.peers.iter();
    node == system.raft.id.node || peers.any(|peer| peer.id.node == node && peer.active)
}

async fn make_token(
    shell: &Arc<Shell>,
    wanted: &CreateToken,
    deadline: Instant,
) -> Result<TokenCreated, Failure> {
    let ttl = Duration::from_secs(wanted.ttl_seconds);
    if ttl.is_zero() || ttl > MAX_TOKEN_TTL {
        let detail =
            format!("a token is good for at most {MAX_TOKEN_TTL:?}, and for more than nothing");
        return Err(Failure::not_applied(Code::BadRequest, detail));
    }
    let mut random = [0; 24];
    fill_random(&mut random).map_err(internal)?;
    let (secret, id) = random.split_at(16);
    let secret = Secret(secret.try_into().expect("invariant: 16 of 24 bytes"));
    let id = u64::from_le_bytes(id.try_into().expect("invariant: 8 of 24 bytes"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let expires = now.map_err(internal)? + ttl;
    let ca = std::fs::read_to_string(&shell.config.tls.ca).map_err(internal)?;
    let command = DirectoryCommand::CreateToken {
        id,
        token: JoinToken {
            verifier: secret.verifier(),
            role: node_role(wanted.role),
            expires: u64::try_from(expires.as_nanos()).unwrap_or(u64::MAX),
            uses_left: wanted.uses,
        },
    };
    let call = Call::Directory {
        command: command.encode(),
    };
    let made = shell.at_leader(call, deadline).await;
    made.map_err(directory_refusal)?;
    let ticket = Ticket {
        cluster: shell.config.cluster.clone(),
        pin: spki_pin(&ca).map_err(internal)?,
        addresses: addresses(shell),
        token: id,
        secret,
        role: wanted.role,
        expires: expires.as_secs(),
    };
    Ok(TokenCreated {
        id: ticket.token_id(),
        ticket: ticket.to_string(),
        role: wanted.role,
        expires: ticket.expires,
        uses: wanted.uses,
    })
}

/// Where the ticket's bearer finds the cluster: this node, and some others that vote.
fn addresses(shell: &Shell) -> Vec<SocketAddr> {
    let state = shell.directory.state();
    let nodes = state.members.nodes.iter();
    let stay = nodes.filter(|(id, node)| !node.leaving && node.role.votes() && **id != shell.node);
    let others = stay.filter_map(|(_, node)| node.quic.parse().ok());
    let own = shell.own_peer().map(|peer| peer.quic);
    own.into_iter().chain(others).take(MAX_ADDRESSES).collect()
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::not_applied(Code::Internal, error.to_string())
}

fn unexpected(reply: &Reply) -> Failure {
    Failure::unknown(format!("the leader answered {reply:?}"))
}
