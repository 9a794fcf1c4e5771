//! Snapshots that users take away, and what comes of it when they bring them back.

use std::collections::BTreeSet;

use coracle_driver::task::{HostEntry, Ticket};
use coracle_driver::{Digest, Event, Snapshots};
use coracle_log::SnapshotFiles;
use coracle_proto::{GroupId, Index, NodeId};

use super::World;

/// Snapshots that users keep, at most.
const MAX_IMAGES: usize = 8;

/// So many nodes in a thousand have an image before it is asked for; the others wait for it.
const PRESENT_PER_MILLE: u64 = 700;

/// What users have taken away and want restored.
#[derive(Debug, Default)]
pub(super) struct Imports {
    images: Vec<Image>,
    asked: BTreeSet<Ticket>,
}

/// A snapshot file outside the cluster.
#[derive(Debug)]
struct Image {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Imports {
    /// Whether this is the ticket of a restore; told once.
    pub(super) fn is_asked(&mut self, ticket: Ticket) -> bool {
        self.asked.remove(&ticket)
    }
}

impl World {
    /// A user takes the newest snapshot of a group away, if it is sound.
    pub(super) fn export(&mut self, node: NodeId, group: GroupId) {
        let files = self.running(node).map(|running| running.snapshots.clone());
        let Some((image, last)) = files.and_then(|files| take(&files, group)) else {
            return;
        };
        let images = &mut self.imports.images;
        let known = images.iter().any(|other| other.digest == image.digest);
        if images.len() < MAX_IMAGES && !known {
            self.invariants.exported(group, image.digest, last);
            self.imports.images.push(image);
            self.count("snapshots exported");
        }
    }

    /// Asks for the state of a snapshot that was taken away.
    pub(super) fn restore(&mut self, node: NodeId, group: GroupId, image: u64) {
        let count = self.imports.images.len() as u64;
        let Some(at) = image.checked_rem(count) else {
            return;
        };
        let digest = self.imports.images[at as usize].digest;
        for peer in self.node_ids() {
            if self.random.chance(PRESENT_PER_MILLE) {
                self.bring(peer, at as usize);
            }
        }
        let ticket = self.ticket(group);
        self.imports.asked.insert(ticket);
        let entry = HostEntry::Restore {
            image: digest,
            fresh: false,
        };
        let event = Event::ProposeHost {
            group,
            entry,
            ticket: Some(ticket),
        };
        self.tell(node, event);
    }

    /// Brings a node everything it may wait for; whether there is anything.
    pub(super) fn bring_images(&mut self, node: NodeId) -> bool {
        let count = self.imports.images.len();
        (0..count).for_each(|at| self.bring(node, at));
        count > 0
    }

    /// A disk that fails meanwhile is the node's to notice; it is brought again when it is missed.
    fn bring(&mut self, node: NodeId, at: usize) {
        let files = self.running(node).map(|running| running.snapshots.clone());
        if let Some(files) = files {
            let image = &self.imports.images[at];
            let _ = put(&files, image);
        }
    }
}

fn take(files: &SnapshotFiles, group: GroupId) -> Option<(Image, Index)> {
    let (last, digest) = files.newest(group).ok()??;
    let mut reader = files.open(group, last, &digest).ok()?;
    let mut bytes = vec![0; reader.file_len() as usize];
    reader.read_raw(0, &mut bytes).ok()?;
    let image = Image { digest, bytes };
    put(files, &image).then_some((image, last.index))
}

/// Whether the image is there, and sound.
fn put(files: &SnapshotFiles, image: &Image) -> bool {
    files.has_image(&image.digest)
        || (files.add_to_image(&image.digest, 0, &image.bytes).is_ok()
            && files.finish_image(&image.digest).is_ok())
}
