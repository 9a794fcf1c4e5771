//! Snapshots as this node's clients see them.

use bytes::Bytes;
use coracle_client::{
    Code, DigestHex, ImageReceived, Restore, Restored, SnapshotInfo, SnapshotList,
};
use coracle_driver::fsm::SnapshotHeader;
use coracle_driver::{Digest, SnapshotReader, Snapshots as _};
use coracle_log::SnapshotInfo as FileInfo;
use tokio::time::Instant;

use super::call::{Call, Failure, Reply};
use super::service::{ADMIN_TIMEOUT, LIST_TIMEOUT, NodeService, unexpected};
use super::transfer::blocking;
use crate::api::{Future, OpenSnapshot, Snapshots};

/// A snapshot file that is open.
struct Opened {
    info: SnapshotInfo,
    reader: Box<dyn SnapshotReader>,
}

impl OpenSnapshot for Opened {
    fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), String> {
        self.reader
            .read_raw(offset, buffer)
            .map_err(|error| error.to_string())
    }
}

impl NodeService {
    async fn listed(&self, fsm: &str) -> Result<Vec<SnapshotInfo>, Failure> {
        let group = self
            .resolve(fsm, Instant::now() + LIST_TIMEOUT)
            .await?
            .group;
        let files = self.0.files.clone();
        let list = blocking(move || files.list(group)).await;
        let list = list.map_err(|reason| Failure::not_applied(Code::Internal, reason))?;
        Ok(list.iter().filter_map(info).collect())
    }

    async fn open(&self, fsm: &str, index: Option<u64>) -> Result<Opened, Failure> {
        let mut list = self.listed(fsm).await?;
        if let Some(index) = index {
            list.retain(|snapshot| snapshot.index == index);
        }
        let Some(info) = list.pop() else {
            let detail = match index {
                Some(index) => format!("this node has no snapshot of {fsm} at {index}"),
                None => {
                    format!("this node has no snapshot of {fsm} yet: `coracle snapshot take {fsm}`")
                }
            };
            return Err(Failure::not_applied(Code::NotFound, detail));
        };
        let files = self.0.files.clone();
        let (group, last) = (coracle_proto::GroupId(info.group), (info.term, info.index));
        let digest = Digest(info.digest.0);
        let opened = blocking(move || {
            let (term, index) = last;
            files.open(group, coracle_proto::LogId { term, index }, &digest)
        });
        let reader = opened.await;
        let reader = reader.map_err(|reason| Failure::not_applied(Code::NotFound, reason))?;
        Ok(Opened { info, reader })
    }

    async fn do_restore(&self, fsm: &str, restore: Restore) -> Result<Restored, Failure> {
        let deadline = Instant::now() + ADMIN_TIMEOUT;
        let group = self.resolve(fsm, deadline).await?.group;
        let call = Call::Restore {
            group: group.0,
            image: Digest(restore.image.0),
            fresh: restore.fresh,
        };
        match self.0.at_leader(call, deadline).await? {
            Reply::At { index } => {
                self.0.wait_applied(group, index, deadline).await?;
                Ok(Restored { index })
            }
            reply => Err(unexpected(&reply)),
        }
    }
}

/// What a client is told of a file; nothing if this build cannot read its header.
fn info(file: &FileInfo) -> Option<SnapshotInfo> {
    let header = SnapshotHeader::decode(&file.header).ok()?;
    Some(SnapshotInfo {
        index: file.last.index,
        term: file.last.term,
        time: header.environment.time,
        group: file.group.0,
        plugin: DigestHex(header.spec.plugin.0),
        bytes: file.bytes,
        digest: DigestHex(file.digest.0),
    })
}

impl Snapshots for NodeService {
    fn snapshots<'a>(&'a self, fsm: &'a str) -> Future<'a, SnapshotList> {
        Box::pin(async move {
            Ok(SnapshotList {
                node: self.0.node.0,
                snapshots: self.listed(fsm).await?,
            })
        })
    }

    fn open_snapshot<'a>(
        &'a self,
        fsm: &'a str,
        index: Option<u64>,
    ) -> Future<'a, Box<dyn OpenSnapshot>> {
        Box::pin(async move {
            let opened: Box<dyn OpenSnapshot> = Box::new(self.open(fsm, index).await?);
            Ok(opened)
        })
    }

    fn add_to_image(
        &self,
        image: DigestHex,
        offset: u64,
        part: Bytes,
    ) -> Future<'_, ImageReceived> {
        Box::pin(async move {
            let image = Digest(image.0);
            let received = self.0.add_to_image(image, offset, part).await?;
            Ok(ImageReceived { received })
        })
    }

    fn finish_image(&self, image: DigestHex) -> Future<'_, ImageReceived> {
        Box::pin(async move {
            let found = self.0.finish_image(Digest(image.0)).await?;
            Ok(ImageReceived {
                received: found.bytes,
            })
        })
    }

    fn restore<'a>(&'a self, fsm: &'a str, restore: Restore) -> Future<'a, Restored> {
        Box::pin(async move { Ok(self.do_restore(fsm, restore).await?) })
    }
}
