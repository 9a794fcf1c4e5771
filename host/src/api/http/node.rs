//! Status and probes: never gated, so that they work when nothing else does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use coracle_client::{Check, Probe, Status};

use super::{Api, request};
use crate::api::ApiError;

pub(super) async fn status(State(api): State<Api>) -> Result<Json<Status>, ApiError> {
    request::within(api.limits().timeout, api.service.status())
        .await
        .map(Json)
}

pub(super) async fn live(State(api): State<Api>) -> (StatusCode, Json<Probe>) {
    probe(api.service.live())
}

pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Probe>) {
    probe(api.service.ready())
}

fn probe(checks: Vec<Check>) -> (StatusCode, Json<Probe>) {
    let ok = checks.iter().all(|check| check.ok);
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Probe { ok, checks }))
}
