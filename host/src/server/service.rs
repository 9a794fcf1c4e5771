//! The node as its clients see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{
    Barrier, Check, Code, ConfigChange, ConfigChanged, ConfigView, CreateFsm, DigestHex, Drained,
    EventFilter, FsmInfo, FsmState, Leaders, Leadership, PluginInfo, Removed, Snapshotted, Spread,
    Status, Upgraded,
};
use coracle_driver::Digest;
use coracle_driver::directory::{DirectoryCommand, DirectoryState, Fsm};
use coracle_driver::fsm::{MAX_FAILURES, WorkerState, WorkerStatus};
use coracle_proto::GroupId;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::Shell;
use super::call::{Call, Failure, Reply};
use super::execute::describe;
use crate::api::{ApiError, Applied, Future, LeaderAction, Queried, QueryTerms, Service};
use crate::config::resolve_limits;
use crate::events::Subscriber;

/// Time for what changes the directory or takes a checkpoint.
pub(super) const ADMIN_TIMEOUT: Duration = Duration::from_secs(120);

/// Time for a look at the directory; below that of a request, so that the reason reaches the
/// client.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// A node's service.
#[derive(Clone)]
pub(super) struct NodeService(pub(super) Arc<Shell>);

impl fmt::Debug for NodeService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeService({})", self.0.node)
    }
}

impl NodeService {
    /// The group of an fsm; asks the leader of group 0 before it says that there is none.
    pub(super) async fn resolve(&self, name: &str, deadline: Instant) -> Result<Fsm, Failure> {
        if let Some(fsm) = self.0.directory.state().fsm(name) {
            return Ok(fsm.clone());
        }
        self.catch_up(deadline).await?;
        match self.0.directory.state().fsm(name) {
            Some(fsm) => Ok(fsm.clone()),
            None => {
                let detail = format!("there is no fsm {name}; see `coracle fsm list`");
                Err(Failure::not_applied(Code::NotFound, detail))
            }
        }
    }

    /// Waits until this node's copy of the directory holds all that was acknowledged by now.
    pub(super) async fn catch_up(&self, deadline: Instant) -> Result<(), Failure> {
        let index = self.0.confirm(GroupId::SYSTEM, false, deadline).await?;
        self.0.wait_applied(GroupId::SYSTEM, index, deadline).await
    }

    /// The group of an fsm, or group 0.
    async fn group(&self, fsm: Option<&str>, deadline: Instant) -> Result<GroupId, Failure> {
        match fsm {
            Some(name) => Ok(self.resolve(name, deadline).await?.group),
            None => Ok(GroupId::SYSTEM),
        }
    }

    pub(super) async fn directory(
        &self,
        command: &DirectoryCommand,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let call = Call::Directory {
            command: command.encode(),
        };
        let result = self.0.at_leader(call, deadline).await;
        result.map_err(super::execute::directory_refusal)
    }

    async fn do_apply(
        &self,
        name: &str,
        body: Bytes,
        key: Option<String>,
        deadline: Instant,
    ) -> Result<Applied, Failure> {
        let fsm = self.resolve(name, deadline).await?;
        let key = key.map(|key| hash_key(&key));
        let call = Call::Apply {
            group: fsm.group.0,
            body: body.to_vec(),
            key,
        };
        match self.0.at_leader(call, deadline).await? {
            Reply::Applied {
                index,
                reply,
                replayed,
                term,
            } => Ok(Applied {
                index,
                term,
                reply,
                replayed,
                node: self.0.node.0,
            }),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn do_query(
        &self,
        name: &str,
        request: Bytes,
        terms: QueryTerms,
        deadline: Instant,
    ) -> Result<Queried, Failure> {
        let fsm = self.resolve(name, deadline).await?;
        self.0
            .query(fsm.group, request.to_vec(), terms, deadline)
            .await
    }

    async fn do_put_plugin(&self, digest: Digest, bytes: Bytes) -> Result<PluginInfo, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let size = bytes.len() as u64;
        self.0.add_plugin(digest, bytes).await?;
        let plugin = self.0.stage_everywhere(digest, deadline).await?;
        let command = DirectoryCommand::RegisterPlugin {
            digest,
            name: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            bytes: size,
        };
        self.directory(&command, deadline).await?;
        Ok(PluginInfo {
            digest: DigestHex(digest.0),
            name: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            bytes: size,
        })
    }

    async fn do_create(&self, name: &str, spec: CreateFsm) -> Result<FsmInfo, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let limits = resolve_limits(self.0.default_limits(), &spec.limits);
        let call = Call::CreateFsm {
            name: name.to_owned(),
            plugin: Digest(spec.plugin.0),
            config: spec.config,
            limits: postcard::to_stdvec(&limits).expect("plain numbers always encode"),
        };
        let group = match self.0.at_leader(call, deadline).await? {
            Reply::Group { group } => GroupId(group),
            reply => return Err(unexpected(&reply)),
        };
        self.catch_up(deadline).await?;
        self.wait_hosted(group, deadline).await?;
        let fsm = self.resolve(name, deadline).await?;
        Ok(self.fsm_info(name, &fsm))
    }

    /// Waits until this node serves a group that was just created.
    async fn wait_hosted(&self, group: GroupId, deadline: Instant) -> Result<(), Failure> {
        let serves = async {
            loop {
                let mut changed = self.0.changes();
                let state = self.0.views.get(group).map(|status| status.state);
                match state {
                    None if runs_elsewhere(&self.0, group) => return,
                    Some(WorkerState::Starting) | None => {}
                    Some(_) => return,
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout_at(deadline, serves).await.map_err(|_| {
            Failure::unknown("the fsm was created but does not serve on this node yet")
        })
    }

    fn fsm_info(&self, name: &str, fsm: &Fsm) -> FsmInfo {
        let status = self.0.views.get(fsm.group);
        let state = match &status {
            Some(status) => state_of(status),
            None if self.0.is_elsewhere(&self.0.directory.state(), fsm) => FsmState::Elsewhere,
            None => FsmState::Starting,
        };
        let plugin = status
            .and_then(|status| status.spec)
            .map_or(fsm.plugin, |spec| spec.plugin);
        FsmInfo {
            name: name.to_owned(),
            group: fsm.group.0,
            plugin: DigestHex(plugin.0),
            config: fsm.config.iter().cloned().collect(),
            state,
        }
    }

    async fn do_remove(&self, name: &str) -> Result<Removed, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let fsm = self.resolve(name, deadline).await?;
        let call = Call::RemoveFsm {
            name: name.to_owned(),
        };
        self.0.at_leader(call, deadline).await?;
        let gone = async {
            loop {
                let mut changed = self.0.changes();
                let hosted = self.0.views.get(fsm.group).is_some();
                let listed = self
                    .0
                    .directory
                    .state()
                    .fsm(name)
                    .is_some_and(|f| f.group == fsm.group);
                if !hosted && !listed {
                    return;
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout_at(deadline, gone)
            .await
            .map_err(|_| Failure::unknown("the fsm is retired, but not yet gone on this node"))?;
        Ok(Removed {
            name: name.to_owned(),
        })
    }

    async fn do_upgrade(&self, name: &str, plugin: Digest) -> Result<Upgraded, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let fsm = self.resolve(name, deadline).await?;
        let call = Call::Upgrade {
            group: fsm.group.0,
            name: name.to_owned(),
            plugin,
        };
        match self.0.at_leader(call, deadline).await? {
            Reply::At { index } => {
                self.0.wait_applied(fsm.group, index, deadline).await?;
                Ok(Upgraded { index })
            }
            reply => Err(unexpected(&reply)),
        }
    }

    async fn do_snapshot(&self, name: &str) -> Result<Snapshotted, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let fsm = self.resolve(name, deadline).await?;
        match self
            .0
            .at_leader(Call::Checkpoint { group: fsm.group.0 }, deadline)
            .await?
        {
            Reply::At { index } => Ok(Snapshotted { index }),
            reply => Err(unexpected(&reply)),
        }
    }

    fn checks(&self) -> Vec<Check> {
        let leader = self.0.leader(GroupId::SYSTEM);
        let directory = self.0.views.get(GroupId::SYSTEM);
        let draining = *self.0.draining.borrow() || self.0.is_stopping();
        let mut checks = vec![
            check("draining", !draining, "the node hands its work over"),
            check("leader", leader.is_some(), "no leader of group 0 is known"),
            check(
                "directory",
                directory.is_some(),
                "the directory has not started",
            ),
            check(
                "log",
                !self.0.has_failed(),
                "the log failed: the node stops",
            ),
        ];
        for (name, fsm) in &self.0.directory.state().fsms {
            if let Some(status) = self.0.views.get(fsm.group)
                && let WorkerState::Halted { .. }
                | WorkerState::WaitingForSnapshot { .. }
                | WorkerState::WaitingForRoom { .. } = status.state
            {
                checks.push(check(
                    &format!("fsm {name}"),
                    false,
                    &describe(&status.state),
                ));
            }
        }
        checks
    }
}

impl Service for NodeService {
    fn apply<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        key: Option<String>,
        timeout: Duration,
    ) -> Future<'a, Applied> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(self.do_apply(fsm, body, key, deadline).await?) })
    }

    fn query<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        terms: QueryTerms,
        timeout: Duration,
    ) -> Future<'a, Queried> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(self.do_query(fsm, body, terms, deadline).await?) })
    }

    fn barrier<'a>(&'a self, fsm: &'a str, timeout: Duration) -> Future<'a, Barrier> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            let group = self.resolve(fsm, deadline).await?.group;
            let index = self.0.confirm(group, false, deadline).await?;
            self.0.wait_applied(group, index, deadline).await?;
            let node = self.0.node.0;
            Ok(Barrier { node, index })
        })
    }

    fn leaders<'a>(&'a self, fsm: Option<&'a str>) -> Future<'a, Leaders> {
        Box::pin(async move {
            let Some(name) = fsm else {
                return Ok(self.0.leaderships());
            };
            let group = self.group(fsm, Instant::now() + LIST_TIMEOUT).await?;
            let groups = vec![self.0.leadership(Some(name.to_owned()), group)];
            Ok(Leaders { groups })
        })
    }

    fn lead<'a>(
        &'a self,
        fsm: Option<&'a str>,
        action: LeaderAction,
        timeout: Duration,
    ) -> Future<'a, Leadership> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            let group = self.group(fsm, deadline).await?;
            let fsm = fsm.map(str::to_owned);
            Ok(self.0.lead(fsm, group, action, deadline).await?)
        })
    }

    fn spread(&self, timeout: Duration) -> Future<'_, Spread> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(self.0.spread(deadline).await) })
    }

    fn drain(&self, on: bool, timeout: Duration) -> Future<'_, Drained> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(self.0.drain(on, deadline).await?) })
    }

    fn config(&self) -> Future<'_, ConfigView> {
        Box::pin(async move { Ok(self.0.config_view()) })
    }

    fn set_config(&self, change: ConfigChange, timeout: Duration) -> Future<'_, ConfigChanged> {
        let deadline = Instant::now() + timeout;
        Box::pin(async move { Ok(self.0.set_config(change, deadline).await?) })
    }

    fn scrape(&self) -> Future<'_, String> {
        Box::pin(async move { self.0.scrape().await.ok_or_else(stopped) })
    }

    fn follow(&self, filter: EventFilter, from: Option<u64>) -> Result<Subscriber, ApiError> {
        let followed = self.0.events.subscribe(filter, from);
        followed.map_err(|error| ApiError::new(Code::Busy, error.to_string()))
    }

    fn put_plugin(&self, digest: DigestHex, bytes: Bytes) -> Future<'_, PluginInfo> {
        Box::pin(async move { Ok(self.do_put_plugin(Digest(digest.0), bytes).await?) })
    }

    fn list_plugins(&self) -> Future<'_, Vec<PluginInfo>> {
        Box::pin(async move {
            self.catch_up(Instant::now() + LIST_TIMEOUT).await?;
            Ok(plugin_infos(&self.0.directory.state()))
        })
    }

    fn create_fsm<'a>(&'a self, name: &'a str, spec: CreateFsm) -> Future<'a, FsmInfo> {
        Box::pin(async move { Ok(self.do_create(name, spec).await?) })
    }

    fn list_fsms(&self) -> Future<'_, Vec<FsmInfo>> {
        Box::pin(async move {
            self.catch_up(Instant::now() + LIST_TIMEOUT).await?;
            let state = self.0.directory.state();
            Ok(state
                .fsms
                .iter()
                .map(|(name, fsm)| self.fsm_info(name, fsm))
                .collect())
        })
    }

    fn get_fsm<'a>(&'a self, name: &'a str) -> Future<'a, FsmInfo> {
        Box::pin(async move {
            let fsm = self.resolve(name, Instant::now() + LIST_TIMEOUT).await?;
            Ok(self.fsm_info(name, &fsm))
        })
    }

    fn remove_fsm<'a>(&'a self, name: &'a str) -> Future<'a, Removed> {
        Box::pin(async move { Ok(self.do_remove(name).await?) })
    }

    fn upgrade<'a>(&'a self, name: &'a str, plugin: DigestHex) -> Future<'a, Upgraded> {
        Box::pin(async move { Ok(self.do_upgrade(name, Digest(plugin.0)).await?) })
    }

    fn snapshot<'a>(&'a self, name: &'a str) -> Future<'a, Snapshotted> {
        Box::pin(async move { Ok(self.do_snapshot(name).await?) })
    }

    fn status(&self) -> Future<'_, Status> {
        Box::pin(async move { self.0.status().await.ok_or_else(stopped) })
    }

    fn live(&self) -> Vec<Check> {
        vec![check(
            "log",
            !self.0.has_failed(),
            "the log failed: the node stops",
        )]
    }

    fn ready(&self) -> Vec<Check> {
        self.checks()
    }
}

fn runs_elsewhere(shell: &Shell, group: GroupId) -> bool {
    let directory = shell.directory.state();
    let fsm = directory.fsm_of(group);
    fsm.is_some_and(|(_, fsm)| shell.is_elsewhere(&directory, fsm))
}

/// The state of a worker in the words of the interface.
pub(super) fn state_of(status: &WorkerStatus) -> FsmState {
    match &status.state {
        WorkerState::Running if status.failures >= MAX_FAILURES => FsmState::Suspended,
        WorkerState::Starting => FsmState::Starting,
        WorkerState::Running => FsmState::Running,
        WorkerState::WaitingForPlugin { .. } => FsmState::AwaitingPlugin,
        WorkerState::Failed { .. }
        | WorkerState::Halted { .. }
        | WorkerState::WaitingForRoom { .. }
        | WorkerState::WaitingForSnapshot { .. } => FsmState::Halted,
        WorkerState::Retired => FsmState::Retired,
    }
}

fn plugin_infos(state: &DirectoryState) -> Vec<PluginInfo> {
    let infos = state.plugins.iter().map(|(digest, plugin)| PluginInfo {
        digest: DigestHex(digest.0),
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        bytes: plugin.bytes,
    });
    infos.collect()
}

fn check(name: &str, ok: bool, otherwise: &str) -> Check {
    Check {
        name: name.to_owned(),
        ok,
        detail: (!ok).then(|| otherwise.to_owned()),
    }
}

/// Keys are of any length; the session table keeps a hash. (The principal joins it once there are
/// principals.)
fn hash_key(key: &str) -> [u8; 16] {
    let hash = Sha256::digest(key.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    short
}

pub(super) fn unexpected(reply: &Reply) -> Failure {
    Failure::unknown(format!(
        "the leader answered {reply:?}, which is not what was asked"
    ))
}

fn stopped() -> ApiError {
    ApiError::new(Code::Unavailable, "the node is stopping")
}
