//! The encoded form of a [`Configuration`], which entries and snapshot headers carry.
//!
//! Little-endian: `u8` version, `u64` index, `u8` flags (bit 0: auto-leave, bit 1: there are
//! witnesses), then voters, outgoing, learners, learners-next and, if there are any, witnesses,
//! each as `u16` count and ascending (`u64` node, `u64` born) pairs. One configuration has exactly
//! one encoded form.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use crate::{Configuration, NodeId, ReplicaId};

const VERSION: u8 = 1;
const AUTO_LEAVE: u8 = 1;
const WITNESSES: u8 = 2;

/// Members in one set of a configuration, at most.
pub const MAX_MEMBERS: usize = 256;

/// Why bytes are not a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigurationError {
    /// The bytes end in the middle of it.
    Truncated,
    /// Bytes are left over after it.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Written by a version this one does not know.
    Version {
        /// The version found.
        found: u8,
    },
    /// A flag this version does not know.
    Flags {
        /// The flags found.
        found: u8,
    },
    /// A set has more than [`MAX_MEMBERS`] members.
    TooMany {
        /// The count found.
        found: usize,
    },
    /// A set is not strictly ascending.
    Unordered,
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "configuration: truncated"),
            Self::Trailing { bytes } => write!(f, "configuration: {bytes} bytes after its end"),
            Self::Version { found } => write!(f, "configuration: unknown version {found}"),
            Self::Flags { found } => write!(f, "configuration: unknown flags {found:#x}"),
            Self::TooMany { found } => {
                write!(
                    f,
                    "configuration: {found} members, the limit is {MAX_MEMBERS}"
                )
            }
            Self::Unordered => write!(f, "configuration: members out of order"),
        }
    }
}

impl std::error::Error for ConfigurationError {}

impl Configuration {
    /// The encoded form.
    pub fn encode(&self) -> Bytes {
        let mut sets = vec![
            &self.voters,
            &self.outgoing,
            &self.learners,
            &self.learners_next,
        ];
        let mut flags = if self.auto_leave { AUTO_LEAVE } else { 0 };
        if !self.witnesses.is_empty() {
            sets.push(&self.witnesses);
            flags |= WITNESSES;
        }
        let mut out = vec![VERSION];
        out.extend(self.index.to_le_bytes());
        out.push(flags);
        for set in sets {
            // The count is kept below MAX_MEMBERS by those who make configurations; a larger one
            // is cut here and refused by every reader as trailing bytes.
            let count = u16::try_from(set.len()).unwrap_or(u16::MAX);
            out.extend(count.to_le_bytes());
            for id in set {
                out.extend(id.node.0.to_le_bytes());
                out.extend(id.born.to_le_bytes());
            }
        }
        out.into()
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        let mut reader = Reader(bytes);
        let [version] = reader.take()?;
        if version != VERSION {
            return Err(ConfigurationError::Version { found: version });
        }
        let index = u64::from_le_bytes(reader.take()?);
        let [flags] = reader.take()?;
        if flags & !(AUTO_LEAVE | WITNESSES) != 0 {
            return Err(ConfigurationError::Flags { found: flags });
        }
        let configuration = Self {
            index,
            voters: reader.set()?,
            outgoing: reader.set()?,
            learners: reader.set()?,
            learners_next: reader.set()?,
            witnesses: reader.witnesses(flags)?,
            auto_leave: flags & AUTO_LEAVE != 0,
        };
        match reader.0.len() {
            0 => Ok(configuration),
            bytes => Err(ConfigurationError::Trailing { bytes }),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ConfigurationError> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ConfigurationError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// An empty set has no encoded form: its flag would be a second one.
    fn witnesses(&mut self, flags: u8) -> Result<BTreeSet<ReplicaId>, ConfigurationError> {
        if flags & WITNESSES == 0 {
            return Ok(BTreeSet::new());
        }
        let set = self.set()?;
        match set.is_empty() {
            true => Err(ConfigurationError::Flags { found: flags }),
            false => Ok(set),
        }
    }

    fn set(&mut self) -> Result<BTreeSet<ReplicaId>, ConfigurationError> {
        let count = usize::from(u16::from_le_bytes(self.take()?));
        if count > MAX_MEMBERS {
            return Err(ConfigurationError::TooMany { found: count });
        }
        let mut set = BTreeSet::new();
        for _ in 0..count {
            let id = ReplicaId {
                node: NodeId(u64::from_le_bytes(self.take()?)),
                born: u64::from_le_bytes(self.take()?),
            };
            if set.last().is_some_and(|last| *last >= id) {
                return Err(ConfigurationError::Unordered);
            }
            set.insert(id);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = BTreeSet<ReplicaId>> {
        let id = (any::<u64>(), any::<u64>()).prop_map(|(node, born)| ReplicaId {
            node: NodeId(node),
            born,
        });
        prop::collection::btree_set(id, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decode_is_the_inverse_of_encode(
            index in any::<u64>(), auto_leave in any::<bool>(),
            voters in set(), outgoing in set(), learners in set(), learners_next in set(),
            witnesses in set(),
        ) {
            let configuration = Configuration {
                index, voters, outgoing, learners, learners_next, witnesses, auto_leave,
            };
            prop_assert_eq!(Configuration::decode(&configuration.encode()), Ok(configuration));
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_are_the_one_encoded_form(
            bytes in prop::collection::vec(any::<u8>(), 0..80)
        ) {
            if let Ok(configuration) = Configuration::decode(&bytes) {
                prop_assert_eq!(&configuration.encode()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn every_cut_is_truncated_and_every_addition_trailing() {
        let encoded = Configuration::initial([NodeId(1), NodeId(2)]).encode();
        for end in 0..encoded.len() {
            let cut = Configuration::decode(&encoded[..end]);
            assert_eq!(cut, Err(ConfigurationError::Truncated), "{end} bytes");
        }
        let longer = [&encoded[..], &[0]].concat();
        let trailing = ConfigurationError::Trailing { bytes: 1 };
        assert_eq!(Configuration::decode(&longer), Err(trailing));
    }

    #[test]
    fn a_second_encoded_form_of_the_same_members_is_refused() {
        let mut bytes = Configuration::initial([NodeId(1), NodeId(2)])
            .encode()
            .to_vec();
        let (first, second) = (12, 12 + 16);
        for i in 0..16 {
            bytes.swap(first + i, second + i);
        }
        assert_eq!(
            Configuration::decode(&bytes),
            Err(ConfigurationError::Unordered)
        );
    }
}
