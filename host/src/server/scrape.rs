//! Reads the states that the metrics show.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_driver::directory::DirectoryState;
use coracle_driver::{GroupStatus, MachineSpec};
use coracle_proto::GroupId;
use coracle_transport::identity::certificate_expiry;

use super::Shell;
use super::service::state_of;
use crate::metrics::{GroupScene, PeerScene, Scene, StoreScene};

/// The name of group 0 in metrics; no fsm can have it.
const SYSTEM: &str = "_system";

impl Shell {
    /// The metrics as text; `None` if the node stops.
    pub(super) async fn scrape(&self) -> Option<String> {
        let statuses = self.inbox.look(|node| node.statuses()).await?;
        let folder = self.config.data_dir.clone();
        let tls = &self.config.tls;
        let files = [("node", tls.cert.clone()), ("ca", tls.ca.clone())];
        let on_disk = tokio::task::spawn_blocking(move || (sizes(&folder), ends(&files)));
        let (store, certificates) = on_disk.await.unwrap_or_default();
        let scene = self.scene(statuses, store, certificates);
        Some(self.metrics.encode(&scene))
    }

    fn scene(
        &self,
        statuses: Vec<GroupStatus>,
        store: StoreScene,
        certificates: Vec<(&'static str, i64)>,
    ) -> Scene {
        let directory = self.directory.state();
        let hosted = statuses.len();
        let quiet = statuses.iter().filter(|status| status.raft.quiet).count();
        let uptime = self.started.elapsed();
        let transport = self.transport.get();
        let peers = self.staying_nodes().into_iter();
        let peers = peers.filter(|node| *node != self.node);
        Scene {
            groups: self.group_scenes(&directory, statuses),
            hosted,
            quiet,
            peers: peers
                .map(|node| PeerScene {
                    node: node.0,
                    connected: transport
                        .and_then(|transport| transport.peer_state(node))
                        .is_some_and(|state| state.connected),
                    stats: transport
                        .and_then(|transport| transport.peer_stats(node))
                        .unwrap_or_default(),
                })
                .collect(),
            transport: transport
                .map(|transport| transport.stats())
                .unwrap_or_default(),
            certificates,
            store,
            uptime,
            started: (since_epoch().saturating_sub(uptime)).as_secs_f64(),
            failed: self.has_failed(),
            waiting: self.waiters.len(),
        }
    }

    /// Group 0 and the first groups by the names of their fsms.
    fn group_scenes(
        &self,
        directory: &DirectoryState,
        statuses: Vec<GroupStatus>,
    ) -> Vec<GroupScene> {
        let mut all: BTreeMap<GroupId, GroupStatus> =
            statuses.into_iter().map(|s| (s.group, s)).collect();
        let most = usize::try_from(self.settings.get().metrics.max_fsms).unwrap_or(usize::MAX);
        let system = std::iter::once((SYSTEM, GroupId::SYSTEM));
        let fsms = directory.fsms.iter();
        let fsms = fsms
            .map(|(name, fsm)| (name.as_str(), fsm.group))
            .take(most);
        let named = system.chain(fsms);
        named
            .filter_map(|(name, group)| {
                let status = all.remove(&group)?;
                Some(self.group_scene(directory, name, status))
            })
            .collect()
    }

    fn group_scene(
        &self,
        directory: &DirectoryState,
        name: &str,
        status: GroupStatus,
    ) -> GroupScene {
        let worker = self.views.get(status.group);
        let digest = worker
            .as_ref()
            .and_then(|worker| worker.spec.as_ref())
            .map(|spec| spec.plugin)
            .filter(|plugin| *plugin != MachineSpec::NATIVE);
        let plugin = digest.map(|digest| {
            let known = directory.plugins.get(&digest);
            let word = |text: Option<&String>| text.cloned().unwrap_or_default();
            (
                word(known.map(|plugin| &plugin.name)),
                word(known.map(|plugin| &plugin.version)),
                digest.to_string(),
            )
        });
        GroupScene {
            fsm: name.to_owned(),
            state: worker
                .as_ref()
                .map_or_else(|| "starting".into(), |worker| state_of(worker).to_string()),
            status,
            worker,
            plugin,
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// When certificates end. Files that cannot be read have no series.
fn ends(files: &[(&'static str, PathBuf)]) -> Vec<(&'static str, i64)> {
    let ends = files.iter().filter_map(|(name, path)| {
        let pem = std::fs::read_to_string(path).ok()?;
        Some((*name, certificate_expiry(&pem).ok()?))
    });
    ends.collect()
}

fn sizes(folder: &Path) -> StoreScene {
    let space = rustix::fs::statvfs(folder).ok();
    let blocks = |count: u64, size: u64| count.saturating_mul(size);
    StoreScene {
        log: folder_bytes(&folder.join("log")),
        snapshots: folder_bytes(&folder.join("snapshots")),
        plugins: folder_bytes(&folder.join("plugins")),
        free: space
            .as_ref()
            .map_or(0, |space| blocks(space.f_bavail, space.f_frsize)),
        total: space
            .as_ref()
            .map_or(0, |space| blocks(space.f_blocks, space.f_frsize)),
    }
}

/// Bytes of the files in a folder and in those below it. Files that go away meanwhile count as
/// nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
