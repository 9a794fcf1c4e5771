//! Images: snapshot files that users bring. Like plugins, they are durable on a majority before an
//! entry names them, by the digest in their trailer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::Code;
use coracle_driver::Digest;
use coracle_driver::task::HostEntry;
use coracle_log::SnapshotInfo;
use coracle_proto::{GroupId, NodeId, ReadMode};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shell;
use super::bulk::Bulk;
use super::call::{Call, Failure, Reply};
use super::fetched::{NotFetched, nobody_gave};
use super::transfer::blocking;

/// A peer that is connected but silent may hold up a restore for so long.
const PEER_TIMEOUT: Duration = Duration::from_secs(600);

impl Shell {
    /// Adds to an image that is being uploaded; answers how many bytes are here. At its beginning,
    /// images of earlier restores go.
    pub(super) async fn add_to_image(
        &self,
        image: Digest,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, Failure> {
        let files = self.files.clone();
        blocking(move || {
            if offset == 0 {
                files.retain_images(&[image])?;
            }
            files.add_to_image(&image, offset, &bytes)
        })
        .await
        .map_err(|reason| Failure::not_applied(Code::Internal, reason))
    }

    /// Verifies an image that was uploaded in full.
    pub(super) async fn finish_image(&self, image: Digest) -> Result<SnapshotInfo, Failure> {
        let files = self.files.clone();
        let found = blocking(move || match files.has_image(&image) {
            true => files.image(&image),
            false => files.finish_image(&image),
        });
        found
            .await
            .map_err(|reason| Failure::not_applied(Code::DigestMismatch, reason))
    }

    /// Has an image durable here; fetches it from one of `sources` if need be.
    pub(super) async fn image_here(
        &self,
        image: Digest,
        sources: &[NodeId],
    ) -> Result<SnapshotInfo, Failure> {
        let files = self.files.clone();
        let here = blocking(move || match files.has_image(&image) {
            true => files.image(&image).map(Some),
            false => Ok(None),
        });
        let here = here
            .await
            .map_err(|reason| Failure::not_applied(Code::Internal, reason))?;
        if let Some(found) = here {
            return Ok(found);
        }
        let mut tried = Vec::new();
        for source in sources.iter().filter(|source| **source != self.node) {
            match self.fetch_image(*source, image).await {
                Ok(found) => return Ok(found),
                Err(reason) => tried.push((*source, reason)),
            }
        }
        Err(nobody_gave(&format!("image {image}"), &tried))
    }

    async fn fetch_image(&self, source: NodeId, image: Digest) -> Result<SnapshotInfo, NotFetched> {
        let transport = self
            .transport()
            .map_err(|failure| NotFetched::Failed(failure.detail))?;
        let header = Bulk::Image { digest: image }.encode();
        let mut reader = transport.fetch_bulk(source, header).await?;
        let files = self.files.clone();
        let kept = blocking(move || files.retain_images(&[image])).await;
        kept.map_err(NotFetched::Failed)?;
        let mut offset = 0;
        while let Some(bytes) = reader.read().await? {
            let files = self.files.clone();
            let added = blocking(move || files.add_to_image(&image, offset, &bytes)).await;
            offset = added.map_err(NotFetched::Failed)?;
        }
        let files = self.files.clone();
        let found = blocking(move || files.finish_image(&image)).await;
        let found = found.map_err(NotFetched::Failed)?;
        info!(%image, from = %source, bytes = offset, "an image was fetched");
        Ok(found)
    }

    /// Has an image durable on a majority, this node included.
    async fn image_everywhere(
        self: &Arc<Self>,
        image: Digest,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let all = self.all_nodes();
        self.image_here(image, &all).await?;
        let call = Call::StageImage {
            image,
            from: self.node.0,
        };
        let deadline = deadline.min(Instant::now() + PEER_TIMEOUT);
        let asked = self.ask_everywhere(&all, &call, deadline, |_| false).await;
        let asked = asked.map_err(|(_, failure)| failure)?;
        let missing = asked.by_a_majority(&format!("the image {image}"))?;
        for reason in missing {
            warn!(%image, reason, "a node has no copy of the image; it fetches one when it is back");
        }
        Ok(())
    }

    /// Restores a group from an image; this node must lead it.
    pub(super) async fn restore_here(
        self: &Arc<Self>,
        group: GroupId,
        image: Digest,
        fresh: bool,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let point = self.read_point(group, ReadMode::Index, deadline).await?;
        self.image_everywhere(image, deadline).await?;
        let entry = HostEntry::Restore { image, fresh };
        let restored = self.host_entry(group, entry, deadline).await;
        if restored.is_ok() {
            info!(%group, %image, after = point, "an fsm was restored from an image");
        }
        restored
    }
}
