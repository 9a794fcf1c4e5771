//! Judges the traces of several nodes, among which there is no common clock.
//!
//! The events of one node stay in their order. Whatever one node learns from another is a fact that
//! only ever becomes more, so an event that is explained now stays explained: taking any event that
//! can be taken never leads astray, and if no node's next event can be taken, no order of the events
//! is a behaviour of the specification.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::event::Event;
use crate::refusal::Refusal;
use crate::validator::Validator;

/// What a trace that is a behaviour of the specification comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Events that were explained.
    pub events: u64,
    /// Nodes that took part.
    pub nodes: usize,
    /// Groups they were about.
    pub groups: usize,
    /// Terms that somebody led.
    pub leaders: usize,
    /// Entries that were committed.
    pub committed: u64,
}

/// The first event that nothing explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The event.
    pub event: Event,
    /// Why.
    pub refusal: Refusal,
    /// Events explained before.
    pub explained: u64,
}

/// Judges events in the order in which they happened.
pub fn validate(events: impl IntoIterator<Item = Event>) -> Result<Report, Box<Failure>> {
    let mut run = Run {
        validator: Validator::ordered(),
        ..Run::default()
    };
    for event in events {
        run.nodes.entry(event.node).or_default();
        match run.validator.take(&event) {
            Ok(()) => run.explained += 1,
            Err(refusal) => return Err(run.failure(event, refusal)),
        }
    }
    Ok(run.report())
}

/// Judges events of which only the order within each node is known.
pub fn validate_merged(events: impl IntoIterator<Item = Event>) -> Result<Report, Box<Failure>> {
    let mut run = Run::default();
    for event in events {
        run.nodes.entry(event.node).or_default().push_back(event);
    }
    while run.nodes.values().any(|events| !events.is_empty()) {
        let before = run.explained;
        let mut waiting = None;
        for node in run.nodes.keys().copied().collect::<Vec<_>>() {
            let stopped = run.advance(node);
            waiting = match (waiting, stopped) {
                (_, Some((event, refusal @ Refusal::Contradiction(_)))) => {
                    return Err(run.failure(event, refusal));
                }
                (None, stopped) => stopped,
                (waiting, _) => waiting,
            };
        }
        if let Some((event, refusal)) = waiting
            && run.explained == before
        {
            return Err(run.failure(event, refusal));
        }
    }
    Ok(run.report())
}

#[derive(Debug, Default)]
struct Run {
    validator: Validator,
    nodes: BTreeMap<u64, VecDeque<Event>>,
    explained: u64,
}

impl Run {
    /// Takes what can be taken of this node's events; where and why it stops.
    fn advance(&mut self, node: u64) -> Option<(Event, Refusal)> {
        let events = self.nodes.get_mut(&node)?;
        while let Some(event) = events.front() {
            if let Err(refusal) = self.validator.take(event) {
                return Some((event.clone(), refusal));
            }
            events.pop_front();
            self.explained += 1;
        }
        None
    }

    fn failure(&self, event: Event, refusal: Refusal) -> Box<Failure> {
        Box::new(Failure {
            event,
            refusal,
            explained: self.explained,
        })
    }

    fn report(&self) -> Report {
        Report {
            events: self.explained,
            nodes: self.nodes.len(),
            groups: self.validator.groups(),
            leaders: self.validator.leaders(),
            committed: self.validator.committed(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            nodes,
            groups,
            leaders,
            committed,
        } = self;
        write!(
            f,
            "{events} events of {nodes} nodes and {groups} groups explained: {leaders} terms led, \
             {committed} entries committed"
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event {
            node, seq, group, ..
        } = &self.event;
        let event = serde_json::to_string(&self.event).unwrap_or_default();
        write!(
            f,
            "event {seq} of node {node}, group {group}: {}\n  {event}\n  {} events were explained \
             before",
            self.refusal, self.explained
        )
    }
}

impl std::error::Error for Failure {}
