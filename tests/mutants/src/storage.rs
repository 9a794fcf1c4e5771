//! The durable log on a disk that goes wrong, against a model: the random search for bugs of the
//! log.
//!
//! A seed is a life of two groups. Between starts it appends, overwrites, votes, compacts, removes;
//! then the process is killed, the power goes, a bit turns, or an old copy of the file comes back.
//! A start finds exactly what was acknowledged, or says in an error that it does not.

mod model;
mod random;

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{Log, LogError, Recovered, Write};
use coracle_log::{MemoryDisk, Options, Reader, Store};
use coracle_proto::{GroupId, NodeId};

use model::Model;
pub(crate) use model::{append, floor, host, write};
pub(crate) use random::Random;

/// The file that redb keeps.
const FILE: &str = "log/log.redb";

/// Times that a seed's process starts.
const LIVES: u64 = 4;

/// Commits of one life, at most.
const MAX_COMMITS: u64 = 60;

/// What may happen to a disk between two starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accident {
    /// The process is killed; what was written stays.
    Kill,
    /// The power goes; what was not synced is lost or torn.
    Power,
    /// A bit turns: only an error may come of it, or no harm.
    Bit,
    /// Somebody restores an older copy of the file: only an error may come of it.
    OldCopy,
}

/// A log, its disk, and what should be in it.
pub(crate) struct Rig {
    disk: MemoryDisk,
    pub(crate) model: Model,
    running: Option<(Store, Reader)>,
    random: Random,
}

/// Runs one seed.
pub(crate) fn run(seed: u64) -> Result<(), String> {
    let mut rig = Rig::new(seed);
    for _ in 0..LIVES {
        rig.start()?;
        let copy = rig.disk.contents(Path::new(FILE)).unwrap_or_default();
        for _ in 0..rig.random.below(MAX_COMMITS) {
            let writes = rig.model.draw(&mut rig.random);
            rig.commit(&writes)?;
        }
        let accident = match rig.random.below(8) {
            0..3 => Accident::Kill,
            3..6 => Accident::Power,
            6 => Accident::Bit,
            _ => Accident::OldCopy,
        };
        if !rig.suffer(accident, &copy)? {
            return Ok(());
        }
    }
    rig.start()
}

impl Rig {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            disk: MemoryDisk::new(),
            model: Model::default(),
            running: None,
            random: Random::new(seed),
        }
    }

    /// Starts the process and compares what it finds.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let (store, reader, recovered) = self.open().map_err(|e| format!("recovery: {e}"))?;
        self.model.check(&recovered, &reader)?;
        self.model.settle_hints(&recovered);
        self.running = Some((store, reader));
        Ok(())
    }

    fn open(&self) -> Result<(Store, Reader, Recovered), LogError> {
        let options = Options {
            node: NodeId(1),
            store: [3; 16],
            cache_bytes: 1 << 20,
            recent_bytes: 0,
            ballast_bytes: 0,
            low_water_bytes: 0,
            anchor_commits: 8,
            garbage_bytes: 4 << 10,
            ..Options::default()
        };
        Store::open(Arc::new(self.disk.clone()), options)
    }

    /// One commit; acknowledged, it is in the model, and readable.
    pub(crate) fn commit(&mut self, writes: &[Write]) -> Result<(), String> {
        let (store, reader) = self.running.as_mut().ok_or("it does not run")?;
        let committed = store.commit(writes);
        committed.map_err(|error| format!("no failure without a fault: {error}"))?;
        writes.iter().for_each(|write| self.model.take(write));
        self.model.check_entries(reader)
    }

    /// The process dies by a kill or by a power cut.
    pub(crate) fn die(&mut self, power: bool) {
        self.running = None;
        match power {
            true => self.disk.crash(self.random.next()),
            false => self.disk.restart(),
        }
    }

    /// The process ends in order: redb has no reason to look its file over.
    pub(crate) fn close(&mut self) -> Result<(), String> {
        let running = self.running.take();
        let closed = running.map_or(Ok(()), |(mut store, _)| store.close());
        self.disk.restart();
        closed.map_err(|error| format!("no failure without a fault: {error}"))
    }

    /// The file as it is.
    pub(crate) fn copy(&self) -> Vec<u8> {
        self.disk.contents(Path::new(FILE)).unwrap_or_default()
    }

    /// Puts an older copy of the file in its place. What was acknowledged since is gone, which has
    /// to be noticed.
    pub(crate) fn restore(&mut self, copy: &[u8]) -> Result<(), String> {
        self.running = None;
        self.disk.restart();
        self.disk.restore(Path::new(FILE), copy);
        match self.open() {
            Err(_) => Ok(()),
            Ok((_, reader, found)) => self.model.check(&found, &reader),
        }
    }

    /// Turns one bit of the file. What is read is the truth or an error.
    pub(crate) fn turn(&mut self, bit: u64) -> Result<(), String> {
        self.disk.flip_bit(Path::new(FILE), bit);
        match self.open() {
            Err(_) => Ok(()),
            Ok((_, reader, found)) => self.model.check_truth(&found, &reader),
        }
    }

    /// True if life goes on.
    fn suffer(&mut self, accident: Accident, copy: &[u8]) -> Result<bool, String> {
        match accident {
            Accident::Kill => self.die(false),
            Accident::Power => self.die(true),
            Accident::Bit => {
                self.close()?;
                let bits = self.copy().len() as u64 * 8;
                for _ in 0..16 {
                    let bit = self.random.below(bits);
                    self.turn(bit)?;
                    self.disk.flip_bit(Path::new(FILE), bit);
                }
                return Ok(false);
            }
            Accident::OldCopy => {
                if self.model.is_anchored() {
                    self.restore(copy)?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The groups of a rig.
pub(crate) const GROUPS: [GroupId; 2] = [GroupId(1), GroupId(2)];
