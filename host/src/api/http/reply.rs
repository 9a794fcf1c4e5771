//! Answers.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use coracle_client::{Outcome, header};

use super::super::{ApiError, Applied, Queried};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const PROBLEM: HeaderValue = HeaderValue::from_static(header::PROBLEM_MEDIA_TYPE);
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// Seconds until a retryable request should come again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl IntoResponse for Applied {
    fn into_response(self) -> Response {
        let mut response = self.reply.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(header::INDEX, HeaderValue::from(self.index));
        headers.insert(header::NODE, HeaderValue::from(self.node));
        if let Some(term) = self.term {
            headers.insert(header::TERM, HeaderValue::from(term));
        }
        if self.replayed {
            headers.insert(header::IDEMPOTENCY_REPLAYED, TRUE);
        }
        response
    }
}

impl IntoResponse for Queried {
    fn into_response(self) -> Response {
        let mut response = self.reply.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(header::INDEX, HeaderValue::from(self.index));
        let given = HeaderValue::from_static(self.consistency.word());
        headers.insert(header::CONSISTENCY, given);
        headers.insert(header::NODE, HeaderValue::from(self.node));
        if let Some(term) = self.term {
            headers.insert(header::TERM, HeaderValue::from(term));
        }
        if let Some(staleness) = self.staleness {
            let millis = u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX);
            headers.insert(header::STALENESS_MS, HeaderValue::from(millis));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status =
            StatusCode::from_u16(problem.status).expect("invariant: every code has a valid status");
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM);
        if let Some(index) = problem.index {
            headers.insert(header::INDEX, HeaderValue::from(index));
        }
        if problem.retryable && problem.outcome == Outcome::NotApplied {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self.replayed() {
            headers.insert(header::IDEMPOTENCY_REPLAYED, TRUE);
        }
        response
    }
}
