//! Snapshots: listed, fetched and brought in parts, so that nothing is held in memory as a whole.

use bytes::Bytes;
use http::Method;

use super::send::Call;
use super::{Client, ClientError, fsm_path};
use crate::DigestHex;
use crate::snapshots::{
    ImageReceived, Restore, Restored, SNAPSHOT_PART_BYTES, SnapshotInfo, SnapshotList,
};

impl Client {
    /// The snapshots of an fsm on the first node that answers.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn snapshots(&self, fsm: &str) -> Result<SnapshotList, ClientError> {
        self.get(fsm_path(fsm, "/snapshots")?).await
    }

    /// A part of a snapshot, from `offset`; empty at its end.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; `NotFound` if it was removed meanwhile.
    pub async fn snapshot_part(
        &self,
        fsm: &str,
        snapshot: &SnapshotInfo,
        offset: u64,
    ) -> Result<Bytes, ClientError> {
        if offset >= snapshot.bytes {
            return Ok(Bytes::new());
        }
        let path = fsm_path(fsm, &format!("/snapshots/{}", snapshot.index))?;
        let mut call = Call::new(Method::GET, path, self.inner.timeout);
        call.repeatable = true;
        call.read_only = true;
        let last = (offset + SNAPSHOT_PART_BYTES as u64).min(snapshot.bytes) - 1;
        call.set_header("range", &format!("bytes={offset}-{last}"))?;
        call.set_header("if-match", &format!("\"{}\"", snapshot.digest))?;
        Ok(self.send(&call).await?.body)
    }

    /// Brings a part of an image; answers how many bytes are there.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn put_image_part(
        &self,
        image: DigestHex,
        offset: u64,
        part: Bytes,
    ) -> Result<ImageReceived, ClientError> {
        let path = format!("/v1/images/{image}/{offset}");
        let mut call = Call::new(Method::PUT, path, self.inner.timeout);
        call.body = part;
        call.repeatable = true;
        self.send(&call).await?.json()
    }

    /// Ends an upload: the image is verified.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn finish_image(&self, image: DigestHex) -> Result<ImageReceived, ClientError> {
        let path = format!("/v1/images/{image}");
        let mut call = Call::new(Method::POST, path, self.inner.admin_timeout);
        call.repeatable = true;
        self.send(&call).await?.json()
    }

    /// Restores an fsm from an image at a log index; returns when the leader has done it.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn restore(&self, fsm: &str, restore: Restore) -> Result<Restored, ClientError> {
        let limit = self.inner.admin_timeout;
        self.send_json_within(limit, Method::POST, fsm_path(fsm, "/restore")?, &restore)
            .await
    }
}
