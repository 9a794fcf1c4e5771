//! The cluster's private certificate authority.

use std::fmt;
use std::time::{Duration, SystemTime};

use coracle_proto::NodeId;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};

use super::certificate::{certificate_from_pem, name_of};
use super::credentials::key_from_pem;
use super::{ClusterName, Credentials, IdentityError, Name, Subject, request};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an authority is valid.
pub const AUTHORITY_VALIDITY: Duration = DAY.saturating_mul(20 * 365);
/// How long the certificates it issues are valid.
pub const CERTIFICATE_VALIDITY: Duration = DAY.saturating_mul(5 * 365);
/// How far back validity begins, for clocks that are behind.
const CLOCK_TOLERANCE: Duration = DAY;

/// Signs the certificates of one cluster. ECDSA P-256.
#[derive(Clone)]
pub struct Authority {
    cluster: ClusterName,
    cert_pem: String,
    key_pem: String,
}

impl Authority {
    /// Makes a new authority.
    pub fn generate(cluster: &str) -> Result<Self, IdentityError> {
        let cluster = ClusterName::new(cluster)?;
        let name = Name::authority(&cluster);
        let key = generate_key(&name)?;
        let mut params = params(&name, AUTHORITY_VALIDITY)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|error| cannot_issue(&name, &error))?;
        Ok(Self {
            cluster,
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// Reads an authority back from PEM; the key must belong to the certificate.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, IdentityError> {
        let certificate = certificate_from_pem(cert_pem)?;
        let name = name_of(&certificate)?;
        if name.subject != Subject::Authority {
            return Err(IdentityError::Kind {
                found: name,
                expected: "an authority",
            });
        }
        let credentials = Credentials::from_pem(cert_pem, key_pem)?;
        Ok(Self {
            cluster: name.cluster,
            cert_pem: credentials.cert_pem().to_owned(),
            key_pem: credentials.key_pem().to_owned(),
        })
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The certificate: what every node trusts.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key (PKCS#8). Secret: who has it can be any node.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues the certificate of a node, with a new key.
    pub fn issue_node(&self, node: NodeId) -> Result<Credentials, IdentityError> {
        self.issue(Name::node(&self.cluster, node), node_purpose)
    }

    /// Issues the certificate of a client or administrator, with a new key.
    pub fn issue_client(&self, client: &str) -> Result<Credentials, IdentityError> {
        self.issue(Name::client(&self.cluster, client)?, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// Issues the certificate of a node whose key never left it: `csr` is a
    /// [`CertificateRequest`](super::CertificateRequest) in DER. Only the public key is taken from
    /// it, once its signature has shown that the asking side holds the private one.
    pub fn sign_csr(&self, node: NodeId, csr: &[u8]) -> Result<String, IdentityError> {
        let name = Name::node(&self.cluster, node);
        let key = request::public_key_of(csr)?;
        self.sign(&name, &key, node_purpose)
    }

    /// What tickets pin this authority by, see [`spki_pin`](super::spki_pin).
    pub fn spki_pin(&self) -> Result<[u8; 32], IdentityError> {
        super::spki_pin(&self.cert_pem)
    }

    fn issue(
        &self,
        name: Name,
        purpose: impl FnOnce(&mut CertificateParams),
    ) -> Result<Credentials, IdentityError> {
        let key = generate_key(&name)?;
        let certificate = self.sign(&name, &key, purpose)?;
        Ok(Credentials::issued(name, certificate, &key))
    }

    fn sign(
        &self,
        name: &Name,
        key: &impl PublicKeyData,
        purpose: impl FnOnce(&mut CertificateParams),
    ) -> Result<String, IdentityError> {
        let mut params = params(name, CERTIFICATE_VALIDITY)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        purpose(&mut params);
        let certificate = params
            .signed_by(key, &self.issuer()?)
            .map_err(|error| cannot_issue(name, &error))?;
        Ok(certificate.pem())
    }

    /// The issuer's name and key identifier follow from the cluster's name and the key, so they
    /// are made again and not parsed.
    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, IdentityError> {
        let params = params(&Name::authority(&self.cluster), AUTHORITY_VALIDITY)?;
        Ok(Issuer::new(params, key_from_pem(&self.key_pem)?))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, key redacted)", self.cluster)
    }
}

fn params(name: &Name, validity: Duration) -> Result<CertificateParams, IdentityError> {
    let now = SystemTime::now();
    let uri = name.to_string();
    let san = Ia5String::try_from(uri.as_str()).map_err(|error| cannot_issue(name, &error))?;
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, uri);
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_TOLERANCE).into();
    params.not_after = (now + validity).into();
    params.distinguished_name = distinguished_name;
    params.subject_alt_names = vec![SanType::URI(san)];
    Ok(params)
}

/// A node is both ends: it dials and it is dialled.
fn node_purpose(params: &mut CertificateParams) {
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
}

fn generate_key(name: &Name) -> Result<KeyPair, IdentityError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|error| cannot_issue(name, &error))
}

fn cannot_issue(name: &Name, error: &dyn fmt::Display) -> IdentityError {
    IdentityError::Issue {
        name: name.clone(),
        reason: error.to_string(),
    }
}

/// Reads a trusted authority's certificate.
pub(crate) fn trusted(
    cert_pem: &str,
) -> Result<(ClusterName, rustls::pki_types::CertificateDer<'static>), IdentityError> {
    let certificate = certificate_from_pem(cert_pem)?;
    let name = name_of(&certificate)?;
    match name.subject {
        Subject::Authority => Ok((name.cluster, certificate)),
        _ => Err(IdentityError::Kind {
            found: name,
            expected: "an authority",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_name_their_subject_and_survive_pem() {
        let authority = Authority::generate("prod").expect("authority");
        let authority =
            Authority::from_pem(authority.cert_pem(), authority.key_pem()).expect("read back");
        let node = authority.issue_node(NodeId(7)).expect("node");
        let client = authority.issue_client("ops").expect("client");

        let node = Credentials::from_pem(node.cert_pem(), node.key_pem()).expect("read back");
        assert_eq!(node.name().to_string(), "coracle://prod/node/7");
        assert_eq!(client.name().to_string(), "coracle://prod/client/ops");
        assert_eq!(authority.cluster().as_str(), "prod");
    }

    #[test]
    fn another_ones_key_is_refused() {
        let authority = Authority::generate("prod").expect("authority");
        let a = authority.issue_node(NodeId(1)).expect("node");
        let b = authority.issue_node(NodeId(2)).expect("node");
        let refused = Credentials::from_pem(a.cert_pem(), b.key_pem());
        assert!(matches!(refused, Err(IdentityError::KeyMismatch { .. })));
    }

    #[test]
    fn a_node_certificate_is_no_authority() {
        let authority = Authority::generate("prod").expect("authority");
        let node = authority.issue_node(NodeId(1)).expect("node");
        let refused = Authority::from_pem(node.cert_pem(), node.key_pem());
        assert!(matches!(refused, Err(IdentityError::Kind { .. })));
        assert!(trusted(node.cert_pem()).is_err());
    }

    #[test]
    fn keys_are_not_printed() {
        let authority = Authority::generate("prod").expect("authority");
        let node = authority.issue_node(NodeId(1)).expect("node");
        let printed = format!("{authority:?} {node:?}");
        let key_lines = node.key_pem().lines().chain(authority.key_pem().lines());
        for line in key_lines {
            assert!(!printed.contains(line), "{printed}");
        }
        let error = Credentials::from_pem(node.cert_pem(), &node.key_pem()[..90])
            .expect_err("half a key")
            .to_string();
        assert!(!error.contains(&node.key_pem()[40..60]), "{error}");
    }

    #[test]
    fn names_that_would_change_the_uri_are_refused() {
        assert!(Authority::generate("a/node/1").is_err());
        let authority = Authority::generate("prod").expect("authority");
        assert!(authority.issue_client("ops/../x").is_err());
    }
}
