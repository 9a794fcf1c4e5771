//! Snapshots on their way between nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_client::Happening;
use coracle_driver::fsm::SnapshotHeader;
use coracle_driver::{Digest, Event, SendSnapshot};
use coracle_driver::{SnapshotError, SnapshotReader, SnapshotReceiver, SnapshotRef};
use coracle_proto::{GroupId, Index, LogId, NodeId};
use coracle_transport::{BulkReader, BulkSource};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::Shell;
use super::bulk::{Bulk, Given, SnapshotOffer};
use crate::metrics::Direction;

/// How long the node may take to say whether it wants a snapshot.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the node wants done with snapshot files.
#[derive(Debug)]
pub(super) enum Transfer {
    /// Send one to a follower.
    Send(SendSnapshot),
    /// Tell a sender whether its snapshot is wanted.
    Offer { offer: u64, wanted: bool },
    /// Forget the files that no floor names any more.
    Retain {
        group: GroupId,
        keep: Vec<SnapshotRef>,
    },
}

/// Does what the node wants, beside everything else.
///
/// Files go before the next offer is answered: what then arrives must not go with them.
pub(super) async fn run(shell: &Arc<Shell>, transfer: Transfer, sending: &mut JoinSet<()>) {
    match transfer {
        Transfer::Send(what) => {
            sending.spawn(send(Arc::clone(shell), what));
        }
        Transfer::Offer { offer, wanted } => {
            if let Some(waiting) = shell.offers().remove(&offer) {
                // The sender may have gone.
                let _ = waiting.send(wanted);
            }
        }
        Transfer::Retain { group, keep } => {
            let snapshots = Arc::clone(&shell.snapshots);
            // Of a group that goes, nothing stays.
            let older = match keep.is_empty() {
                true => 0,
                false => shell.older_snapshots(),
            };
            let removed = tokio::task::spawn_blocking(move || {
                if let Err(error) = snapshots.retain(group, &keep, older) {
                    warn!(%group, %error, "old snapshot files could not be removed");
                }
            });
            // A panic in it was reported when it happened.
            let _ = removed.await;
        }
    }
}

async fn send(shell: Arc<Shell>, what: SendSnapshot) {
    let (group, to) = (what.group, what.to);
    let began = Instant::now();
    shell.metrics.raft.snapshot_begins(Direction::Sent);
    let whole = Arc::new(AtomicBool::new(false));
    let result = try_send(&shell, &what, &whole).await;
    let bytes = result.as_ref().ok().copied();
    let raft = &shell.metrics.raft;
    raft.snapshot_ends(Direction::Sent, began, bytes);
    match &result {
        Ok(bytes) => {
            info!(%group, %to, last = %what.snapshot.last, bytes, "snapshot sent");
            let index = what.snapshot.last.index;
            let (to, bytes) = (to.node.0, *bytes);
            shell.tell(group, Happening::SnapshotSent { to, index, bytes });
        }
        Err(reason) => {
            warn!(%group, %to, reason, "snapshot not sent; it is tried again");
            // Of one that was sent to its end the receiver may say what this disk has made of it.
            if whole.load(Ordering::Relaxed) && is_damaged(&shell, &what).await {
                let last = what.snapshot.last;
                warn!(%group, %last, "the snapshot is damaged on this disk; a checkpoint follows");
                shell.inbox.push(Event::SnapshotDamaged { group, last });
            }
        }
    }
    shell.inbox.push(Event::SnapshotSent {
        group,
        to,
        delivered: result.is_ok(),
    });
}

/// Reads the whole file once more.
async fn is_damaged(shell: &Shell, what: &SendSnapshot) -> bool {
    let files = shell.files.clone();
    let (group, last, digest) = (what.group, what.snapshot.last, what.snapshot.digest);
    let verified = tokio::task::spawn_blocking(move || files.verify(group, last, &digest)).await;
    matches!(
        verified,
        Ok(Err(
            SnapshotError::Damaged { .. } | SnapshotError::Missing { .. }
        ))
    )
}

/// Sets `whole` when the file has been read to its end.
async fn try_send(
    shell: &Shell,
    what: &SendSnapshot,
    whole: &Arc<AtomicBool>,
) -> Result<u64, String> {
    let snapshots = Arc::clone(&shell.snapshots);
    let (group, last, digest) = (what.group, what.snapshot.last, what.snapshot.digest);
    let reader = tokio::task::spawn_blocking(move || snapshots.open(group, last, &digest))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    let len = reader.file_len();
    let source = SnapshotSource::new(reader, what.snapshot.last, digest).tells(whole);
    let header = Bulk::Snapshot(SnapshotOffer::new(what)).encode();
    let transport = shell.transport().map_err(|failure| failure.detail)?;
    transport
        .send_bulk(what.to.node, header, Box::new(source), Box::new(|_| {}))
        .await
        .map_err(|error| error.to_string())?;
    Ok(len)
}

/// A snapshot file as a source of bytes.
#[derive(Debug)]
pub(super) struct SnapshotSource {
    reader: Box<dyn SnapshotReader>,
    given: Given,
    offset: u64,
    /// Set when all of it has been read.
    whole: Arc<AtomicBool>,
}

impl SnapshotSource {
    /// All of it.
    pub(super) fn new(reader: Box<dyn SnapshotReader>, last: LogId, digest: Digest) -> Self {
        Self {
            reader,
            given: Given::new(last, digest),
            offset: 0,
            whole: Arc::default(),
        }
    }

    /// Who wants to know that all of it has been read.
    fn tells(self, whole: &Arc<AtomicBool>) -> Self {
        let whole = Arc::clone(whole);
        Self { whole, ..self }
    }
}

impl BulkSource for SnapshotSource {
    fn length(&self) -> u64 {
        self.reader.file_len()
    }

    fn description(&self) -> Bytes {
        self.given.encode()
    }

    fn seek(&mut self, offset: u64) -> std::io::Result<()> {
        self.offset = offset;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.reader.file_len().saturating_sub(self.offset);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.reader
            .read_raw(self.offset, &mut buffer[..count])
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        self.offset += count as u64;
        if self.offset >= self.reader.file_len() {
            self.whole.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

/// Takes a snapshot in: asks the node whether it is wanted, writes it, hands it over.
pub(super) async fn receive(
    shell: Arc<Shell>,
    from: NodeId,
    offer: SnapshotOffer,
    reader: BulkReader,
) -> Result<Bytes, String> {
    if offer.from().node != from {
        return Err(format!("a snapshot of {} came from {from}", offer.from()));
    }
    if !is_wanted(&shell, &offer).await {
        return Err(format!("the snapshot at {} is not wanted", offer.last()));
    }
    let group = offer.group();
    let snapshot = take_in(&shell, from, group, (offer.last(), offer.digest), reader).await?;
    let what = Happening::SnapshotReceived {
        from: from.0,
        index: snapshot.last.index,
    };
    shell.tell(group, what);
    shell.inbox.push(Event::SnapshotArrived {
        group,
        from: offer.from(),
        to: offer.to(),
        term: offer.term,
        snapshot,
    });
    Ok(Bytes::new())
}

/// Takes a file in and counts it.
async fn take_in(
    shell: &Shell,
    from: NodeId,
    group: GroupId,
    what: (LogId, Digest),
    reader: BulkReader,
) -> Result<SnapshotRef, String> {
    let raft = &shell.metrics.raft;
    let (began, length) = (Instant::now(), reader.length());
    raft.snapshot_begins(Direction::Received);
    let taken = write_and_check(shell, from, group, what, reader).await;
    let bytes = taken.as_ref().ok().map(|(had, _)| length - had);
    raft.snapshot_ends(Direction::Received, began, bytes);
    taken.map(|(_, snapshot)| snapshot)
}

/// Writes a file as it arrives, after what an earlier attempt has left of it, and checks all of it.
/// Answers also how much that was.
async fn write_and_check(
    shell: &Shell,
    from: NodeId,
    group: GroupId,
    (last, digest): (LogId, Digest),
    mut reader: BulkReader,
) -> Result<(u64, SnapshotRef), String> {
    let snapshots = Arc::clone(&shell.snapshots);
    let total = reader.length();
    let resume = move || match snapshots.resume(group, last, &digest)? {
        // It cannot be the beginning of what comes.
        (_, had) if had > total => Ok((snapshots.receive(group)?, 0)),
        resumed => Ok::<_, SnapshotError>(resumed),
    };
    let (receiver, had) = blocking(resume).await?;
    if had > 0 {
        info!(%group, %from, %last, had, total, "going on with a snapshot that broke off");
    }
    let begun = reader.resume_at(had).await;
    begun.map_err(|error| error.to_string())?;
    let receiver = write_all(receiver, reader).await?;
    let offered = Some((last, digest));
    let (_, header) = blocking(move || receiver.finish(offered)).await?;
    let header = SnapshotHeader::decode(&header).map_err(|error| error.to_string())?;
    info!(%group, %from, %last, total, "snapshot received");
    let snapshot = SnapshotRef {
        last: header.last,
        configuration: header.configuration,
        digest,
    };
    Ok((had, snapshot))
}

/// Gives a peer the newest snapshot file of a group that this node has, leader or not.
pub(super) async fn give(
    shell: &Shell,
    group: GroupId,
    at_least: Index,
) -> Result<Box<dyn BulkSource>, String> {
    let snapshots = Arc::clone(&shell.snapshots);
    let (last, digest) = blocking(move || snapshots.newest(group))
        .await?
        .ok_or_else(|| format!("there is no snapshot of {group} here"))?;
    if last.index < at_least {
        return Err(format!(
            "the newest snapshot of {group} here is at {last}, one at {at_least} or later is wanted"
        ));
    }
    let snapshots = Arc::clone(&shell.snapshots);
    let reader = blocking(move || snapshots.open(group, last, &digest)).await?;
    Ok(Box::new(SnapshotSource::new(reader, last, digest)))
}

/// Fetches the newest snapshot file that a peer has of a group, at this index or later. The file is
/// durable, and checked, when this returns.
pub(super) async fn fetch_snapshot(
    shell: &Shell,
    peer: NodeId,
    group: GroupId,
    at_least: Index,
) -> Result<SnapshotRef, String> {
    let transport = shell.transport().map_err(|failure| failure.detail)?;
    let header = Bulk::Newest {
        group: group.0,
        at_least,
    };
    let reader = transport.fetch_bulk(peer, header.encode()).await;
    let reader = reader.map_err(|error| error.to_string())?;
    let given = Given::decode(reader.description())?;
    if given.last().index < at_least {
        return Err(format!("{peer} gives a snapshot at {}", given.last()));
    }
    take_in(shell, peer, group, (given.last(), given.digest), reader).await
}

async fn is_wanted(shell: &Shell, offer: &SnapshotOffer) -> bool {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (sender, answer) = oneshot::channel();
    shell.offers().insert(number, sender);
    let event = Event::SnapshotOffered {
        offer: number,
        group: offer.group(),
        to: offer.to(),
        term: offer.term,
        last: offer.last(),
    };
    let asked = shell.inbox.offer(event);
    let wanted = asked
        && matches!(
            tokio::time::timeout(OFFER_TIMEOUT, answer).await,
            Ok(Ok(true))
        );
    shell.offers().remove(&number);
    wanted
}

async fn write_all(
    mut receiver: Box<dyn SnapshotReceiver>,
    mut reader: BulkReader,
) -> Result<Box<dyn SnapshotReceiver>, String> {
    while let Some(chunk) = reader.read().await.map_err(|error| error.to_string())? {
        receiver = blocking(move || receiver.write(&chunk).map(|()| receiver)).await?;
    }
    Ok(receiver)
}

pub(super) async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
