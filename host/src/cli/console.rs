//! The two streams.

use std::io::{self, IsTerminal as _, Write as _};

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Failure;

/// A line of data.
pub(super) fn data(line: &str) -> Result<(), Failure> {
    bytes(line.as_bytes())
}

/// Bytes of data, and a newline.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(bytes)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match written {
        // The reader has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::other(format!("cannot write to stdout: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// A JSON document on a line.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::other(e.to_string()))?;
    data(&text)
}

/// A line for people.
pub(super) fn say(line: &str) {
    // Whoever closed stderr does not want to know.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether a person looks at stderr.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// A reply's bytes as members of a JSON object: `reply`, or `reply_base64` if they are not UTF-8.
pub(super) fn reply_members(object: &mut Map<String, Value>, reply: &[u8]) {
    match std::str::from_utf8(reply) {
        Ok(text) => object.insert("reply".into(), text.into()),
        Err(_) => object.insert("reply_base64".into(), BASE64.encode(reply).into()),
    };
}

/// Rows in aligned columns; the first row is the head.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|v| v.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["NAME", "AT"]), row(["a", "1"]), row(["longer", ""])]);
        assert_eq!(text, "NAME    AT\na       1\nlonger");
    }
}
