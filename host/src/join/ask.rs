//! Asks the cluster of a ticket to let this node in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use coracle_transport::join::{self, JoinError};

use super::folder::{FolderError, NodeFolder};
use super::wire::{Fields, Request, decode_answer};
use crate::ticket::Ticket;

/// Ports that are tried for a node that was told none.
const FIRST_PORT: u16 = 7400;
const LAST_PORT: u16 = 7498;

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The cluster says no, and why.
    #[error("the cluster does not let this node in: {0}")]
    Refused(String),
    /// None of the ticket's addresses answered as it should.
    #[error("could not join {cluster}:{}", list(.attempts))]
    NoAnswer {
        /// The cluster.
        cluster: String,
        /// What happened at each address.
        attempts: Vec<String>,
    },
    /// This machine.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What the cluster gave is of no use.
    #[error("the cluster's answer is of no use: {0}")]
    Answer(String),
    /// An address that was asked for is taken, or is not this machine's.
    #[error("cannot listen on {address} for {what}: {reason}: choose another with {option}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What would be served there.
        what: &'static str,
        /// Why not.
        reason: String,
        /// The option that names it.
        option: &'static str,
    },
    /// No port.
    #[error(
        "no pair of free ports between {FIRST_PORT} and {LAST_PORT}: choose them with --quic and \
         --http"
    )]
    Ports,
}

/// The node is let in, and its folder is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its id.
    pub node: u64,
    /// Where clients reach the others.
    pub others: Vec<String>,
}

/// A node that wants to join.
#[derive(Debug, Clone)]
pub struct Joiner {
    /// Its ticket.
    pub ticket: Ticket,
    /// Where it will live.
    pub folder: NodeFolder,
    /// Its name, if it wants one.
    pub name: Option<String>,
    /// Where its peers reach it; a free port of the address that leads to the cluster if not
    /// given.
    pub quic: Option<SocketAddr>,
    /// Where its clients reach it; the port after that of QUIC on the loopback if not given.
    pub http: Option<SocketAddr>,
}

impl Joiner {
    /// Asks the ticket's addresses one after the other, and lays out the folder.
    ///
    /// # Errors
    ///
    /// See [`JoinFailure`].
    pub async fn join(&self) -> Result<Answer, JoinFailure> {
        // A node that is let in and cannot serve would be a member all the same.
        let (quic, http) = self.addresses()?;
        check(quic, http)?;
        let key = self.folder.request()?;
        let fields = Fields {
            token: self.ticket.token,
            name: self.name.clone(),
            quic: quic.to_string(),
            http: http.to_string(),
            csr: key.csr().to_vec(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let verifier = self.ticket.secret.verifier();
        let mut attempts = Vec::new();
        for address in &self.ticket.addresses {
            let asked = join::dial(*address, self.ticket.pin, |exporter| {
                Request::prove(&fields, &verifier, &exporter)
                    .encode()
                    .into()
            });
            let answer = match asked.await {
                Ok(bytes) => decode_answer(&bytes).map_err(JoinFailure::Answer)?,
                Err(error) => {
                    attempts.push(explain(&error));
                    continue;
                }
            };
            match answer {
                Err(refused) if refused.again => {
                    attempts.push(format!("{address}: {}", refused.message));
                }
                Err(refused) => return Err(JoinFailure::Refused(refused.message)),
                Ok(admission) => {
                    key.complete(&admission.certificate)
                        .map_err(|error| JoinFailure::Answer(error.to_string()))?;
                    self.folder.lay_out(&admission, (quic, http))?;
                    return Ok(Answer {
                        node: admission.node,
                        others: admission
                            .members
                            .into_iter()
                            .filter(|(id, ..)| *id != admission.node)
                            .map(|(_, _, http)| http)
                            .collect(),
                    });
                }
            }
        }
        Err(JoinFailure::NoAnswer {
            cluster: self.ticket.cluster.clone(),
            attempts,
        })
    }

    fn addresses(&self) -> Result<(SocketAddr, SocketAddr), JoinFailure> {
        let ip = self
            .ticket
            .addresses
            .iter()
            .find_map(|address| route_to(*address))
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let quic = match self.quic {
            Some(quic) => quic,
            None => (FIRST_PORT..=LAST_PORT)
                .step_by(2)
                .map(|port| SocketAddr::new(ip, port))
                .find(|quic| is_free(*quic, self.http.unwrap_or_else(|| beside(*quic))))
                .ok_or(JoinFailure::Ports)?,
        };
        Ok((quic, self.http.unwrap_or_else(|| beside(quic))))
    }
}

/// Plain HTTP is for this machine only.
fn beside(quic: SocketAddr) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, quic.port().saturating_add(1)).into()
}

fn check(quic: SocketAddr, http: SocketAddr) -> Result<(), JoinFailure> {
    let failure = |address, what, option| {
        move |reason: String| JoinFailure::Listen {
            address,
            what,
            reason,
            option,
        }
    };
    let clients = failure(http, "clients", "--http");
    if !http.ip().is_loopback() {
        let reason = "HTTP is plain and for this machine only, put a TLS proxy in front".to_owned();
        return Err(clients(reason));
    }
    if let Err(error) = UdpSocket::bind(quic) {
        return Err(failure(quic, "peers", "--quic")(error.to_string()));
    }
    match TcpListener::bind(http) {
        Ok(_) => Ok(()),
        Err(error) => Err(clients(error.to_string())),
    }
}

fn is_free(quic: SocketAddr, http: SocketAddr) -> bool {
    UdpSocket::bind(quic).is_ok() && TcpListener::bind(http).is_ok()
}

/// This machine's address on the way there; nothing is sent.
fn route_to(address: SocketAddr) -> Option<IpAddr> {
    let any = match address {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What went wrong at one address, and what to do.
fn explain(error: &JoinError) -> String {
    let remedy = match error {
        JoinError::Unreachable { .. } => {
            "is that node up, and does a firewall let UDP through to it?"
        }
        JoinError::WrongAuthority { .. } => {
            "the ticket is of another cluster: make one on a node of the cluster to join, with \
             `coracle token create join`"
        }
        JoinError::Untrusted { .. } => "check the clocks of both machines",
        JoinError::Busy { .. } | JoinError::NotHere { .. } | JoinError::TooLarge { .. } => "",
        JoinError::Timeout { .. } | JoinError::Lost { .. } => {
            "run the same command again: it goes on where it was"
        }
    };
    match remedy {
        "" => error.to_string(),
        remedy => format!("{error}; {remedy}"),
    }
}

fn list(attempts: &[String]) -> String {
    attempts.iter().map(|line| format!("\n  {line}")).collect()
}
