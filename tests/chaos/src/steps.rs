//! What scenarios do to a run, each step noted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use coracle_client::{CreateToken, MemberRole};

use crate::cluster::client_of;
use crate::ends::End;
use crate::failure::Failure;
use crate::load::FSM;
use crate::program;
use crate::run::Run;
use crate::scrape::Scrape;

/// Time for a request that goes through the log.
const REQUEST: Duration = Duration::from_secs(10);

/// The state of a thread that a signal has stopped.
const STOPPED: char = 'T';

/// Snapshots that a node gets now.
const RECEIVING: &str = "coracle_raft_snapshot_inflight{dir=\"received\"}";

/// How long a ticket is good for.
const TICKET_SECONDS: u64 = 3600;

impl Run {
    /// Lets a node stand still; it does so when this answers.
    ///
    /// # Errors
    /// If it does not run, or the kernel does not stop it.
    pub fn pause(&mut self, id: u64) -> Result<(), Failure> {
        self.cluster.pause(id, true)?;
        let process = self.cluster.process(id)?;
        let stat = self.processes()?.join(format!("{process}/stat"));
        self.eventually(&format!("n{id} to stand still"), |_| {
            match thread_state(&stat) {
                STOPPED => Ok(()),
                state => Err(format!("its state is {state:?}")),
            }
        })?;
        self.timeline.note("pause", &format!("n{id}"));
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&mut self, id: u64) -> Result<(), Failure> {
        self.timeline.note("resume", &format!("n{id}"));
        self.cluster.pause(id, false)
    }

    /// Cuts what each first of a pair sends to its second.
    ///
    /// # Errors
    /// If there is no `nft`.
    pub fn cut(&mut self, what: &'static str, pairs: &[(u64, u64)]) -> Result<(), Failure> {
        self.timeline.note(what, &format!("{pairs:?}"));
        self.network.cut(pairs)
    }

    /// Cuts, and waits until a packet of each direction has been dropped.
    ///
    /// # Errors
    /// If there is no `nft`, or nothing is dropped.
    pub fn cut_off(&mut self, what: &'static str, pairs: &[(u64, u64)]) -> Result<(), Failure> {
        self.cut(what, pairs)?;
        self.eventually("packets of each direction to be dropped", |run| {
            let dropped = run
                .network
                .dropped()
                .map_err(|failure| failure.to_string())?;
            match dropped.values().all(|packets| *packets > 0) {
                true => Ok(()),
                false => Err(format!("{dropped:?}")),
            }
        })
    }

    /// Mends the network.
    ///
    /// # Errors
    /// If `nft` refuses.
    pub fn heal(&mut self) -> Result<(), Failure> {
        self.timeline.note("heal", "");
        self.network.heal()
    }

    /// Fair weather.
    pub fn settle_weather(&mut self) {
        if let Some(relay) = &self.relay {
            relay.clear();
        }
    }

    /// Waits until a node has ended by itself, in the way that it may.
    ///
    /// # Errors
    /// If time runs out, or it ends otherwise.
    pub fn ended(&mut self, id: u64) -> Result<(), Failure> {
        self.eventually(&format!("n{id} to end"), |run| {
            match run.cluster.last_end(id) {
                Some(_) => Ok(()),
                None => Err("it still runs".to_owned()),
            }
        })
    }

    /// Asks a node to end, as an operator does, and waits until it has.
    ///
    /// # Errors
    /// If time runs out, or it ends otherwise.
    pub fn terminate(&mut self, id: u64) -> Result<(), Failure> {
        self.may_end.insert(id, End::Success);
        self.timeline.note("terminate", &format!("n{id}"));
        self.cluster.signal(id, "TERM")?;
        self.ended(id)?;
        self.may_end.remove(&id);
        Ok(())
    }

    /// What a node has written to stderr after the first so many bytes.
    pub fn said_since(&self, id: u64, bytes: usize) -> String {
        let log = self.cluster.log(id);
        log.get(bytes..).unwrap_or_default().to_owned()
    }

    /// Starts the command line beside the scenario.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn beside(&self, arguments: &[&str]) -> Result<Child, Failure> {
        self.cluster.beside(arguments)
    }

    /// Lets a new node join, as a learner or voter; answers its id when it runs the fsm.
    ///
    /// # Errors
    /// If it does not in time.
    pub fn join(&mut self, role: &str) -> Result<u64, Failure> {
        let role = if role == "learner" {
            MemberRole::Learner
        } else {
            MemberRole::Voter
        };
        let token = CreateToken {
            role,
            ttl_seconds: TICKET_SECONDS,
            uses: 1,
        };
        let made = self.eventually("a ticket", |run| {
            let client = client_of(&run.cluster.running(), REQUEST, true);
            let client = client.map_err(|failure| failure.to_string())?;
            let made = run.runtime.block_on(client.create_token(&token));
            made.map_err(|error| error.to_string())
        })?;
        let id = self.cluster.join(&made.ticket)?;
        self.timeline.note("join", &format!("n{id} as {role:?}"));
        self.caught_up(id)?;
        Ok(id)
    }

    /// The nodes that vote, as the cluster knows them.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn voters(&self) -> Result<Vec<u64>, String> {
        let client = client_of(&self.awake(), REQUEST, true);
        let client = client.map_err(|failure| failure.to_string())?;
        let list = self.runtime.block_on(client.members());
        let members = list.map_err(|error| error.to_string())?.members;
        let votes = members.iter().filter(|one| one.role == MemberRole::Voter);
        Ok(votes.map(|one| one.node).collect())
    }

    /// Sets a key that no client of the load uses.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn put(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let client = client_of(&self.awake(), REQUEST, true)?;
        let body = format!("put {key} {value}");
        let applied = self.runtime.block_on(client.apply(FSM, body.into()));
        applied
            .map(drop)
            .map_err(|error| Failure::harness(format!("put {key}"), error))
    }

    /// Who leads the load's fsm right now, if somebody says so of itself.
    pub fn leader_now(&self) -> Option<u64> {
        let mut leading: Vec<(u64, u64)> = Vec::new();
        for id in self.awake() {
            if let Ok(status) = self.status(id)
                && status.leader == Some(id)
            {
                leading.push((status.term, id));
            }
        }
        leading.into_iter().max().map(|(_, id)| id)
    }

    /// The newest term in which a node that is awake knows a leader of the load's fsm.
    pub fn term_now(&self) -> u64 {
        let known = self
            .awake()
            .into_iter()
            .filter_map(|id| self.status(id).ok());
        let led = known.filter(|status| status.leader.is_some());
        led.map(|status| status.term).max().unwrap_or(0)
    }

    /// Waits until somebody leads in a later term: whoever led in that one has lost it.
    ///
    /// # Errors
    /// If time runs out.
    pub fn led_after(&mut self, term: u64) -> Result<(), Failure> {
        self.eventually(&format!("a leader after term {term}"), |run| {
            match run.term_now() {
                now if now > term => Ok(()),
                now => Err(format!("the newest term is {now}")),
            }
        })
    }

    /// Whether the only node of a cluster of one leads its group 0.
    pub fn leads_itself(&self) -> bool {
        let Ok(client) = client_of(&[1], Duration::from_secs(1), false) else {
            return false;
        };
        let status = self.runtime.block_on(client.status());
        status.is_ok_and(|status| status.leader == Some(1))
    }

    /// Where the kernel tells about the processes of this run: `/proc` is that of the world outside.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn processes(&mut self) -> Result<PathBuf, Failure> {
        let folder = self.folder.join("proc");
        if !folder.is_dir() {
            let made = std::fs::create_dir(&folder);
            made.map_err(|error| Failure::harness("make a folder", error))?;
            let mut mount = Command::new("mount");
            program::output(mount.args(["-t", "proc", "proc"]).arg(&folder))?;
            self.mounts.push(folder.clone());
        }
        Ok(folder)
    }

    /// Whether a node gets a snapshot right now.
    pub fn receives_snapshot(&self, id: u64) -> bool {
        let scrape = Scrape::of(id);
        let moving = scrape.and_then(|scrape| scrape.value(RECEIVING));
        moving.is_ok_and(|snapshots| snapshots > 0.0)
    }

    /// Where a node keeps its data, whether it was laid out or has joined.
    pub fn data(&self, id: u64) -> PathBuf {
        self.cluster.data(id)
    }
}

/// What the kernel says of a thread in a file `stat`; a blank if there is none.
pub(crate) fn thread_state(stat: &Path) -> char {
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.unwrap_or(' ')
}
