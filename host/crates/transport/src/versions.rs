//! Which wire versions a node speaks, and which two nodes have in common.

use std::fmt;

use coracle_proto::NodeId;

/// Oldest wire version this build speaks.
pub const MIN_WIRE_VERSION: u16 = 1;
/// Newest wire version this build speaks.
pub const MAX_WIRE_VERSION: u16 = 2;

/// A range of wire versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub oldest: u16,
    /// The highest.
    pub newest: u16,
}

impl Versions {
    /// What this build speaks.
    pub const SUPPORTED: Self = Self {
        oldest: MIN_WIRE_VERSION,
        newest: MAX_WIRE_VERSION,
    };

    /// The highest version that both speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::SUPPORTED
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "{}", self.oldest),
            false => write!(f, "{} to {}", self.oldest, self.newest),
        }
    }
}

/// Two nodes have no wire version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{peer_node} speaks wire version {peer}, this node {own}: upgrade {}", self.remedy())]
pub struct VersionMismatch {
    /// What this node speaks.
    pub own: Versions,
    /// What the peer speaks.
    pub peer: Versions,
    /// The peer.
    pub peer_node: NodeId,
}

impl VersionMismatch {
    /// Who has to be upgraded to what: always the older of the two.
    fn remedy(&self) -> String {
        if self.own.newest < self.peer.oldest {
            let wanted = self.peer.oldest;
            return format!("this node to a release that speaks version {wanted}");
        }
        let wanted = self.own.oldest;
        format!(
            "{} to a release that speaks version {wanted}",
            self.peer_node
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(oldest: u16, newest: u16) -> Versions {
        Versions { oldest, newest }
    }

    #[test]
    fn the_highest_version_that_both_speak_is_taken() {
        assert_eq!(range(1, 2).common(range(1, 1)), Some(1));
        assert_eq!(range(1, 2).common(range(2, 5)), Some(2));
        assert_eq!(range(1, 3).common(range(1, 3)), Some(3));
        assert_eq!(range(1, 2).common(range(3, 4)), None);
        assert_eq!(range(3, 4).common(range(1, 2)), None);
    }

    #[test]
    fn a_mismatch_names_both_ranges_and_tells_the_older_node_to_upgrade() {
        let mismatch = |own, peer| {
            VersionMismatch {
                own,
                peer,
                peer_node: NodeId(2),
            }
            .to_string()
        };
        assert_eq!(
            mismatch(range(1, 2), range(3, 4)),
            "n2 speaks wire version 3 to 4, this node 1 to 2: upgrade this node to a release that speaks version 3"
        );
        assert_eq!(
            mismatch(range(3, 4), range(2, 2)),
            "n2 speaks wire version 2, this node 3 to 4: upgrade n2 to a release that speaks version 3"
        );
    }
}
