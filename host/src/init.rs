//! Lays out a new cluster: an authority, and for each node a folder with certificate, key and
//! configuration.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coracle_proto::NodeId;
use coracle_transport::identity::{Authority, IdentityError};
use serde::Serialize;

use crate::server::FIRST_START;

/// Nodes of a new cluster.
pub const MAX_NODES: u64 = 9;

/// Only the owner may look into the folders and read the keys.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const PUBLIC_FILE: u32 = 0o644;

const FIRST_START_TEXT: &str = "\
This node was laid out and has never started. The file goes away when it does; with it gone, an
empty data folder means that the node has lost its memory, and it will not start.
";

/// Where a node will listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For its peers.
    pub quic: SocketAddr,
    /// For its clients.
    pub http: SocketAddr,
}

/// One node's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Where clients reach it.
    pub http: String,
    /// Where peers reach it.
    pub quic: SocketAddr,
    /// Its configuration.
    pub config: PathBuf,
}

/// Why a cluster could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something already.
    #[error("{} is not empty: choose a new folder, or remove it if it may go", .0.display())]
    NotEmpty(PathBuf),
    /// Too few, too many.
    #[error("a cluster has 1 to {MAX_NODES} nodes, not {0}")]
    Nodes(u64),
    /// Port 0 means any port, which peers could not dial.
    #[error("0 is no port: want a first port from 1 on")]
    PortZero,
    /// The last node's ports are beyond 65535.
    #[error("{nodes} nodes from port {base} on need ports up to {last}, the last one is 65535")]
    Ports {
        /// How many nodes.
        nodes: u64,
        /// The first port.
        base: u16,
        /// The last port they would need.
        last: u64,
    },
    /// No certificates.
    #[error("cannot make the certificates: {0}")]
    Identity(#[from] IdentityError),
    /// No random name for the cluster.
    #[error("cannot draw a name for the cluster: {0}")]
    Random(#[source] io::Error),
    /// The disk.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Ports of `nodes` nodes on this machine: node i has `base + 2(i-1)` for QUIC and the next one
/// for HTTP.
///
/// # Errors
///
/// If there are too many nodes or ports.
pub fn local_addresses(nodes: u64, base: u16) -> Result<Vec<Addresses>, InitError> {
    if nodes == 0 || nodes > MAX_NODES {
        return Err(InitError::Nodes(nodes));
    }
    if base == 0 {
        return Err(InitError::PortZero);
    }
    let last = u64::from(base) + 2 * nodes - 1;
    if last > u64::from(u16::MAX) {
        return Err(InitError::Ports { nodes, base, last });
    }
    let local = |port: u64| {
        let port = u16::try_from(port).expect("invariant: at most `last`, which was checked");
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    let first = |i: u64| u64::from(base) + 2 * i;
    Ok((0..nodes)
        .map(|i| Addresses {
            quic: local(first(i)),
            http: local(first(i) + 1),
        })
        .collect())
}

/// Writes everything a cluster of nodes at `addresses` needs into `dir`, which must be empty or
/// not exist. `extra` goes to the end of each configuration.
///
/// # Errors
///
/// See [`InitError`].
pub fn init(
    dir: &Path,
    cluster: Option<&str>,
    addresses: &[Addresses],
    extra: &str,
) -> Result<Vec<Node>, InitError> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(InitError::NotEmpty(dir.into()));
    }
    let cluster = match cluster {
        Some(name) => name.to_owned(),
        None => format!(
            "c-{}",
            &coracle_client::random_key().map_err(InitError::Random)?[..8]
        ),
    };
    let authority = Authority::generate(&cluster)?;
    make_folder(dir)?;
    write(&dir.join("ca.crt"), authority.cert_pem(), PUBLIC_FILE)?;
    write(&dir.join("ca.key"), authority.key_pem(), PRIVATE_FILE)?;
    let numbered = (1..).zip(addresses);
    numbered
        .map(|(id, at)| {
            let folder = dir.join(format!("n{id}"));
            let credentials = authority.issue_node(NodeId(id))?;
            make_folder(&folder)?;
            write(&folder.join("ca.crt"), authority.cert_pem(), PUBLIC_FILE)?;
            // Whoever leads signs the certificates of nodes that join.
            write(&folder.join("ca.key"), authority.key_pem(), PRIVATE_FILE)?;
            write(
                &folder.join("node.crt"),
                credentials.cert_pem(),
                PUBLIC_FILE,
            )?;
            write(
                &folder.join("node.key"),
                credentials.key_pem(),
                PRIVATE_FILE,
            )?;
            write(&folder.join(FIRST_START), FIRST_START_TEXT, PUBLIC_FILE)?;
            let config = folder.join("coracle.toml");
            write(
                &config,
                &configuration(&cluster, id, addresses, extra),
                PUBLIC_FILE,
            )?;
            Ok(Node {
                id,
                http: format!("http://{}", at.http),
                quic: at.quic,
                config,
            })
        })
        .collect()
}

fn make_folder(path: &Path) -> Result<(), InitError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(path);
    made.map_err(|source| InitError::Write {
        path: path.into(),
        source,
    })
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), InitError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
    written.map_err(|source| InitError::Write {
        path: path.into(),
        source,
    })
}

fn configuration(cluster: &str, id: u64, addresses: &[Addresses], extra: &str) -> String {
    use std::fmt::Write as _;

    let own = usize::try_from(id - 1).expect("invariant: few nodes");
    let Addresses { quic, http } = addresses[own];
    let mut text = format!(
        "# Node {id} of cluster {cluster}. Paths are relative to this file.\n\
         cluster = \"{cluster}\"\nnode = {id}\ndata_dir = \"data\"\n\n\
         [listen]\nquic = \"{quic}\"  # peers, mutual TLS\nhttp = \"{http}\"  # clients, loopback only\n\n\
         [tls]\ncert = \"node.crt\"\nkey = \"node.key\"\nca = \"ca.crt\"\n"
    );
    for (id, Addresses { quic, http }) in (1..).zip(addresses) {
        write!(
            text,
            "\n[[peers]]\nid = {id}\nquic = \"{quic}\"\nhttp = \"{http}\"\n"
        )
        .expect("invariant: a string takes everything");
    }
    text.push_str(DEFAULTS);
    text.push_str(extra);
    text
}

const DEFAULTS: &str = "
# What follows are the defaults.
# [raft]
# election_timeout_ms = 1000
# heartbeat_ms = 100
# [storage]
# cache_bytes = 67108864
# ballast_bytes = 16777216
# low_water_bytes = 134217728
# [snapshot]
# entries = 100000
# bytes = 268435456
# [limits]
# command_bytes = 1048576
# plugin_bytes = 67108864
# [log]
# level = \"info\"
";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Config;

    #[test]
    fn each_node_gets_a_configuration_that_loads() {
        let temp = tempfile::tempdir().expect("temp");
        let dir = temp.path().join("cluster");
        let addresses = local_addresses(3, 7400).expect("ports");
        let nodes = init(&dir, None, &addresses, "").expect("init");

        assert_eq!(nodes.len(), 3);
        for (node, port) in nodes.iter().zip([7400, 7402, 7404]) {
            let config = Config::load(&node.config).expect("loads");
            assert_eq!(config.node, node.id);
            assert_eq!(config.listen.quic.port(), port);
            assert_eq!(config.listen.http.port(), port + 1);
            assert_eq!(node.http, format!("http://127.0.0.1:{}", port + 1));
            assert_eq!(config.peers.len(), 3);
            let key = fs::metadata(&config.tls.key).expect("key");
            assert_eq!(key.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn the_defaults_shown_in_the_file_are_the_defaults() {
        let shown = DEFAULTS
            .lines()
            .filter_map(|l| l.strip_prefix("# "))
            .filter(|l| l.starts_with('[') || l.contains(" = "));
        let extra = format!("\n{}\n", shown.collect::<Vec<_>>().join("\n"));
        let temp = tempfile::tempdir().expect("temp");
        let addresses = local_addresses(1, 7400).expect("ports");
        let plain = init(&temp.path().join("a"), Some("x"), &addresses, "").expect("init");
        let spelt = init(&temp.path().join("b"), Some("x"), &addresses, &extra).expect("init");
        let plain = Config::load(&plain[0].config).expect("loads");
        let spelt = Config::load(&spelt[0].config).expect("loads");
        assert_eq!((plain.raft, plain.storage), (spelt.raft, spelt.storage));
        assert_eq!(
            (plain.limits, plain.snapshot),
            (spelt.limits, spelt.snapshot)
        );
        assert_eq!(plain.log, spelt.log);
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let temp = tempfile::tempdir().expect("temp");
        fs::write(temp.path().join("precious"), "x").expect("write");
        let addresses = local_addresses(1, 7400).expect("ports");
        let refused = init(temp.path(), None, &addresses, "");
        assert!(matches!(refused, Err(InitError::NotEmpty(_))));
        assert_eq!(fs::read_dir(temp.path()).expect("read").count(), 1);
    }

    #[test]
    fn ports_and_nodes_that_do_not_exist_are_refused() {
        assert!(matches!(local_addresses(0, 7400), Err(InitError::Nodes(0))));
        assert!(matches!(
            local_addresses(10, 7400),
            Err(InitError::Nodes(10))
        ));
        assert!(matches!(
            local_addresses(3, 65_531),
            Err(InitError::Ports { last: 65_536, .. })
        ));
        assert!(matches!(local_addresses(1, 0), Err(InitError::PortZero)));
        assert!(local_addresses(3, 65_530).is_ok());
    }
}
