//! What a node says under `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cluster::{HTTP_PORT, address};

/// Time for each step of a request.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of an answer, at most.
const MAX_ANSWER: u64 = 4 << 20;

/// The metrics of a node at one time.
#[derive(Debug, Clone)]
pub struct Scrape(String);

impl Scrape {
    /// Asks a node.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn of(id: u64) -> Result<Self, String> {
        ask(id).map(Self).map_err(|error| error.to_string())
    }

    /// The value of a series: its name, with its labels if it has any.
    ///
    /// # Errors
    /// If there is none.
    pub fn value(&self, series: &str) -> Result<f64, String> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| format!("there is no {series}"))
    }
}

/// HTTP/1.0: the answer is all there is until the end.
fn ask(id: u64) -> std::io::Result<String> {
    let at = format!("{}:{HTTP_PORT}", address(id));
    let at: SocketAddr = at.parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nhost: {at}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let scrape = Scrape(
            "HTTP/1.0 200 OK\r\n\r\n# HELP up Time\nup_total 7\nup 1.5\nmoving{dir=\"received\"} 2\n"
                .to_owned(),
        );
        assert_eq!(scrape.value("up"), Ok(1.5));
        assert_eq!(scrape.value("moving{dir=\"received\"}"), Ok(2.0));
        assert!(scrape.value("down").is_err());
    }
}
