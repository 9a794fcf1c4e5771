//! Ways in for `tests/fuzz`: whatever a server can say to a client.

use std::future::{Future, pending};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, duplex, sink, split};

use crate::client::{events, send};
use crate::{AttemptError, Client, ClientError, Endpoint, Event};

/// What a server says, and how much of it the client can be given at a time.
#[derive(Debug)]
pub struct Said<'a> {
    /// One piece after the other.
    pub pieces: &'a [Vec<u8>],
    /// Bytes on the way.
    pub pipe: usize,
}

/// What is read from a reply: its index and its bytes.
///
/// # Errors
/// As for a caller.
pub async fn reply(said: &Said<'_>) -> Result<(Option<u64>, Bytes), ClientError> {
    hear(said, async |endpoint, response| {
        let reply = send::fuzzing::receive(&client(&endpoint)?, &endpoint, response).await?;
        Ok((reply.index().ok(), reply.body))
    })
    .await
}

/// What is read from a reply in JSON.
///
/// # Errors
/// As for a caller.
pub async fn json<T: DeserializeOwned>(said: &Said<'_>) -> Result<T, ClientError> {
    hear(said, async |endpoint, response| {
        let reply = send::fuzzing::receive(&client(&endpoint)?, &endpoint, response).await?;
        reply.json()
    })
    .await
}

/// What follows from a stream of events, and whether it was one to its end.
///
/// # Errors
/// As for a caller, if there was no stream.
pub async fn events(said: &Said<'_>) -> Result<(Vec<Event>, Result<(), ClientError>), ClientError> {
    hear(said, async |endpoint, response| {
        let mut stream = events::fuzzing::opened(&endpoint, response).await?;
        let mut seen = Vec::new();
        loop {
            match stream.next().await {
                Ok(Some(event)) => seen.push(event),
                Ok(None) => return Ok((seen, Ok(()))),
                Err(error) => return Ok((seen, Err(error))),
            }
        }
    })
    .await
}

fn client(endpoint: &Endpoint) -> Result<Client, ClientError> {
    Client::builder(vec![endpoint.clone()]).build()
}

/// Asks a server that says this whatever it is asked, and then closes the connection.
async fn hear<T>(
    said: &Said<'_>,
    read: impl AsyncFnOnce(Endpoint, Response<Incoming>) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let endpoint: Endpoint = "http://127.0.0.1:1"
        .parse()
        .map_err(|error| ClientError::Request(format!("{error}")))?;
    let lost = |error: hyper::Error| {
        ClientError::Unknown(vec![AttemptError {
            endpoint: endpoint.clone(),
            reason: error.to_string(),
        }])
    };
    let (client, server) = duplex(said.pipe.max(1));
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.map_err(lost)?;
    let ask = async {
        let request = Request::new(Empty::<Bytes>::new());
        let response = sender.send_request(request).await.map_err(lost)?;
        read(endpoint.clone(), response).await
    };
    tokio::select! {
        heard = ask => heard,
        () = serve(said, server, connection) => Err(ClientError::Request("no end".into())),
    }
}

/// Goes on for ever.
async fn serve(
    said: &Said<'_>,
    server: tokio::io::DuplexStream,
    connection: impl Future<Output = hyper::Result<()>>,
) {
    let (mut from, mut to) = split(server);
    let talk = async {
        for piece in said.pieces {
            // A client may hang up whenever it likes.
            if to.write_all(piece).await.is_err() {
                break;
            }
        }
        let _ended = to.shutdown().await;
    };
    let serve = async {
        // What is said before anything was asked is said to nobody.
        let _asked = from.read(&mut [0]).await;
        let listen = async {
            let _rest = copy(&mut from, &mut sink()).await;
        };
        tokio::join!(talk, listen)
    };
    let (_, ((), ())) = tokio::join!(connection, serve);
    pending::<()>().await;
}
