//! Who is who: the cluster's private certificate authority, the certificates it issues, and the
//! names in them.
//!
//! A node is `coracle://<cluster>/node/<id>` in a URI subject alternative name, a client is
//! `coracle://<cluster>/client/<name>`, the authority itself `coracle://<cluster>`. Nothing else
//! in a certificate means anything.

mod authority;
mod certificate;
mod credentials;
mod name;
mod request;

pub(crate) use authority::trusted;
pub use authority::{AUTHORITY_VALIDITY, Authority, CERTIFICATE_VALIDITY};
pub use certificate::{certificate_expiry, certificate_name, spki_pin};
pub use credentials::Credentials;
pub use name::{ClusterName, MAX_LABEL_BYTES, Name, Subject};
pub use request::{CertificateRequest, MAX_REQUEST_BYTES, request_key};

pub(crate) use certificate::{name_of, pin_of};

/// Why a certificate, key or name is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A cluster or client name with other characters, or too long.
    #[error(
        "{value:?} is not a name: 1 to {} of a-z A-Z 0-9 . _ -",
        name::MAX_LABEL_BYTES
    )]
    Label {
        /// What was given.
        value: String,
    },
    /// A URI that does not name a subject.
    #[error("{uri:?} does not name a node, a client or an authority")]
    Uri {
        /// What was found.
        uri: String,
    },
    /// Not PEM, or not the expected section.
    #[error("{what} is not valid PEM: {reason}")]
    Pem {
        /// The certificate or the key.
        what: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// PEM, but not an X.509 certificate.
    #[error("certificate cannot be parsed: {reason}")]
    Certificate {
        /// What the parser says.
        reason: String,
    },
    /// A certificate with no coracle name, or more than one.
    #[error("certificate has {found} coracle names, expected 1")]
    Names {
        /// How many.
        found: usize,
    },
    /// A certificate of another kind than the one needed.
    #[error("certificate names {found}, expected {expected}")]
    Kind {
        /// The name in it.
        found: Name,
        /// What was needed.
        expected: &'static str,
    },
    /// The private key is not that of the certificate.
    #[error("private key does not belong to the certificate of {name}")]
    KeyMismatch {
        /// The name in the certificate.
        name: Name,
    },
    /// A certificate request that cannot be granted.
    #[error("certificate request refused: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate could not be made.
    #[error("certificate for {name} cannot be issued: {reason}")]
    Issue {
        /// For whom.
        name: Name,
        /// What the generator says.
        reason: String,
    },
}
