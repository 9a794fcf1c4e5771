//! Bounds the number of requests in progress.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use coracle_client::Code;

use super::{Api, ApiError};

/// Lets a request in, or answers at once that there are too many.
pub(super) async fn admit(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let limit = api.limits().requests;
    let Some(_place) = Place::take(&api.requests, limit) else {
        api.metrics.api.turned_away.inc();
        let detail = format!("{limit} requests are in progress");
        return Err(ApiError::new(Code::Busy, detail));
    };
    Ok(next.run(request).await)
}

/// A request's place among those in progress; free again when dropped. The number of places may
/// change while the node runs.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, limit: usize) -> Option<Self> {
        if taken.fetch_add(1, Ordering::SeqCst) >= limit {
            taken.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
