//! Traces as text: one JSON object a line.

use std::io::BufRead;

use crate::event::Event;

/// A line that is no event.
#[derive(Debug)]
pub struct ReadError {
    /// Which, from 1 on.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// Reads all events. The last line may be cut off: its node was killed while it wrote it, and
/// nothing that follows from it has left that node.
pub fn read(source: impl BufRead) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    let mut cut: Option<ReadError> = None;
    for (at, text) in source.lines().enumerate() {
        if let Some(error) = cut {
            return Err(error);
        }
        let parsed = text.map_err(|error| error.to_string());
        let parsed =
            parsed.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok(event) => events.push(event),
            Err(reason) => {
                let line = at + 1;
                cut = Some(ReadError { line, reason });
            }
        }
    }
    Ok(events)
}
