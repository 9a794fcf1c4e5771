//! Reading requests: headers, names, bodies. Every error names what is wrong, and its value.

use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::{Bytes, BytesMut};
use coracle_client::{Code, Outcome, check_fsm_name, header, parse_duration};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::{ApiError, Limits};
use crate::api::Consistency;

/// How long a client may be silent while it sends a body.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes of a JSON body.
const JSON_BYTES: usize = 256 << 10;
/// A body that is too large is read up to here before the answer: a client that is still sending
/// would see a reset connection instead of the answer.
const DRAIN_BYTES: usize = 64 << 20;
/// The same, in time.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How much longer than its own timeout the service may take to answer.
const GRACE: Duration = Duration::from_millis(250);
/// Bytes reserved for a body before any has come, whatever its announced length.
const INITIAL_BYTES: usize = 64 << 10;
/// Characters of a bad value repeated in an error.
const SHOWN: usize = 80;

fn bad_request(detail: String) -> ApiError {
    ApiError::new(Code::BadRequest, detail)
}

/// The name in the path.
pub(super) fn fsm_name(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(name) = path.map_err(|e| bad_request(format!("name of the fsm: {e}")))?;
    check_fsm_name(&name).map_err(|e| bad_request(e.to_string()))?;
    Ok(name)
}

/// A header's value, which may be given once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(bad_request(format!(
            "header {name} is given more than once"
        )));
    }
    let text = value
        .to_str()
        .map_err(|_| bad_header(name, &format!("{value:?}"), "ASCII"))?;
    Ok(Some(text))
}

fn bad_header(name: &str, value: &str, want: &str) -> ApiError {
    let value: String = value.chars().take(SHOWN).collect();
    bad_request(format!("header {name}: {value:?}: want {want}"))
}

/// `Idempotency-Key`.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = single(headers, header::IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let visible = key.bytes().all(|b| b.is_ascii_graphic());
    if key.is_empty() || key.len() > header::MAX_KEY_BYTES || !visible {
        let want = format!("1 to {} visible ASCII characters", header::MAX_KEY_BYTES);
        return Err(bad_header(header::IDEMPOTENCY_KEY, key, &want));
    }
    Ok(Some(key.to_owned()))
}

/// `Coracle-Consistency`.
pub(super) fn consistency(headers: &HeaderMap) -> Result<Consistency, ApiError> {
    match single(headers, header::CONSISTENCY)? {
        None | Some("linearizable") => Ok(Consistency::Linearizable),
        Some("leader") => Ok(Consistency::Leader),
        Some("lease") => Ok(Consistency::Lease),
        Some("stale") => Ok(Consistency::Stale),
        Some(other) => Err(bad_header(
            header::CONSISTENCY,
            other,
            "linearizable, leader, lease or stale",
        )),
    }
}

/// `Coracle-Max-Staleness`.
pub(super) fn max_staleness(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(text) = single(headers, header::MAX_STALENESS)? else {
        return Ok(None);
    };
    let bound = parse_duration(text);
    bound
        .map(Some)
        .map_err(|e| bad_request(format!("header {}: {e}", header::MAX_STALENESS)))
}

/// `Coracle-Min-Index`.
pub(super) fn min_index(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(text) = single(headers, header::MIN_INDEX)? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(index) if digits => Ok(Some(index)),
        _ => Err(bad_header(header::MIN_INDEX, text, "a log index")),
    }
}

/// `Last-Event-ID`.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(text) = single(headers, header::LAST_EVENT_ID)? else {
        return Ok(None);
    };
    let id = text.parse();
    id.map(Some)
        .map_err(|_| bad_header(header::LAST_EVENT_ID, text, "the id of an event"))
}

/// `Coracle-Timeout`, or `default`.
pub(super) fn time_limit(
    headers: &HeaderMap,
    limits: &Limits,
    default: Duration,
) -> Result<Duration, ApiError> {
    let Some(text) = single(headers, header::TIMEOUT)? else {
        return Ok(default);
    };
    let limit = parse_duration(text)
        .map_err(|e| bad_request(format!("header {}: {e}", header::TIMEOUT)))?;
    if limit.is_zero() || limit > limits.max_timeout {
        let want = format!("more than 0 and at most {:?}", limits.max_timeout);
        return Err(bad_header(header::TIMEOUT, text, &want));
    }
    Ok(limit)
}

/// Waits for the service, which should end by itself; the deed's outcome is unknown if not.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    timeout(limit + GRACE, work).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            Code::Timeout,
            format!("no answer within {limit:?}"),
        ))
    })
}

/// The same for what changes nothing, however it ends: nothing about it is in doubt.
pub(super) async fn read_within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    within(limit, work).await.map_err(|error| {
        let problem = error.problem();
        if problem.code == Code::OutcomeUnknown {
            return ApiError::new(Code::Unavailable, problem.detail.clone());
        }
        error.with_outcome(Outcome::NotApplied)
    })
}

/// A body of at most `limit` bytes.
pub(super) async fn bytes(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ApiError> {
    bytes_with(headers, body, limit, |_| ()).await
}

/// A body of at most `limit` bytes; `each` sees its parts as they come.
pub(super) async fn bytes_with(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<Bytes, ApiError> {
    let announced = single(headers, CONTENT_LENGTH.as_str())?.and_then(|v| v.parse::<u64>().ok());
    if let Some(length) = announced.filter(|&n| n > limit as u64) {
        if !headers.contains_key(EXPECT) {
            drain(body).await;
        }
        return Err(too_large(&length.to_string(), limit));
    }
    let expected = announced.unwrap_or(0).min(INITIAL_BYTES as u64);
    let mut bytes = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(INITIAL_BYTES));
    loop {
        let frame = timeout(SILENCE, body.frame()).await.map_err(|_| {
            let detail = format!("nothing came for {SILENCE:?}, after {} bytes", bytes.len());
            ApiError::new(Code::SlowRequest, detail)
        })?;
        let Some(frame) = frame else {
            return Ok(bytes.freeze());
        };
        let frame = frame.map_err(|e| bad_request(format!("the body broke off: {e}")))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            drain(body).await;
            return Err(too_large(&format!("more than {limit}"), limit));
        }
        each(data);
        bytes.extend_from_slice(data);
    }
}

fn too_large(bytes: &str, limit: usize) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!("the body has {bytes} bytes, the limit is {limit}"),
    )
}

async fn drain(mut body: Body) {
    let deadline = Instant::now() + DRAIN_TIME;
    let mut left = DRAIN_BYTES;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// A JSON body.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let bytes = bytes(headers, body, JSON_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|e| bad_request(format!("the body: {e}")))
}

/// A JSON body, or the default where there is none.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let bytes = bytes(headers, body, JSON_BYTES).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|e| bad_request(format!("the body: {e}")))
}
