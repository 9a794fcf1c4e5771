//! One run while it lasts: what scenarios have in their hands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_client::{FsmState, FsmStatus, Status};
use tokio::runtime::Runtime;

use crate::cluster::{Around, Cluster, client_of};
use crate::ends::{self, End};
use crate::failure::Failure;
use crate::load::{FSM, Load};
use crate::manifest::Manifest;
use crate::network::Network;
use crate::relay::Relay;
use crate::rng::Rng;
use crate::timeline::Timeline;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Time for a node's answer about itself.
const STATUS: Duration = Duration::from_secs(1);

/// A run.
#[derive(Debug)]
pub struct Run {
    /// The processes.
    pub cluster: Cluster,
    /// The packets between them.
    pub network: Network,
    /// The relay that they go over, if this scenario wants one.
    pub relay: Option<Relay>,
    /// The scenario's own numbers.
    pub rng: Rng,
    /// What has happened.
    pub timeline: Timeline,
    /// The clients.
    pub load: Option<Load>,
    /// Commands that nobody waits for.
    pub(crate) errands: Vec<Child>,
    /// What has to be unmounted in the end.
    pub(crate) mounts: Vec<PathBuf>,
    /// What the clients did, once they are done.
    pub(crate) totals: BTreeMap<&'static str, u64>,
    /// What has been written down.
    pub(crate) manifest: Manifest,
    /// Where files of this run may lie.
    pub folder: PathBuf,
    /// Where the components are.
    pub plugins: PathBuf,
    /// Whether the long form is wanted.
    pub all: bool,
    /// Of places in the code, only these; all if there are none.
    pub only: Vec<String>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) deadline: Instant,
    pub(crate) bound: Duration,
    /// Nodes that may end by themselves, and how.
    pub(crate) may_end: BTreeMap<u64, End>,
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Run {
    /// `few` in the short form of a scenario, `many` in the long one.
    pub fn times(&self, few: u64, many: u64) -> u64 {
        if self.all { many } else { few }
    }

    /// Waits until `look` gives something, within the time of the scenario.
    ///
    /// # Errors
    /// If time runs out, or a node ends that must not.
    pub fn eventually<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<T, Failure> {
        loop {
            let last = match look(self) {
                Ok(found) => return Ok(found),
                Err(last) => last,
            };
            self.check()?;
            if Instant::now() >= self.deadline {
                return Err(Failure::TooLong {
                    what: what.to_owned(),
                    seconds: self.bound.as_secs(),
                    last,
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Looks after the processes.
    ///
    /// # Errors
    /// If one has ended that must not, or otherwise than it may.
    pub fn check(&mut self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        for id in self.cluster.running() {
            let Some(status) = self.cluster.ended(id)? else {
                continue;
            };
            self.judge_end(id, status)?;
        }
        Ok(())
    }

    fn judge_end(&self, id: u64, status: ExitStatus) -> Result<(), Failure> {
        self.timeline.note("ended", &format!("n{id}: {status}"));
        let log = self.cluster.log(id);
        let last = log.lines().last().unwrap_or_default();
        ends::judge(id, status, self.may_end.get(&id).copied(), last)
    }

    /// Lets everything go on for a while. Faults need time; nothing is asserted about it.
    ///
    /// # Errors
    /// If a node ends that must not.
    pub fn stay(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check()?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// What a node says of the load's fsm.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn status(&self, id: u64) -> Result<FsmStatus, String> {
        self.status_of(id, FSM)
    }

    /// What a node says of an fsm.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn status_of(&self, id: u64, name: &str) -> Result<FsmStatus, String> {
        let mut fsms = self.node_status(id)?.fsms.into_iter();
        fsms.find(|fsm| fsm.name == name)
            .ok_or_else(|| format!("n{id} has no fsm {name}"))
    }

    /// What a node says of itself.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn node_status(&self, id: u64) -> Result<Status, String> {
        let client = client_of(&[id], STATUS, false).map_err(|error| error.to_string())?;
        let status = self.runtime.block_on(client.status());
        status.map_err(|error| error.to_string())
    }

    /// Waits until a node that runs leads the load's fsm; answers it.
    ///
    /// # Errors
    /// If time runs out.
    pub fn leader(&mut self) -> Result<u64, Failure> {
        self.leader_among(None)
    }

    /// Waits until one of these nodes leads.
    ///
    /// # Errors
    /// If time runs out.
    pub fn leader_among(&mut self, among: Option<&[u64]>) -> Result<u64, Failure> {
        self.eventually("a leader", |run| match run.leader_now() {
            Some(leader) if among.is_none_or(|among| among.contains(&leader)) => Ok(leader),
            Some(leader) => Err(format!("n{leader} leads")),
            None => Err("nobody leads".to_owned()),
        })
    }

    /// Running nodes that do not stand still.
    pub fn awake(&self) -> Vec<u64> {
        let paused = self.cluster.paused();
        let mut ids = self.cluster.running();
        ids.retain(|id| !paused.contains(id));
        ids
    }

    /// A running node that is not this one.
    ///
    /// # Errors
    /// If there is none.
    pub fn other_than(&mut self, one: u64) -> Result<u64, Failure> {
        let mut ids = self.cluster.running();
        ids.retain(|id| *id != one);
        let picked = self.rng.pick(&ids).copied();
        picked.ok_or_else(|| Failure::harness("pick a node", "there is no other"))
    }

    /// Waits until the clients have had so many more writes acknowledged.
    ///
    /// # Errors
    /// If time runs out.
    pub fn writes(&mut self, more: u64) -> Result<(), Failure> {
        let done = |run: &Self| run.load.as_ref().map_or(0, Load::done);
        let goal = done(self) + more;
        self.eventually("writes to be acknowledged", |run| match done(run) {
            count if count >= goal => Ok(()),
            count => Err(format!("{} of {more} were", more - (goal - count))),
        })
    }

    /// Waits until a node runs the fsm and has applied what the others have now.
    ///
    /// # Errors
    /// If time runs out.
    pub fn caught_up(&mut self, id: u64) -> Result<(), Failure> {
        let others = self.awake();
        let statuses = others.iter().filter_map(|other| self.status(*other).ok());
        let goal = statuses
            .map(|status| status.applied_index)
            .max()
            .unwrap_or(0);
        self.eventually(&format!("n{id} to catch up"), |run| {
            let status = run.status(id)?;
            match status.state {
                FsmState::Running if status.applied_index >= goal => Ok(()),
                state => Err(format!(
                    "it is {state} at index {}, the goal is {goal}",
                    status.applied_index
                )),
            }
        })
    }

    /// Kills a node.
    ///
    /// # Errors
    /// If it cannot be killed, or has just ended by itself and must not.
    pub fn kill(&mut self, id: u64) -> Result<(), Failure> {
        match self.cluster.kill(id)? {
            Some(status) if ends::is_kill(status) => {
                self.timeline.note("kill", &format!("n{id}"));
                Ok(())
            }
            Some(status) => self.judge_end(id, status),
            None => Ok(()),
        }
    }

    /// Starts a node.
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
        self.timeline.note("start", &format!("n{id}"));
        self.cluster.start_in(id, around)
    }

    /// The component of this name.
    pub fn plugin(&self, name: &str) -> PathBuf {
        plugin(&self.plugins, name)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for errand in &mut self.errands {
            // It may have ended long ago.
            let _ended = errand.kill().and_then(|()| errand.wait());
        }
    }
}

/// The component `name` in a folder of them.
pub(crate) fn plugin(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}
