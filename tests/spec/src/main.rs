//! `coracle-trace`: judges traces of runs.
//!
//! ```text
//! coracle-trace [--ordered] FILE ...
//! ```

use std::fs::File;
use std::io::{BufReader, Write};
use std::process::ExitCode;

use coracle_spec::{Event, read, validate, validate_merged};

const USAGE: &str = "usage: coracle-trace [--ordered] FILE ...

Judges what nodes wrote with `--trace-events FILE`, all files of a cluster together. With `--ordered`
the lines are taken in the order in which they stand (a trace of the simulator).
Exit codes: 0 every event is explained, 1 one is not, or there is none, 2 usage or no trace.

examples:
  coracle-trace n1.ndjson n2.ndjson n3.ndjson
  coracle-sim --seed 3 --events 3.ndjson && coracle-trace --ordered 3.ndjson
";

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with('-'));
    if options.iter().any(|word| word == "--help" || word == "-h") {
        let _ = write!(std::io::stdout(), "{USAGE}");
        return ExitCode::SUCCESS;
    }
    let ordered = match options.as_slice() {
        [] => false,
        [only] if only == "--ordered" => true,
        _ => return say(USAGE, 2),
    };
    if files.is_empty() {
        return say(USAGE, 2);
    }
    let mut events = Vec::new();
    for file in &files {
        match load(file) {
            Ok(more) => events.extend(more),
            Err(error) => return say(&error, 2),
        }
    }
    if events.is_empty() {
        let files = files.join(", ");
        return say(&format!("{files}: 0 events: there is nothing to judge"), 1);
    }
    let verdict = match ordered {
        true => validate(events),
        false => validate_merged(events),
    };
    match verdict {
        Ok(report) => {
            let _ = writeln!(std::io::stdout(), "{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => say(&failure.to_string(), 1),
    }
}

fn load(file: &str) -> Result<Vec<Event>, String> {
    let source = File::open(file).map_err(|error| format!("{file}: {error}"))?;
    let events = read(BufReader::new(source));
    events.map_err(|error| format!("{file}, line {}: {}", error.line, error.reason))
}

fn say(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}
