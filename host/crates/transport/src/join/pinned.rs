//! Trust in a cluster of which only the authority's key is known.

use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::config::TransportError;
use crate::identity::{self, Subject};
use crate::listener_check::{Checked, ListenerCheck};
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
            .with_custom_certificate_verifier(Arc::new(Checked(self)))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        QuicClientConfig::try_from(config).map_err(tls_error)
    }

    fn judge(
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

impl ListenerCheck for Arc<PinnedVerifier> {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.judge(end_entity, intermediates, now)
            .map_err(|judgement| {
                let mut kept = self.judgement.lock().expect("no panic under the lock");
                *kept = Some(judgement);
                CertificateError::UnknownIssuer.into()
            })
    }

    fn provider(&self) -> &CryptoProvider {
        &self.provider
    }
}
