//! Shows and changes the settings of this node, and of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{
    Code, ConfigChange, ConfigChanged, ConfigView, Happening, NodeChanged, Outcome, Setting,
};
use coracle_driver::Event;
use coracle_proto::NodeId;
use tokio::task::JoinSet;
use tokio::time::Instant;
use toml::Value;

use super::Shell;
use super::call::{Call, Failure, Reply};
use super::settings::{ChangeError, tuning};
use crate::config::{HOT, SettingError};

/// For a node that is not connected to be so.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at it.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

impl Shell {
    /// The settings in force and where they are from.
    pub(super) fn config_view(&self) -> ConfigView {
        let current = self.settings.get();
        let changed = self.settings.changed();
        let settings = current.settings().into_iter().map(|(key, value)| {
            let named = |name: &str| current.named.contains(name);
            let origin = if changed.contains_key(&key) {
                "runtime"
            } else if named(&key) {
                "file"
            } else {
                "default"
            };
            Setting {
                hot: HOT.binary_search(&key.as_str()).is_ok(),
                value: serde_json::to_value(value).unwrap_or_default(),
                origin: origin.to_owned(),
                key,
            }
        });
        ConfigView {
            node: self.node.0,
            settings: settings.collect(),
        }
    }

    /// Changes settings here, or on every node. On every node: what cannot be done here is not
    /// tried elsewhere.
    pub(super) async fn set_config(
        self: &Arc<Self>,
        change: ConfigChange,
        deadline: Instant,
    ) -> Result<ConfigChanged, Failure> {
        let set: BTreeMap<String, String> = change
            .set
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect();
        self.configure_here(&set).await?;
        let mut nodes = vec![NodeChanged {
            node: self.node.0,
            ok: true,
            error: None,
        }];
        if change.all_nodes {
            let mut others = JoinSet::new();
            for node in self.staying_nodes() {
                if node != self.node {
                    let (shell, set) = (Arc::clone(self), set.clone());
                    let call = Call::Configure { set };
                    let asked = async move { shell.ask_patiently(node, &call, deadline).await };
                    others.spawn(async move { (node, asked.await) });
                }
            }
            while let Some(Ok((node, result))) = others.join_next().await {
                let error = result.err().map(|failure| failure.detail);
                nodes.push(NodeChanged {
                    node: node.0,
                    ok: error.is_none(),
                    error,
                });
            }
        }
        nodes.sort_by_key(|changed| changed.node);
        Ok(ConfigChanged { nodes })
    }

    /// Asks a node that may have only just come back, and is given a moment to connect.
    async fn ask_patiently(
        &self,
        node: NodeId,
        call: &Call,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let connected = deadline.min(Instant::now() + CONNECT_PATIENCE);
        loop {
            let answer = self.ask(node, call, deadline).await;
            let away = matches!(&answer, Err(failure) if failure.code == Code::Unavailable);
            if !away || Instant::now() + CONNECT_PAUSE > connected {
                return answer;
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    /// Changes settings of this node. Values are JSON.
    pub(super) async fn configure_here(
        self: &Arc<Self>,
        set: &BTreeMap<String, String>,
    ) -> Result<Reply, Failure> {
        let wanted = wanted(set)?;
        let shell = Arc::clone(self);
        let changes = wanted.clone();
        let changed = tokio::task::spawn_blocking(move || shell.settings.change(&changes)).await;
        let config = changed
            .map_err(|error| Failure::unknown(error.to_string()))?
            .map_err(refused)?;
        self.inbox.push(Event::Tune(tuning(&config)));
        if let Some(transport) = self.transport.get() {
            transport.set_bulk_rate(config.snapshot.rate_bytes);
        }
        for key in wanted.into_keys() {
            let value = config.settings().remove(&key);
            let value = value.map_or_else(String::new, |value| value.to_string());
            self.tell_all(Happening::ConfigChanged { key, value });
        }
        Ok(Reply::Done)
    }
}

/// The changes in another node's call: values are JSON.
pub(super) fn wanted(
    set: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Option<Value>>, Failure> {
    let bad = |detail: String| Failure::not_applied(Code::BadRequest, detail);
    let pairs = set.iter().map(|(key, json)| {
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|e| bad(format!("{key}: {e}")))?;
        let value = match value {
            serde_json::Value::Null => None,
            value => Some(Value::try_from(value).map_err(|e| bad(format!("{key}: {e}")))?),
        };
        Ok((key.clone(), value))
    });
    pairs.collect()
}

fn refused(error: ChangeError) -> Failure {
    let code = match &error {
        ChangeError::Setting(SettingError::Unknown { .. }) => Code::NotFound,
        ChangeError::Setting(SettingError::Invalid { .. }) => Code::BadRequest,
        ChangeError::Refused { .. } => Code::BadRequest,
        ChangeError::Setting(SettingError::NeedsRestart { .. }) => Code::Conflict,
        ChangeError::NotKept(_) => Code::Internal,
    };
    Failure {
        outcome: Outcome::NotApplied,
        ..Failure::not_applied(code, error.to_string())
    }
}
