//! `/v1/config`: settings, where they are from, and those that change while the node runs.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use coracle_client::{ConfigChange, ConfigChanged, ConfigView};

use super::{Api, request};
use crate::api::ApiError;

pub(super) async fn show(State(api): State<Api>) -> Result<Json<ConfigView>, ApiError> {
    request::read_within(api.limits().timeout, api.service.config())
        .await
        .map(Json)
}

pub(super) async fn change(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ConfigChanged>, ApiError> {
    let limits = api.limits();
    let limit = request::time_limit(&headers, &limits, limits.timeout)?;
    let change: ConfigChange = request::json(&headers, body).await?;
    request::within(limit, api.service.set_config(change, limit))
        .await
        .map(Json)
}
