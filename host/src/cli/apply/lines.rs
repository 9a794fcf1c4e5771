//! One command per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use coracle_client::{Applied, Client, ClientError};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::super::progress::{Progress, Unit};
use super::super::{Failure, console};

/// Lines read ahead of what is sent.
const READ_AHEAD: usize = 1024;
/// Bytes of a line; more is certainly no command.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// What is printed at the end.
#[derive(Debug, Default, Serialize)]
struct Summary {
    count: u64,
    seconds: f64,
    rate: f64,
    last_index: u64,
}

/// A command and where it comes from.
struct Line {
    number: u64,
    command: Bytes,
    /// Bytes of the source up to its end.
    offset: u64,
}

type Done = (Line, Result<Applied, ClientError>);

pub(super) async fn run(
    client: &Client,
    fsm: &str,
    file: &Path,
    concurrency: u64,
    json: bool,
) -> Result<(), Failure> {
    let (source, total) = open(file)?;
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || read(source, &sender));
    let started = Instant::now();
    let mut summary = Summary::default();
    let result = apply(client, fsm, receiver, concurrency, total, &mut summary).await;
    summary.seconds = started.elapsed().as_secs_f64();
    summary.rate = summary.count as f64 / summary.seconds.max(f64::MIN_POSITIVE);
    if json {
        console::json(&summary)?;
    } else {
        let Summary {
            count,
            seconds,
            rate,
            last_index,
        } = &summary;
        let text = format!(
            "applied {count} commands in {seconds:.2} s, {rate:.0}/s, last index {last_index}"
        );
        console::data(&text)?;
    }
    result
}

/// The source, and its size if it has one.
fn open(file: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let failed = |e| Failure::other(format!("cannot read {}: {e}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let total = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(BufReader::new(opened)), total))
}

/// Reads lines until the end, an error, or until nobody takes them any more.
fn read(mut source: Box<dyn BufRead + Send>, sender: &mpsc::Sender<Result<Line, Failure>>) {
    let mut offset = 0;
    for number in 1.. {
        let mut line = Vec::new();
        let next = match (&mut source)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(0) => return,
            Ok(n) if n as u64 == MAX_LINE_BYTES => Err(Failure::other(format!(
                "line {number} has more than {n} bytes"
            ))),
            Ok(n) => {
                offset += n as u64;
                Ok(Line {
                    number,
                    command: trim(line).into(),
                    offset,
                })
            }
            Err(e) => Err(Failure::other(format!("cannot read line {number}: {e}"))),
        };
        let last = next.is_err();
        if next
            .as_ref()
            .is_ok_and(|line| line.command.trim_ascii().is_empty())
        {
            continue;
        }
        if sender.blocking_send(next).is_err() || last {
            return;
        }
    }
}

/// Without the end of the line, of either kind.
fn trim(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    line
}

async fn apply(
    client: &Client,
    fsm: &str,
    mut lines: mpsc::Receiver<Result<Line, Failure>>,
    concurrency: u64,
    total: Option<u64>,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let unit = if total.is_some() {
        Unit::Bytes
    } else {
        Unit::Commands
    };
    let progress = Progress::new(format!("applying to {fsm}"), unit, total);
    let mut tasks: JoinSet<Done> = JoinSet::new();
    let mut failure = None;
    while failure.is_none()
        && let Some(line) = lines.recv().await
    {
        match line {
            Ok(line) => {
                let (client, fsm) = (client.clone(), fsm.to_owned());
                tasks.spawn(async move {
                    let result = client.apply(&fsm, line.command.clone()).await;
                    (line, result)
                });
            }
            Err(error) => failure = Some(error),
        }
        if tasks.len() as u64 >= concurrency {
            let done = tasks.join_next().await;
            failure = failure.or(done.and_then(|done| settle(done, &progress, unit, summary)));
        }
    }
    while let Some(done) = tasks.join_next().await {
        // The first that failed is why it stops.
        failure = failure.or(settle(done, &progress, unit, summary));
    }
    progress.finish();
    failure.map_or(Ok(()), Err)
}

/// Counts what is done; answers what went wrong.
fn settle(
    done: Result<Done, JoinError>,
    progress: &Progress,
    unit: Unit,
    summary: &mut Summary,
) -> Option<Failure> {
    let (line, result) = match done {
        Ok(done) => done,
        Err(error) => return Some(Failure::other(error.to_string())),
    };
    match result {
        Ok(applied) => {
            summary.count += 1;
            summary.last_index = summary.last_index.max(applied.index);
            progress.set(if unit == Unit::Bytes {
                line.offset
            } else {
                summary.count
            });
            None
        }
        Err(error) => Some(Failure::from(error).at(&format!("line {}", line.number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &'static [u8]) -> Vec<(u64, Vec<u8>, u64)> {
        let (sender, mut receiver) = mpsc::channel(16);
        read(Box::new(text), &sender);
        drop(sender);
        let mut lines = Vec::new();
        while let Some(line) = receiver.blocking_recv() {
            let line = line.expect("readable");
            lines.push((line.number, line.command.to_vec(), line.offset));
        }
        lines
    }

    #[test]
    fn lines_keep_their_numbers_and_bytes_and_blank_ones_are_skipped() {
        let lines = read_all(b"put a 1\n\nput b \xff\r\n  \nput c 3");
        assert_eq!(
            lines,
            [
                (1, b"put a 1".to_vec(), 8),
                (3, b"put b \xff".to_vec(), 18),
                (5, b"put c 3".to_vec(), 28),
            ]
        );
    }
}
