//! Opens what a node has on disk, and refuses to begin anew where something was lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use coracle_driver::{Disk, LogError, Recovered, Snapshots};
use coracle_log::{Options, Reader, RealDisk, SnapshotFiles, Store};
use coracle_proto::NodeId;
use tracing::info;

use super::log_writer;
use super::metered_disk::MeteredDisk;
use crate::config::Config;
use crate::metrics::Metrics;

/// Lies beside the configuration of a node that was laid out and never started. Without it an
/// empty data folder means that a node which has voted and acknowledged lost its memory: started
/// anew under its old name it could vote twice in a term.
pub const FIRST_START: &str = "first-start";

/// File in a data folder that holds the cluster's name.
pub const CLUSTER: &str = "cluster";

/// Folder of the snapshot files.
pub const SNAPSHOTS: &str = "snapshots";

/// What a node has on disk.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) recovered: Recovered,
    pub(super) snapshots: Arc<dyn Snapshots>,
    pub(super) files: SnapshotFiles,
}

impl log_writer::Store for Store {
    fn low_on_space(&self) -> bool {
        Self::low_on_space(self)
    }
}

/// Opens the data folder. Blocks; takes a moment after a crash, when the log is checked in full.
pub(super) fn open(config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Storage> {
    #[cfg(feature = "failpoints")]
    super::failpoints::announce()?;
    let folder = &config.data_dir;
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the data folder {}", folder.display()))?;
    let disk = RealDisk::open(folder)
        .with_context(|| format!("cannot use the data folder {}", folder.display()))?;
    let disk = MeteredDisk::new(disk, metrics);
    #[cfg(feature = "failpoints")]
    let disk = super::failpoints::FailingDisk(disk);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let marker = marker(folder);
    let fresh = !Store::has_state(disk.as_ref()).context("cannot look for the log")?;
    if fresh && !marker.exists() {
        bail!(
            "the data folder {} is empty, but this node has run before: its data is lost. \
             Bring the folder back; if it is gone, this node must not come back under the id {1}, \
             because it no longer knows what it has voted for and acknowledged. {2}",
            folder.display(),
            config.node,
            another_instead(config.node),
        );
    }
    info!(folder = %folder.display(), "opening the log; after a crash it is read in full");
    let (store, reader, recovered) = Store::open(Arc::clone(&disk), options(config)?)
        .map_err(|error| advise(error, config.node))?;
    if marker.exists() {
        fs::remove_file(&marker).with_context(|| format!("cannot remove {}", marker.display()))?;
    }
    name_cluster(folder, &config.cluster)?;
    info!(groups = recovered.groups.len(), fresh, "the log is open");
    let snapshots = SnapshotFiles::open(Arc::clone(&disk), Path::new(SNAPSHOTS))?;
    snapshots.retain_groups(|group| recovered.groups.contains_key(&group))?;
    Ok(Storage {
        files: snapshots.clone(),
        disk,
        store,
        reader,
        recovered,
        snapshots: Arc::new(snapshots),
    })
}

/// How a new node takes the place of one that must not come back.
fn another_instead(node: u64) -> String {
    format!(
        "Let a new one join: `coracle token create join --role learner` on another node, `coracle \
         start --join TICKET --data-dir NEW_FOLDER`, then `coracle members replace n{node} NEW`"
    )
}

/// What is lost does not come back by itself.
fn advise(error: LogError, node: u64) -> anyhow::Error {
    let remedy = match &error {
        LogError::Lost { .. } | LogError::Damaged { .. } => format!(
            ". This node must not go on under its id. While a majority of the others runs another \
             can take its place. {}. If none runs: `coracle recover`",
            another_instead(node)
        ),
        _ => String::new(),
    };
    anyhow::anyhow!("{error}{remedy}")
}

/// Leaves the cluster's name in the folder, for those who look at it without its configuration.
fn name_cluster(folder: &Path, cluster: &str) -> anyhow::Result<()> {
    let path = folder.join(CLUSTER);
    if path.exists() {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    let written = fs::write(&temporary, cluster)
        .and_then(|()| fs::File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, &path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn marker(folder: &Path) -> PathBuf {
    folder.parent().unwrap_or(Path::new(".")).join(FIRST_START)
}

fn options(config: &Config) -> anyhow::Result<Options> {
    let storage = &config.storage;
    let mut name = [0; 16];
    fill_random(&mut name)?;
    Ok(Options {
        node: NodeId(config.node),
        store: name,
        cache_bytes: usize::try_from(storage.cache_bytes).unwrap_or(usize::MAX),
        two_phase: storage.two_phase,
        ballast_bytes: storage.ballast_bytes,
        low_water_bytes: storage.low_water_bytes,
        ..Options::default()
    })
}

/// Fills a buffer from the operating system's generator.
pub(super) fn fill_random(buffer: &mut [u8]) -> anyhow::Result<()> {
    use std::io::Read as _;
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(buffer))
        .context("cannot read /dev/urandom")
}

/// A secret of this node, made when it is first asked for: proves that compiled code is its own.
pub(super) fn node_secret(folder: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = folder.join("compiled.key");
    if let Ok(bytes) = fs::read(&path)
        && let Ok(secret) = <[u8; 32]>::try_from(bytes)
    {
        return Ok(secret);
    }
    // Losing it costs nothing but compiling again, so it need not be durable.
    let mut secret = [0; 32];
    fill_random(&mut secret)?;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&secret))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}
