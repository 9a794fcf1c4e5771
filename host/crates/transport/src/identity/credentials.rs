//! A certificate with its private key.

use std::fmt;

use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{certificate_from_pem, name_of, public_key_of};
use super::{IdentityError, Name};

/// What a node or client shows to prove who it is.
#[derive(Clone)]
pub struct Credentials {
    name: Name,
    cert_pem: String,
    key_pem: String,
}

impl Credentials {
    /// Reads them back from PEM; the key must belong to the certificate.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, IdentityError> {
        let certificate = certificate_from_pem(cert_pem)?;
        let name = name_of(&certificate)?;
        let key = key_from_pem(key_pem)?;
        if key.der_bytes() != public_key_of(&certificate)? {
            return Err(IdentityError::KeyMismatch { name });
        }
        Ok(Self {
            name,
            cert_pem: cert_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        })
    }

    /// Who they name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The certificate.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key (PKCS#8). Secret: write it to a file only its owner can read.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(super) fn issued(name: Name, cert_pem: String, key: &KeyPair) -> Self {
        Self {
            name,
            cert_pem,
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>, IdentityError> {
        certificate_from_pem(&self.cert_pem)
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, IdentityError> {
        let der = key_from_pem(&self.key_pem)?.serialize_der();
        Ok(PrivatePkcs8KeyDer::from(der).into())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, key redacted)", self.name)
    }
}

pub(super) fn key_from_pem(pem: &str) -> Result<KeyPair, IdentityError> {
    // The parser's error can hold a part of the text; it is not passed on, since that text is a key.
    KeyPair::from_pem(pem).map_err(|_| IdentityError::Pem {
        what: "private key",
        reason: "no PKCS#8 key of a known algorithm".to_owned(),
    })
}
