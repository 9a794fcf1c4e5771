//! Linearizability by the order of the log, which is a witness: whatever a client was told before
//! another one asked lies before the other's answer. With the committed history never changing
//! (state machine safety), an acknowledged command is also durable for ever.

use coracle_proto::{Index, NodeId};

use super::{Check, violated};

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    highest: Index,
}

impl Acknowledged {
    pub(super) fn highest(&self) -> Index {
        self.highest
    }

    pub(super) fn command(&mut self, floor: Index, index: Index) -> Check {
        if index <= floor {
            return violated(
                "linearizability",
                format!("a command was applied at {index}, but {floor} was answered before it"),
            );
        }
        self.highest = self.highest.max(index);
        Ok(())
    }

    /// A node that has applied everything up to `applied` grants a read at `index`.
    pub(super) fn granted(at: NodeId, index: Index, applied: Index) -> Check {
        if index <= applied {
            return Ok(());
        }
        violated(
            "linearizability",
            format!("{at} grants a read at {index}, but has applied {applied}"),
        )
    }

    pub(super) fn read(&mut self, floor: Index, index: Index) -> Check {
        if index < floor {
            return violated(
                "linearizability",
                format!("a read sees {index}, but {floor} was answered before it"),
            );
        }
        self.highest = self.highest.max(index);
        Ok(())
    }
}
