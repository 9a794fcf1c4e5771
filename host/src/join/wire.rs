//! What goes over `coracle-join/1`, and the proof that the asker holds the ticket.
//!
//! A request is `u8` version, 32 bytes of proof, and the fields (postcard). The proof is an
//! HMAC-SHA256 (RFC 2104) under the token's verifier over the secret of the connection and the
//! fields: it says nothing to another connection, and the ticket's own secret is never sent.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of both messages.
pub(crate) const VERSION: u8 = 1;

/// What a proof is made over, first.
const LABEL: &[u8] = b"coracle join proof 1";

/// Bytes that SHA-256 takes in at once.
const BLOCK: usize = 64;

/// What a node says of itself when it wants to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// The token of its ticket.
    pub(crate) token: u64,
    /// The name it wants, if any.
    pub(crate) name: Option<String>,
    /// Where its peers will reach it.
    pub(crate) quic: String,
    /// Where its clients will reach it.
    pub(crate) http: String,
    /// Its certificate request, PKCS#10 in DER.
    pub(crate) csr: Vec<u8>,
    /// What it runs.
    pub(crate) version: String,
}

/// A request whose proof is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) proof: [u8; 32],
    pub(crate) fields: Vec<u8>,
}

/// The node is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admission {
    /// Its id.
    pub(crate) node: u64,
    /// Its certificate, in PEM.
    pub(crate) certificate: String,
    /// The authority's certificate, in PEM.
    pub(crate) authority: String,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The nodes of the cluster: id, QUIC address, HTTP address.
    pub(crate) members: Vec<(u64, String, String)>,
}

/// Why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// For people, with the remedy.
    pub(crate) message: String,
    /// Whether another node, or the same one later, may say yes.
    pub(crate) again: bool,
}

impl Request {
    /// Signs the fields for one connection.
    pub(crate) fn prove(fields: &Fields, verifier: &[u8; 32], exporter: &[u8; 32]) -> Self {
        let fields = postcard::to_stdvec(fields).expect("invariant: plain data encodes");
        Self {
            proof: proof(verifier, exporter, &fields),
            fields,
        }
    }

    /// Whether the asker holds the ticket with this verifier.
    pub(crate) fn is_proven(&self, verifier: &[u8; 32], exporter: &[u8; 32]) -> bool {
        let own = proof(verifier, exporter, &self.fields);
        // Hashes are compared, so that the time it takes tells nothing of the proof.
        Sha256::digest(own) == Sha256::digest(self.proof)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        [&[VERSION][..], &self.proof, &self.fields].concat()
    }

    /// Reads what `encode` wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (version, rest) = bytes.split_first().ok_or("the request is empty")?;
        if *version != VERSION {
            return Err(format!(
                "it asks to join by version {version}, this cluster knows {VERSION}: use the same \
                 release of coracle as the cluster"
            ));
        }
        let (proof, fields) = rest.split_first_chunk().ok_or("the request is cut short")?;
        Ok(Self {
            proof: *proof,
            fields: fields.to_vec(),
        })
    }

    /// The fields; only as good as the proof.
    pub(crate) fn fields(&self) -> Result<Fields, String> {
        postcard::from_bytes(&self.fields).map_err(|error| format!("malformed request: {error}"))
    }
}

/// Encodes the answer.
pub(crate) fn encode_answer(answer: &Result<Admission, Refused>) -> Vec<u8> {
    postcard::to_extend(answer, vec![VERSION]).expect("invariant: plain data encodes")
}

/// Reads the answer.
pub(crate) fn decode_answer(bytes: &[u8]) -> Result<Result<Admission, Refused>, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| format!("malformed answer: {error}"))
        }
        Some((version, _)) => Err(format!("the answer has version {version}, not {VERSION}")),
        None => Err("the answer is empty".to_owned()),
    }
}

/// What the directory remembers of a key, so that the same request again gets the same id.
pub(crate) fn key_digest(public_key: &[u8]) -> [u8; 32] {
    Sha256::digest(public_key).into()
}

fn proof(verifier: &[u8; 32], exporter: &[u8; 32], fields: &[u8]) -> [u8; 32] {
    hmac(verifier, &[LABEL, exporter, fields])
}

/// HMAC-SHA256 with a key that is no longer than a block.
fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let mut inner = Sha256::new();
    inner.update(pad(0x36));
    for part in message {
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(pad(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn fields() -> Fields {
        Fields {
            token: 7,
            name: None,
            quic: "127.0.0.1:1".into(),
            http: "127.0.0.1:2".into(),
            csr: vec![1, 2, 3],
            version: "0".into(),
        }
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        let first = hmac(&[0x0b; 20], &[b"Hi ", b"There"]);
        assert_eq!(
            HEXLOWER.encode(&first),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let second = hmac(b"Jefe", &[b"what do ya want for nothing?"]);
        assert_eq!(
            HEXLOWER.encode(&second),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_proof_holds_for_its_ticket_its_connection_and_its_fields_only() {
        let request = Request::prove(&fields(), &[1; 32], &[2; 32]);
        let request = Request::decode(&request.encode()).expect("decodes");
        assert_eq!(request.fields(), Ok(fields()));
        assert!(request.is_proven(&[1; 32], &[2; 32]));
        assert!(!request.is_proven(&[9; 32], &[2; 32]));
        assert!(!request.is_proven(&[1; 32], &[9; 32]));
        let mut changed = request;
        changed.fields[0] ^= 1;
        assert!(!changed.is_proven(&[1; 32], &[2; 32]));
    }

    #[test]
    fn a_request_of_another_version_is_refused_by_name() {
        let mut bytes = Request::prove(&fields(), &[1; 32], &[2; 32]).encode();
        bytes[0] = 9;
        let error = Request::decode(&bytes).expect_err("is refused");
        assert!(error.contains("version 9"), "{error}");
    }
}
