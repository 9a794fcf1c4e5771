//! What was done to the cluster and when: one line of JSON each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;

/// The clock of a run, and the list of its faults. Clones write to the same list.
#[derive(Debug, Clone)]
pub struct Timeline {
    begin: Instant,
    shown: bool,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    counts: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    ms: u64,
    what: &'a str,
    detail: &'a str,
}

impl Timeline {
    /// An empty one. `shown`: also to stderr.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, shown: bool) -> Result<Self, Failure> {
        let file = File::create(path);
        let file = file.map_err(|error| Failure::harness("make the timeline", error))?;
        Ok(Self {
            begin: Instant::now(),
            shown,
            inner: Arc::new(Mutex::new(Inner {
                file,
                counts: BTreeMap::new(),
            })),
        })
    }

    /// Nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes a fault and counts it under `what`.
    #[expect(clippy::print_stderr, reason = "progress is for people")]
    pub fn note(&self, what: &'static str, detail: &str) {
        let ms = self.now() / 1_000_000;
        if self.shown {
            eprintln!("{:>8}.{:03} {what}: {detail}", ms / 1000, ms % 1000);
        }
        let Ok(mut inner) = self.inner.lock() else {
            return;
        };
        *inner.counts.entry(what).or_default() += 1;
        if let Ok(mut line) = serde_json::to_vec(&Line { ms, what, detail }) {
            line.push(b'\n');
            // The check finds a line too few.
            let _written = inner.file.write_all(&line);
        }
    }

    /// How often each thing was done.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.inner
            .lock()
            .map(|inner| inner.counts.clone())
            .unwrap_or_default()
    }
}
