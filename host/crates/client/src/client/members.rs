//! Members and tokens.

use http::Method;

use super::send::Call;
use super::{Client, ClientError, fsm_path};
use crate::members::{
    ChangeMember, CreateToken, MemberChange, MemberChanged, MemberList, PlaceFsm, Placed,
    TokenCreated, TokenList, TokenRevoked,
};

impl Client {
    /// The nodes of the cluster, as the first node that answers sees them.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn members(&self) -> Result<MemberList, ClientError> {
        self.get("/v1/members".into()).await
    }

    /// Changes a node. Answered once that is recorded; [`MemberList::pending`] says when the
    /// groups have followed.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn change_member(
        &self,
        node: u64,
        change: &ChangeMember,
    ) -> Result<MemberChanged, ClientError> {
        if change.change == MemberChange::Remove {
            let mut path = format!("/v1/members/{node}?force={}", change.force);
            if let Some(index) = change.if_index {
                path.push_str(&format!("&if_index={index}"));
            }
            let call = Call::new(Method::DELETE, path, self.inner.timeout);
            return self.send(&call).await?.json();
        }
        let path = format!("/v1/members/{node}/{}", change.change.operation());
        self.send_json(Method::POST, path, &change.parameters())
            .await
    }

    /// Makes a join token.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn create_token(&self, token: &CreateToken) -> Result<TokenCreated, ClientError> {
        self.send_json(Method::POST, "/v1/tokens".into(), token)
            .await
    }

    /// Says where an fsm is to run. Answered once that is recorded; [`MemberList::pending`] says
    /// when the group has followed.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn place_fsm(&self, name: &str, place: &PlaceFsm) -> Result<Placed, ClientError> {
        let path = fsm_path(name, "/placement")?;
        self.send_json(Method::PUT, path, place).await
    }

    /// The join tokens.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        self.get("/v1/tokens".into()).await
    }

    /// Lets nobody join with this token any more.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<TokenRevoked, ClientError> {
        let path = format!("/v1/tokens/{id}");
        let call = Call::new(Method::DELETE, path, self.inner.timeout);
        self.send(&call).await?.json()
    }
}
