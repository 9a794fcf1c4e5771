//! The encoding of configurations, which entries, snapshots and messages carry.

use coracle_fuzz::{Tape, input, within};
use coracle_proto::{Configuration, NodeId, ReplicaId};

pub(crate) fn configurations() -> Vec<Configuration> {
    let replica = |node, born| ReplicaId {
        node: NodeId(node),
        born,
    };
    let plain = Configuration::initial([1, 2, 3].map(NodeId));
    let joint = Configuration {
        index: 99,
        voters: [replica(1, 0), replica(4, 7)].into(),
        outgoing: [replica(1, 0), replica(2, 0)].into(),
        learners: [replica(5, 8)].into(),
        learners_next: [replica(2, 0)].into(),
        witnesses: [replica(4, 7)].into(),
        auto_leave: true,
    };
    vec![Configuration::default(), plain, joint]
}

#[test]
fn configuration() {
    let seeds: Vec<Vec<u8>> = configurations()
        .iter()
        .map(|configuration| configuration.encode().to_vec())
        .collect();
    fuzz!(60_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let decoded = within(4096 + 64 * bytes.len(), || Configuration::decode(&bytes));
        if let Ok(configuration) = decoded {
            assert_eq!(configuration.encode(), bytes, "one encoding only");
        }
    });
}
