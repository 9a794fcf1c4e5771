//! The plugins this node has: bytes in files named by their digest, compiled ones in memory.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use coracle_driver::{Digest, Disk};
use coracle_runtime::{Engine, Plugin, StageError};
use sha2::{Digest as _, Sha256};
use tracing::error;

use crate::metrics::Metrics;

/// Folder of the plugins' bytes.
const FOLDER: &str = "plugins";

/// Bytes of a plugin, whatever the configuration of the node that took it allowed.
const MAX_PLUGIN_BYTES: u64 = 256 << 20;

/// Compiled plugins kept in memory beyond those that run.
const MAX_IDLE_COMPILED: usize = 64;

/// Why a plugin was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PluginError {
    /// The bytes are not those the digest names.
    #[error("the bytes have the sha256 {actual}, not {expected}: the upload was cut or changed")]
    WrongDigest {
        /// As asked for.
        expected: Digest,
        /// As they are.
        actual: Digest,
    },
    /// The bytes are no plugin.
    #[error(transparent)]
    Invalid(#[from] StageError),
    /// The disk failed.
    #[error("plugin {digest}: {context}: {source}")]
    Io {
        /// Which plugin.
        digest: Digest,
        /// What was being done.
        context: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

/// The plugins of this node.
pub(super) struct Plugins {
    engine: Arc<Engine>,
    disk: Arc<dyn Disk>,
    compiled: Mutex<BTreeMap<Digest, Arc<Plugin>>>,
    /// One compilation at a time: each takes a core and a lot of memory.
    compiling: Mutex<()>,
    storing: Mutex<()>,
    metrics: Arc<Metrics>,
}

impl Plugins {
    pub(super) fn open(
        engine: Arc<Engine>,
        disk: Arc<dyn Disk>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        disk.create_dir(FOLDER.as_ref())?;
        for file in disk.list(FOLDER.as_ref())? {
            if file.extension().is_some_and(|extension| extension == "tmp") {
                disk.remove(&file)?;
            }
        }
        Ok(Self {
            engine,
            disk,
            compiled: Mutex::default(),
            compiling: Mutex::default(),
            storing: Mutex::default(),
            metrics,
        })
    }

    /// Takes a plugin in: checks, compiles and stores it. Blocks for as long as compiling takes;
    /// the bytes are durable when it returns.
    pub(super) fn add(&self, digest: Digest, bytes: &[u8]) -> Result<Arc<Plugin>, PluginError> {
        let actual = digest_of(bytes);
        if actual != digest {
            return Err(PluginError::WrongDigest {
                expected: digest,
                actual,
            });
        }
        let plugin = self.compile(digest, bytes)?;
        self.store(digest, bytes)?;
        Ok(plugin)
    }

    /// The compiled plugin, if its bytes are here; compiles them if need be.
    pub(super) fn get(&self, digest: Digest) -> Result<Option<Arc<Plugin>>, PluginError> {
        if let Some(plugin) = self.compiled(&digest) {
            return Ok(Some(plugin));
        }
        match self.stored(digest)? {
            Some(bytes) => self.compile(digest, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the bytes are here and sound.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        // A disk that fails is named by the call that needs the bytes.
        self.compiled(digest).is_some()
            || self.stored(*digest).map_or(true, |found| found.is_some())
    }

    /// The bytes, if they are here. Damaged ones go: they come again from another node.
    fn stored(&self, digest: Digest) -> Result<Option<Bytes>, PluginError> {
        let _turn = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        self.sound(digest)
    }

    fn sound(&self, digest: Digest) -> Result<Option<Bytes>, PluginError> {
        let file = path(&digest);
        if self.disk.open(&file, false).is_err() {
            return Ok(None);
        }
        let bytes = match self.read(digest) {
            Err(PluginError::Io { source, .. }) if source.kind() == ErrorKind::InvalidData => None,
            read => Some(read?),
        };
        let actual = bytes.as_deref().map(digest_of);
        if actual == Some(digest) {
            return Ok(bytes);
        }
        error!(file = %file.display(), ?actual, "a plugin's file is damaged and is removed; another node has it");
        let failed = |source| PluginError::Io {
            digest,
            context: "removing its damaged file",
            source,
        };
        self.disk.remove(&file).map_err(failed)?;
        Ok(None)
    }

    /// The bytes as they are on the disk.
    pub(super) fn read(&self, digest: Digest) -> Result<Bytes, PluginError> {
        let failed = |context| {
            move |source| PluginError::Io {
                digest,
                context,
                source,
            }
        };
        let file = self
            .disk
            .open(&path(&digest), false)
            .map_err(failed("opening its file"))?;
        let len = file.len().map_err(failed("measuring its file"))?;
        // A damaged folder may claim any length.
        if len > MAX_PLUGIN_BYTES {
            let reason = format!("it has {len} bytes, a plugin has at most {MAX_PLUGIN_BYTES}");
            let error = std::io::Error::new(ErrorKind::InvalidData, reason);
            return Err(failed("reading its file")(error));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_at(0, &mut bytes)
            .map_err(failed("reading its file"))?;
        Ok(Bytes::from(bytes))
    }

    fn compiled(&self, digest: &Digest) -> Option<Arc<Plugin>> {
        self.compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<Arc<Plugin>, PluginError> {
        let _turn = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = self.compiled(&digest) {
            return Ok(plugin);
        }
        let began = Instant::now();
        #[cfg(feature = "failpoints")]
        staging(digest, super::failpoints::Place::BeforeStage)?;
        let plugin = Arc::new(self.engine.stage(bytes)?);
        #[cfg(feature = "failpoints")]
        staging(digest, super::failpoints::Place::AfterStage)?;
        let took = began.elapsed().as_secs_f64();
        self.metrics.fsms.compile.observe(took);
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= MAX_IDLE_COMPILED {
            compiled.retain(|_, plugin| Arc::strong_count(plugin) > 1);
        }
        compiled.insert(digest, Arc::clone(&plugin));
        Ok(plugin)
    }

    fn store(&self, digest: Digest, bytes: &[u8]) -> Result<(), PluginError> {
        // The same plugin may arrive twice at once, and would share a temporary file.
        let _turn = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sound(digest)?.is_some() {
            return Ok(());
        }
        let failed = |context| {
            move |source| PluginError::Io {
                digest,
                context,
                source,
            }
        };
        let name = path(&digest);
        let temporary = name.with_extension("tmp");
        let file = self
            .disk
            .open(&temporary, true)
            .map_err(failed("creating its file"))?;
        file.set_len(0).map_err(failed("emptying its file"))?;
        file.write_at(0, bytes)
            .map_err(failed("writing its file"))?;
        file.sync().map_err(failed("syncing its file"))?;
        drop(file);
        self.disk
            .rename(&temporary, &name)
            .map_err(failed("renaming its file"))?;
        self.disk
            .sync_dir(FOLDER.as_ref())
            .map_err(failed("syncing its folder"))
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").finish_non_exhaustive()
    }
}

#[cfg(feature = "failpoints")]
fn staging(digest: Digest, place: super::failpoints::Place) -> Result<(), PluginError> {
    super::failpoints::fallible(place).map_err(|source| PluginError::Io {
        digest,
        context: "staging it",
        source,
    })
}

/// SHA-256 of a plugin's bytes.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn path(digest: &Digest) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("{digest}.wasm"))
}
