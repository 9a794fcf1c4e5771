//! Lets new nodes in: the answering side of a join.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{Code, node_id};
use coracle_driver::directory::{DirectoryCommand, DirectoryState, NewNode, NodeRole};
use coracle_proto::{GroupId, NodeId, ReadMode};
use coracle_transport::identity::{Authority, request_key};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shell;
use super::call::{Call, Failure, Hidden, Reply};
use super::execute::directory_refusal;
use super::membership::address;
use crate::config::Config;
use crate::join::wire::{Admission, Refused, Request, encode_answer, key_digest};
use crate::metrics::Joined;

/// Time for a new node's request.
const JOIN_TIMEOUT: Duration = Duration::from_secs(8);

/// Time for a peer to hand over the authority's key.
const KEY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a node is told whose proof is wrong.
const BAD_PROOF: &str = "the ticket's secret is not that of its token: copy the ticket again, whole, \
                         or make a new one with `coracle token create join`";

/// Answers a node that has nothing but a ticket.
pub(super) async fn answer(shell: Arc<Shell>, request: Bytes, exporter: [u8; 32]) -> Bytes {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let answer = match Request::decode(&request) {
        Err(message) => Err(Refused {
            message,
            again: false,
        }),
        Ok(Request { proof, fields }) => {
            let call = Call::Join {
                proof,
                fields,
                exporter: Hidden(exporter.to_vec()),
            };
            match shell.at_leader(call, deadline).await {
                Ok(Reply::Admitted(admission)) => Ok(admission),
                Ok(reply) => Err(Refused {
                    message: format!("the leader answered {reply:?}"),
                    again: true,
                }),
                Err(failure) => Err(refused(failure)),
            }
        }
    };
    if let Err(refused) = &answer {
        warn!(
            reason = refused.message,
            "a node that wants to join is refused"
        );
    }
    shell.metrics.net.joined(match &answer {
        Ok(_) => Joined::Admitted,
        Err(refused) if refused.again => Joined::Failed,
        Err(_) => Joined::Refused,
    });
    encode_answer(&answer).into()
}

fn refused(failure: Failure) -> Refused {
    let again = matches!(
        failure.code,
        Code::Unavailable | Code::Timeout | Code::OutcomeUnknown | Code::NotLeader | Code::Busy
    );
    Refused {
        message: failure.detail,
        again,
    }
}

impl Shell {
    /// Checks a ticket's proof, registers the node and signs its certificate. This node must lead
    /// group 0.
    pub(super) async fn admit_here(
        &self,
        request: Request,
        exporter: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        if self.leader(GroupId::SYSTEM) != Some(self.node) {
            let failure = Failure::not_applied(Code::NotLeader, "this node does not lead group 0");
            let leader = self.leader(GroupId::SYSTEM).map(|node| node.0);
            return Err(Failure { leader, ..failure });
        }
        // A token that was made a moment ago may be known to the log only.
        self.check_leads(GroupId::SYSTEM)?;
        self.read_point(GroupId::SYSTEM, ReadMode::Index, deadline)
            .await?;
        let bad = |reason: String| Failure::not_applied(Code::BadRequest, reason);
        let fields = request.fields().map_err(bad)?;
        let exporter = exporter
            .try_into()
            .map_err(|_| bad("malformed call".into()))?;
        let state = self.directory.state();
        if let Some(token) = state.members.tokens.get(&fields.token)
            && !request.is_proven(&token.verifier, exporter)
        {
            return Err(Failure::not_applied(Code::Forbidden, BAD_PROOF));
        }
        if let Some(name) = fields
            .name
            .as_deref()
            .filter(|name| node_id(name).is_some())
        {
            let detail =
                format!("{name:?} reads like the id of a node: choose another with --name");
            return Err(bad(detail));
        }
        let authority = authority(&self.config)?;
        let key = request_key(&fields.csr).map_err(|error| bad(error.to_string()))?;
        let new = NewNode {
            token: fields.token,
            key: key_digest(&key),
            name: fields.name,
            quic: address(&fields.quic)?.to_string(),
            http: format!("http://{}", address(&fields.http)?),
        };
        let command = DirectoryCommand::AddNode(new);
        let node = match self.directory_here(&command, deadline).await {
            Ok(Reply::Applied { reply, .. }) => node_of(&reply)?,
            Ok(reply) => return Err(Failure::unknown(format!("the directory said {reply:?}"))),
            Err(failure) => return Err(directory_refusal(failure)),
        };
        #[cfg(feature = "failpoints")]
        super::failpoints::pass(super::failpoints::Place::BeforeAdmission);
        let certificate = authority
            .sign_csr(node, &fields.csr)
            .map_err(|error| bad(error.to_string()))?;
        info!(%node, quic = fields.quic, version = fields.version, "a new node joins");
        Ok(Reply::Admitted(Admission {
            node: node.0,
            certificate,
            authority: authority.cert_pem().to_owned(),
            cluster: self.config.cluster.clone(),
            members: members(&self.directory.state()),
        }))
    }

    /// Hands the authority's key to a peer that votes and may therefore have to let nodes in.
    pub(super) fn share_authority(&self, from: NodeId) -> Result<Reply, Failure> {
        let state = self.directory.state();
        let voter = state
            .members
            .nodes
            .get(&from)
            .is_some_and(|node| node.role == NodeRole::Voter && !node.leaving);
        if !voter {
            let detail = format!("{from} is no voter: it gets no key of the authority");
            return Err(Failure::not_applied(Code::Forbidden, detail));
        }
        let authority = authority(&self.config)?;
        info!(peer = %from, "it gets the key of the cluster's authority");
        let key = authority.key_pem().as_bytes().to_vec();
        Ok(Reply::AuthorityKey(Hidden(key)))
    }

    /// Gets the authority's key from a peer and keeps it.
    pub(super) async fn fetch_authority(&self, peer: NodeId) -> Result<(), Failure> {
        let deadline = Instant::now() + KEY_TIMEOUT;
        let Reply::AuthorityKey(Hidden(key)) =
            self.ask(peer, &Call::AuthorityKey, deadline).await?
        else {
            return Err(Failure::unknown("the peer answered something else"));
        };
        let key = String::from_utf8_lossy(&key);
        let certificate = std::fs::read_to_string(&self.config.tls.ca).map_err(internal)?;
        Authority::from_pem(&certificate, &key).map_err(internal)?;
        let path = self.config.authority_key();
        let written = keep(&path, key.as_bytes());
        written.map_err(|error| internal(format!("cannot write {}: {error}", path.display())))?;
        info!(file = %path.display(), "this node votes: it keeps the key of the cluster's authority");
        Ok(())
    }
}

fn authority(config: &Config) -> Result<Authority, Failure> {
    let path = config.authority_key();
    let key = std::fs::read_to_string(&path).map_err(|error| {
        let detail = format!(
            "the leader has no key to sign with, {} ({error}): copy `ca.key` of the folder that \
             `coracle init` made there, for its owner only",
            path.display()
        );
        Failure::not_applied(Code::Internal, detail)
    })?;
    let certificate = std::fs::read_to_string(&config.tls.ca).map_err(internal)?;
    Authority::from_pem(&certificate, &key).map_err(internal)
}

fn keep(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn node_of(reply: &[u8]) -> Result<NodeId, Failure> {
    let id = reply.try_into().map(u64::from_le_bytes);
    id.map(NodeId)
        .map_err(|_| Failure::unknown("the directory did not answer an id"))
}

fn members(state: &DirectoryState) -> Vec<(u64, String, String)> {
    let nodes = state.members.nodes.iter();
    nodes
        .map(|(id, node)| (id.0, node.quic.clone(), node.http.clone()))
        .collect()
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::not_applied(Code::Internal, error.to_string())
}
