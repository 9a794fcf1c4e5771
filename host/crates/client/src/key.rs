//! Idempotency keys.

use data_encoding::HEXLOWER;

/// A fresh key: 128 random bits in hex.
///
/// # Errors
///
/// If the operating system has no random bytes to give.
pub fn random_key() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(HEXLOWER.encode(&bytes))
}
