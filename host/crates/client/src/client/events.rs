//! Follows the events of one node.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Client;
use super::body::Body;
use super::collect::collect;
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
    /// Bytes of the buffer that are known to hold no end of a line.
    scanned: usize,
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
        let asked = async {
            let response = self.inner.http.request(request).await;
            let unreachable = |e| ClientError::Unreachable(vec![failed(super::send::chain(&e))]);
            opened(&endpoint, response.map_err(unreachable)?).await
        };
        let answer = timeout(self.inner.timeout, asked).await;
        answer.map_err(|_| ClientError::NoAnswer(vec![failed("no answer in time".into())]))?
    }
}

async fn opened(
    endpoint: &Endpoint,
    response: Response<Incoming>,
) -> Result<EventStream, ClientError> {
    let (parts, body) = response.into_parts();
    if parts.status == StatusCode::OK {
        return Ok(EventStream {
            endpoint: endpoint.clone(),
            body,
            buffer: BytesMut::new(),
            scanned: 0,
        });
    }
    let failed = |reason: String| {
        ClientError::Protocol(AttemptError {
            endpoint: endpoint.clone(),
            reason,
        })
    };
    let body = collect(body, MAX_PROBLEM_BYTES).await;
    let body = body.map_err(|e| failed(e.to_string()))?;
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
        Err(_) => Err(failed(format!("status {}", parts.status))),
    }
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{ClientError, Endpoint, EventStream, Incoming, Response};

    /// A stream from a response.
    pub(crate) async fn opened(
        endpoint: &Endpoint,
        response: Response<Incoming>,
    ) -> Result<EventStream, ClientError> {
        super::opened(endpoint, response).await
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
        let new = &self.buffer[self.scanned..];
        match new.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                let line = self.buffer.split_to(self.scanned + end).freeze();
                self.buffer.advance(1);
                self.scanned = 0;
                Ok(Some(line))
            }
            None if self.buffer.len() > MAX_LINE_BYTES => {
                Err(self.nonsense(format!("a line of more than {MAX_LINE_BYTES} bytes")))
            }
            None => {
                self.scanned = self.buffer.len();
                Ok(None)
            }
        }
    }

    fn nonsense(&self, reason: String) -> ClientError {
        ClientError::Protocol(AttemptError {
            endpoint: self.endpoint.clone(),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_node_that_stops_in_the_middle_of_an_error_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let node = async {
            let (mut connection, _) = listener.accept().await.expect("a client");
            let asked = connection.read(&mut [0; 1024]).await;
            assert!(asked.expect("a request") > 0);
            let head = b"HTTP/1.1 503 no\r\ncontent-length: 9\r\n\r\n{";
            connection.write_all(head).await.expect("writes");
            std::future::pending::<()>().await;
        };
        let endpoint = format!("http://{address}").parse().expect("an endpoint");
        let client = Client::builder(vec![endpoint]).timeout(Duration::from_millis(50));
        let client = client.build().expect("a client");

        let filter = EventFilter::default();
        let ended = tokio::select! {
            ended = timeout(Duration::from_secs(10), client.events(&filter, None)) => ended,
            () = node => unreachable!("the node says nothing more"),
        };

        let error = ended.expect("it ends").expect_err("no events");
        assert!(matches!(error, ClientError::NoAnswer(_)), "{error}");
    }
}
