//! Writes traces of one group.

use std::collections::BTreeMap;

use coracle_spec::{Event, read};

/// A trace in the making. Node `n` hosts replica `n<n>.0` of group 1.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: String,
    next: BTreeMap<u64, u64>,
    writes: u64,
}

impl Trace {
    /// A new group of so many voters.
    pub(crate) fn of(voters: u64) -> Self {
        let mut trace = Self {
            lines: String::new(),
            next: BTreeMap::new(),
            writes: 0,
        };
        let names: Vec<String> = (1..=voters).map(|node| format!(r#""n{node}.0""#)).collect();
        let names = names.join(",");
        for node in 1..=voters {
            trace.tell(node, r#""event":"boot""#);
            let configuration = format!(r#"{{"voters":[{names}]}}"#);
            let host =
                format!(r#""event":"host","id":"h","born":0,"configuration":{configuration}"#);
            trace.tell(node, &host);
        }
        trace
    }

    pub(crate) fn tell(&mut self, node: u64, what: &str) {
        let seq = self.next.entry(node).or_default();
        let line = format!("{{\"node\":{node},\"seq\":{seq},\"group\":1,{what}}}\n");
        *seq += 1;
        self.lines.push_str(&line);
    }

    /// The next line of this node is lost.
    pub(crate) fn skip(&mut self, node: u64) {
        *self.next.entry(node).or_default() += 1;
    }

    /// Term and vote, and entries by term and index.
    pub(crate) fn write(
        &mut self,
        node: u64,
        hard_state: Option<(u64, Option<u64>)>,
        entries: &[(u64, u64)],
    ) {
        self.writes += 1;
        let id = self.writes;
        let hard_state = match hard_state {
            Some((term, vote)) => format!(r#"{{"term":{term},"vote":{}}}"#, name(vote)),
            None => "null".to_owned(),
        };
        let entry = |(term, index): &(u64, u64)| format!(r#"{{"term":{term},"index":{index}}}"#);
        let entries: Vec<String> = entries.iter().map(entry).collect();
        let entries = entries.join(",");
        let write = format!(
            r#""event":"write","id":"w{id}","hard_state":{hard_state},"entries":[{entries}]"#
        );
        self.tell(node, &write);
    }

    /// The last write, of this node, is durable.
    pub(crate) fn durable(&mut self, node: u64) {
        let id = self.writes;
        self.tell(node, &format!(r#""event":"durable","id":"w{id}""#));
    }

    pub(crate) fn campaign(&mut self, node: u64, term: u64) {
        self.vote(node, term, node);
    }

    pub(crate) fn vote(&mut self, node: u64, term: u64, candidate: u64) {
        self.write(node, Some((term, Some(candidate))), &[]);
        self.durable(node);
    }

    /// `node` wins `term` with these votes and its own.
    pub(crate) fn elect(&mut self, node: u64, term: u64, voters: &[u64]) {
        self.campaign(node, term);
        voters
            .iter()
            .for_each(|voter| self.vote(*voter, term, node));
        self.tell(node, &format!(r#""event":"leads","term":{term}"#));
    }

    /// Entries of this term become durable.
    pub(crate) fn append(&mut self, node: u64, term: u64, indices: &[u64]) {
        let entries: Vec<_> = indices.iter().map(|index| (term, *index)).collect();
        self.write(node, None, &entries);
        self.durable(node);
    }

    pub(crate) fn boot(&mut self, node: u64) {
        self.tell(node, r#""event":"boot""#);
    }

    /// What it finds: term and vote, floor, last entry.
    pub(crate) fn start(
        &mut self,
        node: u64,
        (term, vote): (u64, Option<u64>),
        floor: (u64, u64),
        last: (u64, u64),
    ) {
        let vote = name(vote);
        let id = |(term, index)| format!(r#"{{"term":{term},"index":{index}}}"#);
        let (floor, last) = (id(floor), id(last));
        let start = format!(
            r#""event":"start","born":0,"term":{term},"vote":{vote},"floor":{floor},"last":{last}"#
        );
        self.tell(node, &start);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        read(self.lines.as_bytes()).expect("lines of events")
    }
}

fn name(vote: Option<u64>) -> String {
    vote.map_or_else(|| "null".to_owned(), |node| format!(r#""n{node}.0""#))
}
