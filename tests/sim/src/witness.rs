//! Writes down what the nodes do, for a specification of Raft to judge (`coracle-trace`).

use std::collections::BTreeMap;

use coracle_driver::{Event, Outbox, Recovered, Tracer};
use coracle_proto::NodeId;

/// The traces of all nodes, in the order in which things happened.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    tracers: BTreeMap<NodeId, Tracer>,
    pub(crate) lines: String,
}

impl Witness {
    pub(crate) fn started(&mut self, node: NodeId, recovered: &Recovered) {
        let (tracer, lines) = self.of(node);
        tracer.started(recovered, lines);
    }

    pub(crate) fn takes(&mut self, node: NodeId, events: &[Event]) {
        let (tracer, lines) = self.of(node);
        events.iter().for_each(|event| tracer.takes(event, lines));
    }

    pub(crate) fn turned(&mut self, node: NodeId, outbox: &Outbox) {
        let (tracer, lines) = self.of(node);
        tracer.turned(outbox, lines);
    }

    fn of(&mut self, node: NodeId) -> (&mut Tracer, &mut String) {
        let tracer = self.tracers.entry(node);
        let tracer = tracer.or_insert_with(|| Tracer::new(node, 0));
        (tracer, &mut self.lines)
    }
}
