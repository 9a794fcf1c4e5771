//! Asking an authority for a certificate without showing it the private key.

use std::fmt;

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair, PublicKey,
    PublicKeyData as _,
};
use rustls::pki_types::CertificateSigningRequestDer;

use super::{Credentials, IdentityError};

/// Largest certificate request that is looked at, in bytes.
pub const MAX_REQUEST_BYTES: usize = 4 << 10;

/// A new private key, and the request for a certificate to it. ECDSA P-256.
pub struct CertificateRequest {
    key: KeyPair,
    csr: Vec<u8>,
}

impl CertificateRequest {
    /// Makes a key. The request names nobody: who the certificate is for is the authority's to say.
    pub fn generate() -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(refused)?;
        Self::of(key)
    }

    fn of(key: KeyPair) -> Result<Self, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(refused)?;
        let csr = csr.der().to_vec();
        Ok(Self { key, csr })
    }

    /// A request for a key that was made before.
    pub fn from_key_pem(pem: &str) -> Result<Self, IdentityError> {
        Self::of(super::credentials::key_from_pem(pem)?)
    }

    /// The request, PKCS#10 in DER.
    pub fn csr(&self) -> &[u8] {
        &self.csr
    }

    /// The private key (PKCS#8 in PEM). Secret: write it to a file only its owner can read.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate that came for it, with its key; refused if it is another key's.
    pub fn complete(&self, cert_pem: &str) -> Result<Credentials, IdentityError> {
        Credentials::from_pem(cert_pem, &self.key_pem())
    }
}

impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateRequest(key redacted)")
    }
}

/// The key that a request is for, if the request is signed by it.
pub(super) fn public_key_of(csr: &[u8]) -> Result<PublicKey, IdentityError> {
    if csr.len() > MAX_REQUEST_BYTES {
        return Err(refused(format!(
            "it has {} bytes, the limit is {MAX_REQUEST_BYTES}",
            csr.len()
        )));
    }
    let der = CertificateSigningRequestDer::from(csr);
    let request = CertificateSigningRequestParams::from_der(&der).map_err(refused)?;
    Ok(request.public_key)
}

/// The public key that a request is for, if the request is signed by it.
pub fn request_key(csr: &[u8]) -> Result<Vec<u8>, IdentityError> {
    Ok(public_key_of(csr)?.der_bytes().to_vec())
}

fn refused(reason: impl ToString) -> IdentityError {
    IdentityError::Request {
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use coracle_proto::NodeId;

    use super::super::{Authority, Name, spki_pin};
    use super::*;

    #[test]
    fn a_granted_request_makes_the_credentials_of_the_node_that_the_authority_names() {
        let authority = Authority::generate("prod").expect("authority");
        let request = CertificateRequest::generate().expect("request");

        let certificate = authority
            .sign_csr(NodeId(7), request.csr())
            .expect("granted");

        let credentials = request.complete(&certificate).expect("its own");
        assert_eq!(
            *credentials.name(),
            Name::node(authority.cluster(), NodeId(7))
        );
        let other = CertificateRequest::generate().expect("request");
        let refused = other.complete(&certificate);
        assert!(matches!(refused, Err(IdentityError::KeyMismatch { .. })));
    }

    #[test]
    fn no_request_is_granted_for_a_key_that_did_not_sign_it() {
        let authority = Authority::generate("prod").expect("authority");
        let request = CertificateRequest::generate().expect("request");
        let mut granted = 0;
        for place in 0..request.csr().len() {
            let mut changed = request.csr().to_vec();
            changed[place] ^= 1;
            match authority.sign_csr(NodeId(7), &changed) {
                Err(IdentityError::Request { .. }) => {}
                Err(other) => panic!("{other}"),
                // A byte of the wrapping, which says nothing of the key.
                Ok(certificate) => {
                    granted += 1;
                    request.complete(&certificate).expect("the same key");
                }
            }
        }
        assert!(granted < 8, "{granted} changes go unnoticed");
        for csr in [&b""[..], &vec![0x30; MAX_REQUEST_BYTES + 1]] {
            let result = authority.sign_csr(NodeId(7), csr);
            assert!(matches!(result, Err(IdentityError::Request { .. })));
        }
    }

    #[test]
    fn the_pin_names_the_key_and_not_the_certificate() {
        let authority = Authority::generate("prod").expect("authority");
        let other = Authority::generate("prod").expect("authority");
        let pin = authority.spki_pin().expect("pin");
        assert_eq!(pin, spki_pin(authority.cert_pem()).expect("pin"));
        assert_ne!(pin, other.spki_pin().expect("pin"));
    }
}
