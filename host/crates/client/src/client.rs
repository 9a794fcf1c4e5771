//! The client: one handle, many endpoints, one pool of connections.

mod body;
mod collect;
pub(crate) mod events;
mod members;
mod operate;
pub(crate) mod send;
mod snapshots;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::model::{
    CreateFsm, DigestHex, FsmInfo, FsmList, PluginInfo, PluginList, Probe, Removed, Snapshotted,
    Status, Upgrade, Upgraded, check_fsm_name,
};
use crate::{ClientError, Endpoint, header, random_key};
use body::{Body, OnProgress};
pub use events::EventStream;
use send::{Call, Reply};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Idle connections kept per endpoint; enough for the largest benchmark.
const MAX_IDLE_PER_ENDPOINT: usize = 1024;
/// Default for applies and queries, all attempts together.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default for uploads, creation and upgrades, which compile a plugin on every node.
const DEFAULT_ADMIN_TIMEOUT: Duration = Duration::from_secs(300);

/// A handle on a cluster. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: hyper_util::client::legacy::Client<HttpConnector, Body>,
    endpoints: Vec<Endpoint>,
    /// Position of the endpoint that answered last.
    current: AtomicUsize,
    timeout: Duration,
    admin_timeout: Duration,
    retries: bool,
}

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    endpoints: Vec<Endpoint>,
    timeout: Duration,
    admin_timeout: Duration,
    retries: bool,
}

impl ClientBuilder {
    /// Time for an apply or a query, all attempts together. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time for uploads, creation, upgrades and snapshots. Default 5 minutes.
    #[must_use]
    pub fn admin_timeout(mut self, timeout: Duration) -> Self {
        self.admin_timeout = timeout;
        self
    }

    /// Whether to ask again where that is safe, with a generated key for each apply. Default on.
    #[must_use]
    pub fn retries(mut self, retries: bool) -> Self {
        self.retries = retries;
        self
    }

    /// The client. Connects when first used.
    ///
    /// # Errors
    ///
    /// If there is no endpoint.
    pub fn build(self) -> Result<Client, ClientError> {
        if self.endpoints.is_empty() {
            return Err(ClientError::Request("no endpoint is given".into()));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_ENDPOINT)
            .build(connector);
        Ok(Client {
            inner: Arc::new(Inner {
                http,
                endpoints: self.endpoints,
                current: AtomicUsize::new(0),
                timeout: self.timeout,
                admin_timeout: self.admin_timeout,
                retries: self.retries,
            }),
        })
    }
}

/// How fresh a query's answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// It reflects everything acknowledged before the query was sent; the asked node answers.
    #[default]
    Linearizable,
    /// The same, and the leader answers.
    Leader,
    /// The same as long as the nodes' clocks drift no more than they may.
    Lease,
    /// It reflects what the asked node has applied.
    Stale,
}

/// Settings of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// Answer only once this index is applied: read your own writes on any node.
    pub min_index: Option<u64>,
    /// For a stale query: refuse if the state is older than this.
    pub max_staleness: Option<Duration>,
}

/// A command was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where in the log.
    pub index: u64,
    /// The fsm's answer.
    pub reply: Bytes,
    /// True if an earlier request with the same key did it.
    pub replayed: bool,
}

/// A query was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queried {
    /// The state it saw.
    pub index: u64,
    /// The node whose state it was.
    pub node: Option<u64>,
    /// The term of the group, as far as that node knew.
    pub term: Option<u64>,
    /// How old the state may have been, where that is known.
    pub staleness: Option<Duration>,
    /// The fsm's answer.
    pub reply: Bytes,
}

impl Client {
    /// Settings for a client of these nodes.
    pub fn builder(endpoints: Vec<Endpoint>) -> ClientBuilder {
        ClientBuilder {
            endpoints,
            timeout: DEFAULT_TIMEOUT,
            admin_timeout: DEFAULT_ADMIN_TIMEOUT,
            retries: true,
        }
    }

    /// The endpoints, in the order given.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.inner.endpoints
    }

    /// Applies a command, exactly once if retries are on (a key is generated), else at most once.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; a refusal is a [`ClientError::Problem`] with the fsm's bytes.
    pub async fn apply(&self, fsm: &str, command: Bytes) -> Result<Applied, ClientError> {
        if !self.inner.retries {
            return self.apply_call(fsm, command, None).await;
        }
        let key = random_key().map_err(|e| ClientError::Request(e.to_string()))?;
        self.apply_call(fsm, command, Some(&key)).await
    }

    /// Applies a command exactly once under the caller's own key.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn apply_with_key(
        &self,
        fsm: &str,
        command: Bytes,
        key: &str,
    ) -> Result<Applied, ClientError> {
        let visible = key.bytes().all(|b| b.is_ascii_graphic());
        if key.is_empty() || key.len() > header::MAX_KEY_BYTES || !visible {
            let limit = header::MAX_KEY_BYTES;
            let reason = format!("key {key:?}: want 1 to {limit} visible ASCII characters");
            return Err(ClientError::Request(reason));
        }
        self.apply_call(fsm, command, Some(key)).await
    }

    async fn apply_call(
        &self,
        fsm: &str,
        command: Bytes,
        key: Option<&str>,
    ) -> Result<Applied, ClientError> {
        let mut call = Call::new(Method::POST, fsm_path(fsm, "/apply")?, self.inner.timeout);
        call.body = command;
        call.repeatable = key.is_some();
        if let Some(key) = key {
            call.set_header(header::IDEMPOTENCY_KEY, key)?;
        }
        let reply = self.send(&call).await?;
        Ok(Applied {
            index: reply.index()?,
            replayed: reply
                .headers
                .get(header::IDEMPOTENCY_REPLAYED)
                .is_some_and(|v| v == "true"),
            reply: reply.body,
        })
    }

    /// Asks the fsm without changing it.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn query(
        &self,
        fsm: &str,
        request: Bytes,
        options: QueryOptions,
    ) -> Result<Queried, ClientError> {
        let mut call = Call::new(Method::POST, fsm_path(fsm, "/query")?, self.inner.timeout);
        call.body = request;
        call.repeatable = true;
        call.read_only = true;
        let consistency = match options.consistency {
            Consistency::Linearizable => "linearizable",
            Consistency::Leader => "leader",
            Consistency::Lease => "lease",
            Consistency::Stale => "stale",
        };
        call.set_header(header::CONSISTENCY, consistency)?;
        if let Some(bound) = options.max_staleness {
            let bound = format!("{}ms", bound.as_millis());
            call.set_header(header::MAX_STALENESS, &bound)?;
        }
        if let Some(index) = options.min_index {
            call.set_header(header::MIN_INDEX, &index.to_string())?;
        }
        let reply = self.send(&call).await?;
        let number = |name| header_number(&reply.headers, name);
        Ok(Queried {
            index: reply.index()?,
            node: number(header::NODE),
            term: number(header::TERM),
            staleness: number(header::STALENESS_MS).map(Duration::from_millis),
            reply: reply.body,
        })
    }

    /// Uploads a plugin under its own digest. `on_progress` hears the bytes sent so far; it starts
    /// again from zero if the upload has to be repeated.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn put_plugin(
        &self,
        plugin: Bytes,
        on_progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<PluginInfo, ClientError> {
        let digest = DigestHex(Sha256::digest(&plugin).into());
        let path = format!("/v1/plugins/{digest}");
        let mut call = Call::new(Method::PUT, path, self.inner.admin_timeout);
        call.body = plugin;
        call.repeatable = true;
        call.on_progress = Some(OnProgress(Arc::new(on_progress)));
        self.send(&call).await?.json()
    }

    /// The plugins the cluster has.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn list_plugins(&self) -> Result<PluginList, ClientError> {
        self.get("/v1/plugins".into()).await
    }

    /// Creates an fsm; returns when it serves.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn create_fsm(&self, name: &str, spec: &CreateFsm) -> Result<FsmInfo, ClientError> {
        let limit = self.inner.admin_timeout;
        self.send_json_within(limit, Method::PUT, fsm_path(name, "")?, spec)
            .await
    }

    /// One fsm.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn get_fsm(&self, name: &str) -> Result<FsmInfo, ClientError> {
        self.get(fsm_path(name, "")?).await
    }

    /// All fsms.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn list_fsms(&self) -> Result<FsmList, ClientError> {
        self.get("/v1/fsms".into()).await
    }

    /// Removes an fsm and its state.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn remove_fsm(&self, name: &str) -> Result<Removed, ClientError> {
        let call = Call::new(
            Method::DELETE,
            fsm_path(name, "")?,
            self.inner.admin_timeout,
        );
        self.send(&call).await?.json()
    }

    /// Replaces the plugin of a running fsm; returns when the new one serves.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn upgrade(&self, name: &str, plugin: DigestHex) -> Result<Upgraded, ClientError> {
        self.send_json_within(
            self.inner.admin_timeout,
            Method::POST,
            fsm_path(name, "/upgrade")?,
            &Upgrade { plugin },
        )
        .await
    }

    /// Takes a snapshot now.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn snapshot(&self, name: &str) -> Result<Snapshotted, ClientError> {
        let path = fsm_path(name, "/snapshot")?;
        self.send(&Call::new(Method::POST, path, self.inner.admin_timeout))
            .await?
            .json()
    }

    /// How the first node that answers sees the cluster.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status".into()).await
    }

    /// Whether the first node that answers is ready.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; a node that is not ready answers with a [`Probe`], not an error.
    pub async fn ready(&self) -> Result<Probe, ClientError> {
        self.get("/readyz".into()).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, ClientError> {
        let mut call = Call::new(Method::GET, path, self.inner.timeout);
        call.repeatable = true;
        call.read_only = true;
        self.send(&call).await?.json()
    }

    pub(crate) async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.send_json_within(self.inner.timeout, method, path, body)
            .await
    }

    /// Like `send_json`, for what may take longer than a command, for instance to compile.
    pub(crate) async fn send_json_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: String,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let mut call = Call::new(method, path, limit);
        let json = serde_json::to_vec(body).map_err(|e| ClientError::Request(e.to_string()))?;
        call.body = json.into();
        call.set_header("content-type", "application/json")?;
        self.send(&call).await?.json()
    }
}

impl Inner {
    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed) % self.endpoints.len()
    }

    /// Moves on from `failed`, once however many requests have seen it fail.
    fn move_on(&self, failed: usize) {
        let next = (failed + 1) % self.endpoints.len();
        // Losing the race means that another request has moved on already.
        let _ = self
            .current
            .compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn fsm_path(name: &str, rest: &str) -> Result<String, ClientError> {
    check_fsm_name(name).map_err(|e| ClientError::Request(e.to_string()))?;
    Ok(format!("/v1/fsms/{name}{rest}"))
}

impl Reply {
    pub(crate) fn index(&self) -> Result<u64, ClientError> {
        header_number(&self.headers, header::INDEX).ok_or_else(|| {
            self.nonsense(format!("its reply has no valid {} header", header::INDEX))
        })
    }
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
