//! Lanes: the ordered streams to a peer, each behind a queue bounded by bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use coracle_proto::{Envelope, GroupId, Message, NodeId};
use tokio::sync::Notify;

use crate::codec;
use crate::limits::{APPEND_LANES, HELD_CONTROL_BYTES, MAX_BATCH_ENVELOPES, MAX_FRAME_BYTES};

/// One of the streams to a peer. Order holds within a lane only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, heartbeats and replies: small, and never behind entries.
    Control,
    /// Entries; taken modulo [`APPEND_LANES`].
    Append(u8),
}

impl Lane {
    /// The lane for a group's entries.
    pub fn append(group: GroupId) -> Self {
        Self::Append((group.0 % u64::from(APPEND_LANES)) as u8)
    }

    /// The lane an envelope belongs on. Empty appends stay behind the entries they probe for.
    pub fn of(envelope: &Envelope) -> Self {
        match envelope.message {
            Message::Append { .. } | Message::Snapshot { .. } => Self::append(envelope.group),
            _ => Self::Control,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Append(lane) => write!(f, "append-{}", lane % APPEND_LANES),
        }
    }
}

/// Envelopes were dropped. Those before them in the same call were queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{dropped} envelopes for {to} dropped on lane {lane}: {reason}")]
pub struct Overflow {
    /// For whom.
    pub to: NodeId,
    /// On which lane.
    pub lane: Lane,
    /// How many.
    pub dropped: usize,
    /// Why.
    pub reason: DropReason,
}

/// Why envelopes were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// The lane's queue is full.
    #[error("queue is full at {limit} bytes")]
    Full {
        /// Its size.
        limit: usize,
    },
    /// The peer is not connected.
    #[error("not connected")]
    Down,
    /// An envelope does not fit in a frame.
    #[error("envelope of {bytes} bytes does not fit in a frame of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No address is known for this node.
    #[error("unknown peer")]
    UnknownPeer,
}

/// The queue of one lane of one peer.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    limit: usize,
    /// Whether the newest envelopes are kept while the peer is not connected.
    holds: bool,
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    bytes: usize,
    envelopes: VecDeque<(usize, Envelope)>,
}

/// How many were not queued, or were pushed out, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) count: usize,
    pub(crate) reason: DropReason,
}

impl LaneQueue {
    pub(crate) fn control(limit: usize) -> Self {
        Self::new(limit, true)
    }

    pub(crate) fn append(limit: usize) -> Self {
        Self::new(limit, false)
    }

    fn new(limit: usize, holds: bool) -> Self {
        Self {
            limit,
            holds,
            state: Mutex::default(),
            ready: Notify::new(),
        }
    }

    /// Queues what fits, in order; nothing after the first that does not.
    pub(crate) fn push(&self, envelopes: Vec<Envelope>) -> Result<(), Dropped> {
        let mut state = self.lock();
        if !state.connected && self.holds {
            return state.hold(envelopes, self.limit);
        }
        let total = envelopes.len();
        for (queued, envelope) in envelopes.into_iter().enumerate() {
            let bytes = codec::weight(&envelope);
            if let Some(reason) = self.refusal(&state, bytes) {
                let count = total - queued;
                return Err(Dropped { count, reason });
            }
            state.put(bytes, envelope);
            self.ready.notify_one();
        }
        Ok(())
    }

    fn refusal(&self, state: &State, bytes: usize) -> Option<DropReason> {
        if !state.connected {
            return Some(DropReason::Down);
        }
        if !fits_frame(bytes) {
            return Some(DropReason::TooLarge { bytes });
        }
        let full = state.bytes + bytes > self.limit;
        full.then_some(DropReason::Full { limit: self.limit })
    }

    /// Waits for envelopes and takes them all, or as many as make a frame of `target` bytes.
    pub(crate) async fn take(&self, target: usize) -> Vec<Envelope> {
        loop {
            let batch = self.take_now(target);
            if !batch.is_empty() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    /// As `take`, without waiting.
    pub(crate) fn take_now(&self, target: usize) -> Vec<Envelope> {
        let mut state = self.lock();
        let mut taken = 0;
        let mut batch = Vec::new();
        while taken < target
            && batch.len() < MAX_BATCH_ENVELOPES
            && let Some((bytes, envelope)) = state.envelopes.pop_front()
        {
            if !fits_frame(taken + bytes) && !batch.is_empty() {
                state.envelopes.push_front((bytes, envelope));
                break;
            }
            state.bytes -= bytes;
            taken += bytes;
            batch.push(envelope);
        }
        batch
    }

    pub(crate) fn connected(&self) {
        self.lock().connected = true;
    }

    /// Forgets what is queued: it may be a repetition of what the lost connection carried.
    pub(crate) fn disconnected(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the queue's lock")
    }
}

impl State {
    fn put(&mut self, bytes: usize, envelope: Envelope) {
        self.bytes += bytes;
        self.envelopes.push_back((bytes, envelope));
    }

    /// Keeps the newest: a vote of now is worth more than a heartbeat of then.
    fn hold(&mut self, envelopes: Vec<Envelope>, limit: usize) -> Result<(), Dropped> {
        for envelope in envelopes {
            self.put(codec::weight(&envelope), envelope);
        }
        let mut count = 0;
        while self.bytes > limit.min(HELD_CONTROL_BYTES)
            && let Some((bytes, _)) = self.envelopes.pop_front()
        {
            self.bytes -= bytes;
            count += 1;
        }
        match count {
            0 => Ok(()),
            _ => Err(Dropped {
                count,
                reason: DropReason::Down,
            }),
        }
    }
}

fn fits_frame(bytes: usize) -> bool {
    bytes + codec::BATCH_OVERHEAD <= MAX_FRAME_BYTES
}

#[cfg(test)]
mod tests {
    use coracle_proto::{Index, ReplicaId};

    use super::*;

    fn heartbeat(round: Index) -> Envelope {
        let replica = |node| ReplicaId {
            node: NodeId(node),
            born: 0,
        };
        Envelope {
            group: GroupId(0),
            from: replica(1),
            to: replica(2),
            term: 1,
            message: Message::Heartbeat {
                commit: 0,
                round,
                lease: false,
            },
        }
    }

    fn rounds(envelopes: Vec<Envelope>) -> Vec<u64> {
        let round = |envelope: &Envelope| match envelope.message {
            Message::Heartbeat { round, .. } => round,
            _ => panic!("only heartbeats were queued"),
        };
        envelopes.iter().map(round).collect()
    }

    #[test]
    fn a_full_lane_drops_the_rest_and_says_how_many() {
        let limit = 2 * codec::weight(&heartbeat(0));
        let queue = LaneQueue::append(limit);
        queue.connected();

        let dropped = queue.push((0..5).map(heartbeat).collect());

        let reason = DropReason::Full { limit };
        assert_eq!(dropped, Err(Dropped { count: 3, reason }));
        assert_eq!(rounds(queue.take_now(usize::MAX)), [0, 1]);
        assert_eq!(
            queue.push(vec![heartbeat(9)]),
            Ok(()),
            "space is free again"
        );
    }

    #[test]
    fn while_down_appends_are_refused_and_the_newest_control_is_held() {
        let appends = LaneQueue::append(1 << 20);
        let dropped = appends.push(vec![heartbeat(0)]).expect_err("down");
        assert_eq!(dropped.reason, DropReason::Down);

        let weight = codec::weight(&heartbeat(0));
        let control = LaneQueue::control(3 * weight);
        let dropped = control.push((0..5).map(heartbeat).collect());
        let reason = DropReason::Down;
        assert_eq!(dropped, Err(Dropped { count: 2, reason }));
        control.connected();
        assert_eq!(rounds(control.take_now(usize::MAX)), [2, 3, 4]);
    }

    #[test]
    fn a_batch_stops_at_its_target() {
        let queue = LaneQueue::append(1 << 20);
        queue.connected();
        queue.push((0..4).map(heartbeat).collect()).expect("room");
        let target = codec::weight(&heartbeat(0)) + 1;
        assert_eq!(rounds(queue.take_now(target)), [0, 1]);
        assert_eq!(rounds(queue.take_now(target)), [2, 3]);
    }
}
