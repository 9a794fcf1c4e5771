//! The core's names as plain numbers; the core knows no serde.

pub(super) mod group {
    use coracle_proto::GroupId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        id: &GroupId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        id.0.serialize(to)
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<GroupId, D::Error> {
        u64::deserialize(from).map(GroupId)
    }
}

pub(super) mod node {
    use coracle_proto::NodeId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        id: &NodeId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        id.0.serialize(to)
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<NodeId, D::Error> {
        u64::deserialize(from).map(NodeId)
    }
}

pub(super) mod maybe_node {
    use coracle_proto::NodeId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        id: &Option<NodeId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        id.map(|id| id.0).serialize(to)
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<NodeId>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(NodeId))
    }
}

pub(super) mod nodes {
    use coracle_proto::NodeId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        ids: &[NodeId],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(|id| id.0))
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Vec<NodeId>, D::Error> {
        let ids = Vec::<u64>::deserialize(from)?;
        Ok(ids.into_iter().map(NodeId).collect())
    }
}

pub(super) mod replicas {
    use coracle_proto::{NodeId, ReplicaId};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        ids: &[ReplicaId],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(|id| (id.node.0, id.born)))
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Vec<ReplicaId>, D::Error> {
        let ids = Vec::<(u64, u64)>::deserialize(from)?;
        let replica = |(node, born)| ReplicaId {
            node: NodeId(node),
            born,
        };
        Ok(ids.into_iter().map(replica).collect())
    }
}

pub(super) mod node_map {
    use std::collections::BTreeMap;

    use coracle_proto::NodeId;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::super::Node;

    type Nodes = BTreeMap<NodeId, Node>;

    pub(in super::super) fn serialize<S: Serializer>(
        nodes: &Nodes,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(nodes.iter().map(|(id, node)| (id.0, node)))
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Nodes, D::Error> {
        let nodes = BTreeMap::<u64, Node>::deserialize(from)?;
        Ok(nodes
            .into_iter()
            .map(|(id, node)| (NodeId(id), node))
            .collect())
    }
}
