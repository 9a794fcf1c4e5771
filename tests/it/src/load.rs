//! Writers that keep going while the test breaks things, and remember what was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coracle_client::{Client, Outcome, QueryOptions};
use tokio::task::JoinHandle;

use crate::Cluster;
use crate::wait::eventually;

/// Writers of one load.
const WRITERS: u64 = 4;

/// Between two looks of a writer that stands still.
const PAUSE: Duration = Duration::from_millis(5);

/// Writers that put distinct keys into the fsm `kv`, each waiting for its answer.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fsm: String,
    stop: AtomicBool,
    paused: AtomicBool,
    /// Writers that stand still because of that.
    idle: AtomicU64,
    acknowledged: Mutex<Vec<String>>,
    count: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Starts them on all nodes of a cluster.
    pub fn start(cluster: &Cluster, fsm: &str) -> Self {
        Self::start_with(cluster, fsm, || cluster.client())
    }

    /// Starts them on all nodes that a cluster has or may come to have, up to `last`.
    pub fn start_up_to(cluster: &Cluster, fsm: &str, last: u64) -> Self {
        Self::start_with(cluster, fsm, || cluster.client_up_to(last))
    }

    fn start_with(cluster: &Cluster, fsm: &str, client: impl Fn() -> Client) -> Self {
        let shared = Arc::new(Shared {
            fsm: fsm.to_owned(),
            stop: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            idle: AtomicU64::new(0),
            acknowledged: Mutex::default(),
            count: AtomicU64::new(0),
            failures: Mutex::default(),
        });
        let writers = (0..WRITERS)
            .map(|writer| {
                let client = client();
                let shared = Arc::clone(&shared);
                cluster.runtime().spawn(write(writer, client, shared))
            })
            .collect();
        Self { shared, writers }
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Writes that ended in an error after all attempts of the client.
    pub fn failures(&self) -> Vec<String> {
        let failures = self.shared.failures.lock();
        failures.expect("no writer panicked").clone()
    }

    /// Waits until `more` further writes were acknowledged.
    pub fn wait_for(&self, more: u64) {
        let goal = self.acknowledged() + more;
        eventually("writes to be acknowledged", || match self.acknowledged() {
            count if count >= goal => Ok(()),
            count => Err(format!(
                "{count} of {goal}; last failures: {:?}",
                self.shared
                    .failures
                    .lock()
                    .expect("no writer panicked")
                    .last()
            )),
        });
    }

    /// Makes the writers stand still; when this returns, none waits for an answer.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::SeqCst);
        eventually("the writers to stand still", || {
            match self.shared.idle.load(Ordering::SeqCst) {
                WRITERS => Ok(()),
                idle => Err(format!("{idle} of {WRITERS} do")),
            }
        });
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    /// Stops the writers and checks that every acknowledged write can be read.
    pub fn check(self, cluster: &Cluster) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        for writer in self.writers {
            cluster.run(writer).expect("a writer does not panic");
        }
        let keys = self
            .shared
            .acknowledged
            .lock()
            .expect("no writer panicked")
            .clone();
        let client = cluster.client();
        for key in &keys {
            let request = format!("get {key}");
            let answer = cluster.run(client.query(
                &self.shared.fsm,
                request.into(),
                QueryOptions::default(),
            ));
            match answer {
                Ok(answer) => assert_eq!(answer.reply.as_ref(), key.as_bytes(), "value of {key}"),
                Err(error) => panic!("acknowledged write of {key} is lost: {error}"),
            }
        }
        keys.len() as u64
    }
}

async fn stand_still(shared: &Shared) {
    let must = || shared.paused.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst);
    if must() {
        shared.idle.fetch_add(1, Ordering::SeqCst);
        while must() {
            tokio::time::sleep(PAUSE).await;
        }
        shared.idle.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn write(writer: u64, client: Client, shared: Arc<Shared>) {
    for number in 0.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        stand_still(&shared).await;
        let key = format!("w{writer}-{number}");
        let command = format!("put {key} {key}");
        match client.apply(&shared.fsm, command.into()).await {
            Ok(_) => {
                shared
                    .acknowledged
                    .lock()
                    .expect("no writer panicked")
                    .push(key);
                shared.count.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                assert_ne!(
                    error.outcome(),
                    Outcome::Applied,
                    "a put is never refused: {error}"
                );
                let mut failures = shared.failures.lock().expect("no writer panicked");
                failures.push(format!("{key}: {error}"));
            }
        }
    }
}
