//! Little-endian fields, written and read one after the other.

use coracle_driver::{Digest, Floor, SnapshotRef};
use coracle_proto::{Configuration, HardState, LogId, NodeId, ReplicaId};

/// Bytes that cannot be what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What is left to read.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self
            .0
            .split_at_checked(len)
            .ok_or(Malformed("it ends too early"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(Malformed("it ends too early"))?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Malformed("bytes follow its end")),
        }
    }

    pub(crate) fn log_id(&mut self) -> Result<LogId, Malformed> {
        let term = self.u64()?;
        let index = self.u64()?;
        Ok(LogId { term, index })
    }

    fn replica(&mut self) -> Result<ReplicaId, Malformed> {
        let node = NodeId(self.u64()?);
        let born = self.u64()?;
        Ok(ReplicaId { node, born })
    }

    pub(crate) fn hard_state(&mut self) -> Result<HardState, Malformed> {
        let term = self.u64()?;
        let vote = match self.flag()? {
            true => Some(self.replica()?),
            false => None,
        };
        Ok(HardState { term, vote })
    }

    fn configuration(&mut self) -> Result<Configuration, Malformed> {
        let len = self.u32()? as usize;
        Configuration::decode(self.bytes(len)?)
            .map_err(|_| Malformed("it holds no valid configuration"))
    }

    pub(crate) fn floor(&mut self) -> Result<Floor, Malformed> {
        let last = self.log_id()?;
        let configuration = self.configuration()?;
        let snapshot = match self.flag()? {
            true => Some(SnapshotRef {
                last: self.log_id()?,
                configuration: self.configuration()?,
                digest: Digest(self.array()?),
            }),
            false => None,
        };
        Ok(Floor {
            last,
            configuration,
            snapshot,
        })
    }
}

pub(crate) fn put_log_id(out: &mut Vec<u8>, id: LogId) {
    out.extend_from_slice(&id.term.to_le_bytes());
    out.extend_from_slice(&id.index.to_le_bytes());
}

fn put_replica(out: &mut Vec<u8>, id: ReplicaId) {
    out.extend_from_slice(&id.node.0.to_le_bytes());
    out.extend_from_slice(&id.born.to_le_bytes());
}

pub(crate) fn put_hard_state(out: &mut Vec<u8>, hard_state: &HardState) {
    out.extend_from_slice(&hard_state.term.to_le_bytes());
    out.push(u8::from(hard_state.vote.is_some()));
    if let Some(vote) = hard_state.vote {
        put_replica(out, vote);
    }
}

fn put_configuration(out: &mut Vec<u8>, configuration: &Configuration) {
    let encoded = configuration.encode();
    out.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
    out.extend_from_slice(&encoded);
}

pub(crate) fn put_floor(out: &mut Vec<u8>, floor: &Floor) {
    put_log_id(out, floor.last);
    put_configuration(out, &floor.configuration);
    out.push(u8::from(floor.snapshot.is_some()));
    if let Some(snapshot) = &floor.snapshot {
        put_log_id(out, snapshot.last);
        put_configuration(out, &snapshot.configuration);
        out.extend_from_slice(&snapshot.digest.0);
    }
}
