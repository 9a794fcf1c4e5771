//! Reading the name out of a certificate.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{IdentityError, Name};

/// The name in a PEM certificate. Says nothing about who signed it.
pub fn certificate_name(pem: &str) -> Result<Name, IdentityError> {
    name_of(&certificate_from_pem(pem)?)
}

/// When a PEM certificate ends, in seconds since 1970.
pub fn certificate_expiry(pem: &str) -> Result<i64, IdentityError> {
    let certificate = certificate_from_pem(pem)?;
    let parsed = parse(&certificate)?;
    Ok(parsed.validity().not_after.timestamp())
}

/// The one coracle URI among the subject alternative names.
pub(crate) fn name_of(certificate: &CertificateDer<'_>) -> Result<Name, IdentityError> {
    let parsed = parse(certificate)?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| malformed(&error))?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("coracle:") => Some(*uri),
            _ => None,
        })
        .collect();
    match uris[..] {
        [uri] => uri.parse(),
        _ => Err(IdentityError::Names { found: uris.len() }),
    }
}

/// SHA-256 of the subject public key info in a PEM certificate: what a ticket pins an authority by.
pub fn spki_pin(pem: &str) -> Result<[u8; 32], IdentityError> {
    pin_of(&certificate_from_pem(pem)?)
}

/// As [`spki_pin`].
pub(crate) fn pin_of(certificate: &CertificateDer<'_>) -> Result<[u8; 32], IdentityError> {
    let parsed = parse(certificate)?;
    Ok(Sha256::digest(parsed.public_key().raw).into())
}

/// The subject's public key, as in the certificate.
pub(super) fn public_key_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, IdentityError> {
    let parsed = parse(certificate)?;
    Ok(parsed.public_key().subject_public_key.data.to_vec())
}

pub(super) fn certificate_from_pem(pem: &str) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| IdentityError::Pem {
        what: "certificate",
        reason: error.to_string(),
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(certificate.as_ref()) {
        Ok(([], parsed)) => Ok(parsed),
        Ok((rest, _)) => Err(IdentityError::Certificate {
            reason: format!("{} bytes follow it", rest.len()),
        }),
        Err(error) => Err(malformed(&error)),
    }
}

fn malformed(error: &dyn std::fmt::Display) -> IdentityError {
    IdentityError::Certificate {
        reason: error.to_string(),
    }
}
