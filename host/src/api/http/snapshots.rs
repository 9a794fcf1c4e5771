//! `/v1/fsms/{fsm}/snapshots`, `/v1/fsms/{fsm}/restore` and `/v1/images`.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use coracle_client::{
    Code, DigestHex, ImageReceived, Restore, Restored, SNAPSHOT_PART_BYTES, SnapshotList,
};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{Api, request};
use crate::api::{ApiError, OpenSnapshot};

/// Time for what verifies or copies a whole snapshot.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes read from the file at once, and parts that may wait for the client.
const READ_BYTES: u64 = 256 << 10;
const WAITING_PARTS: usize = 4;

type Given<T> = Result<Path<T>, PathRejection>;

pub(super) async fn list(
    State(api): State<Api>,
    name: Given<String>,
    headers: HeaderMap,
) -> Result<Json<SnapshotList>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    request::read_within(limit, api.service.snapshots(&name))
        .await
        .map(Json)
}

pub(super) async fn fetch(
    State(api): State<Api>,
    path: Given<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path((name, index)) = path.map_err(|e| bad(e.to_string()))?;
    let name = request::fsm_name(Ok(Path(name)))?;
    let index = match index.as_str() {
        "latest" => None,
        number => Some(
            number
                .parse()
                .map_err(|_| bad(format!("snapshot {number:?}: want its index, or `latest`")))?,
        ),
    };
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let file = request::read_within(limit, api.service.open_snapshot(&name, index)).await?;
    let etag = format!("\"{}\"", file.info().digest);
    if headers.get(IF_MATCH).is_some_and(|wanted| wanted != &*etag) {
        let detail = format!("the snapshot at {} is another one here", file.info().index);
        return Err(ApiError::new(Code::Conflict, detail));
    }
    let whole = 0..file.info().bytes;
    let part = range(&headers, whole.end)?;
    let status = match &part {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let part = part.unwrap_or_else(|| whole.clone());
    let about = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, (part.end - part.start).to_string()),
        (ETAG, etag),
    ];
    let last = part.end.saturating_sub(1);
    let content_range = format!("bytes {}-{last}/{}", part.start, whole.end);
    let mut response = (status, about, Body::new(stream(file, part))).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = content_range.parse()
    {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    Ok(response)
}

/// One range, as `bytes=FROM-[THROUGH]`; anything else counts as none, as RFC 9110 allows.
pub(super) fn range(headers: &HeaderMap, len: u64) -> Result<Option<Range<u64>>, ApiError> {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some((from, through)) = text
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|text| text.split_once('-'))
    else {
        return Ok(None);
    };
    let (Ok(from), through) = (from.parse::<u64>(), through.parse::<u64>()) else {
        return Ok(None);
    };
    let end = through
        .map_or(len, |through| through.saturating_add(1))
        .min(len);
    match from < end {
        true => Ok(Some(from..end)),
        false => Err(bad(format!("range {from}-: the snapshot has {len} bytes"))),
    }
}

/// Bytes of a file on their way to a client.
#[derive(Debug)]
struct Parts(mpsc::Receiver<Result<Bytes, String>>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let next = self.0.poll_recv(context);
        next.map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// Reads beside the client, never more than a few parts ahead of it.
fn stream(mut file: Box<dyn OpenSnapshot>, part: Range<u64>) -> Parts {
    let (sender, receiver) = mpsc::channel(WAITING_PARTS);
    tokio::task::spawn_blocking(move || {
        let mut at = part.start;
        while at < part.end {
            let count = READ_BYTES.min(part.end - at);
            let mut bytes = vec![0; count as usize];
            let read = file.read(at, &mut bytes).map(|()| Bytes::from(bytes));
            at += count;
            // The client may have gone; an error cuts the connection.
            if read.is_err() | sender.blocking_send(read).is_err() {
                return;
            }
        }
    });
    Parts(receiver)
}

pub(super) async fn add_to_image(
    State(api): State<Api>,
    path: Given<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImageReceived>, ApiError> {
    let Path((image, offset)) = path.map_err(|e| bad(e.to_string()))?;
    let image = digest(&image)?;
    let offset = offset
        .parse()
        .map_err(|_| bad(format!("offset {offset:?}: want a number")))?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    let part = request::bytes(&headers, body, SNAPSHOT_PART_BYTES).await?;
    request::within(limit, api.service.add_to_image(image, offset, part))
        .await
        .map(Json)
}

pub(super) async fn finish_image(
    State(api): State<Api>,
    path: Given<String>,
    headers: HeaderMap,
) -> Result<Json<ImageReceived>, ApiError> {
    let Path(image) = path.map_err(|e| bad(e.to_string()))?;
    let image = digest(&image)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    request::within(limit, api.service.finish_image(image))
        .await
        .map(Json)
}

pub(super) async fn restore(
    State(api): State<Api>,
    name: Given<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Restored>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), ADMIN_TIMEOUT)?;
    let restore: Restore = request::json(&headers, body).await?;
    request::within(limit, api.service.restore(&name, restore))
        .await
        .map(Json)
}

fn digest(text: &str) -> Result<DigestHex, ApiError> {
    text.parse()
        .map_err(|e| bad(format!("image {text:?}: {e}")))
}

fn bad(detail: String) -> ApiError {
    ApiError::new(Code::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood_and_others_are_the_whole() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(RANGE, text.parse().unwrap())]);
            range(&headers, 100).map_err(|error| error.problem().code)
        };
        assert_eq!(of("bytes=0-9").unwrap(), Some(0..10));
        assert_eq!(of("bytes=90-").unwrap(), Some(90..100));
        assert_eq!(of("bytes=90-1000").unwrap(), Some(90..100));
        assert_eq!(of("bytes=-5").unwrap(), None);
        assert_eq!(of("lines=1-2").unwrap(), None);
        assert_eq!(of("bytes=100-").unwrap_err(), Code::BadRequest);
    }
}
