//! `/v1/plugins`: uploads by digest.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use coracle_client::{Code, DigestHex, PluginInfo, PluginList};
use sha2::{Digest as _, Sha256};

use super::{Api, request};
use crate::api::ApiError;

/// Time for an upload that names none: it is replicated, and may be compiled.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) async fn upload(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PluginInfo>, ApiError> {
    let wanted = digest(path)?;
    let limit = request::time_limit(&headers, &api.limits(), UPLOAD_TIMEOUT)?;
    let Ok(_permit) = api.uploads.try_acquire() else {
        let detail = format!("{} uploads are in progress", super::MAX_UPLOADS);
        return Err(ApiError::new(Code::Busy, detail));
    };
    let mut hash = Sha256::new();
    let body = request::bytes_with(&headers, body, api.limits().plugin_bytes, |part| {
        hash.update(part);
    });
    let bytes = body.await?;
    let found = DigestHex(hash.finalize().into());
    if found != wanted {
        let detail = format!(
            "the {} bytes sent have sha-256 {found}, not {wanted}",
            bytes.len()
        );
        return Err(ApiError::new(Code::DigestMismatch, detail));
    }
    request::within(limit, api.service.put_plugin(found, bytes))
        .await
        .map(Json)
}

pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<PluginList>, ApiError> {
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let plugins = request::read_within(limit, api.service.list_plugins()).await?;
    Ok(Json(PluginList { plugins }))
}

pub(super) async fn show(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<PluginInfo>, ApiError> {
    let wanted = digest(path)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let plugins = request::read_within(limit, api.service.list_plugins()).await?;
    let found = plugins.into_iter().find(|p| p.digest == wanted).map(Json);
    found.ok_or_else(|| ApiError::new(Code::NotFound, format!("there is no plugin {wanted}")))
}

fn digest(path: Result<Path<String>, PathRejection>) -> Result<DigestHex, ApiError> {
    let bad = |detail: String| ApiError::new(Code::BadRequest, detail);
    let Path(text) = path.map_err(|e| bad(format!("digest of the plugin: {e}")))?;
    text.parse()
        .map_err(|e: coracle_client::InvalidDigest| bad(e.to_string()))
}
