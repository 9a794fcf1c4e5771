//! Clients that read and write a few hot keys, and note what they were told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{Client, ClientError, Consistency, Outcome as Applied, QueryOptions};
use coracle_history::{Action, History, Outcome, ReadKind, Recorder, Session};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cluster::client_of;
use crate::failure::Failure;
use crate::rng::Rng;
use crate::timeline::Timeline;

/// The fsm of the load.
pub(crate) const FSM: &str = "kv";

/// Clients of one load that read and write.
const CLIENTS: u64 = 4;

/// And one for each of the first nodes that only reads, and only there: whoever stands still or is cut
/// off has somebody who asks it.
const READERS: u64 = 3;

/// Keys that everybody uses at the same time.
const HOT_KEYS: u64 = 5;

/// Operations of all clients until the hot keys are others: a search through a history has to end.
const EPOCH: u64 = 900;

/// Time one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Attempts of one operation under one idempotency key before it counts as unknown.
const MAX_ATTEMPTS: u64 = 20;

/// Of a hundred operations, those from here on are reads.
const READS: u64 = 70;

/// Longest pause between two operations, in milliseconds.
const MAX_PAUSE_MS: u64 = 30;

/// Streams of the seed from here on are those of the clients.
const STREAM: u64 = 100;

/// What a load is made of.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Whether leases may be trusted: clocks keep their pace.
    pub lease_reads: bool,
    /// Bytes added to each value.
    pub padding: usize,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            lease_reads: true,
            padding: 0,
        }
    }
}

/// Running clients.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<(String, JoinHandle<std::io::Result<u64>>)>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    done: AtomicU64,
    asked: AtomicU64,
    unknown: AtomicU64,
}

impl Load {
    /// Starts clients of the nodes 1 to `last`, of which some may come later.
    ///
    /// # Errors
    /// If a history cannot be made.
    pub fn start(
        runtime: &Handle,
        folder: &Path,
        timeline: &Timeline,
        seed: u64,
        last: u64,
        mix: Mix,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            done: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        });
        let mut clients = Vec::new();
        for id in 0..CLIENTS + READERS {
            let name = format!("client-{id}.ndjson");
            let history = File::create(folder.join(&name));
            let history = history.map_err(|error| Failure::harness("make a history", error))?;
            // Each begins at another node.
            let order: Vec<u64> = (0..last).map(|at| (at + id) % last + 1).collect();
            let own = if id < CLIENTS {
                order[0]
            } else {
                id - CLIENTS + 1
            };
            let worker = Worker {
                id,
                rng: Rng::new(seed, STREAM + id),
                patient: client_of(&order, ATTEMPT, true)?,
                hasty: client_of(&order, ATTEMPT, false)?,
                here: client_of(&[own], ATTEMPT, false)?,
                recorder: Recorder::new(id),
                file: BufWriter::new(history),
                index: 0,
                timeline: timeline.clone(),
                shared: Arc::clone(&shared),
                mix,
                seen: vec![None; usize::try_from(HOT_KEYS).unwrap_or(0)],
                count: 0,
                epoch: 0,
            };
            clients.push((name, runtime.spawn(worker.work())));
        }
        Ok(Self { shared, clients })
    }

    /// Writes that were acknowledged so far.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Operations so far, and those of which nobody knows the outcome.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.shared.asked.load(Ordering::Relaxed),
            self.shared.unknown.load(Ordering::Relaxed),
        )
    }

    /// Ends the clients; the histories are whole then. Answers the operations of each.
    ///
    /// # Errors
    /// If a history could not be written.
    pub fn stop(self, runtime: &Handle) -> Result<BTreeMap<String, u64>, Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut wrote = BTreeMap::new();
        for (name, client) in self.clients {
            let ended = runtime.block_on(client);
            let ended = ended.map_err(|error| Failure::harness("end a client", error))?;
            let count = ended.map_err(|error| Failure::harness("write a history", error))?;
            wrote.insert(name, count);
        }
        Ok(wrote)
    }
}

struct Worker {
    id: u64,
    rng: Rng,
    /// Asks all nodes, again and again.
    patient: Client,
    /// Asks all nodes, each request once.
    hasty: Client,
    /// Asks one node only.
    here: Client,
    recorder: Recorder,
    file: BufWriter<File>,
    /// The newest index it has been told of.
    index: u64,
    timeline: Timeline,
    shared: Arc<Shared>,
    mix: Mix,
    /// The value of each hot key that this client has seen last.
    seen: Vec<Option<String>>,
    count: u64,
    epoch: u64,
}

impl Worker {
    async fn work(mut self) -> std::io::Result<u64> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let pause = self.rng.below(MAX_PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.operation().await;
        }
        let history = History {
            origin: format!("client {}", self.id),
            operations: self.recorder.into_operations(),
            log: None,
        };
        history.write(&mut self.file)?;
        self.file.flush()?;
        Ok(self.count)
    }

    /// Something random; its answer is written down.
    async fn operation(&mut self) {
        self.count += 1;
        let hot = self.rng.below(HOT_KEYS);
        let epoch = self.shared.asked.load(Ordering::Relaxed) / EPOCH;
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.seen.fill(None);
        }
        let key = format!("h{epoch}-{hot}");
        let at = usize::try_from(hot).unwrap_or(0);
        let mut value = format!("c{}-{}", self.id, self.count);
        value.extend(std::iter::repeat_n('.', self.mix.padding));
        let seen = self.seen.get(at).cloned().flatten();
        let choice = if self.id < CLIENTS {
            self.rng.below(100)
        } else {
            self.rng.between(READS, 100)
        };
        match choice {
            0..30 => self.write(at, key, Action::Put(value), true).await,
            30..40 => self.write(at, key, Action::Put(value), false).await,
            40..55 => {
                let action = match seen {
                    Some(old) => Action::Cas { old, new: value },
                    None => Action::Put(value),
                };
                self.write(at, key, action, true).await;
            }
            55..70 => {
                let key = format!("u{}-{}", self.id, self.count);
                self.write(usize::MAX, key, Action::Put(value), true).await;
            }
            READS..85 => self.read(at, key, ReadKind::Linearizable).await,
            85..92 if self.mix.lease_reads => self.read(at, key, ReadKind::Lease).await,
            85..92 => self.read(at, key, ReadKind::Linearizable).await,
            _ => {
                let kind = ReadKind::Stale {
                    max_staleness: None,
                    min_index: Some(self.index).filter(|index| *index > 0),
                };
                self.read(at, key, kind).await;
            }
        }
    }

    async fn write(&mut self, at: usize, key: String, action: Action, keyed: bool) {
        let session = keyed.then_some(Session {
            client: self.id,
            sequence: self.count,
        });
        let begin = self.timeline.now();
        let body = action.body(&key);
        let id = self
            .recorder
            .invoke(begin, FSM, key, action.clone(), session);
        let mut attempts = 1;
        let mut answer = self.attempt(&action, &body, session).await;
        // The same key until it is known what became of it.
        while session.is_some() && matches!(answer, Answer::Unknown) && attempts < MAX_ATTEMPTS {
            attempts += 1;
            answer = match self.attempt(&action, &body, session).await {
                // This attempt has not; what became of the earlier ones is still not known.
                Answer::Never => Answer::Unknown,
                answer => answer,
            };
        }
        let value = match (&answer, action) {
            (Answer::Is(_, Outcome::Done), Action::Put(new) | Action::Cas { new, .. }) => Some(new),
            _ => None,
        };
        if value.is_some() {
            self.shared.done.fetch_add(1, Ordering::Relaxed);
        }
        self.note(at, id, &answer, value);
    }

    async fn attempt(&self, action: &Action, body: &str, session: Option<Session>) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let applied = match session {
            Some(session) => {
                let key = session.to_string();
                self.patient.apply_with_key(FSM, body, &key).await
            }
            None => self.hasty.apply(FSM, body).await,
        };
        match applied {
            Ok(applied) => Answer::of(action, applied.index, false, &applied.reply),
            Err(error) => failed(action, &error),
        }
    }

    async fn read(&mut self, at: usize, key: String, kind: ReadKind) {
        let (client, consistency) = match kind {
            // Wherever it is answered, or here and nowhere else.
            ReadKind::Linearizable if self.id < CLIENTS && self.rng.chance(50) => {
                (&self.patient, Consistency::Linearizable)
            }
            ReadKind::Linearizable => (&self.here, Consistency::Linearizable),
            ReadKind::Lease => (&self.here, Consistency::Lease),
            ReadKind::Stale { .. } => (&self.here, Consistency::Stale),
        };
        let min_index = match kind {
            ReadKind::Stale { min_index, .. } => min_index,
            _ => None,
        };
        let options = QueryOptions {
            consistency,
            min_index,
            max_staleness: None,
        };
        let client = client.clone();
        let action = Action::Read(kind);
        let body = action.body(&key);
        let begin = self.timeline.now();
        let id = self.recorder.invoke(begin, FSM, key, action.clone(), None);
        let answer = match client.query(FSM, body.into(), options).await {
            Ok(read) => Answer::of(&action, read.index, false, &read.reply),
            Err(error) => failed(&action, &error),
        };
        let value = match &answer {
            Answer::Is(_, Outcome::Value(value)) => Some(value.clone()),
            _ => None,
        };
        self.note(at, id, &answer, value);
    }

    /// Writes the answer down, and remembers the value of a hot key.
    fn note(&mut self, at: usize, id: u64, answer: &Answer, value: Option<String>) {
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        match answer {
            Answer::Is(index, outcome) => {
                let now = self.timeline.now();
                self.recorder.answered(id, now, *index, outcome.clone());
                self.index = self.index.max(*index);
            }
            Answer::Never => self.recorder.not_applied(id),
            Answer::Unknown => {
                self.shared.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(slot) = self.seen.get_mut(at) {
            *slot = value;
        }
    }
}

/// What an attempt has come to.
#[derive(Debug)]
enum Answer {
    /// The fsm's answer, at an index.
    Is(u64, Outcome),
    /// It has not happened and will not.
    Never,
    /// Nobody knows.
    Unknown,
}

impl Answer {
    /// An answer that this fsm does not give is kept as one that no order explains.
    fn of(action: &Action, index: u64, refused: bool, reply: &[u8]) -> Self {
        let strange = || Outcome::Value(format!("?{}", String::from_utf8_lossy(reply)));
        Self::Is(
            index,
            Outcome::of(action, refused, reply).unwrap_or_else(strange),
        )
    }
}

fn failed(action: &Action, error: &ClientError) -> Answer {
    match (error.outcome(), error.problem()) {
        (Applied::Applied, Some(problem)) => match (problem.index, problem.reply_bytes()) {
            (Some(index), Some(reply)) => Answer::of(action, index, true, &reply),
            _ => Answer::Unknown,
        },
        (Applied::NotApplied, _) => Answer::Never,
        _ if action.is_query() => Answer::Never,
        _ => Answer::Unknown,
    }
}
