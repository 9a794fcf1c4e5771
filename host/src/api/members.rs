//! What the HTTP layer asks of a node about the members of the cluster.

use std::time::Duration;

use coracle_client::{
    ChangeMember, CreateToken, MemberChanged, MemberList, PlaceFsm, Placed, TokenCreated,
    TokenList, TokenRevoked,
};

use super::Future;

/// The members of the cluster, and the tokens that let more of them in.
pub trait Members: Send + Sync {
    /// How this node sees the members; must not need a leader.
    fn members(&self) -> Future<'_, MemberList>;

    /// Changes a node; answers when that is recorded.
    fn change_member(
        &self,
        node: u64,
        change: ChangeMember,
        timeout: Duration,
    ) -> Future<'_, MemberChanged>;

    /// Says where an fsm is to run; answers when that is recorded.
    fn place_fsm(&self, name: String, place: PlaceFsm, timeout: Duration) -> Future<'_, Placed>;

    /// Makes a join token.
    fn create_token(&self, token: CreateToken, timeout: Duration) -> Future<'_, TokenCreated>;

    /// The join tokens, by id.
    fn tokens(&self, timeout: Duration) -> Future<'_, TokenList>;

    /// Lets nobody join with this token any more.
    fn revoke_token(&self, id: u64, timeout: Duration) -> Future<'_, TokenRevoked>;
}
