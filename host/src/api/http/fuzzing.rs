//! Ways in for `tests/fuzz`: whatever a client can put into a request.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{ApiError, Limits, events, request, snapshots};

/// Reads every header that means something here; how many were refused.
pub fn read_headers(pairs: &[(Vec<u8>, Vec<u8>)]) -> usize {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let limits = Limits::default();
    let limit = request::time_limit(&headers, &limits, Duration::from_secs(5));
    if let Ok(limit) = &limit {
        assert!(*limit <= limits.max_timeout, "{limit:?}");
    }
    let range = snapshots::range(&headers, 1000);
    if let Ok(Some(range)) = &range {
        assert!(range.start < range.end && range.end <= 1000, "{range:?}");
    }
    let refused = [
        request::key(&headers).is_err(),
        request::consistency(&headers).is_err(),
        request::max_staleness(&headers).is_err(),
        request::min_index(&headers).is_err(),
        request::last_event_id(&headers).is_err(),
        limit.is_err(),
        range.is_err(),
    ];
    refused.iter().filter(|refused| **refused).count()
}

/// Reads the name of an fsm in a path, and what stands behind the question mark.
pub async fn read_uri(uri: &str) -> Option<bool> {
    let request = Request::builder().uri(uri).body(()).ok()?;
    let (mut parts, ()) = request.into_parts();
    let wanted = Query::<events::Wanted>::from_request_parts(&mut parts, &()).await;
    let path = parts.uri.path().trim_start_matches('/').to_owned();
    let named = request::fsm_name(Ok(axum::extract::Path(path)));
    let filtered = wanted.map(|Query(wanted)| events::filter(&wanted).is_ok());
    Some(named.is_ok() || filtered.unwrap_or(false))
}

/// Reads a JSON body.
pub async fn read_json<T: DeserializeOwned>(body: Bytes) -> Option<T> {
    let read: Result<T, ApiError> = request::json(&HeaderMap::new(), Body::from(body)).await;
    read.ok()
}
