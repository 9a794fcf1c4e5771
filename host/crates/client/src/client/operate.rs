//! What an operator asks of a running node.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;

use super::send::Call;
use super::{Client, fsm_path};
use crate::{
    Barrier, ClientError, ConfigChange, ConfigChanged, ConfigView, Drained, LeaderOrder, Leaders,
    Leadership, Spread, check_fsm_name,
};

impl Client {
    /// Who leads, as the first node that answers knows.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn leaders(&self, fsm: Option<&str>) -> Result<Leaders, ClientError> {
        let Some(name) = fsm else {
            return self.get("/v1/leader".into()).await;
        };
        check_fsm_name(name).map_err(|e| ClientError::Request(e.to_string()))?;
        self.get(format!("/v1/leader?fsm={name}")).await
    }

    /// Hands leadership over, of an fsm's group or of group 0; returns when another node leads.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn transfer_leader(&self, order: &LeaderOrder) -> Result<Leadership, ClientError> {
        self.leader_order("transfer", order).await
    }

    /// Has the leader hand over to whoever is best placed.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn step_down(&self, order: &LeaderOrder) -> Result<Leadership, ClientError> {
        self.leader_order("step-down", order).await
    }

    /// Has the node that is asked stand for election; returns when it leads.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn campaign(&self, order: &LeaderOrder) -> Result<Leadership, ClientError> {
        self.leader_order("campaign", order).await
    }

    /// Has the node that is asked follow nobody until a leader speaks again.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn forget_leader(&self, order: &LeaderOrder) -> Result<Leadership, ClientError> {
        self.leader_order("forget", order).await
    }

    /// Has a majority confirm the leader.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn verify_leader(&self, order: &LeaderOrder) -> Result<Leadership, ClientError> {
        self.leader_order("verify", order).await
    }

    async fn leader_order(
        &self,
        what: &str,
        order: &LeaderOrder,
    ) -> Result<Leadership, ClientError> {
        let path = format!("/v1/leader/{what}");
        self.send_json(Method::POST, path, order).await
    }

    /// Spreads the leaders of all fsms over the nodes.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn spread_leaders(&self) -> Result<Spread, ClientError> {
        self.post("/v1/leader/spread".into(), false).await
    }

    /// Has the node that is asked hand over all its leaderships and take no more, or do so no
    /// longer.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn drain(&self, on: bool) -> Result<Drained, ClientError> {
        let word = if on { "drain" } else { "undrain" };
        self.post(format!("/v1/node/{word}"), true).await
    }

    /// Returns once everything that was acknowledged before is applied on the node that answers.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn barrier(&self, fsm: &str) -> Result<Barrier, ClientError> {
        self.post(fsm_path(fsm, "/barrier")?, true).await
    }

    /// The settings of the first node that answers.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn config(&self) -> Result<ConfigView, ClientError> {
        self.get("/v1/config".into()).await
    }

    /// Changes settings while nodes run; `None` takes an earlier change back.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn set_config(
        &self,
        set: BTreeMap<String, serde_json::Value>,
        all_nodes: bool,
    ) -> Result<ConfigChanged, ClientError> {
        let change = ConfigChange { set, all_nodes };
        self.send_json(Method::PATCH, "/v1/config".into(), &change)
            .await
    }

    /// The metrics of the first node that answers, as OpenMetrics text.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let mut call = Call::new(Method::GET, "/metrics".into(), self.inner.timeout);
        call.repeatable = true;
        call.read_only = true;
        let reply = self.send(&call).await?;
        let text = String::from_utf8(reply.body.to_vec());
        text.map_err(|_| reply.nonsense("metrics that are no text".into()))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: String,
        repeatable: bool,
    ) -> Result<T, ClientError> {
        let mut call = Call::new(Method::POST, path, self.inner.admin_timeout);
        call.body = Bytes::new();
        call.repeatable = repeatable;
        self.send(&call).await?.json()
    }
}
