//! A response's body, whole.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::send::chain;

/// Why it is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Incomplete {
    /// The connection broke.
    #[error("{}", chain(.0))]
    Broken(#[source] hyper::Error),
    /// It goes on.
    #[error("a body of more than {limit} bytes")]
    TooLarge {
        /// How many are taken.
        limit: usize,
    },
}

/// Collects it. A server that sends it in tiny pieces takes no more memory than one that does not:
/// pieces are not kept, as each would cost more than its bytes.
pub(super) async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Incomplete> {
    let mut only = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Incomplete::Broken)?.into_data() else {
            continue;
        };
        if only.len() + all.len() + data.len() > limit {
            return Err(Incomplete::TooLarge { limit });
        }
        if only.is_empty() && all.is_empty() {
            only = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut only));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { only } else { all.freeze() })
}
