//! Bounds the number of requests in progress.

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
    let Ok(_permit) = api.requests.try_acquire() else {
        let detail = format!("{} requests are in progress", api.limits.requests);
        return Err(ApiError::new(Code::Busy, detail));
    };
    Ok(next.run(request).await)
}
