//! Where the nodes are: from the directory into the transport, and into a file, because a node
//! that starts has to reach the others before it has a directory again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use coracle_driver::Disk;
use coracle_driver::directory::Members;
use coracle_proto::NodeId;
use coracle_transport::Transport;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::config::{Config, Peer};
use crate::server::kept_file::{self, KeptFileError};

/// Its name in the data folder.
const FILE: &str = "members.json";

/// The addresses of all nodes.
#[derive(Debug)]
pub(in super::super) struct AddressBook {
    disk: Arc<dyn Disk>,
    kept: Kept,
    /// As the directory last had them.
    known: BTreeMap<NodeId, SocketAddr>,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// What the configuration said when it was written: whatever was changed there by hand since
    /// goes before what is kept here.
    configured: Vec<Entry>,
    /// What the directory said.
    nodes: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: u64,
    quic: String,
    http: String,
}

impl AddressBook {
    /// Reads what was kept in the last run.
    pub(in super::super) fn open(disk: Arc<dyn Disk>) -> Result<Self, KeptFileError> {
        let kept = match kept_file::read(&*disk, FILE)? {
            Some(bytes) => Kept::decode(&bytes)?,
            None => Kept::default(),
        };
        Ok(Self {
            disk,
            kept,
            known: BTreeMap::new(),
        })
    }

    /// Whom to connect to before the directory has spoken.
    pub(in super::super) fn first(&self, config: &Config) -> BTreeMap<NodeId, SocketAddr> {
        self.kept.first(config)
    }

    /// Whether this node is somewhere else than the others were told.
    pub(in super::super) fn has_moved(&self, own: &Peer) -> bool {
        let mut nodes = self.kept.nodes.iter();
        nodes.any(|entry| entry.id == own.id && *entry != Entry::of(own))
    }

    /// Has the transport follow the directory, and keeps it.
    pub(in super::super) fn follow(
        &mut self,
        transport: &Transport,
        config: &Config,
        members: &Members,
    ) {
        let mut nodes = Vec::new();
        for (id, node) in &members.nodes {
            nodes.push(Entry {
                id: id.0,
                quic: node.quic.clone(),
                http: node.http.clone(),
            });
            let Ok(address) = node.quic.parse::<SocketAddr>() else {
                continue;
            };
            // Only what the directory says anew: a node that has moved says so itself, earlier.
            if self.known.insert(*id, address) != Some(address) {
                transport.set_peer(*id, address);
            }
        }
        let gone: Vec<NodeId> = self
            .known
            .keys()
            .copied()
            .filter(|id| members.is_removed(*id))
            .collect();
        for id in gone {
            self.known.remove(&id);
        }
        let kept = Kept {
            configured: config.peers.iter().map(Entry::of).collect(),
            nodes,
        };
        if kept.nodes.is_empty() || kept == self.kept {
            return;
        }
        match keep(&*self.disk, &kept) {
            Ok(()) => self.kept = kept,
            Err(error) => warn!(%error, "the addresses of the nodes could not be kept"),
        }
    }

    /// Cuts the connections with nodes that are gone.
    pub(in super::super) fn forget(&self, transport: &Transport, config: &Config, gone: &Members) {
        let configured = config.peers.iter().map(|peer| NodeId(peer.id));
        let kept = self.kept.nodes.iter().map(|entry| NodeId(entry.id));
        for node in configured.chain(kept).filter(|node| gone.is_removed(*node)) {
            if transport.peer_state(node).is_some() {
                info!(%node, "a removed node is disconnected");
                transport.remove_peer(node);
            }
        }
    }
}

impl Entry {
    fn of(peer: &Peer) -> Self {
        Self {
            id: peer.id,
            quic: peer.quic.to_string(),
            http: format!("http://{}", peer.http),
        }
    }
}

impl Kept {
    fn first(&self, config: &Config) -> BTreeMap<NodeId, SocketAddr> {
        let configured: Vec<Entry> = config.peers.iter().map(Entry::of).collect();
        let edited = configured
            .iter()
            .filter(|entry| !self.configured.contains(entry));
        let entries = self.nodes.iter().chain(edited);
        let entries = entries.filter(|entry| entry.id != config.node);
        entries
            .filter_map(|entry| Some((NodeId(entry.id), entry.quic.parse().ok()?)))
            .collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeptFileError> {
        serde_json::from_slice(bytes).map_err(|error| KeptFileError::Damaged {
            name: FILE,
            reason: error.to_string(),
        })
    }
}

fn keep(disk: &dyn Disk, kept: &Kept) -> std::io::Result<()> {
    kept_file::replace(disk, FILE, &serde_json::to_vec_pretty(kept)?)
}

/// Ways in for `tests/fuzz`.
pub(in crate::server) mod fuzzing {
    use super::{Config, Entry, Kept};

    /// A file with the addresses of two nodes.
    pub(in crate::server) fn file() -> Vec<u8> {
        let entry = |id: u64| Entry {
            id,
            quic: format!("127.0.0.1:{}", 7400 + id),
            http: format!("http://127.0.0.1:{}", 7500 + id),
        };
        let kept = Kept {
            configured: vec![entry(1)],
            nodes: vec![entry(1), entry(2)],
        };
        serde_json::to_vec_pretty(&kept).unwrap_or_default()
    }

    /// What a start takes from a file, and the file as it would be written again.
    pub(in crate::server) fn read(
        bytes: &[u8],
        config: &Config,
    ) -> Option<(crate::server::fuzzing::Addresses, Vec<u8>)> {
        let kept = Kept::decode(bytes).ok()?;
        let again = serde_json::to_vec_pretty(&kept).ok()?;
        Some((kept.first(config).into_iter().collect(), again))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use coracle_log::MemoryDisk;

    use super::*;

    fn config(folder: &Path, quic: &[&str]) -> Config {
        use std::fmt::Write as _;
        let mut text = "cluster = \"c\"\nnode = 1\ndata_dir = \"data\"\n[listen]\n\
             quic = \"127.0.0.1:1\"\nhttp = \"127.0.0.1:2\"\n\
             [tls]\ncert = \"a\"\nkey = \"b\"\nca = \"c\"\n"
            .to_owned();
        for (id, quic) in (1..).zip(quic) {
            write!(
                text,
                "[[peers]]\nid = {id}\nquic = \"{quic}\"\nhttp = \"127.0.0.1:9\"\n"
            )
            .expect("fits");
        }
        let file = folder.join("coracle.toml");
        fs::write(&file, text).expect("writes");
        fs::create_dir_all(folder.join("data")).expect("folder");
        Config::load(&file).expect("loads")
    }

    fn kept(config: &Config, nodes: &[(u64, &str)]) -> Kept {
        let nodes = nodes.iter().map(|(id, quic)| Entry {
            id: *id,
            quic: (*quic).to_owned(),
            http: "http://127.0.0.1:9".to_owned(),
        });
        Kept {
            configured: config.peers.iter().map(Entry::of).collect(),
            nodes: nodes.collect(),
        }
    }

    #[test]
    fn what_the_directory_said_last_goes_before_the_configuration() {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(folder.path(), &["127.0.0.1:1", "127.0.0.1:3"]);
        let kept = kept(
            &config,
            &[(1, "127.0.0.1:1"), (2, "127.0.0.1:30"), (4, "127.0.0.1:7")],
        );
        let disk = MemoryDisk::new();
        keep(&disk, &kept).expect("keeps");

        let book = AddressBook::open(Arc::new(disk)).expect("opens");

        let first = book.first(&config);
        let ports: Vec<_> = first.iter().map(|(id, at)| (id.0, at.port())).collect();
        assert_eq!(ports, [(2, 30), (4, 7)]);
    }

    #[test]
    fn what_was_edited_since_goes_before_what_was_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let old = config(folder.path(), &["127.0.0.1:1", "127.0.0.1:3"]);
        let kept = kept(&old, &[(1, "127.0.0.1:1"), (2, "127.0.0.1:30")]);
        let disk = MemoryDisk::new();
        keep(&disk, &kept).expect("keeps");
        let new = config(folder.path(), &["127.0.0.1:11", "127.0.0.1:5"]);

        let book = AddressBook::open(Arc::new(disk)).expect("opens");

        assert_eq!(book.first(&new)[&NodeId(2)].port(), 5);
        assert!(book.has_moved(&new.peers[0]));
        assert!(!book.has_moved(&old.peers[0]));
    }
}
