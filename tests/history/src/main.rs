//! `coracle-check`: checks histories that a simulator or a test with real processes has saved.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: data on stdout, the rest on stderr"
)]

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use coracle_history::{FormatError, History, Report, Violation, check};
use serde::Serialize;

const USAGE: &str = "usage: coracle-check [-o json] FILE...

Checks saved histories of clients: that one copy, in the order of the log, explains every answer.
A FILE is a history (one JSON record a line) or a report folder, of which every file that ends in
history.ndjson is checked. Exit codes: 0 all are well, 1 one is not, has no operation, or cannot be read, 2 usage.

examples:
  coracle-check report/history.ndjson
  coracle-check -o json reports/ | jq 'select(.violation)'";

/// Files of a report folder that are histories end like this.
const HISTORY: &str = "history.ndjson";

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Default)]
struct Arguments {
    json: bool,
    paths: Vec<PathBuf>,
}

/// What is said of one file; with `-o json`, a line.
#[derive(Debug, Serialize)]
struct Said {
    file: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation: Option<Violation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("coracle-check: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut well = true;
    for path in &arguments.paths {
        let files = match histories(path, MAX_DEPTH) {
            Ok(files) => files,
            Err(error) => {
                eprintln!("coracle-check: {}: {error}", path.display());
                well = false;
                continue;
            }
        };
        for file in files {
            let said = look(&file);
            well &= said.report.is_some();
            say(&said, arguments.json);
        }
    }
    match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "--help" => return Ok(None),
            "-o" | "--output" => match words.next().as_deref() {
                Some("json") => arguments.json = true,
                Some("text") => arguments.json = false,
                _ => return Err(format!("{word} takes json or text")),
            },
            option if option.starts_with('-') => return Err(format!("{option} is unknown")),
            path => arguments.paths.push(path.into()),
        }
    }
    match arguments.paths.is_empty() {
        true => Err("there is nothing to check".into()),
        false => Ok(Some(arguments)),
    }
}

/// The file itself, or the histories in a folder, in the order of their names.
fn histories(path: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                found.extend(histories(&entry.path(), depth - 1)?);
            }
        } else if entry.file_name().to_string_lossy().ends_with(HISTORY) {
            found.push(entry.path());
        }
    }
    match found.is_empty() && depth == MAX_DEPTH {
        true => Err(io::Error::other(format!(
            "has no file that ends in {HISTORY}"
        ))),
        false => Ok(found),
    }
}

fn look(path: &Path) -> Said {
    let file = path.display().to_string();
    let mut said = Said {
        file,
        origin: String::new(),
        report: None,
        violation: None,
        error: None,
    };
    match read(path) {
        Err(error) => said.error = Some(error.to_string()),
        Ok(history) => {
            match check(&history) {
                Ok(report) => said.report = Some(report),
                Err(violation) => said.violation = Some(violation),
            }
            said.origin = history.origin;
        }
    }
    said
}

fn read(path: &Path) -> Result<History, FormatError> {
    let history = History::read(&mut BufReader::new(File::open(path)?))?;
    match history.operations.is_empty() {
        true => Err(FormatError::Empty),
        false => Ok(history),
    }
}

fn say(said: &Said, json: bool) {
    if json {
        let line = serde_json::to_string(said).expect("invariant: plain data encodes");
        println!("{line}");
        return;
    }
    let (file, origin) = (&said.file, &said.origin);
    match said {
        Said {
            report: Some(report),
            ..
        } => {
            let Report {
                operations,
                unknown,
                resolved,
                keys,
                reads,
                ..
            } = report;
            println!(
                "{file}: ok: {operations} operations on {keys} keys, {reads} queries, \
                 {unknown} unknown of which {resolved} happened ({origin})"
            );
        }
        Said {
            violation: Some(violation),
            ..
        } => println!("{file}: VIOLATION {violation} ({origin})"),
        Said { error, .. } => {
            let error = error.as_deref().unwrap_or_default();
            println!("{file}: cannot be judged: {error}");
        }
    }
}
