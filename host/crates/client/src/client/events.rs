//! Follows the events of one node.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Client;
use super::body::Body;
use crate::{AttemptError, ClientError, Endpoint, Event, EventFilter, Problem, header};

/// Longest line of the stream.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Longest error taken.
const MAX_PROBLEM_BYTES: usize = 64 << 10;
/// A node says something at least this often, if only that it is there.
const SILENCE: Duration = Duration::from_secs(45);

/// The events of one node, as they come.
#[derive(Debug)]
pub struct EventStream {
    endpoint: Endpoint,
    body: Incoming,
    buffer: BytesMut,
}

impl Client {
    /// Follows the events of the first endpoint, those after `from` if it is given.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn events(
        &self,
        filter: &EventFilter,
        from: Option<u64>,
    ) -> Result<EventStream, ClientError> {
        let endpoint = self.inner.endpoints[0].clone();
        let failed = |reason: String| AttemptError {
            endpoint: endpoint.clone(),
            reason,
        };
        let mut request = Request::new(Body::new(Bytes::new(), None));
        *request.method_mut() = Method::GET;
        let path = path(filter)
            .parse()
            .map_err(|e| ClientError::Request(format!("{e}")))?;
        *request.uri_mut() = endpoint.uri(&path);
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(ACCEPT, accept);
        if let Some(from) = from {
            let name = http::header::HeaderName::from_static(header::LAST_EVENT_ID);
            request.headers_mut().insert(name, HeaderValue::from(from));
        }
        let answer = timeout(self.inner.timeout, self.inner.http.request(request)).await;
        let response = answer
            .map_err(|_| ClientError::NoAnswer(vec![failed("no answer in time".into())]))?
            .map_err(|e| ClientError::Unreachable(vec![failed(super::send::chain(&e))]))?;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::OK {
            return Ok(EventStream {
                endpoint,
                body,
                buffer: BytesMut::new(),
            });
        }
        let body = Limited::new(body, MAX_PROBLEM_BYTES).collect().await;
        let body = body.map_err(|e| ClientError::Protocol(failed(e.to_string())))?;
        match serde_json::from_slice::<Problem>(&body.to_bytes()) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::Protocol(failed(format!(
                "status {}",
                parts.status
            )))),
        }
    }
}

fn path(filter: &EventFilter) -> String {
    let kinds: Vec<_> = filter.kinds.iter().map(|kind| kind.word()).collect();
    let mut query = Vec::new();
    if !kinds.is_empty() {
        query.push(format!("kinds={}", kinds.join(",")));
    }
    if let Some(fsm) = &filter.fsm {
        query.push(format!("fsm={fsm}"));
    }
    format!("/v1/events?{}", query.join("&"))
}

impl EventStream {
    /// The next event; `None` once the node ends the stream or the connection breaks.
    ///
    /// # Errors
    ///
    /// If what comes is no stream of events.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(line) = self.line()? {
                if line.as_ref() == b"event: goaway" {
                    return Ok(None);
                }
                if let Some(data) = line.strip_prefix(b"data:") {
                    return serde_json::from_slice(data)
                        .map(Some)
                        .map_err(|e| self.nonsense(format!("an event: {e}")));
                }
            }
            match timeout(SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Ok(Some(Err(_)) | None) | Err(_) => return Ok(None),
            }
        }
    }

    fn line(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self.buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                Ok(Some(line))
            }
            None if self.buffer.len() > MAX_LINE_BYTES => {
                Err(self.nonsense(format!("a line of more than {MAX_LINE_BYTES} bytes")))
            }
            None => Ok(None),
        }
    }

    fn nonsense(&self, reason: String) -> ClientError {
        ClientError::Protocol(AttemptError {
            endpoint: self.endpoint.clone(),
            reason,
        })
    }
}
