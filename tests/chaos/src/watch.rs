//! Asks every node again and again how it sees itself, and keeps what must agree between them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coracle_client::Client;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cluster::client_of;
use crate::failure::Failure;
use crate::manifest::Lines;

/// Between two questions to a node.
const PAUSE: Duration = Duration::from_millis(400);

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a node said of one fsm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The head of the outcome chain at an index.
    Head {
        /// Who said so.
        node: u64,
        /// The fsm's group.
        group: u64,
        /// The index.
        index: u64,
        /// The head.
        head: String,
    },
    /// The node leads.
    Leads {
        /// Who said so, of itself.
        node: u64,
        /// The fsm's group.
        group: u64,
        /// In this term.
        term: u64,
    },
}

impl Seen {
    /// The group it is about.
    pub(crate) fn group(&self) -> u64 {
        match self {
            Self::Head { group, .. } | Self::Leads { group, .. } => *group,
        }
    }
}

/// The questioners.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    tasks: Vec<(String, JoinHandle<std::io::Result<Lines>>)>,
}

impl Watch {
    /// Asks the nodes 1 to `last`; writes a file for each into `folder`.
    ///
    /// # Errors
    /// If a file cannot be made.
    pub fn start(runtime: &Handle, folder: &Path, last: u64) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for node in 1..=last {
            let name = format!("n{node}.ndjson");
            let file = File::create(folder.join(&name));
            let file = file.map_err(|error| Failure::harness("make a file of chains", error))?;
            let client = client_of(&[node], PATIENCE, false)?;
            let ask = ask(client, BufWriter::new(file), Arc::clone(&stop));
            tasks.push((name, runtime.spawn(ask)));
        }
        Ok(Self { stop, tasks })
    }

    /// Ends it; the files are whole then. Answers what was written into each.
    ///
    /// # Errors
    /// If a file could not be written.
    pub fn stop(self, runtime: &Handle) -> Result<BTreeMap<String, Lines>, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrote = BTreeMap::new();
        for (name, task) in self.tasks {
            let ended = runtime.block_on(task);
            let ended = ended.map_err(|error| Failure::harness("end the watch", error))?;
            let lines = ended.map_err(|error| Failure::harness("write the chains", error))?;
            wrote.insert(name, lines);
        }
        Ok(wrote)
    }
}

async fn ask(
    client: Client,
    mut file: BufWriter<File>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Lines> {
    let mut lines = Lines::new();
    // What was written last, so that a quiet cluster fills no disk.
    let mut last: Vec<Seen> = Vec::new();
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        let seen = look(&client).await;
        for line in seen.iter().filter(|line| !last.contains(line)) {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
            *lines.entry(line.group()).or_default() += 1;
        }
        if !seen.is_empty() {
            last = seen;
        }
        if stopping {
            file.flush()?;
            return Ok(lines);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(client: &Client) -> Vec<Seen> {
    let Ok(status) = client.status().await else {
        return Vec::new();
    };
    let node = status.node;
    let mut seen = Vec::new();
    for fsm in status.fsms {
        let group = fsm.group;
        if fsm.leader == Some(node) {
            seen.push(Seen::Leads {
                node,
                group,
                term: fsm.term,
            });
        }
        if fsm.applied_index > 0 {
            seen.push(Seen::Head {
                node,
                group,
                index: fsm.applied_index,
                head: fsm.chain,
            });
        }
        seen.extend(fsm.chains.into_iter().map(|at| Seen::Head {
            node,
            group,
            index: at.index,
            head: at.head,
        }));
    }
    seen
}
