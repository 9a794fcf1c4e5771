//! HTTP over a [`Service`]: paths, headers, bodies, bounds.

mod config;
mod events;
mod fsm;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod leader;
mod members;
mod metrics;
mod node;
mod plugin;
mod reply;
mod request;
mod serve;
mod snapshots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use coracle_client::Code;
use tokio::sync::{Semaphore, watch};

use super::{ApiError, Service};
use crate::metrics::Metrics;
pub use serve::serve;

/// Bounds of the HTTP interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one command or query.
    pub command_bytes: usize,
    /// Bytes of one plugin.
    pub plugin_bytes: usize,
    /// Requests in progress, probes apart; more are answered with 503 `busy`.
    pub requests: usize,
    /// Open connections; more wait in the listener's backlog.
    pub connections: usize,
    /// Time for an apply or a query that names none.
    pub timeout: Duration,
    /// The longest time a request may name.
    pub max_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes: 1 << 20,
            plugin_bytes: 64 << 20,
            requests: 1024,
            connections: 2048,
            timeout: Duration::from_secs(5),
            max_timeout: Duration::from_secs(600),
        }
    }
}

/// Uploads in progress; each holds a whole plugin in memory.
const MAX_UPLOADS: usize = 2;

/// What every handler has.
#[derive(Clone)]
struct Api {
    service: Arc<dyn Service>,
    limits: watch::Receiver<Limits>,
    metrics: Arc<Metrics>,
    requests: Arc<AtomicUsize>,
    uploads: Arc<Semaphore>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("limits", &self.limits())
            .finish_non_exhaustive()
    }
}

impl Api {
    fn limits(&self) -> Limits {
        *self.limits.borrow()
    }
}

/// All paths (DESIGN section 8). The limits may change while it serves.
pub(crate) fn router(
    service: Arc<dyn Service>,
    limits: watch::Receiver<Limits>,
    metrics: Arc<Metrics>,
) -> Router {
    let api = Api {
        service,
        limits,
        metrics: Arc::clone(&metrics),
        requests: Arc::default(),
        uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
    };
    let gated = Router::new()
        .route("/v1/fsms", get(fsm::list))
        .route(
            "/v1/fsms/{fsm}",
            get(fsm::show).put(fsm::create).delete(fsm::remove),
        )
        .route("/v1/fsms/{fsm}/apply", post(fsm::apply))
        .route("/v1/fsms/{fsm}/query", post(fsm::query))
        .route("/v1/fsms/{fsm}/barrier", post(leader::barrier))
        .route("/v1/fsms/{fsm}/upgrade", post(fsm::upgrade))
        .route("/v1/fsms/{fsm}/snapshot", post(fsm::snapshot))
        .route("/v1/fsms/{fsm}/placement", put(members::place))
        .route("/v1/members/{node}/{operation}", post(members::change))
        .route(
            "/v1/members/{node}",
            get(members::show).delete(members::remove),
        )
        .route(
            "/v1/tokens",
            get(members::tokens).post(members::create_token),
        )
        .route("/v1/tokens/{id}", delete(members::revoke_token))
        .route("/v1/fsms/{fsm}/snapshots", get(snapshots::list))
        .route("/v1/fsms/{fsm}/snapshots/{index}", get(snapshots::fetch))
        .route("/v1/fsms/{fsm}/restore", post(snapshots::restore))
        .route("/v1/images/{digest}", post(snapshots::finish_image))
        .route("/v1/images/{digest}/{offset}", put(snapshots::add_to_image))
        .route("/v1/plugins", get(plugin::list))
        .route(
            "/v1/plugins/{sha256}",
            put(plugin::upload).get(plugin::show),
        )
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), gate::admit));
    Router::new()
        .route("/v1/status", get(node::status))
        .route("/v1/members", get(members::list))
        .route("/v1/config", get(config::show).patch(config::change))
        .route("/v1/events", get(events::follow))
        .route("/v1/leader", get(leader::show))
        .route("/v1/leader/spread", post(leader::spread))
        .route("/v1/leader/{action}", post(leader::act))
        .route("/v1/node/drain", post(leader::drain))
        .route("/v1/node/undrain", post(leader::undrain))
        .route("/metrics", get(metrics::scrape))
        .route("/livez", get(node::live))
        .route("/readyz", get(node::ready))
        .method_not_allowed_fallback(wrong_method)
        .merge(gated)
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(metrics, metrics::measure))
        .with_state(api)
}

async fn unknown_path(uri: axum::http::Uri) -> ApiError {
    let hint = "paths: /v1/fsms, /v1/fsms/{fsm}[/apply|query|barrier|upgrade|snapshot|restore|snapshots[/{index}]], \
                /v1/images/{digest}[/{offset}], /v1/plugins, \
                /v1/plugins/{sha256}, /v1/members[/{node}[/{operation}]], /v1/tokens, /v1/status, /v1/config, /v1/events, /v1/leader, /metrics, /livez, /readyz";
    ApiError::new(Code::NotFound, format!("there is no path {}", uri.path())).with_hint(hint)
}

async fn wrong_method(method: Method, uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}
