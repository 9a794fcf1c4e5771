//! `/v1/events`: server-sent events, resumed by the id of the last one seen.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use coracle_client::{Code, Event, EventFilter, EventKind, check_fsm_name};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Api, request};
use crate::api::ApiError;
use crate::events::Subscriber;

/// Without an event for so long, a comment says that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events on their way to one connection; behind them, the subscriber's own queue fills.
const ON_THE_WAY: usize = 16;

/// What may stand behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Comma-separated; all if it is missing.
    kinds: Option<String>,
    fsm: Option<String>,
    /// `Last-Event-ID` goes before it.
    from: Option<u64>,
}

pub(super) async fn follow(
    State(api): State<Api>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) =
        wanted.map_err(|e| ApiError::new(Code::BadRequest, format!("the query: {e}")))?;
    let from = request::last_event_id(&headers)?.or(wanted.from);
    let subscriber = api.service.follow(filter(&wanted)?, from)?;
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    tokio::spawn(pass_on(subscriber, sender));
    let body = Body::new(Lines(receiver));
    let kind = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((kind, body).into_response())
}

pub(super) fn filter(wanted: &Wanted) -> Result<EventFilter, ApiError> {
    let bad = |reason: String| ApiError::new(Code::BadRequest, reason);
    let words = wanted.kinds.iter().flat_map(|kinds| kinds.split(','));
    let kinds = words
        .filter(|word| !word.is_empty())
        .map(|word| word.parse::<EventKind>().map_err(|e| bad(e.to_string())))
        .collect::<Result<BTreeSet<_>, _>>()?;
    if let Some(fsm) = &wanted.fsm {
        check_fsm_name(fsm).map_err(|e| bad(e.to_string()))?;
    }
    Ok(EventFilter {
        kinds,
        fsm: wanted.fsm.clone(),
    })
}

/// Ends with the node, or when the client has gone.
async fn pass_on(mut subscriber: Subscriber, sender: mpsc::Sender<Bytes>) {
    loop {
        let text = tokio::select! {
            () = sender.closed() => return,
            next = timeout(HEARTBEAT, subscriber.next()) => match next {
                Ok(Some(event)) => lines(&event),
                Ok(None) => "event: goaway\ndata: {}\n\n".into(),
                Err(_) => ": still here\n\n".into(),
            },
        };
        let last = text.starts_with("event: goaway");
        if sender.send(text.into()).await.is_err() || last {
            return;
        }
    }
}

fn lines(event: &Event) -> String {
    let kind = event.what.kind().map_or("lagged", EventKind::word);
    let json = serde_json::to_string(event).expect("invariant: events are json");
    format!("id: {}\nevent: {kind}\ndata: {json}\n\n", event.id)
}

/// A body that is written as it comes.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
