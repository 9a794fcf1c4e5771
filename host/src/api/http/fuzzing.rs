//! Ways in for `tests/fuzz`: whatever a client can put into a request, and on a connection.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::{ApiError, Limits, events, request, serve, snapshots};
use crate::api::Service;
use crate::metrics::Metrics;

/// Bytes on the way in one direction.
const PIPE_BYTES: usize = 16 << 10;

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

/// What a client reads that says all this, in these pieces, and nothing more, on a connection served
/// as those of a node are; until the node closes it, or has said so many bytes.
pub async fn converse(
    service: Arc<dyn Service>,
    limits: Limits,
    pieces: &[Vec<u8>],
    most: usize,
) -> Vec<u8> {
    let bounds = watch::Sender::new(limits);
    let router = super::router(service, bounds.subscribe(), Arc::new(Metrics::new()));
    let (client, node) = tokio::io::duplex(PIPE_BYTES);
    let (closing, closed) = watch::channel(false);
    let (from, mut to) = tokio::io::split(client);
    let talk = async {
        for piece in pieces {
            // A node may hang up whenever it likes.
            if to.write_all(piece).await.is_err() {
                break;
            }
        }
        let _ended = to.shutdown().await;
    };
    let listen = async {
        let mut said = Vec::new();
        let _ended = from.take(most as u64).read_to_end(&mut said).await;
        said
    };
    let mut listen = Box::pin(listen);
    let heard = tokio::select! {
        said = listen.as_mut() => Some(said),
        _ = async { tokio::join!(serve::connection(node, router, closed), talk) } => None,
    };
    drop(closing);
    match heard {
        Some(said) => said,
        // The node has hung up; what it said before is still to be read.
        None => listen.await,
    }
}
