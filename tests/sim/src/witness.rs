//! Writes down what the nodes do, for a specification of Raft to judge (`coracle-trace`).

use std::collections::BTreeMap;

use coracle_driver::{Event, NodeConfig, Outbox, Recovered, Tracer};
use coracle_proto::NodeId;

/// The traces of all nodes, in the order in which things happened.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    tracers: BTreeMap<NodeId, Tracer>,
    pub(crate) lines: String,
}

impl Witness {
    pub(crate) fn started(&mut self, config: &NodeConfig, recovered: &Recovered) {
        let tracer = self.tracers.entry(config.id);
        let tracer = tracer.or_insert_with(|| Tracer::new(config, 0));
        tracer.started(recovered, &mut self.lines);
    }

    pub(crate) fn takes(&mut self, node: NodeId, events: &[Event]) {
        if let Some(tracer) = self.tracers.get_mut(&node) {
            let lines = &mut self.lines;
            events.iter().for_each(|event| tracer.takes(event, lines));
        }
    }

    pub(crate) fn turned(&mut self, node: NodeId, outbox: &Outbox) {
        if let Some(tracer) = self.tracers.get_mut(&node) {
            tracer.turned(outbox, &mut self.lines);
        }
    }
}
