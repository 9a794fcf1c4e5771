//! A cluster of real processes, each with a loopback address of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use coracle_client::{Client, Endpoint};

use crate::failure::Failure;
use crate::program;

/// The ports of every node, each on its own address.
pub(crate) const QUIC_PORT: u16 = 7400;
pub(crate) const HTTP_PORT: u16 = 7401;

/// What `coracle init` lays out on.
const LAID_OUT_PORT: u16 = 7400;

/// A request of the harness itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A command line that is waited for; it is asked again as long as the scenario has time.
const COMMAND_TIMEOUT: &str = "30s";

/// What every node is told besides the settings of the scenario: small, quick, frank.
const SETTINGS: &str = "
[raft]
election_timeout_ms = 500
heartbeat_ms = 50
";

/// What stands around the node's program: other programs before it, and variables.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Words before `coracle start`.
    pub before: Vec<String>,
    /// Environment.
    pub variables: Vec<(String, String)>,
}

/// The processes; they end with it.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    folder: PathBuf,
    logs: PathBuf,
    /// Where each node writes what its core did, if it is wanted.
    pub(crate) traces: Option<PathBuf>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    config: PathBuf,
    process: Option<Child>,
    /// How its last life has ended by itself.
    ended: Option<ExitStatus>,
    paused: bool,
}

/// The address of a node.
pub fn address(id: u64) -> String {
    format!("127.0.0.{}", id + 1)
}

impl Cluster {
    /// Lays out `count` nodes below `folder`; none is started.
    ///
    /// # Errors
    /// If `coracle init` fails.
    pub fn lay_out(
        binary: &Path,
        folder: &Path,
        logs: &Path,
        count: u64,
        settings: &str,
    ) -> Result<Self, Failure> {
        let mut init = Command::new(binary);
        init.args(["init", "--cluster", "chaos", "--nodes", &count.to_string()]);
        init.args(["--base-port", &LAID_OUT_PORT.to_string(), "--dir"]);
        program::output(init.arg(folder))?;
        let mut nodes = Vec::new();
        for id in 1..=count {
            let config = folder.join(format!("n{id}/coracle.toml"));
            give_addresses(&config, count, settings)
                .map_err(|error| Failure::harness("write a configuration", error))?;
            nodes.push(Node {
                config,
                process: None,
                ended: None,
                paused: false,
            });
        }
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            traces: None,
            nodes,
        })
    }

    /// All nodes there ever were.
    pub fn ids(&self) -> Vec<u64> {
        (1..=self.nodes.len() as u64).collect()
    }

    /// Those whose process is there.
    pub fn running(&self) -> Vec<u64> {
        let mut ids = self.ids();
        ids.retain(|id| self.is_running(*id));
        ids
    }

    /// Whether it has a process, as far as we know.
    pub fn is_running(&self, id: u64) -> bool {
        self.node(id).is_some_and(|node| node.process.is_some())
    }

    /// Where a node keeps its data.
    pub fn data(&self, id: u64) -> PathBuf {
        self.folder.join(format!("n{id}/data"))
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts a node that is not running.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(&mut self, id: u64) -> Result<(), Failure> {
        self.start_in(id, &Around::default())
    }

    /// Starts a node with something around it.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start_in(&mut self, id: u64, around: &Around) -> Result<(), Failure> {
        let config = self.known(id)?.config.clone();
        let arguments = ["start".into(), "--config".into(), config.into_os_string()];
        let process = self.spawn(id, around, &arguments)?;
        let node = self.known(id)?;
        node.process = Some(process);
        node.ended = None;
        node.paused = false;
        Ok(())
    }

    /// Starts a new node with a ticket; it has the next id, as long as nobody else joins.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn join(&mut self, ticket: &str) -> Result<u64, Failure> {
        let id = self.nodes.len() as u64 + 1;
        let folder = self.folder.join(format!("n{id}"));
        let at = address(id);
        let arguments = [
            "start".into(),
            "--join".into(),
            ticket.into(),
            "--quic".into(),
            format!("{at}:{QUIC_PORT}").into(),
            "--http".into(),
            format!("{at}:{HTTP_PORT}").into(),
            "--data-dir".into(),
            folder.clone().into_os_string(),
        ];
        let process = self.spawn(id, &Around::default(), &arguments)?;
        self.nodes.push(Node {
            config: folder.join("coracle.toml"),
            process: Some(process),
            ended: None,
            paused: false,
        });
        Ok(id)
    }

    fn spawn(
        &self,
        id: u64,
        around: &Around,
        arguments: &[std::ffi::OsString],
    ) -> Result<Child, Failure> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.logs.join(format!("n{id}.log")))
            .map_err(|error| Failure::harness("open a node's log", error))?;
        let mut command = match around.before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        if let Some(traces) = &self.traces {
            command.env("CORACLE_TRACE_EVENTS", traces.join(format!("n{id}.ndjson")));
        }
        let variables = around.variables.iter().map(|(name, value)| (name, value));
        command
            .args(arguments)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::harness(format!("start n{id}"), error))
    }

    /// Ends a node as a crash does; answers how it ended, which may have been by itself just before.
    /// None if that was known already.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self, id: u64) -> Result<Option<ExitStatus>, Failure> {
        let node = self.known(id)?;
        node.paused = false;
        let Some(mut process) = node.process.take() else {
            return Ok(None);
        };
        let killed = process.kill().and_then(|()| process.wait());
        let status = killed.map_err(|error| Failure::harness(format!("kill n{id}"), error))?;
        Ok(Some(status))
    }

    /// Sends a signal by name.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, id: u64, name: &str) -> Result<(), Failure> {
        let process = self.process(id)?;
        program::line(&format!("kill -{name} {process}")).map(drop)
    }

    /// Lets a node's time stand still, or go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self, id: u64, paused: bool) -> Result<(), Failure> {
        self.signal(id, if paused { "STOP" } else { "CONT" })?;
        self.known(id)?.paused = paused;
        Ok(())
    }

    /// The nodes that stand still.
    pub fn paused(&self) -> Vec<u64> {
        let mut ids = self.ids();
        ids.retain(|id| self.node(*id).is_some_and(|node| node.paused));
        ids
    }

    /// The process id of a running node.
    ///
    /// # Errors
    /// If it does not run.
    pub fn process(&self, id: u64) -> Result<u32, Failure> {
        let process = self.node(id).and_then(|node| node.process.as_ref());
        let process =
            process.ok_or_else(|| Failure::harness("signal", format!("n{id} is down")))?;
        Ok(process.id())
    }

    /// How a node has ended, if it has; then it counts as not running.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self, id: u64) -> Result<Option<ExitStatus>, Failure> {
        let node = self.known(id)?;
        let Some(process) = node.process.as_mut() else {
            return Ok(None);
        };
        let ended = process.try_wait();
        let ended = ended.map_err(|error| Failure::harness(format!("wait for n{id}"), error))?;
        if ended.is_some() {
            node.process = None;
            node.ended = ended;
            node.paused = false;
        }
        Ok(ended)
    }

    /// How a node that does not run has ended by itself, if it has.
    pub fn last_end(&self, id: u64) -> Option<ExitStatus> {
        self.node(id)?.ended
    }

    /// A client of some nodes, tried in this order.
    ///
    /// # Errors
    /// If there is none.
    pub fn client(&self, ids: &[u64], timeout: Duration) -> Result<Client, Failure> {
        client_of(ids, timeout, true)
    }

    /// Runs the command line on the running nodes; answers stdout.
    ///
    /// # Errors
    /// If it fails.
    pub fn coracle(&self, arguments: &[&str]) -> Result<String, Failure> {
        let endpoints: Vec<String> = self.running().into_iter().map(endpoint).collect();
        let mut command = Command::new(&self.binary);
        command.args(["--timeout", COMMAND_TIMEOUT]).args(arguments);
        program::output(command.env("CORACLE_ENDPOINTS", endpoints.join(",")))
    }

    /// Starts the command line; its output goes to a log.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn beside(&self, arguments: &[&str]) -> Result<Child, Failure> {
        let endpoints: Vec<String> = self.running().into_iter().map(endpoint).collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.logs.join("coracle.log"))
            .map_err(|error| Failure::harness("open a log", error))?;
        Command::new(&self.binary)
            .args(arguments)
            .env("CORACLE_ENDPOINTS", endpoints.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| Failure::harness("run coracle", error))
    }

    /// What a node wrote to stderr, over all its lives.
    pub fn log(&self, id: u64) -> String {
        std::fs::read_to_string(self.logs.join(format!("n{id}.log"))).unwrap_or_default()
    }

    fn node(&self, id: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    fn known(&mut self, id: u64) -> Result<&mut Node, Failure> {
        let at = id.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let node = at.and_then(|at| self.nodes.get_mut(at));
        node.ok_or_else(|| Failure::harness("find a node", format!("there is no n{id}")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for id in self.ids() {
            // What cannot be killed ends with the process ids.
            let _ended = self.kill(id);
        }
    }
}

/// Where clients reach a node.
fn endpoint(id: u64) -> String {
    format!("http://{}:{HTTP_PORT}", address(id))
}

/// A client of nodes that need not be there.
///
/// # Errors
/// If there is none.
pub(crate) fn client_of(ids: &[u64], timeout: Duration, retries: bool) -> Result<Client, Failure> {
    let endpoints: Result<Vec<Endpoint>, _> = ids.iter().map(|id| endpoint(*id).parse()).collect();
    let endpoints = endpoints.map_err(|error| Failure::harness("make a client", error))?;
    Client::builder(endpoints)
        .timeout(timeout)
        .admin_timeout(PATIENCE.max(timeout))
        .retries(retries)
        .build()
        .map_err(|error| Failure::harness("make a client", error))
}

/// Moves every node from its ports to its address, and adds settings.
fn give_addresses(config: &Path, count: u64, settings: &str) -> std::io::Result<()> {
    let mut text = std::fs::read_to_string(config)?;
    // From the last on, so that no port is the beginning of a later one.
    for id in (1..=count).rev() {
        let laid_out = u64::from(LAID_OUT_PORT) + 2 * (id - 1);
        for (port, own) in [(laid_out, QUIC_PORT), (laid_out + 1, HTTP_PORT)] {
            let (old, new) = (
                format!("\"127.0.0.1:{port}\""),
                format!("\"{}:{own}\"", address(id)),
            );
            text = text.replace(&old, &new);
        }
    }
    text.push_str(SETTINGS);
    text.push_str(settings);
    std::fs::write(config, text)
}
