//! What this node does for a call, without asking another node.

use std::sync::Arc;

use bytes::Bytes;
use coracle_client::{Code, Outcome};
use coracle_driver::Event;
use coracle_driver::directory::DirectoryCommand;
use coracle_driver::fsm::{QueryError, WorkerState, WorkerStatus};
use coracle_driver::task::{Answer, Command, HostEntry, NotApplied, Ticket};
use coracle_driver::{Digest, MachineSpec, Reply as GuestReply};
use coracle_proto::{GroupId, Index, NodeId, ReadMode};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Shell;
use super::call::{Call, Failure, Reply, from_answer};
use super::workers::{Query, ReaderTask};
use crate::join::wire::Request;
use crate::metrics::Ended;

/// Queries that may wait for one fsm's reader.
const MAX_WAITING_QUERIES: usize = 4096;

impl Shell {
    /// Executes a call here. `NotLeader` if another node should.
    pub(super) async fn execute(
        self: &Arc<Self>,
        call: Call,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        match call {
            Call::Apply { group, body, key } => {
                let command = Command {
                    body: Bytes::from(body),
                    key,
                };
                self.apply_here(GroupId(group), command, deadline).await
            }
            Call::Query {
                group,
                request,
                min_index,
            } => {
                let group = GroupId(group);
                self.check_leads(group)?;
                let point = self.read_point(group, ReadMode::Index, deadline).await?;
                self.query_here(group, request, point.max(min_index), deadline)
                    .await
            }
            Call::Directory { command } => {
                let command = Command {
                    body: Bytes::from(command),
                    key: None,
                };
                self.apply_here(GroupId::SYSTEM, command, deadline).await
            }
            Call::ReadPoint { group, lease } => {
                let mode = if lease {
                    ReadMode::Lease
                } else {
                    ReadMode::Index
                };
                let index = self.read_point(GroupId(group), mode, deadline).await?;
                Ok(Reply::At { index })
            }
            Call::CreateFsm {
                name,
                plugin,
                config,
                limits,
            } => {
                self.create_here(name, plugin, config, &limits, deadline)
                    .await
            }
            Call::RemoveFsm { name } => self.remove_here(&name, deadline).await,
            Call::Upgrade {
                group,
                name,
                plugin,
            } => {
                self.upgrade_here(GroupId(group), &name, plugin, deadline)
                    .await
            }
            Call::Checkpoint { group } => {
                self.host_entry(GroupId(group), HostEntry::Checkpoint, deadline)
                    .await
            }
            Call::Member { command, force } => self.member_here(&command, force, deadline).await,
            Call::Join {
                proof,
                fields,
                exporter,
            } => {
                let request = Request { proof, fields };
                self.admit_here(request, &exporter.0, deadline).await
            }
            Call::Moved { .. } | Call::AuthorityKey => Err(Failure::not_applied(
                Code::BadRequest,
                "this is for peers only",
            )),
            Call::Restore {
                group,
                image,
                fresh,
            } => {
                self.restore_here(GroupId(group), image, fresh, deadline)
                    .await
            }
            Call::StageImage { image, from } => {
                self.image_here(image, &[NodeId(from)]).await?;
                Ok(Reply::Done)
            }
            Call::Stage { plugin, from } => {
                self.stage_here(plugin, &[NodeId(from)]).await?;
                Ok(Reply::Done)
            }
            Call::Transfer { group, to } => self.transfer_here(GroupId(group), to, deadline).await,
            Call::Configure { set } => self.configure_here(&set).await,
            Call::Draining => Ok(Reply::Draining {
                on: *self.draining.borrow(),
            }),
        }
    }

    async fn apply_here(
        &self,
        group: GroupId,
        command: Command,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.check_serving(group)?;
        let term = self.led_term(group);
        let began = std::time::Instant::now();
        let result = self
            .ask_node(deadline, |ticket| Event::Propose {
                group,
                command,
                ticket,
            })
            .await;
        self.count(&result, began);
        match result {
            // It was led in one term from before the proposal until after the outcome: that is the
            // entry's.
            Ok(Reply::Applied {
                index,
                reply,
                replayed: false,
                ..
            }) if term.is_some() && term == self.led_term(group) => Ok(Reply::Applied {
                index,
                reply,
                replayed: false,
                term,
            }),
            result => result,
        }
    }

    fn count(&self, result: &Result<Reply, Failure>, began: std::time::Instant) {
        let (ended, replayed) = match result {
            Ok(Reply::Applied { replayed, .. }) => (Ended::Applied, *replayed),
            Ok(_) => (Ended::Applied, false),
            Err(failure) if failure.code == Code::NotLeader => return,
            Err(failure) => {
                let ended = match failure.outcome {
                    Outcome::Applied => Ended::Applied,
                    Outcome::NotApplied => Ended::NotApplied,
                    Outcome::Unknown => Ended::Unknown,
                };
                (ended, failure.replayed)
            }
        };
        self.metrics.raft.proposed(ended);
        if replayed {
            self.metrics.api.replays.inc();
        }
        if ended == Ended::Applied {
            let took = began.elapsed().as_secs_f64();
            self.metrics.raft.commit_latency.observe(took);
        }
    }

    /// Refuses what only the leader can do.
    pub(super) fn check_leads(&self, group: GroupId) -> Result<(), Failure> {
        let leader = self.leader(group);
        if leader == Some(self.node) {
            return Ok(());
        }
        Err(Failure {
            leader: leader.map(|leader| leader.0),
            ..Failure::not_applied(Code::NotLeader, "this node does not lead the group")
        })
    }

    /// Puts a host entry into a group's log and waits for its outcome.
    pub(super) async fn host_entry(
        &self,
        group: GroupId,
        entry: HostEntry,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.ask_node(deadline, |ticket| Event::ProposeHost {
            group,
            entry,
            ticket: Some(ticket),
        })
        .await
    }

    /// Confirms that this node leads, and waits until what was committed by then is applied.
    pub(super) async fn read_point(
        &self,
        group: GroupId,
        mode: ReadMode,
        deadline: Instant,
    ) -> Result<Index, Failure> {
        match self
            .ask_node(deadline, |ticket| Event::Read {
                group,
                mode,
                ticket,
            })
            .await?
        {
            Reply::At { index } => Ok(index),
            reply => Err(Failure::unknown(format!(
                "a read was answered with {reply:?}"
            ))),
        }
    }

    pub(super) async fn ask_node(
        &self,
        deadline: Instant,
        event: impl FnOnce(Ticket) -> Event,
    ) -> Result<Reply, Failure> {
        let busy = || from_answer(Answer::NotApplied(NotApplied::Busy));
        let Ok(waiter) = self.waiters.enter() else {
            return busy();
        };
        if !self.inbox.offer(event(waiter.ticket)) {
            return busy();
        }
        match timeout_at(deadline, waiter.wait()).await {
            Ok(Some(answer)) => from_answer(answer),
            Ok(None) => Err(Failure::unknown("the node stopped before it was applied")),
            Err(_) => Err(Failure::timeout("no answer within the time that was given")),
        }
    }

    /// Answers a query from this node's reader twin, at `min_index` or later.
    pub(super) async fn query_here(
        &self,
        group: GroupId,
        request: Vec<u8>,
        min_index: Index,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.wait_applied(group, min_index, deadline).await?;
        let (answer, receiver) = oneshot::channel();
        let query = ReaderTask::Query(Query {
            came: std::time::Instant::now(),
            min_index,
            request,
            answer,
        });
        if self
            .readers
            .tell(group, query, MAX_WAITING_QUERIES)
            .is_err()
        {
            return Err(Failure::not_applied(
                Code::Busy,
                "too many queries wait for this fsm",
            ));
        }
        match timeout_at(deadline, receiver).await {
            Ok(Ok(Ok((index, GuestReply::Ok(reply))))) => Ok(Reply::Queried { index, reply }),
            Ok(Ok(Ok((_, GuestReply::Refused(reply))))) => Err(Failure::query_refused(reply)),
            Ok(Ok(Err(error))) => Err(query_failed(error)),
            Ok(Err(_)) => Err(Failure::not_applied(
                Code::Unavailable,
                "the fsm is being stopped",
            )),
            Err(_) => Err(Failure::timeout(
                "the query took longer than the time that was given",
            )),
        }
    }

    /// Waits until this node has applied `index` of a group.
    pub(super) async fn wait_applied(
        &self,
        group: GroupId,
        index: Index,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let status = self.views.watch(group);
        let mut status = status.ok_or_else(|| self.not_hosted(group))?;
        let ready = status.wait_for(|status| {
            let waits = matches!(status.state, WorkerState::Starting | WorkerState::Running);
            let waits = waits || is_waiting(&status.state);
            !waits || status.applied >= index
        });
        let found = match timeout_at(deadline, ready).await {
            Ok(Ok(status)) => Ok((status.applied, status.state.clone())),
            Ok(Err(_)) => Err("the fsm is being removed".to_owned()),
            Err(_) => Err(format!("this node has not applied index {index} yet")),
        };
        match found {
            Ok((applied, _)) if applied >= index => Ok(()),
            Ok((applied, state)) => Err(Failure::last_word(format!(
                "this node applied up to {applied} and no further: {}",
                describe(&state)
            ))),
            Err(reason) => Err(Failure::not_applied(Code::Unavailable, reason)),
        }
    }

    /// Refuses early what an fsm that does not serve would never answer.
    fn check_serving(&self, group: GroupId) -> Result<(), Failure> {
        if self.leader(group) != Some(self.node) {
            return Ok(());
        }
        match self.views.get(group) {
            Some(WorkerStatus {
                state: WorkerState::Halted { reason },
                ..
            }) => Err(Failure::last_word(format!(
                "the fsm is halted on this node: {reason}"
            ))),
            _ => Ok(()),
        }
    }

    /// Retires a group in its own log, then drops it from the directory.
    async fn remove_here(&self, name: &str, deadline: Instant) -> Result<Reply, Failure> {
        let command = DirectoryCommand::RetireFsm {
            name: name.to_owned(),
        };
        self.directory_here(&command, deadline).await?;
        Ok(Reply::Done)
    }

    /// Applies a command of the directory; this node must lead group 0.
    pub(super) async fn directory_here(
        &self,
        command: &DirectoryCommand,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let command = Command {
            body: Bytes::from(command.encode()),
            key: None,
        };
        self.apply_here(GroupId::SYSTEM, command, deadline)
            .await
            .map_err(directory_refusal)
    }

    async fn upgrade_here(
        self: &Arc<Self>,
        group: GroupId,
        name: &str,
        plugin: Digest,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.check_leads(group)?;
        self.read_point(group, ReadMode::Index, deadline).await?;
        self.stage_everywhere(plugin, deadline).await?;
        let status = self.views.get(group).and_then(|status| status.spec);
        let Some(current) = status else {
            let detail = format!("fsm {name} has not started yet");
            return Err(Failure::not_applied(Code::Unavailable, detail));
        };
        let spec = MachineSpec { plugin, ..current };
        self.host_entry(group, HostEntry::Activate(spec), deadline)
            .await
    }
}

/// A refusal by the directory is a conflict to the client, in the directory's own words.
pub(super) fn directory_refusal(failure: Failure) -> Failure {
    if failure.code != Code::Refused {
        return failure;
    }
    refused_as(&String::from_utf8_lossy(&failure.reply))
}

/// The failure that a refusal of the directory stands for, by how its text begins.
pub(super) fn refused_as(text: &str) -> Failure {
    let code = match text.split_once(": ") {
        Some(("not found", _)) => Code::NotFound,
        Some(("bad request", _)) => Code::BadRequest,
        Some(("would lose quorum", _)) => Code::WouldLoseQuorum,
        _ => Code::Conflict,
    };
    Failure::not_applied(code, text)
}

fn query_failed(error: QueryError) -> Failure {
    match error {
        QueryError::Failed { class, .. } => Failure::failed(class, None),
        QueryError::Busy { .. } => Failure::not_applied(Code::Busy, error.to_string()),
        error => Failure::not_applied(Code::Unavailable, error.to_string()),
    }
}

fn is_waiting(state: &WorkerState) -> bool {
    matches!(
        state,
        WorkerState::WaitingForPlugin { .. }
            | WorkerState::WaitingForSnapshot { .. }
            | WorkerState::WaitingForRoom { .. }
    )
}

/// What keeps a worker from applying, for people.
pub(super) fn describe(state: &WorkerState) -> String {
    match state {
        WorkerState::Starting => "it is starting".to_owned(),
        WorkerState::Running => "it runs".to_owned(),
        WorkerState::Failed { reason } => format!("it never started: {reason}"),
        WorkerState::Halted { reason } => format!("it is halted on this node: {reason}"),
        WorkerState::Retired => "it is retired".to_owned(),
        WorkerState::WaitingForPlugin { plugin } => format!("it waits for the plugin {plugin}"),
        WorkerState::WaitingForRoom { reason } => {
            format!("it waits for room on this node's disk: {reason}")
        }
        WorkerState::WaitingForSnapshot { reason } => {
            format!("it waits for another node's snapshot: {reason}")
        }
    }
}
