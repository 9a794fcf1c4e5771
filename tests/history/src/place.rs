//! Where each operation stands in the order of the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Fate, History, Logged, Operation, Rule, Session, Violation, once};

/// A place in the order of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Of the entry; a query sees all up to it.
    pub(crate) index: u64,
    /// Within the entry. If the log is not known, that of all commands is 0.
    ordinal: u32,
}

/// The places of all operations.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    places: Vec<Option<Place>>,
    /// The log is known.
    resolved: bool,
    /// Per group, ascending: a place, and when something at it or later was first answered.
    answered: BTreeMap<&'a str, Vec<(Place, u64)>>,
}

impl<'a> Places<'a> {
    /// Works them out, and finds what is wrong on the way.
    pub(crate) fn of(history: &'a History) -> Result<Self, Violation> {
        once::check(history)?;
        let mut places = Self {
            places: history.operations.iter().map(claimed).collect(),
            resolved: history.log.is_some(),
            answered: BTreeMap::new(),
        };
        if let Some(log) = &history.log {
            places.resolve(history, log)?;
        }
        places.remember_answers(history);
        Ok(places)
    }

    /// Of each operation of the history; `None`: it has not happened, or nobody knows where.
    pub(crate) fn all(&self) -> &[Option<Place>] {
        &self.places
    }

    /// Whether the log is known: what has no place then has not happened.
    pub(crate) fn resolved(&self) -> bool {
        self.resolved
    }

    /// When something at this place or behind it was first answered: what stands before it had
    /// happened by then.
    pub(crate) fn answered_from(&self, group: &str, place: Place) -> Option<u64> {
        let answered = self.answered.get(group)?;
        let next = answered.partition_point(|(other, _)| *other < place);
        answered.get(next).map(|(_, at)| *at)
    }

    /// With the log, commands stand where it has them, and have not happened if it has not.
    fn resolve(&mut self, history: &'a History, log: &'a [Logged]) -> Result<(), Violation> {
        let mut found = follow(history, log)?;
        for (number, operation) in history.operations.iter().enumerate() {
            if operation.action.is_query() {
                continue;
            }
            let place = found.remove(&number);
            agrees(operation, place)?;
            self.places[number] = place;
        }
        Ok(())
    }

    fn remember_answers(&mut self, history: &'a History) {
        for (operation, place) in history.operations.iter().zip(&self.places) {
            if let (Some(place), Some(at)) = (place, operation.returned()) {
                let answered = self.answered.entry(&operation.group).or_default();
                answered.push((*place, at));
            }
        }
        for answered in self.answered.values_mut() {
            answered.sort_unstable();
            let mut first = u64::MAX;
            for (_, at) in answered.iter_mut().rev() {
                first = first.min(*at);
                *at = first;
            }
        }
    }
}

/// Where its answer says that an operation stands.
fn claimed(operation: &Operation) -> Option<Place> {
    match operation.fate() {
        Fate::Answered(reply) => Some(Place {
            index: reply.index,
            ordinal: match operation.action.is_query() {
                true => u32::MAX,
                false => 0,
            },
        }),
        Fate::NotApplied | Fate::Unknown => None,
    }
}

/// Goes through the log; says where it has which operation.
fn follow<'a>(
    history: &'a History,
    log: &'a [Logged],
) -> Result<BTreeMap<usize, Place>, Violation> {
    let names = Names::of(history)?;
    let mut log: Vec<_> = log.iter().collect();
    log.sort_by_key(|logged| (&logged.group, logged.index, logged.ordinal));
    let mut found = BTreeMap::new();
    let mut sessions = BTreeSet::new();
    for logged in log {
        let repeats = |session| !sessions.insert((logged.group.as_str(), session));
        if logged.session.is_some_and(repeats) {
            continue;
        }
        let Some((key, action)) = Action::parse(&logged.body) else {
            continue;
        };
        let number = names.find(logged).ok_or_else(|| unasked(logged))?;
        let operation = &history.operations[number];
        let place = Place {
            index: logged.index,
            ordinal: logged.ordinal,
        };
        if let Some(first) = found.insert(number, place) {
            return Err(twice(operation, first, place));
        }
        if (key, &action) != (&operation.key, &operation.action) {
            return Err(another(operation, logged));
        }
    }
    Ok(found)
}

/// How a command in the log is recognised.
struct Names<'a> {
    sessions: BTreeMap<(&'a str, Session), usize>,
    bodies: BTreeMap<(&'a str, String), usize>,
}

impl<'a> Names<'a> {
    fn of(history: &'a History) -> Result<Self, Violation> {
        let (mut sessions, mut bodies) = (BTreeMap::new(), BTreeMap::new());
        for (number, operation) in history.operations.iter().enumerate() {
            let group = operation.group.as_str();
            if operation.action.is_query() {
                continue;
            }
            let body = operation.action.body(&operation.key);
            let Some(session) = operation.session else {
                if bodies.insert((group, body), number).is_some() {
                    return Err(Violation::new(
                        Rule::Malformed,
                        &[operation.id],
                        format!("{operation} has neither a session nor a body of its own"),
                    ));
                }
                continue;
            };
            sessions.insert((group, session), number);
        }
        Ok(Self { sessions, bodies })
    }

    fn find(&self, logged: &'a Logged) -> Option<usize> {
        let group = logged.group.as_str();
        match logged.session {
            Some(session) => self.sessions.get(&(group, session)).copied(),
            None => self.bodies.get(&(group, logged.body.clone())).copied(),
        }
    }
}

/// What a client was told is what the log says.
fn agrees(operation: &Operation, place: Option<Place>) -> Result<(), Violation> {
    let violated = |rule, detail| Err(Violation::new(rule, &[operation.id], detail));
    match (operation.fate(), place) {
        (Fate::Answered(_), None) => violated(Rule::Lost, format!("{operation} is not in the log")),
        (Fate::Answered(reply), Some(place)) if reply.index != place.index => {
            let index = place.index;
            violated(Rule::Lost, format!("{operation} is in the log at {index}"))
        }
        (Fate::NotApplied, Some(place)) => {
            let index = place.index;
            violated(
                Rule::NotApplied,
                format!("{operation} is in the log at {index}"),
            )
        }
        _ => Ok(()),
    }
}

fn twice(operation: &Operation, first: Place, second: Place) -> Violation {
    let (first, second) = (first.index, second.index);
    Violation::new(
        Rule::ExactlyOnce,
        &[operation.id],
        format!("{operation} is in the log at {first} and at {second}"),
    )
}

fn unasked(logged: &Logged) -> Violation {
    let Logged {
        group,
        index,
        ordinal,
        session,
        body,
    } = logged;
    let session = session.map_or("no session".into(), |session| format!("session {session}"));
    Violation::new(
        Rule::Unasked,
        &[],
        format!("group {group} has `{body}` at {index}.{ordinal}, {session}, of no operation"),
    )
}

fn another(operation: &Operation, logged: &Logged) -> Violation {
    Violation::new(
        Rule::Malformed,
        &[operation.id],
        format!("{operation} is `{}` in the log", logged.body),
    )
}
