//! Where Coracle differs from etcd-raft on purpose: file, command and which of its occurrences,
//! the reason, and what has to be found instead.

/// One block that differs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) file: &'static str,
    pub(crate) command: &'static str,
    /// The how-manieth block with this command, from 1.
    pub(crate) nth: usize,
    pub(crate) reason: &'static str,
    /// What is checked instead, line by line.
    pub(crate) instead: &'static str,
}

/// Every block that differs.
pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    file: "async_storage_writes_append_aba_race.txt",
    command: "raft-log 1",
    nth: 5,
    reason: "Nothing is said before the term it is said in is durable, not even the answer to a \
             heartbeat: node 1 answers one write later, so that the entry of term 3 has not been \
             sent to it again when the script ends.",
    instead: "1/11 EntryNormal \"\"
              2/12 EntryNormal \"\"",
}];

/// Those of one file.
pub(crate) fn of(file: &str) -> Vec<Difference> {
    let of_file = DIFFERENCES.iter().filter(|d| d.file == file);
    of_file.copied().collect()
}
