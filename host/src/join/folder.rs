//! The folder of a node that joined: the same files as `coracle init` lays out.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coracle_transport::identity::{CertificateRequest, IdentityError, spki_pin};

use super::wire::Admission;
use crate::server::FIRST_START;
use crate::ticket::Ticket;

/// Only the owner may look in.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const PUBLIC_FILE: u32 = 0o644;

const FIRST_START_TEXT: &str = "\
This node has joined and never started. The file goes away when it does; with it gone, an empty
data folder means that the node has lost its memory, and it will not start.
";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something else lives there.
    #[error(
        "{} is not empty and holds no node that has joined: choose another with --data-dir", .0.display()
    )]
    InUse(PathBuf),
    /// A node of another cluster lives there.
    #[error(
        "{} holds a node of another cluster than the ticket's, {cluster}: choose another with \
         --data-dir, or start that node with `coracle start --config {}/coracle.toml`",
        folder.display(), folder.display()
    )]
    OtherCluster {
        /// The folder.
        folder: PathBuf,
        /// The cluster of the ticket.
        cluster: String,
    },
    /// No key.
    #[error("cannot make a key: {0}")]
    Identity(#[from] IdentityError),
    /// The disk.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where a node that joins will live.
#[derive(Debug, Clone)]
pub struct NodeFolder(PathBuf);

impl NodeFolder {
    /// A folder that is empty, or was used for joining this cluster before.
    ///
    /// # Errors
    ///
    /// See [`FolderError`].
    pub fn open(path: &Path, ticket: &Ticket) -> Result<Self, FolderError> {
        let folder = Self(path.to_owned());
        if folder.has_joined() {
            let authority = fs::read_to_string(path.join("ca.crt")).unwrap_or_default();
            if spki_pin(&authority).is_ok_and(|pin| pin == ticket.pin) {
                return Ok(folder);
            }
            return Err(FolderError::OtherCluster {
                folder: path.to_owned(),
                cluster: ticket.cluster.clone(),
            });
        }
        let begun = path.join("node.key").exists();
        let empty = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        if !begun && (!empty || path.is_file()) {
            return Err(FolderError::InUse(path.to_owned()));
        }
        Ok(folder)
    }

    /// Whether a node lives here already; then joining is done.
    pub fn has_joined(&self) -> bool {
        self.config().exists()
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("coracle.toml")
    }

    /// The node's key: made once, so that asking again is the same request.
    ///
    /// # Errors
    ///
    /// See [`FolderError`].
    pub fn request(&self) -> Result<CertificateRequest, FolderError> {
        let path = self.0.join("node.key");
        if let Ok(key) = fs::read_to_string(&path) {
            return Ok(CertificateRequest::from_key_pem(&key)?);
        }
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_FOLDER)
            .create(&self.0);
        made.map_err(|source| FolderError::Disk {
            path: self.0.clone(),
            source,
        })?;
        let request = CertificateRequest::generate()?;
        write(&path, &request.key_pem(), PRIVATE_FILE)?;
        Ok(request)
    }

    /// Lays out the node. The configuration comes last: with it the node has joined.
    pub(crate) fn lay_out(
        &self,
        admission: &Admission,
        (quic, http): (SocketAddr, SocketAddr),
    ) -> Result<(), FolderError> {
        write(
            &self.0.join("node.crt"),
            &admission.certificate,
            PUBLIC_FILE,
        )?;
        write(&self.0.join("ca.crt"), &admission.authority, PUBLIC_FILE)?;
        write(&self.0.join(FIRST_START), FIRST_START_TEXT, PUBLIC_FILE)?;
        let text = configuration(admission, quic, http);
        write(&self.config(), &text, PUBLIC_FILE)
    }
}

fn configuration(admission: &Admission, quic: SocketAddr, http: SocketAddr) -> String {
    use std::fmt::Write as _;

    let Admission { node, cluster, .. } = admission;
    let mut text = format!(
        "# Node {node} of cluster {cluster}, which joined with a ticket. Paths are relative to \
         this file.\ncluster = \"{cluster}\"\nnode = {node}\ndata_dir = \"data\"\njoined = true\n\n\
         [listen]\nquic = \"{quic}\"  # peers, mutual TLS\nhttp = \"{http}\"  # clients, loopback only\n\n\
         [tls]\ncert = \"node.crt\"\nkey = \"node.key\"\nca = \"ca.crt\"\n\n\
         # Where the nodes were then; where they are now, they tell each other.\n"
    );
    let own = (*node, quic.to_string(), http.to_string());
    let others = admission.members.iter().filter(|(id, ..)| id != node);
    for (id, quic, http) in std::iter::once(&own).chain(others) {
        let http = http.trim_start_matches("http://");
        write!(
            text,
            "[[peers]]\nid = {id}\nquic = \"{quic}\"\nhttp = \"{http}\"\n\n"
        )
        .expect("invariant: a string takes everything");
    }
    text
}

/// Writes a file as a whole: an attempt that was cut short leaves nothing that looks finished.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), FolderError> {
    let temporary = path.with_extension("tmp");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| FolderError::Disk {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use coracle_client::MemberRole;
    use coracle_proto::NodeId;
    use coracle_transport::identity::Authority;

    use super::*;
    use crate::config::Config;
    use crate::ticket::Secret;

    fn ticket(authority: &Authority) -> Ticket {
        Ticket {
            cluster: "c".into(),
            pin: authority.spki_pin().expect("pin"),
            addresses: vec![([127, 0, 0, 1], 7400).into()],
            token: 1,
            secret: Secret([0; 16]),
            role: MemberRole::Voter,
            expires: 0,
        }
    }

    #[test]
    fn a_folder_is_laid_out_as_that_of_a_node_that_can_start() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("node");
        let authority = Authority::generate("c").expect("authority");
        let folder = NodeFolder::open(&path, &ticket(&authority)).expect("is free");
        let request = folder.request().expect("a key");
        assert_eq!(
            folder.request().expect("the same").key_pem(),
            request.key_pem()
        );
        let admission = Admission {
            node: 4,
            certificate: authority.sign_csr(NodeId(4), request.csr()).expect("signs"),
            authority: authority.cert_pem().to_owned(),
            cluster: "c".into(),
            members: vec![(1, "127.0.0.1:7400".into(), "http://127.0.0.1:7401".into())],
        };
        let own = (([127, 0, 0, 1], 7500).into(), ([127, 0, 0, 1], 7501).into());

        folder.lay_out(&admission, own).expect("lays out");

        let config = Config::load(&folder.config()).expect("loads");
        assert_eq!(
            (config.node, config.joined, config.peers.len()),
            (4, true, 2)
        );
        let key = fs::metadata(path.join("node.key")).expect("key");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(NodeFolder::open(&path, &ticket(&authority)).is_ok_and(|f| f.has_joined()));
        let other = Authority::generate("c").expect("authority");
        let refused = NodeFolder::open(&path, &ticket(&other));
        assert!(matches!(refused, Err(FolderError::OtherCluster { .. })));
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let temp = tempfile::tempdir().expect("temp");
        fs::write(temp.path().join("precious"), "x").expect("write");
        let authority = Authority::generate("c").expect("authority");
        let refused = NodeFolder::open(temp.path(), &ticket(&authority));
        assert!(matches!(refused, Err(FolderError::InUse(_))));
    }
}
