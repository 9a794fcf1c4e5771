//! What a new node may join with.

use serde::{Deserialize, Serialize};

use super::members::{Members, NodeRole};
use super::refusal::Refusal;
use super::state::Reply;

/// Tokens that may be waiting.
pub const MAX_TOKENS: usize = 256;

/// Nodes that may join with one token.
pub const MAX_TOKEN_USES: u32 = 64;

/// A join token. Its secret is in the ticket only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What the holder of the secret can derive and nobody else: the key of its proof.
    pub verifier: [u8; 32],
    /// What its bearer is to become.
    pub role: NodeRole,
    /// From this entry time on it is of no use: nanoseconds since the Unix epoch.
    pub expires: u64,
    /// How many nodes may still join with it.
    pub uses_left: u32,
}

impl JoinToken {
    /// The role that a bearer gets at this time.
    pub fn check(token: Option<&Self>, time: u64) -> Result<NodeRole, Refusal> {
        match token {
            None => Err(Refusal::UnknownToken),
            Some(token) if token.expires <= time => Err(Refusal::TokenExpired),
            Some(token) if token.uses_left == 0 => Err(Refusal::TokenUsed),
            Some(token) => Ok(token.role),
        }
    }
}

impl Members {
    pub(super) fn create_token(&mut self, time: u64, id: u64, token: JoinToken) -> Reply {
        if let Some(known) = self.tokens.get(&id) {
            let same = known.verifier == token.verifier;
            return same.then(Vec::new).ok_or(Refusal::TokenExists);
        }
        if token.uses_left == 0 || token.uses_left > MAX_TOKEN_USES {
            return Err(Refusal::BadUses {
                uses: token.uses_left,
            });
        }
        // One that was used up or has expired is kept until then for the sake of the message.
        self.tokens.retain(|_, token| token.expires > time);
        if self.tokens.len() >= MAX_TOKENS {
            return Err(Refusal::TooManyTokens);
        }
        self.tokens.insert(id, token);
        Ok(Vec::new())
    }

    pub(super) fn revoke_token(&mut self, id: u64) -> Reply {
        self.tokens.remove(&id);
        Ok(Vec::new())
    }
}
