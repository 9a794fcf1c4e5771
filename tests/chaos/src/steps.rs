//! What scenarios do to a run, each step noted.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use coracle_client::{CreateToken, MemberRole};

use crate::cluster::client_of;
use crate::failure::Failure;
use crate::load::FSM;
use crate::program;
use crate::run::Run;

/// Time for a request that goes through the log.
const REQUEST: Duration = Duration::from_secs(10);

/// How long a ticket is good for.
const TICKET_SECONDS: u64 = 3600;

impl Run {
    /// Lets a node stand still.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self, id: u64) -> Result<(), Failure> {
        self.timeline.note("pause", &format!("n{id}"));
        self.cluster.pause(id, true)
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

    /// Where a node keeps its data, whether it was laid out or has joined.
    pub fn data(&self, id: u64) -> PathBuf {
        self.cluster.data(id)
    }
}
