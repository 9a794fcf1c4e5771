//! A cluster of real processes on loopback, in a temporary folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use coracle_client::{Client, Endpoint, FsmStatus, Status};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::ports::{MAX_PORTS, Ports};
use crate::wait::eventually;

/// A running (or partly running) cluster; its processes end with it.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    runtime: Runtime,
    folder: TempDir,
    ports: Ports,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: PathBuf,
    pub(crate) http: String,
    pub(crate) process: Option<Child>,
}

/// The component `name`, as `cargo xtask plugins` leaves it.
///
/// # Panics
/// If it is not there.
pub fn plugin(name: &str) -> PathBuf {
    let folder = std::env::var_os("CORACLE_PLUGINS")
        .map_or_else(|| target_folder().join("plugins"), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask plugins` first",
        path.display()
    );
    path
}

/// Cargo's target folder: this test runs in `<target>/<profile>/deps`.
fn target_folder() -> PathBuf {
    profile_folder()
        .parent()
        .expect("a profile's folder is in the target folder")
        .to_path_buf()
}

fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("a test is in a folder");
    deps.parent()
        .expect("`deps` is in the profile's folder")
        .to_path_buf()
}

/// The `coracle` binary, built beside this test.
///
/// # Panics
/// If it is not there.
pub fn binary() -> PathBuf {
    let path = profile_folder().join("coracle");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p coracle`",
        path.display()
    );
    path
}

impl Cluster {
    /// Starts `count` nodes and waits until they have a leader.
    pub fn start(count: u64) -> Self {
        Self::start_with(count, "")
    }

    /// Like `start`, with lines added to every node's configuration file.
    pub fn start_with(count: u64, settings: &str) -> Self {
        let mut cluster = Self::init(count);
        for node in &cluster.nodes {
            append(&node.config, settings);
        }
        for id in 1..=count {
            cluster.start_node(id);
        }
        cluster.wait_for_leader();
        cluster
    }

    /// Certificates and configuration of `count` nodes; none is started.
    pub fn init(count: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Room for nodes that join later.
        let ports = Ports::take(MAX_PORTS);
        let output = Command::new(binary())
            .args(["init", "-o", "json", "--nodes", &count.to_string()])
            .args(["--base-port", &ports.base.to_string(), "--dir"])
            .arg(folder.path().join("cluster"))
            .output()
            .expect("coracle init runs");
        assert!(
            output.status.success(),
            "coracle init: {}",
            text(&output.stderr)
        );
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("coracle init -o json prints json");
        let nodes = json["nodes"]
            .as_array()
            .expect("a list of nodes")
            .iter()
            .map(|node| Node {
                config: PathBuf::from(node["config"].as_str().expect("a path")),
                http: node["http"].as_str().expect("an address").to_owned(),
                process: None,
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            nodes,
            runtime,
            folder,
            ports,
        }
    }

    /// The folder of the whole cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a node keeps its data.
    pub fn data(&self, id: u64) -> PathBuf {
        self.node(id)
            .config
            .parent()
            .expect("a config is in a folder")
            .join("data")
    }

    /// The configuration file of a node.
    pub fn config(&self, id: u64) -> &Path {
        &self.node(id).config
    }

    /// The ids of all nodes.
    pub fn ids(&self) -> Vec<u64> {
        (1..=self.nodes.len() as u64).collect()
    }

    /// Starts a node that is not running.
    pub fn start_node(&mut self, id: u64) {
        let log = self.log_path(id);
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let node = self.node_mut(id);
        assert!(node.process.is_none(), "node {id} runs already");
        let process = Command::new(binary())
            .args(["start", "--config"])
            .arg(&node.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("coracle start runs");
        node.process = Some(process);
    }

    /// Ends a node as a crash does: SIGKILL.
    pub fn kill(&mut self, id: u64) {
        if let Some(mut process) = self.node_mut(id).process.take() {
            process.kill().expect("a child can be killed");
            process.wait().expect("a killed child ends");
        }
    }

    /// Asks a node to end: SIGTERM. Answers how it ended.
    pub fn stop(&mut self, id: u64) -> ExitStatus {
        let mut process = self.node_mut(id).process.take().expect("the node runs");
        signal("TERM", process.id());
        process.wait().expect("a child ends")
    }

    /// Stops a node's clock: SIGSTOP.
    pub fn pause(&self, id: u64) {
        signal(
            "STOP",
            self.node(id).process.as_ref().expect("the node runs").id(),
        );
    }

    /// Lets a paused node go on: SIGCONT.
    pub fn resume(&self, id: u64) {
        signal(
            "CONT",
            self.node(id).process.as_ref().expect("the node runs").id(),
        );
    }

    /// Waits until a node that should end by itself has ended.
    pub fn wait_for_exit(&mut self, id: u64) -> ExitStatus {
        let mut process = self.node_mut(id).process.take().expect("the node runs");
        eventually("the node to end", || match process.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Whether a node's process is there.
    pub fn is_running(&self, id: u64) -> bool {
        self.node(id).process.is_some()
    }

    /// What a node wrote to stderr, over all its lives.
    pub fn log(&self, id: u64) -> String {
        std::fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    /// The HTTP address of a node.
    pub fn http(&self, id: u64) -> &str {
        &self.node(id).http
    }

    /// A client of all nodes.
    pub fn client(&self) -> Client {
        self.client_of(&self.ids())
    }

    /// A client of some nodes, tried in this order.
    pub fn client_of(&self, ids: &[u64]) -> Client {
        let endpoints = ids
            .iter()
            .map(|id| {
                self.node(*id)
                    .http
                    .parse::<Endpoint>()
                    .expect("init prints addresses")
            })
            .collect();
        Client::builder(endpoints)
            .timeout(Duration::from_secs(10))
            .admin_timeout(Duration::from_secs(60))
            .build()
            .expect("a client")
    }

    /// A client of all nodes that there are or may be, up to `last`.
    pub fn client_up_to(&self, last: u64) -> Client {
        let endpoints = (1..=last).map(|id| {
            let (_, http) = self.addresses(id);
            let endpoint = format!("http://{http}").parse::<Endpoint>();
            endpoint.expect("an address is an endpoint")
        });
        Client::builder(endpoints.collect())
            .timeout(Duration::from_secs(10))
            .admin_timeout(Duration::from_secs(60))
            .build()
            .expect("a client")
    }

    /// Where node `id` is, or will be: QUIC and HTTP.
    pub fn addresses(&self, id: u64) -> (String, String) {
        let port = self.ports.base + u16::try_from(2 * (id - 1)).expect("few nodes");
        (
            format!("127.0.0.1:{port}"),
            format!("127.0.0.1:{}", port + 1),
        )
    }

    /// Notes a node that a test has started itself; it must have the next id.
    pub(crate) fn add(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The runtime, to run a load beside the test.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Runs the command line with this cluster's endpoints.
    pub fn coracle(&self, arguments: &[&str]) -> Output {
        let endpoints: Vec<&str> = self.nodes.iter().map(|node| node.http.as_str()).collect();
        Command::new(binary())
            .args(arguments)
            .env("CORACLE_ENDPOINTS", endpoints.join(","))
            .stdin(Stdio::null())
            .output()
            .expect("coracle runs")
    }

    /// Like `coracle`, and it must succeed; answers stdout.
    pub fn coracle_ok(&self, arguments: &[&str]) -> String {
        let output = self.coracle(arguments);
        assert!(
            output.status.success(),
            "coracle {arguments:?} ended with {}: {}",
            output.status,
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Creates an fsm from a plugin of this repository.
    pub fn create_fsm(&self, name: &str, plugin_name: &str, config: &[&str]) {
        let path = plugin(plugin_name);
        let path = path.to_str().expect("a plain path");
        let mut arguments = vec!["fsm", "create", name, "--plugin", path];
        for setting in config {
            arguments.extend(["--config", setting]);
        }
        self.coracle_ok(&arguments);
    }

    /// What a node says of itself.
    pub fn status(&self, id: u64) -> Result<Status, String> {
        self.run(self.client_of(&[id]).status())
            .map_err(|error| error.to_string())
    }

    /// What a node says of one fsm.
    pub fn fsm_status(&self, id: u64, fsm: &str) -> Result<FsmStatus, String> {
        let status = self.status(id)?;
        status
            .fsms
            .into_iter()
            .find(|status| status.name == fsm)
            .ok_or_else(|| format!("node {id} has no fsm {fsm}"))
    }

    /// Waits until a running node knows the leader of group 0; answers it.
    pub fn wait_for_leader(&self) -> u64 {
        let running: Vec<u64> = self
            .ids()
            .into_iter()
            .filter(|id| self.is_running(*id))
            .collect();
        eventually("a leader of group 0", || {
            running
                .iter()
                .find_map(|id| {
                    let leader = self.status(*id).ok()?.leader?;
                    self.is_running(leader).then_some(leader)
                })
                .ok_or_else(|| "nobody knows one".to_owned())
        })
    }

    /// Waits until a running node leads the group of an fsm; answers it.
    pub fn wait_for_fsm_leader(&self, fsm: &str) -> u64 {
        let running: Vec<u64> = self
            .ids()
            .into_iter()
            .filter(|id| self.is_running(*id))
            .collect();
        eventually("a leader of the fsm", || {
            running
                .iter()
                .find(|id| {
                    self.fsm_status(**id, fsm)
                        .is_ok_and(|fsm| fsm.leader == Some(**id))
                })
                .copied()
                .ok_or_else(|| "no running node leads it".to_owned())
        })
    }

    /// Waits until all running nodes have applied the same index of an fsm, and answers its
    /// chain's head after checking that it is the same everywhere.
    pub fn converged_chain(&self, fsm: &str) -> (u64, String) {
        let running: Vec<u64> = self
            .ids()
            .into_iter()
            .filter(|id| self.is_running(*id))
            .collect();
        let statuses = eventually("all nodes to apply the same index", || {
            let statuses: Vec<FsmStatus> = running
                .iter()
                .map(|id| self.fsm_status(*id, fsm))
                .collect::<Result<_, _>>()?;
            let indexes: Vec<u64> = statuses.iter().map(|status| status.applied_index).collect();
            if indexes.iter().all(|index| *index == indexes[0]) {
                Ok(statuses)
            } else {
                Err(format!("they have applied {indexes:?}"))
            }
        });
        let first = &statuses[0];
        for (id, status) in running.iter().zip(&statuses) {
            assert_eq!(
                status.chain, first.chain,
                "node {id} differs from node {} at index {}",
                running[0], first.applied_index
            );
        }
        (first.applied_index, first.chain.clone())
    }

    pub(crate) fn log_path(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("n{id}.log"))
    }

    fn node(&self, id: u64) -> &Node {
        &self.nodes[usize::try_from(id - 1).expect("small")]
    }

    fn node_mut(&mut self, id: u64) -> &mut Node {
        &mut self.nodes[usize::try_from(id - 1).expect("small")]
    }
}

impl Drop for Cluster {
    #[expect(
        clippy::print_stdout,
        reason = "the test's own output explains its failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for id in self.ids() {
                let log = self.log(id);
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                println!("--- the end of what node {id} logged");
                for line in tail.iter().rev() {
                    println!("{line}");
                }
            }
        }
        for id in self.ids() {
            self.kill(id);
        }
    }
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .expect("kill runs");
    assert!(
        status.success(),
        "kill -{name} {process} ended with {status}"
    );
}

fn append(path: &Path, text: &str) {
    let mut content = std::fs::read_to_string(path).expect("init wrote it");
    content.push_str(text);
    std::fs::write(path, content).expect("it can be changed");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
