//! `coracle token`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::RangedI64ValueParser;
use clap::{Args, Subcommand};
use coracle_client::{CreateToken, MemberRole, TokenCreated, TokenInfo, parse_duration};
use coracle_driver::directory::MAX_TOKEN_USES;
use serde::Serialize;

use super::times::{moment, span};
use super::{Failure, Global, console};
use crate::server::MAX_TOKEN_TTL;
use crate::ticket::{Ticket, TicketError};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token
    #[command(subcommand)]
    Create(Create),
    /// List the tokens; their secrets are not kept
    List,
    /// Let nobody join with a token any more
    Revoke {
        /// Its id
        id: String,
    },
    /// Show what is in a ticket, without asking anybody; its secret stays hidden
    Show {
        /// The ticket
        ticket: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Create {
    /// Make a ticket with which new nodes join the cluster
    Join(Join),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The ticket is shown once: whoever has it can become a node of the cluster until it expires or is
used up. Start the new node with it; a later start needs only --config.

Example:
  coracle token create join --ttl 1h
  coracle start --join crc1... --data-dir node4")]
pub(super) struct Join {
    /// How long it is good for
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// How many nodes may join with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = uses())]
    uses: u32,
    /// What the node becomes once it has caught up: voter, learner or witness
    #[arg(long, default_value = "voter")]
    role: MemberRole,
}

fn ttl(text: &str) -> Result<Duration, String> {
    // Long ones are written in hours or days.
    let long = [("h", 3600), ("d", 24 * 3600)].into_iter();
    let mut long = long.filter_map(|(unit, seconds)| {
        let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(seconds).saturating_mul(count))
    });
    let time = match long.next() {
        Some(time) => time,
        None => parse_duration(text).map_err(|e| e.to_string())?,
    };
    if time.as_secs() == 0 || time > MAX_TOKEN_TTL {
        return Err(format!("must be 1s to {}", span(MAX_TOKEN_TTL)));
    }
    Ok(time)
}

fn uses() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(MAX_TOKEN_USES))
}

/// What `token show` prints.
#[derive(Debug, Serialize)]
struct Shown {
    cluster: String,
    authority: String,
    addresses: Vec<String>,
    token: String,
    role: MemberRole,
    expires: u64,
    expired: bool,
}

impl Token {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Create(Create::Join(join)) => join.run(global).await,
            Self::List => list(global).await,
            Self::Revoke { id } => {
                let revoked = global.client()?.revoke_token(id).await?;
                if global.json() {
                    return console::json(&revoked);
                }
                console::say(&format!("token {} is revoked", revoked.id));
                Ok(())
            }
            Self::Show { ticket } => show(ticket, global),
        }
    }
}

impl Join {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let wanted = CreateToken {
            role: self.role,
            ttl_seconds: self.ttl.as_secs(),
            uses: self.uses,
        };
        let made = global.client()?.create_token(&wanted).await?;
        if global.json() {
            return console::json(&made);
        }
        console::data(&made.ticket)?;
        console::say(&hint(&made, self.ttl));
        Ok(())
    }
}

fn hint(made: &TokenCreated, ttl: Duration) -> String {
    let times = match made.uses {
        1 => "once".to_owned(),
        uses => format!("{uses} times"),
    };
    format!(
        "token {}: good {times}, for {}; its bearer becomes a {}. On the new machine:\n  \
         coracle start --join {} --data-dir DIR --quic IP:PORT",
        made.id,
        span(ttl),
        made.role,
        made.ticket
    )
}

async fn list(global: &Global) -> Result<(), Failure> {
    let list = global.client()?.tokens().await?;
    if global.json() {
        return console::json(&list);
    }
    let head = ["TOKEN", "ROLE", "USES LEFT", "EXPIRES"].map(str::to_owned);
    let rows = list.tokens.iter().map(row);
    console::data(&console::table(
        &std::iter::once(head.to_vec())
            .chain(rows)
            .collect::<Vec<_>>(),
    ))
}

fn row(token: &TokenInfo) -> Vec<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let left = match Duration::from_secs(token.expires).checked_sub(now) {
        None => "expired".to_owned(),
        Some(left) => format!("in {}", span(left)),
    };
    vec![
        token.id.clone(),
        token.role.to_string(),
        token.uses_left.to_string(),
        left,
    ]
}

fn show(text: &str, global: &Global) -> Result<(), Failure> {
    let ticket: Ticket = text.parse()?;
    let authority = ticket.pin.iter().map(|byte| format!("{byte:02x}"));
    let shown = Shown {
        cluster: ticket.cluster.clone(),
        authority: authority.collect(),
        addresses: ticket.addresses.iter().map(ToString::to_string).collect(),
        token: ticket.token_id(),
        role: ticket.role,
        expires: ticket.expires,
        expired: ticket.check(SystemTime::now()).is_err(),
    };
    if global.json() {
        return console::json(&shown);
    }
    let rows = [
        ("cluster", shown.cluster),
        ("authority", shown.authority),
        ("addresses", shown.addresses.join(", ")),
        ("token", shown.token),
        ("role", shown.role.to_string()),
        ("expires", moment(shown.expires)),
        ("expired", shown.expired.to_string()),
    ];
    let rows = rows.map(|(key, value)| vec![key.to_owned(), value]);
    console::data(&console::table(&rows))
}

impl From<TicketError> for Failure {
    fn from(error: TicketError) -> Self {
        Self::usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_may_be_good_for_seconds_or_for_days() {
        let seconds = |text: &str| ttl(text).map(|time| time.as_secs());
        for (text, expected) in [("90s", 90), ("5m", 300), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "h",
            "soon",
            "-1h",
            "1.5h",
            "0s",
            "999ms",
            "31d",
            "99999999999h",
        ] {
            assert!(ttl(text).is_err(), "{text:?}");
        }
    }
}
