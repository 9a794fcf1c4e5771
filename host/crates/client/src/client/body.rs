//! A request body in chunks, so that the caller can watch it go.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Bytes handed to the connection at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Hears how many bytes were handed to the connection so far.
#[derive(Clone)]
pub(super) struct OnProgress(pub(super) Arc<dyn Fn(u64) + Send + Sync>);

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

/// What is still to be sent.
#[derive(Debug)]
pub(super) struct Body {
    rest: Bytes,
    sent: u64,
    on_progress: Option<OnProgress>,
}

impl Body {
    pub(super) fn new(bytes: Bytes, on_progress: Option<OnProgress>) -> Self {
        Self {
            rest: bytes,
            sent: 0,
            on_progress,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(CHUNK_BYTES);
        let chunk = self.rest.split_to(length);
        self.sent += chunk.len() as u64;
        if let Some(OnProgress(tell)) = &self.on_progress {
            tell(self.sent);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
