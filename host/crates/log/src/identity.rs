//! Who a store belongs to; the first thing written into it.

use coracle_proto::NodeId;

use crate::fields::{Fields, Malformed};

/// Version of everything in this crate that is stored.
const FORMAT: u32 = 2;

/// A store, and the node it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store: [u8; 16],
    pub(crate) node: NodeId,
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.to_le_bytes().to_vec();
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let format = fields.u32()?;
        let identity = Self {
            store: fields.array()?,
            node: NodeId(fields.u64()?),
        };
        let covered = &bytes[..bytes.len() - fields.0.len()];
        if fields.u32()? != crc32c::crc32c(covered) {
            return Err(Malformed("the checksum of the identity does not match"));
        }
        fields.end()?;
        match format {
            FORMAT => Ok(identity),
            _ => Err(Malformed("it has a format this version does not know")),
        }
    }
}
