//! `/v1/fsms`: the daily path, and creation, upgrade, snapshot, removal.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use coracle_client::{CreateFsm, FsmInfo, FsmList, Removed, Snapshotted, Upgrade, Upgraded};

use super::{Api, request};
use crate::api::{ApiError, Applied, Queried, QueryTerms};

/// Time for creation, upgrade, snapshot and removal that name none: plugins are compiled.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(300);

type Name = Result<Path<String>, PathRejection>;

pub(super) async fn apply(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Applied, ApiError> {
    let name = request::fsm_name(name)?;
    let key = request::key(&headers)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let body = request::bytes(&headers, body, api.limits().command_bytes).await?;
    request::within(limit, api.service.apply(&name, body, key, limit)).await
}

pub(super) async fn query(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Queried, ApiError> {
    let name = request::fsm_name(name)?;
    let terms = QueryTerms {
        consistency: request::consistency(&headers)?,
        min_index: request::min_index(&headers)?,
        max_staleness: request::max_staleness(&headers)?,
    };
    terms.check()?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let body = request::bytes(&headers, body, api.limits().command_bytes).await?;
    let query = api.service.query(&name, body, terms, limit);
    request::read_within(limit, query).await
}

pub(super) async fn create(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<FsmInfo>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    let spec: CreateFsm = request::json(&headers, body).await?;
    request::within(limit, api.service.create_fsm(&name, spec))
        .await
        .map(Json)
}

pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<FsmList>, ApiError> {
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let fsms = request::read_within(limit, api.service.list_fsms()).await?;
    Ok(Json(FsmList { fsms }))
}

pub(super) async fn show(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
) -> Result<Json<FsmInfo>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    request::read_within(limit, api.service.get_fsm(&name))
        .await
        .map(Json)
}

pub(super) async fn remove(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
) -> Result<Json<Removed>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    request::within(limit, api.service.remove_fsm(&name))
        .await
        .map(Json)
}

pub(super) async fn upgrade(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Upgraded>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    let Upgrade { plugin } = request::json(&headers, body).await?;
    request::within(limit, api.service.upgrade(&name, plugin))
        .await
        .map(Json)
}

pub(super) async fn snapshot(
    State(api): State<Api>,
    name: Name,
    headers: HeaderMap,
) -> Result<Json<Snapshotted>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    request::within(limit, api.service.snapshot(&name))
        .await
        .map(Json)
}
