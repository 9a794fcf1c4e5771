//! Settings that change while the node runs. What was changed is kept in the data folder and goes
//! before the configuration file at the next start.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use coracle_driver::fsm::WorkerOptions;
use coracle_driver::{Disk, Tuning};
use tokio::sync::watch;
use toml::{Table, Value};

use super::kept_file::{self, KeptFileError};
use crate::api::http;
use crate::config::{Config, SettingError};

/// The file in the data folder.
const FILE: &str = "settings.toml";

/// Changes what the log of this process shows.
#[derive(Clone)]
pub struct LogControl(Arc<SetLevel>);

type SetLevel = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl LogControl {
    /// `set` takes a level or directives.
    pub fn new(set: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(set))
    }

    /// For a process whose log is not the node's own.
    pub fn none() -> Self {
        Self::new(|_| Err("the log of this process is not the node's to change".to_owned()))
    }
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogControl")
    }
}

/// Why a setting was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    /// The setting or its value.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// It could not be done.
    #[error("{key}: {reason}")]
    Refused {
        /// The setting.
        key: String,
        /// Why.
        reason: String,
    },
    /// It could not be kept.
    #[error("the change could not be kept in {FILE}: {0}")]
    NotKept(io::Error),
}

/// The settings in force.
#[derive(Debug)]
pub(super) struct Settings {
    /// As the file says.
    file: Config,
    current: watch::Sender<Arc<Config>>,
    http: watch::Sender<http::Limits>,
    changes: Mutex<BTreeMap<String, Value>>,
    disk: Arc<dyn Disk>,
    log: LogControl,
}

impl Settings {
    /// The file's settings with those on top that were changed in an earlier run.
    pub(super) fn open(file: Config, disk: Arc<dyn Disk>, log: LogControl) -> anyhow::Result<Self> {
        let changes = read(&*disk)?;
        let current = merge(&file, &changes)
            .with_context(|| format!("{FILE} in the data folder: correct or remove it"))?;
        if current.log.level != file.log.level {
            // A process whose log is not the node's own has no level to go back to.
            let _ = (log.0)(&current.log.level);
        }
        Ok(Self {
            http: watch::Sender::new(current.limits.http()),
            current: watch::Sender::new(Arc::new(current)),
            file,
            changes: Mutex::new(changes),
            disk,
            log,
        })
    }

    /// All settings as they are now.
    pub(super) fn get(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow())
    }

    /// The bounds of the HTTP interface, as they change.
    pub(super) fn http(&self) -> watch::Receiver<http::Limits> {
        self.http.subscribe()
    }

    /// When checkpoints are due.
    pub(super) fn worker_options(&self) -> WorkerOptions {
        let current = self.current.borrow();
        WorkerOptions {
            checkpoint_entries: current.snapshot.entries,
            checkpoint_bytes: current.snapshot.bytes,
            ..WorkerOptions::default()
        }
    }

    /// Which settings were changed at run time.
    pub(super) fn changed(&self) -> BTreeMap<String, Value> {
        self.changes().clone()
    }

    /// Sets some and takes the changes of others (`None`) back, all or none; kept before they are in
    /// force. Answers what the node's core must be told.
    pub(super) fn change(
        &self,
        wanted: &BTreeMap<String, Option<Value>>,
    ) -> Result<Arc<Config>, ChangeError> {
        let mut changes = self.changes();
        let mut next = changes.clone();
        for (key, value) in wanted {
            match value {
                Some(value) => next.insert(key.clone(), value.clone()),
                None => {
                    let default = self.file.settings().remove(key);
                    self.file
                        .with_setting(key, default.as_ref().unwrap_or(&Value::Integer(0)))?;
                    next.remove(key)
                }
            };
        }
        let config = merge(&self.file, &next)?;
        let before = self.get();
        if config.log.level != before.log.level {
            (self.log.0)(&config.log.level).map_err(|reason| ChangeError::Refused {
                key: "log.level".into(),
                reason,
            })?;
        }
        kept_file::replace(&*self.disk, FILE, &encode(&next)).map_err(ChangeError::NotKept)?;
        *changes = next;
        let config = Arc::new(config);
        self.http.send_replace(config.limits.http());
        self.current.send_replace(Arc::clone(&config));
        Ok(config)
    }

    fn changes(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the node's core is told of the settings.
pub(super) fn tuning(config: &Config) -> Tuning {
    let size = |n: u64| Some(usize::try_from(n).unwrap_or(usize::MAX));
    let raft = &config.raft;
    Tuning {
        election_timeout: Some(raft.election_timeout()),
        heartbeat_interval: Some(raft.heartbeat_interval()),
        max_inflight_appends: size(raft.max_inflight_appends),
        max_inflight_bytes: size(raft.max_inflight_bytes),
        max_uncommitted_bytes: size(raft.max_uncommitted_bytes),
        max_queued_commands: size(config.limits.queued_commands),
        max_queued_bytes: size(config.limits.queued_bytes),
        retained_entries: Some(config.snapshot.retained_entries),
        retained_bytes: Some(config.snapshot.retained_bytes),
        quiesce_after: Some(raft.quiesce_after),
    }
}

fn merge(file: &Config, changes: &BTreeMap<String, Value>) -> Result<Config, SettingError> {
    // Two that depend on one another may each be wrong alone: the order must not matter.
    let mut left: Vec<_> = changes.iter().collect();
    let mut config = file.clone();
    loop {
        let before = left.len();
        let mut refused = None;
        left.retain(|(key, value)| match config.with_setting(key, value) {
            Ok(next) => {
                config = next;
                false
            }
            Err(error) => {
                refused = Some(error);
                true
            }
        });
        match refused {
            None => return Ok(config),
            Some(error) if left.len() == before => return Err(error),
            Some(_) => {}
        }
    }
}

fn read(disk: &dyn Disk) -> Result<BTreeMap<String, Value>, KeptFileError> {
    let bytes = kept_file::read(disk, FILE)?;
    bytes.map_or_else(|| Ok(BTreeMap::new()), |bytes| decode(&bytes))
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Value>, KeptFileError> {
    let damaged = |reason: String| KeptFileError::Damaged { name: FILE, reason };
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let table: Result<Table, _> = text.parse();
    let table = table.map_err(|error| damaged(error.to_string()))?;
    Ok(table.into_iter().collect())
}

fn encode(changes: &BTreeMap<String, Value>) -> Vec<u8> {
    let table: Table = changes.clone().into_iter().collect();
    let text = format!("# Changed at run time; goes before the configuration file.\n{table}");
    text.into_bytes()
}

/// Ways in for `tests/fuzz`.
pub(super) mod fuzzing {
    use super::{BTreeMap, Config, Value, decode, encode, merge};

    /// A file with two settings.
    pub(in crate::server) fn file() -> Vec<u8> {
        encode(&BTreeMap::from([
            ("raft.heartbeat_ms".to_owned(), Value::Integer(40)),
            ("log.level".to_owned(), Value::String("debug".to_owned())),
        ]))
    }

    /// The file as it would be written again, and what follows from it.
    pub(in crate::server) fn read(bytes: &[u8], file: &Config) -> Option<(Vec<u8>, Config)> {
        let changes = decode(bytes).ok()?;
        let config = merge(file, &changes).ok()?;
        Some((encode(&changes), config))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coracle_log::{Fault, MemoryDisk};

    use super::*;
    use crate::config::parse_value;

    fn config() -> Config {
        let text = r#"cluster = "blue"
node = 1
data_dir = "data"
listen = { quic = "127.0.0.1:7400", http = "127.0.0.1:7401" }
tls = { cert = "a", key = "b", ca = "c" }
peers = [{ id = 1, quic = "127.0.0.1:7400", http = "127.0.0.1:7401" }]
"#;
        Config::parse(text, Path::new("c.toml")).unwrap()
    }

    fn open(disk: &Arc<dyn Disk>) -> Settings {
        Settings::open(config(), Arc::clone(disk), LogControl::none()).unwrap()
    }

    fn change(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<Value>> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), value.map(parse_value)))
            .collect()
    }

    #[test]
    fn a_change_outlives_a_restart_until_it_is_taken_back() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let wanted = change(&[("snapshot.entries", Some("5"))]);
        open(&disk).change(&wanted).unwrap();

        let restarted = open(&disk);
        assert_eq!(restarted.get().snapshot.entries, 5);
        assert_eq!(restarted.worker_options().checkpoint_entries, 5);
        restarted
            .change(&change(&[("snapshot.entries", None)]))
            .unwrap();
        assert_eq!(open(&disk).get().snapshot.entries, 100_000);
    }

    #[test]
    fn a_disk_that_fails_is_not_taken_for_one_without_changes() {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let wanted = change(&[("snapshot.entries", Some("5"))]);
        open(&disk).change(&wanted).unwrap();

        for fault in [Fault::Crash, Fault::Read] {
            memory.fail_after(0, fault);
            if fault == Fault::Crash {
                disk.sync_dir(Path::new("")).unwrap_err();
            }
            let opened = Settings::open(config(), Arc::clone(&disk), LogControl::none());
            let error = opened.map(|it| it.get().snapshot.entries).unwrap_err();
            assert!(format!("{error:#}").contains("settings.toml"), "{error:#}");
            memory.restart();
        }
        assert_eq!(open(&disk).get().snapshot.entries, 5);
    }

    #[test]
    fn several_change_together_or_not_at_all() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let settings = open(&disk);
        let together = change(&[
            ("raft.election_timeout_ms", Some("150")),
            ("raft.heartbeat_ms", Some("40")),
        ]);
        settings.change(&together).unwrap();
        assert_eq!(settings.get().raft.election_timeout_ms, 150);

        let half = change(&[
            ("raft.heartbeat_ms", Some("10")),
            ("storage.cache_bytes", Some("1")),
        ]);
        settings.change(&half).unwrap_err();
        assert_eq!(settings.get().raft.heartbeat_ms, 40);
    }

    #[test]
    fn a_log_that_is_not_the_nodes_own_keeps_its_level() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let settings = open(&disk);
        let error = settings
            .change(&change(&[("log.level", Some("trace"))]))
            .unwrap_err();
        assert!(error.to_string().starts_with("log.level"), "{error}");
        assert_eq!(settings.get().log.level, "info");
    }
}
