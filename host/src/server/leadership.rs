//! What an operator does with leadership: hands it over, takes it, spreads it.

use std::sync::Arc;

use coracle_client::{Code, Drained, Happening, Leaders, Leadership};
use coracle_driver::{Event, GroupStatus};
use coracle_proto::{Configuration, DEFAULT_PRIORITY, GroupId, NodeId, Role};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::Shell;
use super::call::{Call, Failure, Reply};
use crate::api::LeaderAction;

/// Transfers under way at once, of a node that gives up all its leaderships.
const TRANSFERS_AT_ONCE: usize = 8;

/// Between two tries to hand over what could not be handed over at once.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Election timeouts that a campaign on demand may take.
const CAMPAIGN_TIMEOUTS: u32 = 2;

/// A node that is drained stands for election after all the others.
const DRAINED_PRIORITY: u8 = 0;

impl Shell {
    /// Who leads, as this node knows.
    pub(super) fn leaderships(&self) -> Leaders {
        let directory = self.directory.state();
        let system = std::iter::once((None, GroupId::SYSTEM));
        let fsms = directory.fsms.iter();
        let fsms = fsms.map(|(name, fsm)| (Some(name.clone()), fsm.group));
        let groups = system.chain(fsms);
        Leaders {
            groups: groups
                .map(|(fsm, group)| self.leadership(fsm, group))
                .collect(),
        }
    }

    /// Who leads one group, as this node knows.
    pub(super) fn leadership(&self, fsm: Option<String>, group: GroupId) -> Leadership {
        Leadership {
            fsm,
            group: group.0,
            leader: self.leader(group).map(|node| node.0),
            term: self.term(group).unwrap_or(0),
            index: None,
        }
    }

    /// Does something with the leadership of a group.
    pub(super) async fn lead(
        self: &Arc<Self>,
        fsm: Option<String>,
        group: GroupId,
        action: LeaderAction,
        deadline: Instant,
    ) -> Result<Leadership, Failure> {
        let mut index = None;
        let leader = match action {
            LeaderAction::Transfer { to } => self.transfer(group, to, deadline).await?,
            LeaderAction::StepDown => self.transfer(group, None, deadline).await?,
            LeaderAction::Campaign => self.campaign(group, deadline).await?,
            LeaderAction::Forget => return self.forget(fsm, group),
            LeaderAction::Verify => {
                index = Some(self.confirm(group, false, deadline).await?);
                self.leader(group)
                    .ok_or_else(|| Failure::not_applied(Code::Unavailable, "no leader"))?
            }
        };
        Ok(Leadership {
            leader: Some(leader.0),
            index,
            ..self.leadership(fsm, group)
        })
    }

    async fn transfer(
        self: &Arc<Self>,
        group: GroupId,
        to: Option<u64>,
        deadline: Instant,
    ) -> Result<NodeId, Failure> {
        let group = group.0;
        match self
            .at_leader(Call::Transfer { group, to }, deadline)
            .await?
        {
            Reply::Leader { node } => Ok(NodeId(node)),
            reply => Err(Failure::unknown(format!(
                "a transfer was answered with {reply:?}"
            ))),
        }
    }

    /// Hands a group that this node leads over.
    pub(super) async fn transfer_here(
        &self,
        group: GroupId,
        to: Option<u64>,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        if to == Some(self.node.0) && self.leader(group) == Some(self.node) {
            return Ok(Reply::Leader { node: self.node.0 });
        }
        let to = to.map(NodeId);
        if let Some(to) = to {
            let look = self.inbox.look(move |node| node.status(group)).await;
            let status = look.flatten();
            let leads = |status: &&GroupStatus| status.raft.role == Role::Leader;
            if let Some(status) = status.as_ref().filter(leads) {
                check_may_lead(Some(&status.raft.configuration), to)?;
            }
        }
        self.ask_node(deadline, |ticket| Event::Transfer { group, to, ticket })
            .await
    }

    async fn campaign(&self, group: GroupId, deadline: Instant) -> Result<NodeId, Failure> {
        let look = self.inbox.look(move |node| node.status(group)).await;
        let configuration = look.flatten().map(|status| status.raft.configuration);
        check_may_lead(configuration.as_ref(), self.node)?;
        // Whoever has not won by then has lost.
        let patience = self.settings.get().raft.election_timeout() * CAMPAIGN_TIMEOUTS;
        let deadline = deadline.min(Instant::now() + patience);
        if !self.inbox.offer(Event::Campaign { group }) {
            return Err(Failure::not_applied(Code::Busy, "the node is overloaded"));
        }
        let won = async {
            let mut changes = self.changes();
            while self.leader(group) != Some(self.node) {
                if changes.changed().await.is_err() {
                    break;
                }
            }
        };
        timeout_at(deadline, won).await.map_err(|_| {
            let leader = self.leader(group).map(|leader| leader.0);
            let detail = "this node was not elected: it may be behind, or a majority follows a \
                          leader that it hears; a leader hands over to it with `coracle leader \
                          transfer`";
            Failure {
                leader,
                ..Failure::not_applied(Code::Conflict, detail)
            }
        })?;
        Ok(self.node)
    }

    fn forget(&self, fsm: Option<String>, group: GroupId) -> Result<Leadership, Failure> {
        if self.leader(group) == Some(self.node) {
            let detail = "this node leads the group: there is nobody to forget; \
                          see `coracle leader step-down`";
            return Err(Failure::not_applied(Code::Conflict, detail));
        }
        if !self.inbox.offer(Event::ForgetLeader { group }) {
            return Err(Failure::not_applied(Code::Busy, "the node is overloaded"));
        }
        Ok(self.leadership(fsm, group))
    }

    /// Hands all leaderships over and takes no new ones, or does so no more.
    pub(super) async fn drain(
        self: &Arc<Self>,
        on: bool,
        deadline: Instant,
    ) -> Result<Drained, Failure> {
        let before = self.draining.send_replace(on);
        let priority = if on {
            DRAINED_PRIORITY
        } else {
            let directory = self.directory.state();
            let node = directory.members.nodes.get(&self.node);
            node.map_or(DEFAULT_PRIORITY, |node| node.priority)
        };
        self.inbox.push(Event::SetPriority(priority));
        if before != on {
            self.tell_all(Happening::Draining { on });
        }
        let (handed_over, still) = if on {
            self.hand_over_all(deadline).await
        } else {
            (0, Vec::new())
        };
        Ok(Drained {
            node: self.node.0,
            draining: on,
            handed_over,
            still_leads: still.into_iter().map(|group| group.0).collect(),
        })
    }

    /// Hands over the leadership of every group, a few at a time. Answers how many, and which it
    /// still has: groups in which nobody could take over.
    pub(super) async fn hand_over_all(self: &Arc<Self>, deadline: Instant) -> (u64, Vec<GroupId>) {
        let mut stuck = Vec::new();
        let mut handed = 0;
        loop {
            let led = self.led(&stuck).await;
            if led.is_empty() || Instant::now() >= deadline {
                stuck.extend(led);
                return (handed, stuck);
            }
            let mut transfers = JoinSet::new();
            let mut pause = false;
            for group in led.into_iter().take(TRANSFERS_AT_ONCE) {
                let shell = Arc::clone(self);
                transfers.spawn(async move {
                    (group, shell.transfer_here(group, None, deadline).await)
                });
            }
            while let Some(Ok((group, result))) = transfers.join_next().await {
                match result {
                    Ok(_) => handed += 1,
                    Err(failure) if is_hopeless(&failure) => stuck.push(group),
                    Err(_) => pause = true,
                }
            }
            if pause {
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Groups that this node leads and others could lead.
    async fn led(&self, without: &[GroupId]) -> Vec<GroupId> {
        let statuses = self.inbox.look(|node| node.statuses()).await;
        let led = statuses.into_iter().flatten().filter(|status| {
            status.raft.role == Role::Leader
                && status.raft.configuration.voters.len() > 1
                && !without.contains(&status.group)
        });
        led.map(|status| status.group).collect()
    }
}

/// Refuses who can never lead a group of this configuration.
fn check_may_lead(configuration: Option<&Configuration>, node: NodeId) -> Result<(), Failure> {
    let able = |set: &Configuration| {
        let voters: Vec<String> = set
            .voters
            .difference(&set.witnesses)
            .map(|replica| replica.node.to_string())
            .collect();
        voters.join(", ")
    };
    let why = match configuration {
        None => "does not have that group".to_owned(),
        Some(set) if set.witnesses.iter().any(|it| it.node == node) => {
            format!("is a witness there and never leads; {} can", able(set))
        }
        Some(set) if !set.voters.iter().any(|it| it.node == node) => {
            format!("has no vote there; {} can lead", able(set))
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::not_applied(
        Code::Conflict,
        format!("{node} {why}"),
    ))
}

/// Whether trying again soon would end the same.
fn is_hopeless(failure: &Failure) -> bool {
    matches!(failure.code, Code::Conflict | Code::Timeout)
        || (failure.code == Code::Unavailable && failure.leader().is_none())
}
