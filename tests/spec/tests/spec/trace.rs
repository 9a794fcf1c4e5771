//! Writes traces of one group.

use std::collections::BTreeMap;

use coracle_spec::{Event, read};

/// A trace in the making. Node `n` hosts replica `n<n>.0` of group 1.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: String,
    next: BTreeMap<u64, u64>,
    writes: u64,
    rounds: u64,
}

impl Trace {
    /// A new group of so many voters.
    pub(crate) fn of(voters: u64) -> Self {
        Self::begun(voters, r#""event":"boot""#)
    }

    /// One whose voters ask for pre-votes.
    pub(crate) fn careful(voters: u64) -> Self {
        Self::begun(voters, r#""event":"boot","pre_vote":true"#)
    }

    /// One of three, whose first node leads term 1 and has committed its first entry.
    pub(crate) fn serving() -> Self {
        let mut trace = Self::of(3);
        trace.elect(1, 1, &[2]);
        trace.append(1, 1, &[1]);
        trace.append(2, 1, &[1]);
        trace.tell(1, r#""event":"commit","index":1"#);
        trace
    }

    fn begun(voters: u64, boot: &str) -> Self {
        let mut trace = Self {
            lines: String::new(),
            next: BTreeMap::new(),
            writes: 0,
            rounds: 0,
        };
        let names: Vec<String> = (1..=voters).map(|node| format!(r#""n{node}.0""#)).collect();
        let names = names.join(",");
        for node in 1..=voters {
            trace.tell(node, boot);
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

    /// The question leaves `node`, whose log ends with `last`.
    pub(crate) fn ask_pre_votes(&mut self, node: u64, term: u64, last: (u64, u64)) {
        let (of, index) = last;
        let last = format!(r#"{{"term":{of},"index":{index}}}"#);
        let asks = format!(r#""event":"asks_pre_vote","term":{term},"last":{last}"#);
        self.tell(node, &asks);
    }

    pub(crate) fn hear_pre_vote(&mut self, node: u64, term: u64, by: u64) {
        let hears = format!(r#""event":"hears_pre_vote","term":{term},"by":"n{by}.0""#);
        self.tell(node, &hears);
    }

    /// A round of heartbeats that these echo.
    pub(crate) fn round(&mut self, leader: u64, term: u64, voters: &[u64]) {
        self.echo(leader, term, voters, false);
    }

    /// A round in which these promise to elect nobody else.
    pub(crate) fn promise(&mut self, leader: u64, term: u64, voters: &[u64]) {
        self.echo(leader, term, voters, true);
    }

    fn echo(&mut self, leader: u64, term: u64, voters: &[u64], promised: bool) {
        self.rounds += 1;
        let round = self.rounds;
        let begins = format!(r#""event":"round","term":{term},"round":{round}"#);
        self.tell(leader, &begins);
        for voter in voters {
            let echoes = format!(
                r#""event":"echoes","term":{term},"to":"n{leader}.0","round":{round},"promised":{promised}"#
            );
            self.tell(*voter, &echoes);
        }
    }

    /// The follower's question, a round of term 1 that it echoes, and the leader's answer.
    pub(crate) fn question(&mut self, follower: u64, question: u64, leader: u64, index: u64) {
        let asks = format!(r#""event":"asks","to":"n{leader}.0","round":{question}"#);
        self.tell(follower, &asks);
        let hears = format!(
            r#""event":"hears_question","by":"n{follower}.0","round":{question},"lease":false"#
        );
        self.tell(leader, &hears);
        self.round(leader, 1, &[follower]);
        let tells = format!(
            r#""event":"tells","term":1,"to":"n{follower}.0","round":{question},"index":{index}"#
        );
        self.tell(leader, &tells);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        read(self.lines.as_bytes()).expect("lines of events")
    }
}

fn name(vote: Option<u64>) -> String {
    vote.map_or_else(|| "null".to_owned(), |node| format!(r#""n{node}.0""#))
}
