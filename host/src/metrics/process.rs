//! The process, as Linux sees it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Scene;
use super::catalogue::{Catalogue, Fraction, set};
use super::labels::Build;

/// Linux counts CPU time in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Position of the CPU times in `/proc/self/stat`, behind the name in parentheses.
const USER_TIME: usize = 11;

/// The process.
#[derive(Debug)]
pub(crate) struct Process {
    build: Family<Build, Gauge>,
    cpu: Counter<f64, AtomicU64>,
    memory: Gauge,
    threads: Gauge,
    files: Gauge,
    started: Fraction,
    uptime: Fraction,
    waiting: Gauge,
}

impl Process {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            build: c.gauges("build_info", "1 for the version that runs"),
            cpu: c.seconds_counter("process_cpu_seconds", "CPU time of the process"),
            memory: c.gauge("process_resident_memory_bytes", "Memory of the process"),
            threads: c.gauge("process_threads", "Threads of the process"),
            files: c.gauge("process_open_fds", "Open files of the process"),
            started: c.fraction(
                "process_start_time_seconds",
                "When the node started, in seconds since 1970",
            ),
            uptime: c.fraction("process_uptime_seconds", "Time since the node started"),
            waiting: c.gauge("requests_waiting", "Requests that wait for the node's core"),
        }
    }

    pub(super) fn show(&self, scene: &Scene) {
        let version = env!("CARGO_PKG_VERSION");
        set(&self.build, &Build { version }, 1);
        if let Some(seconds) = cpu_seconds() {
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        self.memory
            .set(field(&status, "VmRSS:").unwrap_or(0) * 1024);
        self.threads.set(field(&status, "Threads:").unwrap_or(0));
        let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.files.set(i64::try_from(files).unwrap_or(i64::MAX));
        self.started.set(scene.started);
        self.uptime.set(scene.uptime.as_secs_f64());
        self.waiting
            .set(i64::try_from(scene.waiting).unwrap_or(i64::MAX));
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything, also spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(USER_TIME)? + ticks(USER_TIME + 1)?) / TICKS_PER_SECOND)
}

fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
