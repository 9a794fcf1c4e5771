//! The trace of a node that `coracle start --trace-events FILE` asks for: what it does, for a
//! specification of Raft to judge.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use coracle_driver::{Event, NodeConfig, Outbox, Recovered, Tracer};
use tracing::error;

/// A file that lines are appended to, over all lives of the node. They are handed to the kernel
/// before anything that follows from them leaves the node, so a killed process loses none that
/// another node may know of.
#[derive(Debug)]
pub(super) struct EventTrace {
    file: File,
    tracer: Tracer,
    /// Lines of the turn under way.
    lines: String,
    failed: bool,
}

impl EventTrace {
    /// Goes on with the file of an earlier life, or begins one.
    pub(super) fn open(
        path: &Path,
        config: &NodeConfig,
        recovered: &Recovered,
    ) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true);
        let mut file = options.open(path)?;
        let (lines, end) = whole_lines(&file)?;
        // The last life was killed while it wrote a line.
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
        let mut trace = Self {
            file,
            tracer: Tracer::new(config, lines),
            lines: String::new(),
            failed: false,
        };
        trace.tracer.started(recovered, &mut trace.lines);
        trace.flush();
        Ok(trace)
    }

    /// The node is about to take these.
    pub(super) fn takes(&mut self, events: &[Event]) {
        let (tracer, lines) = (&mut self.tracer, &mut self.lines);
        events.iter().for_each(|event| tracer.takes(event, lines));
    }

    /// The node's turn came to this, of which nothing has left it.
    pub(super) fn turned(&mut self, outbox: &Outbox) {
        self.tracer.turned(outbox, &mut self.lines);
        self.flush();
    }

    fn flush(&mut self) {
        if !self.failed
            && !self.lines.is_empty()
            && let Err(error) = self.file.write_all(self.lines.as_bytes())
        {
            self.failed = true;
            error!(%error, "the trace of events ends here");
        }
        self.lines.clear();
    }
}

/// How many lines there are, and where the last of them ends.
fn whole_lines(file: &File) -> io::Result<(u64, u64)> {
    let mut reader = BufReader::new(file);
    let (mut lines, mut end) = (0, 0);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\n") {
            lines += 1;
            end += line.len() as u64;
        }
        line.clear();
    }
    Ok((lines, end))
}

#[cfg(test)]
mod tests {
    use coracle_proto::NodeId;

    use super::*;

    fn sequence(line: &str) -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        line["seq"].as_u64().expect("a number")
    }

    #[test]
    fn a_later_life_goes_on_after_the_last_whole_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("n1.ndjson");
        let config = NodeConfig::new(NodeId(1));
        for _ in 0..2 {
            EventTrace::open(&path, &config, &Recovered::default()).expect("a file");
            let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
            file.write_all(b"{\"cut o").expect("a write");
        }
        EventTrace::open(&path, &config, &Recovered::default()).expect("a file");

        let text = std::fs::read_to_string(&path).expect("text");
        let numbers: Vec<u64> = text.lines().map(sequence).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
}
