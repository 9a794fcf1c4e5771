//! Groups of processes (cgroup v1) with limits of their own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Time for the kernel to let go of processes that have ended.
const LETS_GO_WITHIN: Duration = Duration::from_secs(1);

/// The file of the processes in a group.
const PROCESSES: &str = "cgroup.procs";

/// One; it goes when it is dropped.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
}

impl Group {
    /// An empty one of a controller.
    ///
    /// # Errors
    /// `Skipped` if the kernel makes none.
    pub(super) fn make(controller: &str) -> Result<Self, Failure> {
        // Of the world outside, where this folder is: two runs may go on at once.
        let name = format!(
            "coracle-chaos-{}",
            coracle_client::random_key().unwrap_or_default()
        );
        let path = Path::new(controller).join(name);
        std::fs::create_dir(&path)
            .map_err(|error| Failure::Skipped(format!("no group of processes: {error}")))?;
        Ok(Self { path })
    }

    /// Sets a limit.
    ///
    /// # Errors
    /// `Skipped` if the kernel refuses it.
    pub(super) fn limit(&self, name: &str, value: &str) -> Result<(), Failure> {
        std::fs::write(self.path.join(name), value)
            .map_err(|error| Failure::Skipped(format!("{name} is refused here: {error}")))
    }

    /// Moves a process into it, with all its threads.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn take(&self, process: u32) -> Result<(), Failure> {
        std::fs::write(self.processes(), process.to_string())
            .map_err(|error| Failure::harness("move a process into a group", error))
    }

    /// What the kernel says of it.
    ///
    /// # Errors
    /// If it says nothing.
    pub(super) fn read(&self, name: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.path.join(name))
            .map_err(|error| Failure::harness(format!("read {name}"), error))
    }

    /// A number that the kernel gives in a line of a file, after its name.
    ///
    /// # Errors
    /// If it says nothing of it.
    pub(super) fn count(&self, file: &str, name: &str) -> Result<u64, Failure> {
        let told = self.read(file)?;
        let mut lines = told.lines();
        let count = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let count = count.and_then(|count| count.parse().ok());
        count.ok_or_else(|| Failure::harness(format!("read {name} in {file}"), &told))
    }

    /// The file of the processes in it.
    pub(super) fn processes(&self) -> PathBuf {
        self.path.join(PROCESSES)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let until = Instant::now() + LETS_GO_WITHIN;
        // Refused as long as somebody is in it: to where all others are.
        while std::fs::remove_dir(&self.path).is_err() && Instant::now() < until {
            let inside = std::fs::read_to_string(self.processes()).unwrap_or_default();
            let outside = self.path.with_file_name(PROCESSES);
            for process in inside.lines() {
                // It may have ended.
                let _moved = std::fs::write(&outside, process);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
