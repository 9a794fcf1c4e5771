//! Trust in a cluster of which only the authority's key is known.

use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::config::TransportError;
use crate::identity::{self, Subject};
use crate::tls::{self, ALPN_JOIN, tls_error};

/// Why a listener's certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No certificate that it shows has the pinned key.
    OtherAuthority,
    /// One has, but the rest does not follow from it.
    Invalid(String),
}

/// Takes the certificate with the pinned key for the authority, and any node that it vouches for.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
    judgement: Mutex<Option<Judgement>>,
}

impl PinnedVerifier {
    pub(super) fn new(pin: [u8; 32]) -> Self {
        Self {
            pin,
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            judgement: Mutex::default(),
        }
    }

    /// Why the handshake failed, if it was for the certificate.
    pub(super) fn judgement(&self) -> Option<Judgement> {
        let judgement = self.judgement.lock();
        judgement.expect("no panic under the lock").clone()
    }

    pub(super) fn settings(self: Arc<Self>) -> Result<QuicClientConfig, TransportError> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(self)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        QuicClientConfig::try_from(config).map_err(tls_error)
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Judgement> {
        let pinned = |certificate: &&CertificateDer<'_>| {
            identity::pin_of(certificate).is_ok_and(|pin| pin == self.pin)
        };
        let authority = others.iter().find(pinned);
        let authority = authority.ok_or(Judgement::OtherAuthority)?;
        let invalid = |reason: &dyn std::fmt::Display| Judgement::Invalid(reason.to_string());
        let name = identity::name_of(authority).map_err(|error| invalid(&error))?;
        if name.subject != Subject::Authority {
            return Err(invalid(&format!("{name} is no authority")));
        }
        let mut roots = RootCertStore::empty();
        let added = roots.add(authority.clone().into_owned());
        added.map_err(|error| invalid(&error))?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        ParsedCertificate::try_from(end_entity)
            .and_then(|parsed| {
                verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms)
            })
            .map_err(|error| invalid(&error))?;
        let node = tls::node_of(&name.cluster, end_entity);
        node.map(drop).map_err(|error| invalid(&error))
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.check(end_entity, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(judgement) => {
                let mut kept = self.judgement.lock().expect("no panic under the lock");
                *kept = Some(judgement);
                Err(CertificateError::UnknownIssuer.into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
