//! Leaders that speak to replicas of this node which it does not host.

use std::collections::BTreeSet;

use coracle_proto::{Envelope, GroupId};

use super::Stranger;
use super::turn::Turn;

/// Groups about which one turn tells. A leader that goes unheard here speaks again.
const MAX_STRANGERS: usize = 256;

/// The groups that this turn has told of.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeSet<GroupId>);

impl Turn<'_> {
    /// A message for a replica of this node that is not hosted.
    pub(super) fn stranger(&mut self, envelope: &Envelope) {
        let told = &mut self.strangers.0;
        if envelope.to.node == self.config.id
            && told.len() < MAX_STRANGERS
            && told.insert(envelope.group)
        {
            self.out.strangers.push(Stranger {
                group: envelope.group,
                replica: envelope.to,
                from: envelope.from,
            });
        }
    }
}
