//! Ways in for `tests/fuzz`: the decoders that no other crate may use otherwise. Always there, so
//! that what is fuzzed is what is shipped.

use bytes::Bytes;
use coracle_proto::NodeId;

use crate::bulk::fuzzing as bulk;
use crate::hello::Hello;
use crate::versions::Versions;

/// A hello with so many epochs.
pub fn hello(newest: u16, epochs: Vec<u32>) -> Vec<u8> {
    let hello = Hello {
        versions: Versions { oldest: 1, newest },
        cluster: "prod".to_owned(),
        node: NodeId(7),
        incarnation: 0x0123_4567_89ab_cdef,
        epochs,
    };
    hello.encode().map_or_else(|_| Vec::new(), Into::into)
}

/// Reads a hello; what it would be written as again.
pub fn read_hello(bytes: &[u8]) -> Option<Vec<u8>> {
    Hello::decode(bytes).ok()?.encode().ok().map(Into::into)
}

/// A batch in compressed form, however little that saves.
pub fn packed(batch: &[u8]) -> Vec<u8> {
    crate::codec::packed(batch).into()
}

/// A piece of a transfer.
pub fn chunk(data: &[u8], compress: bool) -> Bytes {
    bulk::encode(data, compress)
}

/// Reads the pieces of a transfer of `length` bytes; the data, if all of it is there.
pub fn read_chunks(bytes: &Bytes, length: u64) -> Result<Vec<u8>, String> {
    bulk::decode_all(bytes, length)
}
