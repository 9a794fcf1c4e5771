//! Starts and stops a node.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use coracle_client::EventFilter;
use coracle_driver::directory::{DirectoryHandle, NativeMachines};
use coracle_driver::fsm::WorkerContext;
use coracle_driver::{Entropy, Event, Node, NodeConfig, Outbox};
use coracle_driver::{LogReader, Machines, ReplicaKind};
use coracle_proto::{Configuration, GroupId, Index, NodeId};
use coracle_runtime::{Engine, EngineOptions, STACK_BYTES};
use coracle_transport::identity::Credentials;
use coracle_transport::{Config as TransportConfig, Transport};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::alarm::Alarm;
use super::clock::Clock;
use super::consensus::{Consensus, Inbox};
use super::dispatch::{self, Dispatch};
use super::event_trace::EventTrace;
use super::freshness::Freshness;
use super::log_writer::LogWriter;
use super::machines::Sandboxes;
use super::membership::{self, AddressBook};
use super::notes;
use super::peers::PeerHandler;
use super::plugins::Plugins;
use super::pool::Pool;
use super::queue::Queue;
use super::reconcile;
use super::service::NodeService;
use super::settings::{LogControl, Settings};
use super::shell::Shell;
use super::storage::{self, Storage, fill_random};
use super::views::Views;
use super::waiters::Waiters;
use super::workers::Reports;
use crate::api::{Service, http};
use crate::config::Config;
use crate::events::{Events, Subscriber, TooMany};
use crate::metrics::Metrics;
use crate::recover;

/// Threads that apply commands of fsms. A guest that uses up its fuel holds one for seconds.
const FSM_THREADS: usize = 4;

/// Threads that answer queries.
const READER_THREADS: usize = 4;

/// A peer that is gone without a word is reported after so many election timeouts: groups that
/// have gone quiet rely on it.
const DETECTION_TIMEOUTS: u32 = 2;

/// Wishes of workers that may wait: one of each worker that stands still, far more than there are.
const MAX_NOTES: usize = 1 << 16;

/// Wishes about snapshot files that may wait; each group has a few at most.
const MAX_TRANSFERS: usize = 1 << 16;

/// Replicas that leaders speak to and that are not hosted yet; they are told again.
const MAX_STRANGERS: usize = 4096;

/// For other nodes to take leaderships over, when the node stops. Each takes a few round trips.
const HANDOVER: Duration = Duration::from_secs(5);

/// For requests in progress, when the node stops.
const DRAIN: Duration = Duration::from_secs(2);

/// For tasks to let go of a node that has stopped, and how often to look.
const RELEASE: Duration = Duration::from_secs(10);
const RELEASE_POLL: Duration = Duration::from_millis(2);

/// Folder of compiled plugins.
const COMPILED: &str = "compiled";

/// A running node. Dropping it leaves the node running until the process ends; stop it by
/// [`Handle::shutdown`] or [`Handle::kill`].
pub struct Handle {
    shell: Arc<Shell>,
    http: SocketAddr,
    log: LogWriter,
    consensus: Consensus,
    tasks: Vec<JoinHandle<()>>,
    stop_http: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// Runs a node until SIGTERM or SIGINT, or until it fails.
///
/// # Errors
/// What kept it from starting, or what stopped it.
pub async fn run(config: Config, log: LogControl) -> anyhow::Result<()> {
    run_with(config, log, |_| std::future::ready(())).await
}

/// Like [`run`], with something that runs beside the node for as long.
///
/// # Errors
/// What kept it from starting, or what stopped it.
pub async fn run_with<F>(
    config: Config,
    log: LogControl,
    beside: impl FnOnce(Arc<dyn Service>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let node = start_with(config, log).await?;
    let alarm = node.shell.alarm.clone();
    let beside = tokio::spawn(beside(node.service()));
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = tokio::signal::ctrl_c() => None,
        reason = alarm.raised() => reason,
    };
    // It holds on to the node.
    beside.abort();
    match failed {
        None => {
            info!("stopping");
            node.shutdown().await;
            Ok(())
        }
        Some(reason) => {
            node.kill().await;
            Err(anyhow!(reason))
        }
    }
}

/// Starts a node; it serves when this returns, though it may not know a leader yet.
///
/// # Errors
/// What kept it from starting: the data folder, the certificates, an address in use.
pub async fn start(config: Config) -> anyhow::Result<Handle> {
    start_with(config, LogControl::none()).await
}

async fn start_with(config: Config, log: LogControl) -> anyhow::Result<Handle> {
    // Before anything is written: a node started under another's name must leave no trace.
    let mut transport = transport_config(&config)?;
    let listener = TcpListener::bind(config.listen.http)
        .await
        .with_context(|| format!("cannot listen on {} for HTTP", config.listen.http))?;
    let http = listener.local_addr()?;
    let metrics = Arc::new(Metrics::new());
    let opened = {
        let (config, metrics) = (config.clone(), Arc::clone(&metrics));
        tokio::task::spawn_blocking(move || storage::open(&config, metrics)).await??
    };
    let book = AddressBook::open(Arc::clone(&opened.disk))?;
    transport.peers = book.first(&config);
    let Parts {
        shell,
        log,
        consensus,
        tasks,
    } = assemble(config, transport, opened, book, metrics, log)?;
    let (stop_http, mut stopped) = watch::channel(false);
    let service: Arc<dyn Service> = Arc::new(NodeService(Arc::clone(&shell)));
    let limits = shell.settings.http();
    let connections = *limits.borrow();
    let router = http::router(service, limits, Arc::clone(&shell.metrics));
    let serving = tokio::spawn(http::serve(listener, router, connections, async move {
        // An error means that the handle is gone; then nobody asks to stop.
        if stopped.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    info!(node = shell.node.0, %http, quic = %shell.config.listen.quic, "the node serves");
    Ok(Handle {
        shell,
        http,
        log,
        consensus,
        tasks,
        stop_http,
        serving,
    })
}

impl Handle {
    /// Where its clients reach it.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The node as its clients see it, without HTTP.
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::new(NodeService(Arc::clone(&self.shell)))
    }

    /// What happens on it, as a stream that never holds it up.
    ///
    /// # Errors
    /// If too many follow already, or the node stops.
    pub fn events(&self, filter: EventFilter) -> Result<Subscriber, TooMany> {
        self.shell.events.subscribe(filter, None)
    }

    /// Stops it: leaderships go to other nodes, requests in progress get a moment, what is written
    /// is closed properly.
    pub async fn shutdown(mut self) {
        let deadline = tokio::time::Instant::now() + HANDOVER;
        if let Ok(drained) = self.shell.drain(true, deadline).await {
            info!(
                handed_over = drained.handed_over,
                kept = drained.still_leads.len(),
                "leaderships handed over"
            );
        }
        self.shell.events.close();
        self.stop_http.send_replace(true);
        // Past the time, those who still wait are told that the outcome is unknown.
        let _ = tokio::time::timeout(DRAIN, &mut self.serving).await;
        // Calls of other nodes, for their clients.
        let _ = tokio::time::timeout(DRAIN, self.answered()).await;
        self.end(false).await;
    }

    async fn answered(&self) {
        while self.shell.waiters.len() > 0 {
            tokio::time::sleep(RELEASE_POLL).await;
        }
    }

    /// Stops it as a crash does: nothing more is written or said.
    pub async fn kill(self) {
        self.end(true).await;
    }

    async fn end(mut self, abrupt: bool) {
        self.shell.stopping.send_replace(true);
        self.shell.events.close();
        self.serving.abort();
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // What it says is that it was aborted.
            let _ = task.await;
        }
        if let Some(transport) = self.shell.transport.get() {
            transport.shutdown().await;
        }
        let shell = Arc::clone(&self.shell);
        let stopped = tokio::task::spawn_blocking(move || {
            self.consensus.stop();
            if abrupt {
                self.log.abandon();
            } else {
                self.log.stop();
            }
            shell.system.stop();
            shell.fsms.stop();
            shell.readers.stop();
            shell.waiters.abandon();
        });
        if let Err(error) = stopped.await {
            error!(%error, "stopping the node's threads panicked");
        }
        if tokio::time::timeout(RELEASE, released(&self.shell))
            .await
            .is_err()
        {
            warn!("a task outlives its node and keeps the data folder locked");
        }
    }
}

/// Waits until no task holds on to anything that keeps the data folder locked: connections that
/// were cut and a plugin that is being compiled end in their own time.
async fn released(shell: &Arc<Shell>) {
    let held = || {
        Arc::strong_count(shell) > 1
            || Arc::strong_count(&shell.plugins) > 1
            || Arc::strong_count(&shell.snapshots) > 1
    };
    while held() {
        tokio::time::sleep(RELEASE_POLL).await;
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("node", &self.shell.node)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

struct Parts {
    shell: Arc<Shell>,
    log: LogWriter,
    consensus: Consensus,
    tasks: Vec<JoinHandle<()>>,
}

fn assemble(
    config: Config,
    transport: TransportConfig,
    storage: Storage,
    book: AddressBook,
    metrics: Arc<Metrics>,
    log_control: LogControl,
) -> anyhow::Result<Parts> {
    let Storage {
        disk,
        store,
        reader,
        recovered,
        snapshots,
        files,
    } = storage;
    let inbox = Inbox::new();
    let writes = Arc::new(Queue::new());
    let alarm = Alarm::new();
    let settings = Settings::open(config.clone(), Arc::clone(&disk), log_control)?;
    let current = settings.get();
    let (notes, noted) = mpsc::channel(MAX_NOTES);
    let (transfers, transferred) = mpsc::channel(MAX_TRANSFERS);
    let (strangers, met) = mpsc::channel(MAX_STRANGERS);
    let plugins = Arc::new(Plugins::open(engine(&config)?, disk, Arc::clone(&metrics))?);
    let directory = DirectoryHandle::default();
    let machines: Arc<dyn Machines> = Arc::new(NativeMachines::new(
        directory.clone(),
        Arc::new(Sandboxes::new(Arc::clone(&plugins), Arc::clone(&metrics))),
    ));
    #[cfg(feature = "failpoints")]
    let machines: Arc<dyn Machines> = Arc::new(super::failpoints::FailingMachines(machines));
    let log: Arc<dyn LogReader> = Arc::new(reader.clone());
    let shell = Arc::new(Shell {
        node: NodeId(config.node),
        inbox: inbox.clone(),
        waiters: Arc::new(Waiters::default()),
        views: Arc::new(Views::default()),
        system: Pool::start("system", 1, STACK_BYTES, &alarm)?,
        fsms: Pool::start("fsm", FSM_THREADS, STACK_BYTES, &alarm)?,
        readers: Pool::start("reader", READER_THREADS, STACK_BYTES, &alarm)?,
        plugins,
        snapshots: Arc::clone(&snapshots),
        files,
        directory,
        metrics: Arc::clone(&metrics),
        events: Events::new(config.node, Arc::clone(&metrics)),
        started: Instant::now(),
        transport: OnceLock::new(),
        leaders: Mutex::default(),
        changed: watch::Sender::new(0),
        alarm: alarm.clone(),
        stopping: watch::Sender::new(false),
        draining: watch::Sender::new(false),
        freshness: Freshness::start(),
        offers: Mutex::default(),
        recovered: recover::marker(&config.data_dir).map(Into::into),
        settings,
        config,
    });
    connect(&shell, transport)?;

    let reports = Reports {
        waiters: Arc::clone(&shell.waiters),
        inbox: inbox.clone(),
        views: Arc::clone(&shell.views),
        alarm: alarm.clone(),
        shell: Arc::downgrade(&shell),
        notes,
    };
    let context = WorkerContext {
        log: Arc::clone(&log),
        snapshots,
        machines,
        options: shell.settings.worker_options(),
    };
    let clock = Clock::start();
    let mut seed = [0; 8];
    fill_random(&mut seed)?;
    let config = node_config(&current);
    let node = Node::new(
        config.clone(),
        &recovered,
        log,
        Box::new(SystemEntropy::open()?),
        clock.now(),
        u64::from_le_bytes(seed),
    );
    let trace = shell.config.trace_events.as_ref();
    let trace = trace.map(|path| {
        let trace = EventTrace::open(path, &config, &recovered);
        trace.with_context(|| format!("cannot write events to {}", path.display()))
    });
    let trace = trace.transpose()?;
    let mut dispatch = Dispatch {
        shell: Arc::clone(&shell),
        writes: Arc::clone(&writes),
        log: reader,
        context,
        reports,
        transfers,
        strangers,
    };
    for (group, recovered) in &recovered.groups {
        if recovered.kind(shell.node) == ReplicaKind::Full {
            dispatch.start_worker(*group, &recovered.floor);
        }
    }
    let mark = recovered
        .groups
        .get(&GroupId::SYSTEM)
        .map_or(0, |system| system.applied);
    if !recovered.groups.contains_key(&GroupId::SYSTEM) && !shell.config.joined {
        inbox.push(host_system_group(&shell));
    }
    #[cfg(feature = "failpoints")]
    let store = super::failpoints::FailingLog(store);
    let log = LogWriter::start(
        store,
        writes,
        inbox.clone(),
        Arc::clone(&metrics),
        alarm.clone(),
    )?;
    let dispatch = move |out: &mut Outbox| dispatch.run(out);
    let consensus = Consensus::start(node, clock, inbox, metrics, alarm, trace, dispatch)?;
    let tasks = vec![
        tokio::spawn(dispatch::run_transfers(Arc::clone(&shell), transferred)),
        tokio::spawn(notes::run(Arc::clone(&shell), noted)),
        tokio::spawn(membership::welcome(Arc::clone(&shell), met)),
        tokio::spawn(reconcile::run(Arc::clone(&shell), mark as Index, book)),
    ];
    Ok(Parts {
        shell,
        log,
        consensus,
        tasks,
    })
}

/// One engine per process: the engines of several nodes must not meet in one store.
fn engine(config: &Config) -> anyhow::Result<Arc<Engine>> {
    static ENGINE: Mutex<Option<Arc<Engine>>> = Mutex::new(None);
    let mut engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = engine.as_ref() {
        return Ok(Arc::clone(engine));
    }
    let options = EngineOptions {
        cache: Some(config.data_dir.join(COMPILED)),
        node_secret: storage::node_secret(&config.data_dir)?,
        ..EngineOptions::default()
    };
    let new = Arc::new(Engine::new(options).context("cannot start the WebAssembly engine")?);
    *engine = Some(Arc::clone(&new));
    Ok(new)
}

/// What the transport needs, checked: certificate, authority and settings speak of one node.
fn transport_config(config: &Config) -> anyhow::Result<TransportConfig> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let tls = &config.tls;
    let identity = Credentials::from_pem(&read(&tls.cert)?, &read(&tls.key)?)
        .with_context(|| format!("{} and its key", tls.cert.display()))?;
    let peers = config.peers.iter().filter(|peer| peer.id != config.node);
    let transport = TransportConfig {
        node: NodeId(config.node),
        cluster: config.cluster.clone(),
        identity,
        trust: read(&tls.ca)?,
        listen: config.listen.quic,
        peers: peers.map(|peer| (NodeId(peer.id), peer.quic)).collect(),
        versions: coracle_transport::Versions::SUPPORTED,
        epochs: vec![coracle_runtime::EPOCH],
        limits: coracle_transport::Limits::detecting(
            config.raft.election_timeout() * DETECTION_TIMEOUTS,
        ),
    };
    transport
        .check()
        .with_context(|| format!("{} with {}", tls.cert.display(), tls.ca.display()))?;
    Ok(transport)
}

fn connect(shell: &Arc<Shell>, config: TransportConfig) -> anyhow::Result<()> {
    let transport = Transport::start(config, Arc::new(PeerHandler::new(shell)))?;
    transport.set_bulk_rate(shell.settings.get().snapshot.rate_bytes);
    shell
        .transport
        .set(transport)
        .map_err(|_| anyhow!("the transport was started twice"))
}

fn node_config(config: &Config) -> NodeConfig {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    NodeConfig {
        election_timeout: config.raft.election_timeout(),
        heartbeat_interval: config.raft.heartbeat_interval(),
        max_command_bytes: size(config.limits.command_bytes),
        max_queued_commands: size(config.limits.queued_commands),
        max_queued_bytes: size(config.limits.queued_bytes),
        max_inflight_appends: size(config.raft.max_inflight_appends),
        max_inflight_bytes: size(config.raft.max_inflight_bytes),
        max_uncommitted_bytes: size(config.raft.max_uncommitted_bytes),
        clock_drift: Duration::from_millis(config.raft.clock_drift_ms),
        quiesce_after: config.raft.quiesce_after,
        retained_entries: config.snapshot.retained_entries,
        retained_bytes: config.snapshot.retained_bytes,
        ..NodeConfig::new(NodeId(config.node))
    }
}

fn host_system_group(shell: &Shell) -> Event {
    Event::Host {
        group: GroupId::SYSTEM,
        born: 0,
        configuration: Configuration::initial(shell.founders()),
        create: None,
    }
}

/// Random bytes of the operating system.
#[derive(Debug)]
struct SystemEntropy(std::fs::File);

impl SystemEntropy {
    fn open() -> anyhow::Result<Self> {
        std::fs::File::open("/dev/urandom")
            .map(Self)
            .context("cannot open /dev/urandom")
    }
}

impl Entropy for SystemEntropy {
    fn bytes(&mut self) -> [u8; 32] {
        use std::io::Read as _;
        let mut bytes = [0; 32];
        self.0
            .read_exact(&mut bytes)
            .expect("invariant: an open /dev/urandom always gives bytes");
        bytes
    }
}
