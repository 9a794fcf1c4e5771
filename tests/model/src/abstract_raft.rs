//! The abstract specification as a model: its rules themselves are searched, in a small scope.
//!
//! Whatever `coracle-spec` takes as the next event of a trace is tried from every state. If the rules
//! let something through that breaks leader completeness or state machine safety, a trace that is
//! explained by them would show nothing.

use coracle_spec::event::{Configuration, Entry, HardState};
use coracle_spec::{Index, LogId, ReplicaId, Spec, Term};
use stateright::{Model, Property};

/// The name of all writes: each is durable before the next.
const WRITE: &str = "w";

/// How far the search goes.
#[derive(Debug, Clone)]
pub struct AbstractRaft {
    /// Voters.
    pub voters: u64,
    /// Terms.
    pub terms: Term,
    /// Entries of a log.
    pub entries: Index,
    /// Snapshots that are installed.
    pub installs: u8,
    /// A bug: the first replica believes that it is alone.
    pub split: bool,
}

/// The specification's state, and what is left to happen.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct AbstractState {
    spec: Spec,
    installs: u8,
}

/// An action of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AbstractAction {
    /// Timeout with RequestVote, HandleRequestVote, or UpdateTerm.
    Move(ReplicaId, HardState),
    /// BecomeLeader and ClientRequest; or HandleAppendEntries, of an entry that somebody has.
    Append(ReplicaId, Entry),
    /// AdvanceCommitIndex.
    Commit(ReplicaId, Index),
    /// A snapshot of everything up to here is installed.
    Install(ReplicaId, LogId),
}

impl Model for AbstractRaft {
    type State = AbstractState;
    type Action = AbstractAction;

    fn init_states(&self) -> Vec<AbstractState> {
        let mut spec = Spec::default();
        let of = |voters: Vec<ReplicaId>| Configuration {
            voters: voters.into_iter().collect(),
            ..Configuration::default()
        };
        for id in self.ids() {
            let base = match self.split && id.node == 1 {
                true => of(vec![id]),
                false => of(self.ids().collect()),
            };
            let hosted = spec.host(id, WRITE, &base);
            hosted.and_then(|()| spec.durable(id, WRITE)).expect("new");
        }
        let installs = self.installs;
        vec![AbstractState { spec, installs }]
    }

    fn actions(&self, state: &AbstractState, actions: &mut Vec<AbstractAction>) {
        let ids: Vec<_> = self.ids().collect();
        for id in ids.iter().copied() {
            let HardState { term, vote } = state.spec.hard_state(id);
            for term in term..=self.terms.min(term + 1) {
                let votes = ids.iter().copied().map(Some).chain([None]);
                // With equal voters, two candidates are enough.
                let votes = votes.filter(|vote| *vote != Some(id) || id.node <= 2);
                let moves = votes.map(|vote| HardState { term, vote });
                actions.extend(moves.map(|to| AbstractAction::Move(id, to)));
            }
            let last = state.spec.last(id).index;
            if last < self.entries && vote == Some(id) {
                let entry = Entry {
                    term,
                    index: last + 1,
                    digest: None,
                    configuration: None,
                };
                actions.push(AbstractAction::Append(id, entry));
            }
            for index in 1..=self.entries {
                let theirs = ids
                    .iter()
                    .filter_map(|other| state.spec.entry(*other, index));
                let theirs = theirs.filter(|entry| state.spec.entry(id, index) != Some(*entry));
                actions.extend(theirs.map(|entry| AbstractAction::Append(id, entry.clone())));
                if vote == Some(id) {
                    actions.push(AbstractAction::Commit(id, index));
                }
            }
            if state.installs > 0 {
                let committed = (1..=last).filter_map(|index| state.spec.entry(id, index));
                let covered: Vec<LogId> = committed.map(Entry::id).collect();
                for last in covered {
                    let others = ids.iter().filter(|other| **other != id);
                    actions.extend(others.map(|other| AbstractAction::Install(*other, last)));
                }
            }
        }
    }

    fn next_state(&self, state: &AbstractState, action: AbstractAction) -> Option<AbstractState> {
        let mut next = state.clone();
        let spec = &mut next.spec;
        let (id, done) = match action {
            AbstractAction::Move(id, to) => (id, spec.write(id, WRITE, Some(to), &[])),
            AbstractAction::Append(id, entry) => (id, spec.write(id, WRITE, None, &[entry])),
            AbstractAction::Commit(id, index) => {
                return spec.commit(id, index).is_ok().then_some(next);
            }
            AbstractAction::Install(id, last) => {
                next.installs = next.installs.checked_sub(1)?;
                (id, spec.install(id, WRITE, None, last))
            }
        };
        let durable = done.and_then(|()| next.spec.durable(id, WRITE));
        durable.is_ok().then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "the rules keep what is committed",
                |_, state: &AbstractState| state.spec.invariants().is_ok(),
            ),
            Property::sometimes("two terms are led", |_, state: &AbstractState| {
                state.spec.led() > 1
            }),
            Property::sometimes("two entries are committed", |_, state: &AbstractState| {
                state.spec.committed() > 1
            }),
        ]
    }
}

impl AbstractRaft {
    /// A replica that is not of the initial configuration may believe anything at first.
    fn ids(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let split = self.split;
        (1..=self.voters).map(move |node| ReplicaId {
            node,
            born: Index::from(split),
        })
    }
}
