//! One request, as many attempts as its rules and its time allow.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::body::{Body, OnProgress};
use super::collect::collect;
use super::{Client, header_number};
use crate::policy::{self, Failure, Next};
use crate::{AttemptError, ClientError, Endpoint, Outcome, Problem, header};

/// Largest reply taken.
const MAX_REPLY_BYTES: usize = 64 << 20;
/// First and longest pause between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// An attempt that may be repeated elsewhere gets this share of the time, but not less than
/// [`MIN_ATTEMPT`]: a node that hangs must not use it all up.
const ATTEMPT_SHARE: u32 = 3;
const MIN_ATTEMPT: Duration = Duration::from_secs(1);
/// The node is told to give up this much before the client does, so that its answer arrives.
const GRACE: Duration = Duration::from_millis(500);
/// How long to go round endpoints that all refuse to connect: nodes that restart together are back
/// by then, and who named the wrong ones is told soon.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(2);
/// Attempts kept for the error message.
const MAX_ATTEMPTS_REPORTED: usize = 8;

/// A request, independent of the endpoint.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    limit: Duration,
    pub(super) body: Bytes,
    /// Doing it twice is the same as doing it once.
    pub(super) repeatable: bool,
    /// It changes nothing, however it ends.
    pub(super) read_only: bool,
    pub(super) on_progress: Option<OnProgress>,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Reply {
    endpoint: Endpoint,
    pub(super) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How an attempt ended without success.
enum Failed {
    NotSent(AttemptError),
    Lost(AttemptError),
    Problem(Box<Problem>),
    Protocol(AttemptError),
}

impl Call {
    pub(super) fn new(method: Method, path: String, limit: Duration) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            limit,
            body: Bytes::new(),
            repeatable: false,
            read_only: false,
            on_progress: None,
        }
    }

    pub(super) fn set_header(
        &mut self,
        name: &'static str,
        value: &str,
    ) -> Result<(), ClientError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| ClientError::Request(format!("{name}: {value:?} is no header value")))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }
}

/// What the attempts so far amount to.
#[derive(Default)]
struct History {
    attempts: Vec<AttemptError>,
    /// Consecutive endpoints that took no connection.
    unreachable: usize,
    /// An earlier attempt may have been applied.
    in_doubt: bool,
}

impl History {
    /// The last word of each endpoint is kept: a request may go round many times.
    fn note(&mut self, attempt: AttemptError) {
        self.attempts.retain(|a| a.endpoint != attempt.endpoint);
        if self.attempts.len() == MAX_ATTEMPTS_REPORTED {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }

    fn give_up(self, last: Option<Box<Problem>>, read_only: bool) -> ClientError {
        match last {
            Some(problem) if policy::settles(&problem) => ClientError::Problem(problem),
            Some(problem) if problem.outcome == Outcome::Unknown => ClientError::Problem(problem),
            _ if self.in_doubt && read_only => ClientError::NoAnswer(self.attempts),
            _ if self.in_doubt => ClientError::Unknown(self.attempts),
            Some(problem) => ClientError::Problem(problem),
            None => ClientError::Unreachable(self.attempts),
        }
    }
}

impl Client {
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + call.limit;
        let mut history = History::default();
        let patience = Instant::now() + UNREACHABLE_PATIENCE;
        let mut pause = BACKOFF.0;
        loop {
            let at = self.inner.current();
            let endpoint = &self.inner.endpoints[at];
            let failed = match self.attempt(call, endpoint, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let (next, problem) = self.judge(call, endpoint, failed, &mut history)?;
            let nobody = history.unreachable >= self.inner.endpoints.len();
            let exhausted = nobody && (!self.inner.retries || Instant::now() >= patience);
            if nobody {
                history.unreachable = 0;
            }
            let wait = if next == Next::Backoff || nobody {
                pause
            } else {
                Duration::ZERO
            };
            let too_late = Instant::now() + wait >= deadline;
            if next == Next::GiveUp || exhausted || too_late {
                return Err(history.give_up(problem, call.read_only));
            }
            self.inner.move_on(at);
            sleep(wait).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Enters a failure into the history and decides what comes next.
    fn judge(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        failed: Failed,
        history: &mut History,
    ) -> Result<(Next, Option<Box<Problem>>), ClientError> {
        let repeatable = call.repeatable && self.inner.retries;
        match failed {
            Failed::NotSent(attempt) => {
                history.note(attempt);
                history.unreachable += 1;
                Ok((policy::next(&Failure::NotSent, repeatable), None))
            }
            Failed::Lost(attempt) => {
                history.note(attempt);
                history.unreachable = 0;
                history.in_doubt = true;
                Ok((policy::next(&Failure::Lost, repeatable), None))
            }
            Failed::Problem(problem) => {
                let reason = format!("{}: {}", problem.title, problem.detail);
                history.note(AttemptError {
                    endpoint: endpoint.clone(),
                    reason,
                });
                history.unreachable = 0;
                history.in_doubt |= problem.outcome == Outcome::Unknown && problem.retryable;
                let next = match policy::next(&Failure::Problem(&problem), repeatable) {
                    Next::Backoff if !self.inner.retries => Next::GiveUp,
                    next => next,
                };
                Ok((next, Some(problem)))
            }
            Failed::Protocol(attempt) => Err(ClientError::Protocol(attempt)),
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Reply, Failed> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let limit = if call.repeatable && self.inner.retries && self.inner.endpoints.len() > 1 {
            remaining.min((call.limit / ATTEMPT_SHARE).max(MIN_ATTEMPT))
        } else {
            remaining
        };
        let failure = |reason: String| AttemptError {
            endpoint: endpoint.clone(),
            reason,
        };
        let request = request(call, endpoint, limit).map_err(|e| Failed::Protocol(failure(e)))?;
        let exchange = async {
            let response = self.inner.http.request(request).await.map_err(|e| {
                let reason = chain(&e);
                if e.is_connect() {
                    Failed::NotSent(failure(reason))
                } else {
                    Failed::Lost(failure(reason))
                }
            })?;
            receive(endpoint, response).await
        };
        match timeout(limit + GRACE, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failed::Lost(failure(format!(
                "no answer within {limit:.1?}"
            )))),
        }
    }
}

fn request(call: &Call, endpoint: &Endpoint, limit: Duration) -> Result<Request<Body>, String> {
    let path: PathAndQuery = call
        .path
        .parse()
        .map_err(|e| format!("{:?}: {e}", call.path))?;
    let body = Body::new(call.body.clone(), call.on_progress.clone());
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = endpoint.uri(&path);
    *request.headers_mut() = call.headers.clone();
    let millis = limit.as_millis().max(1);
    let value = HeaderValue::from_str(&format!("{millis}ms")).map_err(|e| e.to_string())?;
    request
        .headers_mut()
        .insert(HeaderName::from_static(header::TIMEOUT), value);
    Ok(request)
}

async fn receive(endpoint: &Endpoint, response: Response<Incoming>) -> Result<Reply, Failed> {
    let (parts, body) = response.into_parts();
    let body = collect(body, MAX_REPLY_BYTES).await;
    let lost = |reason| {
        Failed::Lost(AttemptError {
            endpoint: endpoint.clone(),
            reason,
        })
    };
    let body = body.map_err(|e| lost(e.to_string()))?;
    read(endpoint, parts, body)
}

fn read(endpoint: &Endpoint, parts: http::response::Parts, body: Bytes) -> Result<Reply, Failed> {
    let headers = parts.headers;
    let media_type = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    if media_type.is_some_and(|m| m.starts_with(header::PROBLEM_MEDIA_TYPE)) {
        return Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(mut problem) => {
                problem.index = problem
                    .index
                    .or_else(|| header_number(&headers, header::INDEX));
                Failed::Problem(Box::new(problem))
            }
            Err(e) => Failed::Protocol(AttemptError {
                endpoint: endpoint.clone(),
                reason: format!("status {} with a broken problem: {e}", parts.status),
            }),
        });
    }
    // A probe that is not ready answers 503 with a body of its own.
    let probe = parts.status == StatusCode::SERVICE_UNAVAILABLE;
    if !parts.status.is_success() && !probe {
        let reason = format!("status {} without a problem", parts.status);
        return Err(Failed::Protocol(AttemptError {
            endpoint: endpoint.clone(),
            reason,
        }));
    }
    Ok(Reply {
        endpoint: endpoint.clone(),
        headers,
        body,
    })
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|e| self.nonsense(format!("its reply: {e}")))
    }

    pub(super) fn nonsense(&self, reason: String) -> ClientError {
        ClientError::Protocol(AttemptError {
            endpoint: self.endpoint.clone(),
            reason,
        })
    }
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{Call, Client, ClientError, Endpoint, Failed, History, Incoming, Reply, Response};

    /// What a call makes of a response.
    pub(crate) async fn receive(
        client: &Client,
        endpoint: &Endpoint,
        response: Response<Incoming>,
    ) -> Result<Reply, ClientError> {
        let call = Call::new(http::Method::GET, "/".into(), client.inner.timeout);
        let failed: Failed = match super::receive(endpoint, response).await {
            Ok(reply) => return Ok(reply),
            Err(failed) => failed,
        };
        let mut history = History::default();
        let (_, problem) = client.judge(&call, endpoint, failed, &mut history)?;
        Err(history.give_up(problem, call.read_only))
    }
}

/// An error with its causes, which hyper keeps apart.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
