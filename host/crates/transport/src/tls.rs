//! TLS 1.3 with certificates both ways.

use std::sync::Arc;

use coracle_proto::NodeId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    ServerConfig, SignatureScheme,
};

use crate::config::{Config, TransportError};
use crate::identity::{self, ClusterName, Credentials, IdentityError, Name, Subject};
use crate::listener_check::{Checked, ListenerCheck};

/// Raft traffic and requests.
pub const ALPN_RAFT: &[u8] = b"coracle-raft/1";
/// Snapshots and plugin bytes.
pub const ALPN_BULK: &[u8] = b"coracle-bulk/1";

/// A node that has no certificate yet asks for one.
pub const ALPN_JOIN: &[u8] = b"coracle-join/1";

/// Sent as TLS server name, which nobody looks at: nodes are named by their certificates.
pub(crate) const SERVER_NAME: &str = "coracle";

/// Why a peer's certificate is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerRefused {
    #[error("peer is {found} of cluster {}, this node is of cluster {own}", .found.cluster)]
    ForeignCluster { found: Name, own: ClusterName },
    #[error("peer is {found}, expected node {expected}")]
    OtherNode { found: Name, expected: NodeId },
    #[error("peer is {found}, which is no node")]
    NoNode { found: Name },
    #[error("peer's certificate is not from the authority of cluster {own}: {reason}")]
    Untrusted { own: ClusterName, reason: Error },
    #[error(transparent)]
    Unreadable(#[from] IdentityError),
}

/// What this node shows and whom it trusts.
#[derive(Debug)]
pub(crate) struct Tls {
    cluster: ClusterName,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Checks that certificate, authority and settings speak of the same node and cluster.
    pub(crate) fn new(config: &Config) -> Result<Self, TransportError> {
        let cluster = ClusterName::new(&config.cluster)?;
        Self::checked(cluster, config.node, &config.identity, &config.trust)
    }

    /// As `new`, for the certificate that replaces another.
    pub(crate) fn checked(
        cluster: ClusterName,
        node: NodeId,
        identity: &Credentials,
        trust: &str,
    ) -> Result<Self, TransportError> {
        let expected = Name::node(&cluster, node);
        if *identity.name() != expected {
            return Err(TransportError::OtherName {
                found: identity.name().clone(),
                expected,
            });
        }
        let (found, authority) = identity::trusted(trust)?;
        if found != cluster {
            return Err(TransportError::OtherAuthority {
                found,
                expected: cluster,
            });
        }
        Self::assemble(cluster, identity, authority)
    }

    pub(crate) fn assemble(
        cluster: ClusterName,
        identity: &Credentials,
        authority: CertificateDer<'static>,
    ) -> Result<Self, TransportError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(tls_error)?;
        Ok(Self {
            cluster,
            // The authority's too: one who joins knows only its pin.
            chain: vec![identity.certificate()?, authority],
            key: identity.private_key()?,
            roots: Arc::new(roots),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        })
    }

    pub(crate) fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// 64 random bits.
    pub(crate) fn random(&self) -> Result<u64, TransportError> {
        let mut bytes = [0; 8];
        self.provider
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| tls_error("the system gives no random bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn server(&self) -> Result<QuicServerConfig, TransportError> {
        let roots = Arc::clone(&self.roots);
        let chain = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(tls_error)?;
        let verifier = DialerVerifier {
            cluster: self.cluster.clone(),
            chain,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(tls_error)?;
        config.alpn_protocols = vec![ALPN_RAFT.to_vec(), ALPN_BULK.to_vec(), ALPN_JOIN.to_vec()];
        // A resumed session would not show its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        QuicServerConfig::try_from(config).map_err(tls_error)
    }

    pub(crate) fn client(
        &self,
        expected: NodeId,
        alpn: &'static [u8],
    ) -> Result<QuicClientConfig, TransportError> {
        let verifier = ListenerVerifier {
            cluster: self.cluster.clone(),
            expected,
            roots: Arc::clone(&self.roots),
            provider: Arc::clone(&self.provider),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Checked(verifier)))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(tls_error)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        QuicClientConfig::try_from(config).map_err(tls_error)
    }
}

pub(crate) fn tls_error(error: impl std::fmt::Display) -> TransportError {
    TransportError::Tls {
        reason: error.to_string(),
    }
}

/// The node that a certificate names; only of the own cluster, and only a node.
pub(crate) fn node_of(
    own: &ClusterName,
    certificate: &CertificateDer<'_>,
) -> Result<NodeId, PeerRefused> {
    let found = identity::name_of(certificate)?;
    if found.cluster != *own {
        return Err(PeerRefused::ForeignCluster {
            found,
            own: own.clone(),
        });
    }
    match found.subject {
        Subject::Node(node) => Ok(node),
        _ => Err(PeerRefused::NoNode { found }),
    }
}

/// What a failed chain is reported as. The cluster that an untrusted certificate claims is not
/// believed, but it is the most useful thing to say.
fn untrusted(own: &ClusterName, certificate: &CertificateDer<'_>, reason: Error) -> PeerRefused {
    match node_of(own, certificate) {
        Err(foreign @ PeerRefused::ForeignCluster { .. }) => foreign,
        _ => PeerRefused::Untrusted {
            own: own.clone(),
            reason,
        },
    }
}

fn refuse(refused: PeerRefused) -> Error {
    Error::Other(OtherError(Arc::new(refused)))
}

/// Checks who dials us: WebPKI for the chain, then the name. One without a certificate gets as far
/// as saying what it wants, and may only join.
#[derive(Debug)]
struct DialerVerifier {
    cluster: ClusterName,
    chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for DialerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .chain
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|reason| refuse(untrusted(&self.cluster, end_entity, reason)))?;
        node_of(&self.cluster, end_entity).map_err(refuse)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Checks whom we dialled: WebPKI for the chain, then the name, which must be the expected node's.
/// (WebPKI's own check of names knows DNS names and addresses, not URIs.)
#[derive(Debug)]
struct ListenerVerifier {
    cluster: ClusterName,
    expected: NodeId,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ListenerVerifier {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), PeerRefused> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        ParsedCertificate::try_from(end_entity)
            .and_then(|parsed| {
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &self.roots,
                    intermediates,
                    now,
                    algorithms,
                )
            })
            .map_err(|reason| untrusted(&self.cluster, end_entity, reason))?;
        let node = node_of(&self.cluster, end_entity)?;
        if node != self.expected {
            return Err(PeerRefused::OtherNode {
                found: Name::node(&self.cluster, node),
                expected: self.expected,
            });
        }
        Ok(())
    }
}

impl ListenerCheck for ListenerVerifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.judge(end_entity, intermediates, now).map_err(refuse)
    }

    fn provider(&self) -> &CryptoProvider {
        &self.provider
    }
}
