//! Gets a replica going again that stands still: its snapshot is gone or damaged, an image is not
//! here, or there is no room for a checkpoint.

use std::sync::Arc;
use std::time::Duration;

use coracle_driver::fsm::WorkerState;
use coracle_driver::task::Task;
use coracle_driver::{Digest, Event};
use coracle_proto::{GroupId, Index, NodeId};
use tracing::{info, warn};

use super::Shell;
use super::transfer;

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a worker stands still for want of a snapshot or of room.
pub(super) fn is_stuck(shell: &Shell, group: GroupId) -> bool {
    let state = shell.views.get(group).map(|status| status.state);
    matches!(
        state,
        Some(WorkerState::WaitingForSnapshot { .. } | WorkerState::WaitingForRoom { .. })
    )
}

/// Tries until the worker goes on, is gone, or the node stops.
pub(super) async fn heal(shell: &Arc<Shell>, group: GroupId) {
    let mut above = 0;
    while !shell.is_stopping() {
        let state = shell.views.get(group).map(|status| status.state);
        match state {
            Some(WorkerState::WaitingForSnapshot { .. }) => {
                above = match from_a_peer(shell, group, above).await {
                    // If that did not help, only a newer one can: another replica that stands
                    // still at the same entry has no better one.
                    Ok(got) => got + 1,
                    Err(reason) => {
                        warn!(%group, reason, "no other node's snapshot could be fetched yet");
                        0
                    }
                };
            }
            Some(WorkerState::WaitingForRoom { .. }) => retry(shell, group),
            _ => return,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Fetches the newest snapshot that a peer has, at this index or later; followers are asked before
/// the leader, who has enough to do. Answers its index.
async fn from_a_peer(shell: &Shell, group: GroupId, above: Index) -> Result<Index, String> {
    let look = shell.inbox.look(move |node| node.status(group)).await;
    let at_least = look.flatten().and_then(|status| status.snapshot);
    let at_least = at_least.map_or(0, |snapshot| snapshot.last.index);
    let at_least = at_least.max(above);
    let mut last = "no other node is known".to_owned();
    for peer in followers_first(shell, group) {
        match transfer::fetch_snapshot(shell, peer, group, at_least).await {
            Ok(snapshot) => {
                let last = snapshot.last;
                info!(%group, from = %peer, %last, "a lost snapshot was fetched");
                shell.inbox.push(Event::SnapshotFetched { group, snapshot });
                return Ok(last.index);
            }
            Err(reason) => last = format!("{peer}: {reason}"),
        }
    }
    Err(last)
}

fn followers_first(shell: &Shell, group: GroupId) -> Vec<NodeId> {
    let leader = shell.leader(group);
    let mut peers = shell.all_nodes();
    peers.retain(|peer| *peer != shell.node);
    peers.sort_by_key(|peer| (Some(*peer) == leader, *peer));
    peers
}

/// Fetches an image that a worker stands still for. If no node has it any more, the snapshot of
/// one that has restored from it will do.
pub(super) async fn fetch_image(shell: Arc<Shell>, group: GroupId, image: Digest) {
    match shell.image_here(image, &shell.all_nodes()).await {
        Ok(_) => retry(&shell, group),
        Err(failure) => {
            warn!(%group, %image, reason = failure.detail, "an image could not be fetched");
        }
    }
}

fn retry(shell: &Shell, group: GroupId) {
    // A group that was removed meanwhile needs nothing more.
    let _ = shell.workers(group).tell(group, Task::Retry, usize::MAX);
}
