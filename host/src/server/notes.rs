//! What workers want of the host.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coracle_driver::Digest;
use coracle_driver::task::Task;
use coracle_proto::GroupId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use super::Shell;
use super::heal;
use super::workers::{Note, ReaderTask};

/// Between two tries to fetch a plugin that no node could give.
const FETCH_PAUSE: Duration = Duration::from_millis(500);

/// How often readers are asked whether they are idle.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Serves the workers' wishes until the node stops.
pub(super) async fn run(shell: Arc<Shell>, mut notes: mpsc::Receiver<Note>) {
    let fetching = Arc::new(Mutex::new(BTreeSet::new()));
    let mut fetches = JoinSet::new();
    let mut healing = BTreeSet::new();
    let mut heals = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        let note = tokio::select! {
            note = notes.recv() => note,
            Some(_) = fetches.join_next() => continue,
            Some(healed) = heals.join_next() => {
                // A panic was reported when it happened.
                let Ok(group) = healed else { continue };
                healing.remove(&group);
                // It may have come to a stand again while this task ended.
                match heal::is_stuck(&shell, group) {
                    true => Some(Note::Stuck(group)),
                    false => continue,
                }
            }
            _ = sweep.tick() => {
                for group in shell.readers.groups() {
                    // One that is busy needs no sweeping.
                    let _ = shell.readers.tell(group, ReaderTask::Sweep, 1);
                }
                continue;
            }
        };
        let Some(note) = note else { return };
        if let Note::ImageMissing(group, image) = note {
            fetches.spawn(heal::fetch_image(Arc::clone(&shell), group, image));
            continue;
        }
        if let Note::Stuck(group) = note {
            if healing.insert(group) {
                let shell = Arc::clone(&shell);
                heals.spawn(async move {
                    heal::heal(&shell, group).await;
                    group
                });
            }
            continue;
        }
        if let Note::PluginMissing(group, plugin) = note {
            let started = fetching
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((group, plugin));
            if started {
                fetches.spawn(fetch(
                    Arc::clone(&shell),
                    group,
                    plugin,
                    Arc::clone(&fetching),
                ));
            }
        }
    }
}

async fn fetch(
    shell: Arc<Shell>,
    group: GroupId,
    plugin: Digest,
    fetching: Arc<Mutex<BTreeSet<(GroupId, Digest)>>>,
) {
    while let Err(failure) = shell.fetch_missing(plugin).await {
        if shell.is_stopping() || shell.views.get(group).is_none() {
            break;
        }
        warn!(%group, %plugin, reason = failure.detail, "an fsm waits for its plugin");
        tokio::time::sleep(FETCH_PAUSE).await;
    }
    fetching
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&(group, plugin));
    // A group that was removed meanwhile needs it no more.
    let _ = shell
        .workers(group)
        .tell(group, Task::PluginArrived { plugin }, usize::MAX);
}
