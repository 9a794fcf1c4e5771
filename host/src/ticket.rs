//! Join tickets: all that a new node needs to find its cluster and be let in, in one word.
//!
//! `crc1`, then base32 in lower case of the fields below (postcard) and the first four bytes of
//! their SHA-256.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_client::MemberRole;
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What every ticket begins with.
const PREFIX: &str = "crc1";

/// Addresses in a ticket.
pub const MAX_ADDRESSES: usize = 4;

/// Bytes of the checksum.
const CHECK_BYTES: usize = 4;

/// Characters of a ticket; longer ones are not looked at.
const MAX_TICKET: usize = 1024;

/// What proves that a node holds the ticket. It never leaves the two ends.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub [u8; 16]);

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The cluster's name.
    pub cluster: String,
    /// SHA-256 of the public key of the cluster's authority.
    pub pin: [u8; 32],
    /// Where nodes of the cluster are reached, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// The token's id.
    pub token: u64,
    /// The token's secret.
    pub secret: Secret,
    /// What the bearer becomes.
    pub role: MemberRole,
    /// When it expires, seconds since the Unix epoch.
    pub expires: u64,
}

/// Why a ticket is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Something else was given.
    #[error(
        "this is no ticket: one begins with {PREFIX}; make one with `coracle token create join`"
    )]
    NoTicket,
    /// A character is missing or wrong.
    #[error("the ticket is damaged: copy it again, whole; it is one word")]
    Damaged,
    /// Its time is over by the clock of this machine.
    #[error(
        "the ticket expired {ago:?} ago by this machine's clock: make a new one with `coracle \
         token create join`, or set the clock"
    )]
    Expired {
        /// How long ago.
        ago: Duration,
    },
}

impl Ticket {
    /// Refuses a ticket whose time is over.
    ///
    /// # Errors
    ///
    /// [`TicketError::Expired`].
    pub fn check(&self, now: SystemTime) -> Result<(), TicketError> {
        // What lies beyond the end of time does not expire.
        let Some(expires) = UNIX_EPOCH.checked_add(Duration::from_secs(self.expires)) else {
            return Ok(());
        };
        match now.duration_since(expires) {
            Ok(ago) if !ago.is_zero() => Err(TicketError::Expired {
                ago: Duration::from_secs(ago.as_secs()),
            }),
            _ => Ok(()),
        }
    }

    /// The token's id as it is written.
    pub fn token_id(&self) -> String {
        format!("{:016x}", self.token)
    }
}

impl Secret {
    /// What the cluster keeps of it: enough to check a proof, and the key that proofs are made
    /// with.
    pub fn verifier(self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"coracle join verifier 1");
        hash.update(self.0);
        hash.finalize().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = postcard::to_stdvec(self).map_err(|_| fmt::Error)?;
        let check = check(&bytes);
        bytes.extend(check);
        let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        write!(f, "{PREFIX}{text}")
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let body = text.strip_prefix(PREFIX).ok_or(TicketError::NoTicket)?;
        if body.len() > MAX_TICKET {
            return Err(TicketError::Damaged);
        }
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| TicketError::Damaged)?;
        let fields = bytes.len().checked_sub(CHECK_BYTES);
        let (fields, sum) = bytes.split_at(fields.ok_or(TicketError::Damaged)?);
        if check(fields) != sum {
            return Err(TicketError::Damaged);
        }
        let ticket: Self = postcard::from_bytes(fields).map_err(|_| TicketError::Damaged)?;
        if ticket.addresses.is_empty() || ticket.addresses.len() > MAX_ADDRESSES {
            return Err(TicketError::Damaged);
        }
        Ok(ticket)
    }
}

fn check(fields: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::digest(fields);
    std::array::from_fn(|i| hash[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            cluster: "c-1234".into(),
            pin: [7; 32],
            addresses: vec!["127.0.0.1:7400".parse().expect("address")],
            token: 0x0102,
            secret: Secret([9; 16]),
            role: MemberRole::Witness,
            expires: 1_800_000_000,
        }
    }

    #[test]
    fn a_ticket_is_one_word_and_survives_being_copied() {
        let text = ticket().to_string();
        assert!(text.starts_with("crc1") && text.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(format!(" {text}\n").parse(), Ok(ticket()));
    }

    #[test]
    fn every_single_wrong_or_missing_character_is_noticed() {
        let text = ticket().to_string();
        for place in PREFIX.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(bytes).expect("ascii");
            assert_eq!(
                wrong.parse::<Ticket>(),
                Err(TicketError::Damaged),
                "{place}"
            );
            let short = &text[..place];
            assert_eq!(
                short.parse::<Ticket>(),
                Err(TicketError::Damaged),
                "{place}"
            );
        }
        assert_eq!("kv".parse::<Ticket>(), Err(TicketError::NoTicket));
    }

    #[test]
    fn an_expired_ticket_says_for_how_long() {
        let expires = UNIX_EPOCH + Duration::from_secs(ticket().expires);
        assert_eq!(ticket().check(expires), Ok(()));
        let error = ticket().check(expires + Duration::from_secs(90));
        assert_eq!(
            error,
            Err(TicketError::Expired {
                ago: Duration::from_secs(90)
            })
        );
    }

    #[test]
    fn a_ticket_that_expires_after_the_end_of_time_is_good() {
        let for_ever = Ticket {
            expires: u64::MAX,
            ..ticket()
        };
        assert_eq!(for_ever.check(SystemTime::now()), Ok(()));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", ticket()).contains("9, 9"));
    }
}
