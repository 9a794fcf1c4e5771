//! A service in memory. What a command does is its first word.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{
    Barrier, ChangeMember, Check, Code, ConfigChange, ConfigChanged, ConfigView, CreateFsm,
    CreateToken, DigestHex, Drained, EventFilter, FsmInfo, FsmState, ImageReceived, Leaders,
    Leadership, MemberChanged, MemberList, PlaceFsm, Placed, PluginInfo, Removed, Restore,
    Restored, SnapshotList, Snapshotted, Spread, Status, TokenCreated, TokenList, TokenRevoked,
    Upgraded,
};
use tokio::sync::Notify;

use crate::api::{
    ApiError, Applied, Future, LeaderAction, Members, OpenSnapshot, Queried, QueryTerms, Service,
    Snapshots,
};
use crate::events::{Events, Subscriber};
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) events: Events,
    applies: AtomicU64,
    lose_answers: AtomicU64,
    unavailable: AtomicU64,
    leaderless: AtomicBool,
    hanging: Notify,
    keys: Mutex<BTreeMap<String, (Bytes, Applied)>>,
    fsms: Mutex<BTreeMap<String, FsmInfo>>,
    plugins: Mutex<Vec<PluginInfo>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            events: Events::new(1, Arc::new(Metrics::new())),
            applies: AtomicU64::default(),
            lose_answers: AtomicU64::default(),
            unavailable: AtomicU64::default(),
            leaderless: AtomicBool::default(),
            hanging: Notify::default(),
            keys: Mutex::default(),
            fsms: Mutex::default(),
            plugins: Mutex::default(),
        }
    }
}

fn leadership(fsm: Option<&str>) -> Leadership {
    Leadership {
        fsm: fsm.map(str::to_owned),
        group: 3,
        leader: Some(1),
        term: 7,
        index: None,
    }
}

impl Fake {
    pub(super) fn applies(&self) -> u64 {
        self.applies.load(Ordering::SeqCst)
    }

    /// The next apply happens, and its answer is lost.
    pub(super) fn lose_next_answer(&self) {
        self.lose_answers.store(1, Ordering::SeqCst);
    }

    /// From now on, what needs a leader waits for one.
    pub(super) fn lose_leader(&self) {
        self.leaderless.store(true, Ordering::SeqCst);
    }

    /// The next applies do not happen, and say so.
    pub(super) fn refuse_as_unavailable(&self, times: u64) {
        self.unavailable.store(times, Ordering::SeqCst);
    }

    /// Until a request hangs.
    pub(super) async fn hanging(&self) {
        self.hanging.notified().await;
    }

    fn take_one(counter: &AtomicU64) -> bool {
        counter
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
    }

    async fn run(&self, fsm: &str, body: Bytes, key: Option<String>) -> Result<Applied, ApiError> {
        if fsm == "none" {
            return Err(ApiError::new(Code::NotFound, "there is no fsm none"));
        }
        if body.starts_with(b"hang") {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        if Self::take_one(&self.unavailable) {
            return Err(ApiError::new(Code::Unavailable, "no leader"));
        }
        let applied = self.once(body.clone(), key)?;
        if Self::take_one(&self.lose_answers) {
            return Err(ApiError::new(Code::OutcomeUnknown, "the leader is gone"));
        }
        match body.strip_prefix(b"refuse ") {
            Some(reply) => Err(ApiError::refused(reply.to_vec()).with_index(applied.index)),
            None => Ok(applied),
        }
    }

    fn once(&self, body: Bytes, key: Option<String>) -> Result<Applied, ApiError> {
        let mut keys = self.keys.lock().expect("lock");
        if let Some((before, applied)) = key.as_ref().and_then(|key| keys.get(key)) {
            if *before != body {
                return Err(ApiError::new(Code::KeyReused, "other body"));
            }
            return Ok(Applied {
                replayed: true,
                ..applied.clone()
            });
        }
        let index = self.applies.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = [b"done ", &body[..]].concat();
        let applied = Applied {
            index,
            term: Some(7),
            reply,
            replayed: false,
            node: 1,
        };
        if let Some(key) = key {
            keys.insert(key, (body, applied.clone()));
        }
        Ok(applied)
    }
}

impl Service for Fake {
    fn apply<'a>(
        &'a self,
        fsm: &'a str,
        body: Bytes,
        key: Option<String>,
        _: Duration,
    ) -> Future<'a, Applied> {
        Box::pin(self.run(fsm, body, key))
    }

    fn query<'a>(
        &'a self,
        _: &'a str,
        body: Bytes,
        terms: QueryTerms,
        timeout: Duration,
    ) -> Future<'a, Queried> {
        Box::pin(async move {
            if let Some(reply) = body.strip_prefix(b"refuse ") {
                return Err(ApiError::refused(reply.to_vec()));
            }
            if body.starts_with(b"lose") {
                return Err(ApiError::new(Code::OutcomeUnknown, "the leader is gone"));
            }
            let QueryTerms {
                consistency,
                min_index,
                ..
            } = terms;
            let seen = format!("{consistency:?} {min_index:?} {timeout:?} ");
            Ok(Queried {
                index: 9,
                reply: [seen.as_bytes(), &body[..]].concat(),
                consistency,
                term: Some(7),
                node: 1,
                staleness: terms.max_staleness,
            })
        })
    }

    fn barrier<'a>(&'a self, _: &'a str, _: Duration) -> Future<'a, Barrier> {
        Box::pin(async { Ok(Barrier { node: 1, index: 9 }) })
    }

    fn leaders<'a>(&'a self, fsm: Option<&'a str>) -> Future<'a, Leaders> {
        let groups = vec![leadership(fsm)];
        Box::pin(async { Ok(Leaders { groups }) })
    }

    fn lead<'a>(
        &'a self,
        fsm: Option<&'a str>,
        action: LeaderAction,
        _: Duration,
    ) -> Future<'a, Leadership> {
        Box::pin(async move {
            match action {
                LeaderAction::Transfer { to: Some(9) } => {
                    Err(ApiError::new(Code::Conflict, "9 is no voter"))
                }
                LeaderAction::Transfer { to: Some(to) } => Ok(Leadership {
                    leader: Some(to),
                    ..leadership(fsm)
                }),
                _ => Ok(leadership(fsm)),
            }
        })
    }

    fn spread(&self, _: Duration) -> Future<'_, Spread> {
        Box::pin(async {
            Ok(Spread {
                leaders: BTreeMap::from([(1, 2)]),
                moved: Vec::new(),
                failed: Vec::new(),
            })
        })
    }

    fn drain(&self, on: bool, _: Duration) -> Future<'_, Drained> {
        Box::pin(async move {
            Ok(Drained {
                node: 1,
                draining: on,
                handed_over: 0,
                still_leads: Vec::new(),
            })
        })
    }

    fn config(&self) -> Future<'_, ConfigView> {
        Box::pin(async {
            let settings = Vec::new();
            Ok(ConfigView { node: 1, settings })
        })
    }

    fn set_config(&self, change: ConfigChange, _: Duration) -> Future<'_, ConfigChanged> {
        Box::pin(async move {
            if change.set.contains_key("node") {
                return Err(ApiError::new(Code::Conflict, "node needs a restart"));
            }
            Ok(ConfigChanged { nodes: Vec::new() })
        })
    }

    fn scrape(&self) -> Future<'_, String> {
        Box::pin(async { Ok("# EOF\n".into()) })
    }

    fn follow(&self, filter: EventFilter, from: Option<u64>) -> Result<Subscriber, ApiError> {
        let followed = self.events.subscribe(filter, from);
        followed.map_err(|error| ApiError::new(Code::Busy, error.to_string()))
    }

    fn put_plugin(&self, digest: DigestHex, bytes: Bytes) -> Future<'_, PluginInfo> {
        Box::pin(async move {
            if bytes.starts_with(b"bad") {
                let imports = vec!["wasi:sockets/tcp".into(), "env/fork".into()];
                let error = ApiError::new(Code::InvalidPlugin, "it imports what there is not");
                return Err(error.with_details(imports));
            }
            let info = PluginInfo {
                digest,
                name: "fake".into(),
                version: "1".into(),
                bytes: bytes.len() as u64,
            };
            self.plugins.lock().expect("lock").push(info.clone());
            Ok(info)
        })
    }

    fn list_plugins(&self) -> Future<'_, Vec<PluginInfo>> {
        Box::pin(async {
            if self.leaderless.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(self.plugins.lock().expect("lock").clone())
        })
    }

    fn create_fsm<'a>(&'a self, name: &'a str, spec: CreateFsm) -> Future<'a, FsmInfo> {
        Box::pin(async move {
            let info = FsmInfo {
                name: name.into(),
                group: 5,
                plugin: spec.plugin,
                config: spec.config,
                state: FsmState::Running,
            };
            self.fsms
                .lock()
                .expect("lock")
                .insert(name.into(), info.clone());
            Ok(info)
        })
    }

    fn list_fsms(&self) -> Future<'_, Vec<FsmInfo>> {
        Box::pin(async { Ok(self.fsms.lock().expect("lock").values().cloned().collect()) })
    }

    fn get_fsm<'a>(&'a self, name: &'a str) -> Future<'a, FsmInfo> {
        Box::pin(async move {
            let found = self.fsms.lock().expect("lock").get(name).cloned();
            found.ok_or_else(|| ApiError::new(Code::NotFound, format!("there is no fsm {name}")))
        })
    }

    fn remove_fsm<'a>(&'a self, name: &'a str) -> Future<'a, Removed> {
        Box::pin(async move {
            self.fsms.lock().expect("lock").remove(name);
            Ok(Removed { name: name.into() })
        })
    }

    fn upgrade<'a>(&'a self, _: &'a str, _: DigestHex) -> Future<'a, Upgraded> {
        Box::pin(async { Ok(Upgraded { index: 40 }) })
    }

    fn snapshot<'a>(&'a self, _: &'a str) -> Future<'a, Snapshotted> {
        Box::pin(async { Ok(Snapshotted { index: 41 }) })
    }

    fn status(&self) -> Future<'_, Status> {
        let status = Status {
            node: 1,
            leader: None,
            term: 3,
            fsms: Vec::new(),
            fsyncs: None,
            recovered: None,
        };
        Box::pin(async { Ok(status) })
    }

    fn live(&self) -> Vec<Check> {
        Vec::new()
    }

    fn ready(&self) -> Vec<Check> {
        vec![Check {
            name: "leader".into(),
            ok: false,
            detail: Some("no leader".into()),
        }]
    }
}

/// The members are tested end to end.
impl Members for Fake {
    fn members(&self) -> Future<'_, MemberList> {
        Box::pin(async { Err(not_here()) })
    }

    fn change_member(&self, _: u64, _: ChangeMember, _: Duration) -> Future<'_, MemberChanged> {
        Box::pin(async { Err(not_here()) })
    }

    fn place_fsm(&self, _: String, _: PlaceFsm, _: Duration) -> Future<'_, Placed> {
        Box::pin(async { Err(not_here()) })
    }

    fn create_token(&self, _: CreateToken, _: Duration) -> Future<'_, TokenCreated> {
        Box::pin(async { Err(not_here()) })
    }

    fn tokens(&self, _: Duration) -> Future<'_, TokenList> {
        Box::pin(async { Err(not_here()) })
    }

    fn revoke_token(&self, _: u64, _: Duration) -> Future<'_, TokenRevoked> {
        Box::pin(async { Err(not_here()) })
    }
}

/// Snapshots are tested end to end.
impl Snapshots for Fake {
    fn snapshots<'a>(&'a self, _: &'a str) -> Future<'a, SnapshotList> {
        Box::pin(async { Err(not_here()) })
    }

    fn open_snapshot<'a>(
        &'a self,
        _: &'a str,
        _: Option<u64>,
    ) -> Future<'a, Box<dyn OpenSnapshot>> {
        Box::pin(async { Err(not_here()) })
    }

    fn add_to_image(&self, _: DigestHex, _: u64, _: Bytes) -> Future<'_, ImageReceived> {
        Box::pin(async { Err(not_here()) })
    }

    fn finish_image(&self, _: DigestHex) -> Future<'_, ImageReceived> {
        Box::pin(async { Err(not_here()) })
    }

    fn restore<'a>(&'a self, _: &'a str, _: Restore) -> Future<'a, Restored> {
        Box::pin(async { Err(not_here()) })
    }
}

fn not_here() -> ApiError {
    ApiError::new(Code::Internal, "the fake has no members")
}
