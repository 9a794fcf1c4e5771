//! Ways in for `tests/fuzz`: the decoders that no other crate may use otherwise.

use bytes::Bytes;
use coracle_proto::{Configuration, GroupId, LogId, NodeId};

use super::chain::Chain;
use super::header::{SessionSummary, SnapshotHeader};
use super::sessions::{Session, Sessions, body_digest};
use super::state_file::{read_sessions, write_sessions};
use crate::task::Outcome;
use crate::{
    Digest, Environment, Limits, MachineSpec, Section, SnapshotError, SnapshotReader,
    SnapshotWriter,
};

/// The session section of a snapshot, in memory.
#[derive(Debug, Default)]
struct Memory {
    bytes: Bytes,
    written: Vec<u8>,
}

impl SnapshotReader for Memory {
    fn header(&self) -> &[u8] {
        &[]
    }

    fn read(&mut self, section: Section, max: usize) -> Result<Vec<u8>, SnapshotError> {
        if section != Section::Sessions {
            return Ok(Vec::new());
        }
        let len = max.min(self.bytes.len());
        Ok(self.bytes.split_to(len).to_vec())
    }

    fn file_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_raw(&mut self, _: u64, _: &mut [u8]) -> Result<(), SnapshotError> {
        Ok(())
    }
}

impl SnapshotWriter for Memory {
    fn write(&mut self, _: Section, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.written.extend_from_slice(bytes);
        Ok(())
    }

    fn state_digest(&self) -> Digest {
        Digest([0; 32])
    }

    fn finish(self: Box<Self>) -> Result<Digest, SnapshotError> {
        Ok(Digest([0; 32]))
    }
}

/// A header in which every field says something.
pub fn snapshot_header() -> Vec<u8> {
    let mut chain = Chain::new();
    for index in 1..=600 {
        chain.push(index, &[], None);
    }
    let header = SnapshotHeader {
        group: GroupId(3),
        last: LogId {
            term: 2,
            index: 600,
        },
        configuration: Configuration::initial([1, 2, 3].map(NodeId)),
        environment: Environment {
            index: 600,
            time: 7,
            seed: [9; 32],
        },
        spec: MachineSpec {
            plugin: Digest([3; 32]),
            config: vec![("a".into(), "1".into())],
            limits: Limits::default(),
            contract: "0.1.0".into(),
            epoch: 1,
        },
        sessions: SessionSummary { commands: 5 },
        chain,
    };
    header.encode()
}

/// The section of a table with these replies.
pub fn sessions(replies: &[Vec<u8>]) -> Vec<u8> {
    let mut table = Sessions::default();
    for (index, reply) in (1..).zip(replies) {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&u64::to_le_bytes(index));
        table.insert(Session {
            key,
            body: body_digest(reply),
            index,
            outcome: Outcome::Ok(reply.clone()),
        });
    }
    written(&table)
}

/// Reads such a section; what it would be written as again.
pub fn read(section: Bytes) -> Option<Vec<u8>> {
    let mut reader = Memory {
        bytes: section,
        written: Vec::new(),
    };
    read_sessions(&mut reader)
        .ok()?
        .ok()
        .map(|table| written(&table))
}

fn written(table: &Sessions) -> Vec<u8> {
    let mut writer = Memory::default();
    match write_sessions(&mut writer, table) {
        Ok(()) => writer.written,
        Err(_) => Vec::new(),
    }
}
