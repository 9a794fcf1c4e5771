//! A log and a state machine in memory.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io::{self, Cursor};
use std::ops::RangeBounds;
use std::sync::Arc;

use futures::{Stream, TryStreamExt as _};
use openraft::EntryPayload;
use openraft::OptionalSend;
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::entry::RaftEntry as _;
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder,
    RaftStateMachine,
};
use tokio::sync::RwLock;

use super::Types;

/// A command or an answer without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Empty;

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("empty")
    }
}

/// The log of one node.
#[derive(Default)]
pub(crate) struct Log {
    vote: RwLock<Option<VoteOf<Types>>>,
    entries: RwLock<BTreeMap<u64, EntryOf<Types>>>,
    purged: RwLock<Option<LogIdOf<Types>>>,
}

impl RaftLogReader<Types> for Arc<Log> {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let entries = self.entries.read().await;
        Ok(entries
            .range(range)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(*self.vote.read().await)
    }
}

impl RaftLogStorage<Types> for Arc<Log> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let purged = *self.purged.read().await;
        let entries = self.entries.read().await;
        let last = entries.last_key_value().map(|(_, entry)| entry.log_id());
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last.or(purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        Arc::clone(self)
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        *self.vote.write().await = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, done: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
    {
        let mut log = self.entries.write().await;
        log.extend(entries.into_iter().map(|entry| (entry.index(), entry)));
        drop(log);
        done.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index() + 1);
        self.entries.write().await.split_off(&from);
        Ok(())
    }

    async fn purge(&mut self, through: LogIdOf<Types>) -> Result<(), io::Error> {
        *self.purged.write().await = Some(through);
        let mut log = self.entries.write().await;
        *log = log.split_off(&(through.index() + 1));
        Ok(())
    }
}

/// What a state machine without state has applied.
#[derive(Default)]
pub(crate) struct Machine(RwLock<Applied>);

#[derive(Clone, Default)]
struct Applied {
    last: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl Machine {
    async fn snapshot(&self) -> SnapshotOf<Types, Cursor<Vec<u8>>> {
        let Applied { last, membership } = self.0.read().await.clone();
        SnapshotOf::<Types, Cursor<Vec<u8>>> {
            meta: SnapshotMetaOf::<Types> {
                last_log_id: last,
                last_membership: membership,
            },
            snapshot: Cursor::default(),
        }
    }
}

impl RaftSnapshotBuilder<Types> for Arc<Machine> {
    type SnapshotData = Cursor<Vec<u8>>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Cursor<Vec<u8>>>, io::Error> {
        Ok(self.snapshot().await)
    }
}

impl RaftStateMachine<Types> for Arc<Machine> {
    type SnapshotData = Cursor<Vec<u8>>;
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let Applied { last, membership } = self.0.read().await.clone();
        Ok((last, membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut applied = self.0.write().await;
        while let Some((entry, responder)) = entries.try_next().await? {
            applied.last = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                applied.membership =
                    StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(Empty);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        Arc::clone(self)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        _: Self::SnapshotData,
    ) -> Result<(), io::Error> {
        *self.0.write().await = Applied {
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
        };
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, Self::SnapshotData>>, io::Error> {
        Ok(Some(self.snapshot().await))
    }
}
