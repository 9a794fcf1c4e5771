//! Brings a call to the leader of its group: here, or by one hop to another node.

use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Code, Outcome};
use coracle_proto::{GroupId, NodeId};
use coracle_transport::RequestError;
use tokio::time::{Instant, timeout_at};

use super::Shell;
use super::call::{Call, Failure, Reply, decode_result};

/// Between two tries while no leader is known or none can be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// An attempt that is begun with less time than this would more likely end in doubt than in an
/// answer.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);

/// Without any leader for so long, a client is told, however long it would wait: the nodes need
/// their operator more than patience.
const LEADERLESS_PATIENCE: Duration = Duration::from_secs(15);

impl Shell {
    /// Runs a call at the leader of its group, trying again for as long as it has certainly not
    /// happened and there is time.
    pub(super) async fn at_leader(
        self: &Arc<Self>,
        call: Call,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let mut last = None;
        let mut open = None;
        let patience = Instant::now() + LEADERLESS_PATIENCE;
        loop {
            let attempt = timeout_at(deadline, self.attempt(&call, deadline)).await;
            let failure = match attempt {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(failure)) if may_retry(&call, &failure) => failure,
                Ok(Err(failure)) => return Err(settle(failure, open)),
                Err(_) if call.is_read() => return Err(no_leader(last)),
                Err(_) => return Err(Failure::unknown("the call took too long")),
            };
            if !call.is_read() && failure.outcome == Outcome::Unknown {
                open.get_or_insert(failure.clone());
            }
            if Instant::now() + RETRY_PAUSE + SHORTEST_ATTEMPT >= deadline.min(patience) {
                return Err(settle(no_leader(Some(failure)), open));
            }
            last = Some(failure);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn attempt(self: &Arc<Self>, call: &Call, deadline: Instant) -> Result<Reply, Failure> {
        let failure = match self.execute(call.clone(), deadline).await {
            Err(failure) if failure.code == Code::NotLeader && failure.leader().is_some() => {
                failure
            }
            Err(failure) => return self.ask_member(call, failure, deadline).await,
            result => return result,
        };
        match failure.leader() {
            Some(leader) if leader != self.node => {
                self.metrics.api.forwarded.inc();
                self.ask_leader(leader, call, deadline).await
            }
            _ => Err(failure),
        }
    }

    /// An fsm that does not run on this node is served by those on which it does: one of them is
    /// asked, or the leader that it names.
    async fn ask_member(
        &self,
        call: &Call,
        failure: Failure,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let elsewhere = call.group().filter(|group| {
            matches!(failure.code, Code::Unavailable | Code::NotLeader)
                && failure.outcome == Outcome::NotApplied
                && self.views.get(*group).is_none()
        });
        let Some(member) = elsewhere.and_then(|group| self.member_of(group)) else {
            return Err(failure);
        };
        match self.ask(member, call, deadline).await {
            Err(failure) if failure.code == Code::NotLeader => match failure.leader() {
                Some(leader) if leader != member && leader != self.node => {
                    self.ask(leader, call, deadline).await
                }
                _ => Err(failure),
            },
            result => result,
        }
    }

    /// A node that runs the fsm of this group and can be reached.
    fn member_of(&self, group: GroupId) -> Option<NodeId> {
        let state = self.directory.state();
        let (_, fsm) = state.fsm_of(group)?;
        let members = fsm.members.as_ref();
        let voters = members.map(|members| members.voters.iter().map(|id| id.node).collect());
        let voters: Vec<NodeId> = voters.unwrap_or_else(|| fsm.nodes.clone());
        let mut others = voters.into_iter().filter(|node| *node != self.node);
        others.find(|node| self.reaches(*node))
    }

    /// Asks the leader. A dead one is noticed by its silence, which takes seconds; what may be
    /// asked twice does not wait for that once another leads.
    async fn ask_leader(
        &self,
        leader: NodeId,
        call: &Call,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let asked = self.ask(leader, call, deadline);
        match call.group().filter(|_| call.is_idempotent()) {
            None => asked.await,
            Some(group) => tokio::select! {
                result = asked => result,
                next = self.successor(group, leader) => {
                    Err(Failure::unknown(format!("{leader} was asked, and now {next} leads")))
                }
            },
        }
    }

    /// Ends when this node knows another leader of the group.
    async fn successor(&self, group: GroupId, leader: NodeId) -> NodeId {
        let mut changes = self.changes();
        loop {
            match self.leader(group) {
                Some(next) if next != leader => return next,
                _ => {}
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Asks one node to execute a call.
    pub(super) async fn ask(
        &self,
        node: NodeId,
        call: &Call,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let transport = self.transport()?;
        match transport.request(node, call.encode(), patience).await {
            Ok(bytes) => decode_result(&bytes),
            Err(error @ RequestError::NotSent { .. }) => {
                Err(Failure::not_applied(Code::Unavailable, error.to_string()))
            }
            Err(error @ RequestError::Unknown { .. }) => Err(Failure::unknown(error.to_string())),
        }
    }
}

/// Whether a failed try may be followed by another: nothing happened, and waiting may help; or
/// nobody knows, and doing it twice is the same as doing it once.
fn may_retry(call: &Call, failure: &Failure) -> bool {
    match failure.outcome {
        Outcome::Applied => false,
        Outcome::NotApplied => {
            matches!(
                failure.code,
                Code::NotLeader | Code::Unavailable | Code::Transferring
            ) && failure.index.is_none()
                && !failure.is_final()
        }
        Outcome::Unknown => call.is_idempotent(),
    }
}

/// What a client is told at the end. That the last try did nothing says nothing of an earlier one
/// of which nobody knows, unless it is the log that has spoken: what it says of a key, or of a
/// command's size, holds for every try.
fn settle(failure: Failure, open: Option<Failure>) -> Failure {
    let spoken =
        failure.index.is_some() || matches!(failure.code, Code::KeyReused | Code::TooLarge);
    match open {
        Some(open) if failure.outcome == Outcome::NotApplied && !spoken => Failure {
            detail: format!("{}; tried again: {}", open.detail, failure.detail),
            ..open
        },
        _ => failure,
    }
}

/// What a client is told when time ran out and nothing was done.
fn no_leader(last: Option<Failure>) -> Failure {
    match last {
        Some(failure) if failure.code != Code::NotLeader => failure,
        _ => Failure::not_applied(
            Code::Unavailable,
            "no leader: a majority of the nodes must be up and able to reach each other",
        ),
    }
}

#[cfg(test)]
mod tests {
    use coracle_driver::FailureClass;

    use super::*;

    #[test]
    fn a_try_that_did_nothing_does_not_vouch_for_one_of_which_nobody_knows() {
        let open = Some(Failure::unknown("the leader went away"));
        for last in [
            no_leader(None),
            Failure::not_applied(Code::Busy, "too many"),
            Failure::last_word("the fsm is retired"),
        ] {
            assert_eq!(settle(last.clone(), None), last);
            let told = settle(last, open.clone());
            assert_eq!(told.outcome, Outcome::Unknown);
            assert!(told.detail.starts_with("the leader went away"), "{told:?}");
        }
    }

    #[test]
    fn what_the_log_says_of_a_key_holds_for_every_try() {
        let open = Some(Failure::unknown("the leader went away"));
        for last in [
            Failure::failed(FailureClass::Trap, Some(7)),
            Failure::not_applied(Code::KeyReused, "with another body"),
        ] {
            assert_eq!(settle(last.clone(), open.clone()), last);
        }
    }
}
