//! `/v1/leader`: who leads, and handing it over. `/v1/node/drain`: a node that gives all of it up.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use coracle_client::{
    Barrier, Code, Drained, LeaderOrder, Leaders, Leadership, Spread, check_fsm_name,
};
use serde::Deserialize;

use super::{Api, request};
use crate::api::{ApiError, LeaderAction};

/// What may stand behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    fsm: Option<String>,
}

pub(super) async fn show(
    State(api): State<Api>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Leaders>, ApiError> {
    let Query(which) =
        which.map_err(|e| ApiError::new(Code::BadRequest, format!("the query: {e}")))?;
    check(which.fsm.as_deref())?;
    let leaders = api.service.leaders(which.fsm.as_deref());
    request::read_within(api.limits().timeout, leaders)
        .await
        .map(Json)
}

pub(super) async fn act(
    State(api): State<Api>,
    action: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Leadership>, ApiError> {
    let Path(action) = action.map_err(|e| ApiError::new(Code::BadRequest, e.to_string()))?;
    let limits = api.limits();
    let limit = request::time_limit(&headers, &limits, limits.timeout)?;
    let order: LeaderOrder = request::json_or_default(&headers, body).await?;
    check(order.fsm.as_deref())?;
    let action = match action.as_str() {
        "transfer" => LeaderAction::Transfer { to: order.to },
        "step-down" => LeaderAction::StepDown,
        "campaign" => LeaderAction::Campaign,
        "forget" => LeaderAction::Forget,
        "verify" => LeaderAction::Verify,
        other => {
            let detail = format!("there is no path /v1/leader/{other}");
            let hint = "transfer, step-down, campaign, forget, verify, spread";
            return Err(ApiError::new(Code::NotFound, detail).with_hint(hint));
        }
    };
    let fsm = order.fsm.as_deref();
    request::within(limit, api.service.lead(fsm, action, limit))
        .await
        .map(Json)
}

pub(super) async fn spread(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<Spread>, ApiError> {
    let limits = api.limits();
    let limit = request::time_limit(&headers, &limits, limits.max_timeout)?;
    request::within(limit, api.service.spread(limit))
        .await
        .map(Json)
}

pub(super) async fn drain(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<Drained>, ApiError> {
    draining(&api, &headers, true).await
}

pub(super) async fn undrain(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<Drained>, ApiError> {
    draining(&api, &headers, false).await
}

async fn draining(api: &Api, headers: &HeaderMap, on: bool) -> Result<Json<Drained>, ApiError> {
    let limits = api.limits();
    let limit = request::time_limit(headers, &limits, limits.max_timeout)?;
    request::within(limit, api.service.drain(on, limit))
        .await
        .map(Json)
}

pub(super) async fn barrier(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Barrier>, ApiError> {
    let name = request::fsm_name(name)?;
    let limits = api.limits();
    let limit = request::time_limit(&headers, &limits, limits.timeout)?;
    request::read_within(limit, api.service.barrier(&name, limit))
        .await
        .map(Json)
}

fn check(fsm: Option<&str>) -> Result<(), ApiError> {
    let bad = |reason: String| ApiError::new(Code::BadRequest, reason);
    fsm.map_or(Ok(()), |fsm| {
        check_fsm_name(fsm).map_err(|e| bad(e.to_string()))
    })
}
