//! Gets plugins to where they will run: bytes durable and code compiled, on this node and others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::Code;
use coracle_driver::Digest;
use coracle_proto::NodeId;
use coracle_runtime::{Plugin, STACK_BYTES, StageError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shell;
use super::bulk::Bulk;
use super::call::{Call, Failure};
use super::fetched::{NotFetched, nobody_gave};
use super::plugins::{PluginError, Plugins};

/// A peer that is connected but silent may hold up a creation or an upgrade for so long.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

impl Shell {
    /// Takes an upload in: checked, compiled and durable here.
    pub(super) async fn add_plugin(
        &self,
        digest: Digest,
        bytes: Bytes,
    ) -> Result<Arc<Plugin>, Failure> {
        on_big_stack(&self.plugins, move |plugins| plugins.add(digest, &bytes)).await
    }

    /// Has a plugin durable and compiled here; fetches it from one of `sources` if need be.
    pub(super) async fn stage_here(
        &self,
        digest: Digest,
        sources: &[NodeId],
    ) -> Result<Arc<Plugin>, Failure> {
        let found = on_big_stack(&self.plugins, move |plugins| plugins.get(digest)).await?;
        if let Some(plugin) = found {
            return Ok(plugin);
        }
        let mut tried = Vec::new();
        for source in sources.iter().filter(|source| **source != self.node) {
            match self.fetch_plugin(*source, digest).await {
                Ok(bytes) => return self.add_plugin(digest, bytes).await,
                Err(reason) => tried.push((*source, reason)),
            }
        }
        Err(nobody_gave(&format!("plugin {digest}"), &tried))
    }

    async fn fetch_plugin(&self, source: NodeId, digest: Digest) -> Result<Bytes, NotFetched> {
        let transport = self
            .transport()
            .map_err(|failure| NotFetched::Failed(failure.detail))?;
        let header = Bulk::Plugin { digest }.encode();
        let limit = usize::try_from(self.config.limits.plugin_bytes).unwrap_or(usize::MAX);
        let reader = transport.fetch_bulk(source, header).await?;
        Ok(reader.read_all(limit).await?)
    }

    /// Has a plugin durable and compiled on a majority, this node included, and on every other
    /// node that can be reached (DESIGN §7.4).
    pub(super) async fn stage_everywhere(
        self: &Arc<Self>,
        digest: Digest,
        deadline: Instant,
    ) -> Result<Arc<Plugin>, Failure> {
        let all = self.all_nodes();
        let plugin = self.stage_here(digest, &all).await?;
        let call = Call::Stage {
            plugin: digest,
            from: self.node.0,
        };
        let deadline = deadline.min(Instant::now() + PEER_TIMEOUT);
        let hears = |failure: &Failure| !is_away(failure);
        let asked = self.ask_everywhere(&all, &call, deadline, hears).await;
        // It hears us and cannot run the plugin: it would stand still at the entry.
        let asked = asked.map_err(|(peer, failure)| {
            let detail = format!("{peer} cannot stage the plugin: {}", failure.detail);
            Failure { detail, ..failure }
        })?;
        let missing = asked.by_a_majority(&format!("plugin {digest}"))?;
        for reason in missing {
            warn!(%digest, reason, "a node has not staged the plugin; it fetches it when it is back");
        }
        Ok(plugin)
    }

    /// Gets a plugin that a worker stands still for, from any node that has it.
    pub(super) async fn fetch_missing(self: &Arc<Self>, digest: Digest) -> Result<(), Failure> {
        self.stage_here(digest, &self.all_nodes()).await?;
        info!(%digest, "the missing plugin has arrived");
        Ok(())
    }
}

/// Whether a node did not say no, but nothing.
fn is_away(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::Unavailable | Code::Timeout | Code::OutcomeUnknown
    )
}

/// Compiling and describing needs the stack that guests need.
async fn on_big_stack<T: Send + 'static>(
    plugins: &Arc<Plugins>,
    work: impl FnOnce(&Plugins) -> Result<T, PluginError> + Send + 'static,
) -> Result<T, Failure> {
    let plugins = Arc::clone(plugins);
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("stage".to_owned())
        .stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        // The caller may have given up.
        let _ = sender.send(work(&plugins));
    });
    if let Err(error) = spawned {
        let detail = format!("cannot start a thread to compile the plugin: {error}");
        return Err(Failure::not_applied(Code::Busy, detail));
    }
    match receiver.await {
        Ok(result) => result.map_err(plugin_failed),
        Err(_) => Err(Failure::not_applied(
            Code::Internal,
            "compiling the plugin panicked",
        )),
    }
}

fn plugin_failed(error: PluginError) -> Failure {
    match error {
        PluginError::WrongDigest { .. } => {
            Failure::not_applied(Code::DigestMismatch, error.to_string())
        }
        PluginError::Invalid(StageError::Imports(imports)) => {
            let detail = StageError::Imports(imports.clone()).to_string();
            let failure = Failure::not_applied(Code::InvalidPlugin, detail);
            Failure {
                details: imports,
                ..failure
            }
        }
        PluginError::Invalid(error @ (StageError::Engine(_) | StageError::Cache { .. })) => {
            Failure::not_applied(Code::Internal, error.to_string())
        }
        PluginError::Invalid(error) => Failure::not_applied(Code::InvalidPlugin, error.to_string()),
        PluginError::Io { .. } => Failure::not_applied(Code::Internal, error.to_string()),
    }
}
