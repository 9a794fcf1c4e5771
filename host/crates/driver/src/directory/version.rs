//! The directory as bytes, those of older releases included.

use std::collections::BTreeMap;

use coracle_proto::{GroupId, NodeId};
use serde::Deserialize;

use super::ids;
use super::members::Members;
use super::state::{DirectoryState, Fsm, Placement, Plugin};
use crate::{Digest, Limits};

/// Version of the encoding of the state. Snapshots of version 1 are read as well.
const VERSION: u8 = 2;

pub(super) fn encode(state: &DirectoryState) -> Vec<u8> {
    postcard::to_extend(state, vec![VERSION]).expect("invariant: plain data encodes")
}

pub(super) fn decode(bytes: &[u8]) -> Result<DirectoryState, String> {
    let malformed = |error| format!("malformed directory state: {error}");
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(malformed),
        Some((1, rest)) => {
            let state: Version1 = postcard::from_bytes(rest).map_err(malformed)?;
            Ok(state.into())
        }
        Some((version, _)) => Err(format!(
            "directory state of version {version}, this build reads 1 to {VERSION}"
        )),
        None => Err("empty directory state".into()),
    }
}

/// Before nodes could come and go.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct Version1 {
    plugins: BTreeMap<Digest, Plugin>,
    fsms: BTreeMap<String, Fsm1>,
    /// Was never filled: the nodes stood in each node's configuration.
    #[serde(rename = "nodes")]
    _nodes: BTreeMap<u64, (String, String)>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct Fsm1 {
    #[serde(with = "ids::group")]
    group: GroupId,
    plugin: Digest,
    created: Digest,
    config: Vec<(String, String)>,
    limits: Limits,
    #[serde(with = "ids::nodes")]
    nodes: Vec<NodeId>,
    retiring: bool,
}

impl From<Version1> for DirectoryState {
    fn from(old: Version1) -> Self {
        let Version1 {
            plugins,
            fsms,
            _nodes,
        } = old;
        let fsms = fsms.into_iter().map(|(name, fsm)| (name, fsm.into()));
        Self {
            plugins,
            fsms: fsms.collect(),
            members: Members::default(),
        }
    }
}

impl From<Fsm1> for Fsm {
    fn from(old: Fsm1) -> Self {
        Self {
            group: old.group,
            plugin: old.plugin,
            created: old.created,
            config: old.config,
            limits: old.limits,
            nodes: old.nodes,
            retiring: old.retiring,
            placement: Placement::All,
            members: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_the_first_version_is_read() {
        let fsm = Fsm1 {
            group: GroupId(7),
            plugin: Digest([1; 32]),
            created: Digest([1; 32]),
            config: vec![("a".into(), "1".into())],
            limits: Limits::default(),
            nodes: vec![NodeId(1), NodeId(2)],
            retiring: false,
        };
        let old = Version1 {
            plugins: BTreeMap::new(),
            fsms: BTreeMap::from([("kv".to_owned(), fsm)]),
            _nodes: BTreeMap::new(),
        };
        let bytes = postcard::to_extend(&old, vec![1]).expect("encodes");

        let state = decode(&bytes).expect("is read");

        let fsm = state.fsm("kv").expect("is there");
        assert_eq!((fsm.group, &fsm.placement), (GroupId(7), &Placement::All));
        assert_eq!(fsm.nodes, [NodeId(1), NodeId(2)]);
        assert_eq!(decode(&state.encode()), Ok(state));
    }

    #[test]
    fn a_state_of_a_later_release_is_refused_by_its_version() {
        let error = decode(&[9]).expect_err("is refused");
        assert!(error.contains("version 9"), "{error}");
    }
}
