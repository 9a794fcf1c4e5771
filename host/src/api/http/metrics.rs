//! `/metrics`, and the measuring of requests.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Api, request};
use crate::api::ApiError;
use crate::metrics::{MEDIA_TYPE, Metrics};

/// The route of paths that there are not.
const NO_ROUTE: &str = "none";

pub(super) async fn scrape(State(api): State<Api>) -> Result<Response, ApiError> {
    let limit = api.limits().timeout;
    let text = request::read_within(limit, api.service.scrape()).await?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

/// Measures each request under the path of its route, never under its own.
pub(super) async fn measure(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let _inflight = Inflight::begin(&metrics);
    let response = next.run(request).await;
    metrics
        .api
        .answered(&route, response.status().as_u16(), began);
    response
}

/// Counts a request until it is answered or its client has gone.
struct Inflight<'a>(&'a Metrics);

impl<'a> Inflight<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.api.inflight.inc();
        Self(metrics)
    }
}

impl Drop for Inflight<'_> {
    fn drop(&mut self) {
        self.0.api.inflight.dec();
    }
}
