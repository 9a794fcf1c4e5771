//! The trait of a state machine.

use std::io::{BufRead, Write};

use crate::{Decode, Encode, Environment, Error, Malformed};

/// A replicated state machine.
///
/// A panic in any of these is a trap: the command that caused it has no effect, and the others go
/// on from the state before it.
pub trait StateMachine: Sized + 'static {
    /// Name of the plugin, for people.
    const NAME: &'static str;
    /// Version of the plugin, for people; `env!("CARGO_PKG_VERSION")` is a good one.
    const VERSION: &'static str;

    /// How commands, queries and their answers become bytes: [`Postcard`](crate::Postcard) for
    /// types of your own, [`Text`](crate::Text) for what a person types, [`Raw`](crate::Raw).
    type Format: for<'a> Decode<'a, Self::Command<'a>>
        + for<'a> Decode<'a, Self::Query<'a>>
        + Encode<Self::Reply>
        + Encode<Self::Answer>
        + Encode<Self::Refusal>;
    /// A command. May borrow from the bytes it came in.
    type Command<'a>;
    /// A query. May borrow from the bytes it came in.
    type Query<'a>;
    /// What a command that was accepted answers.
    type Reply;
    /// What a query that was accepted answers.
    type Answer;
    /// Why a command or query is refused, one that cannot be decoded included.
    type Refusal: From<Malformed>;

    /// Begins with an empty state, when an fsm is created.
    ///
    /// # Errors
    /// Refuses the creation; the reason goes to the operator.
    fn init(environment: &Environment) -> Result<Self, Error>;

    /// Applies a command.
    ///
    /// # Errors
    /// The command is refused. The state must then be as it was: nothing is rolled back.
    fn apply(
        &mut self,
        environment: &Environment,
        command: Self::Command<'_>,
    ) -> Result<Self::Reply, Self::Refusal>;

    /// Answers a query.
    ///
    /// # Errors
    /// The query is refused.
    fn query(
        &self,
        environment: &Environment,
        query: Self::Query<'_>,
    ) -> Result<Self::Answer, Self::Refusal>;

    /// Writes the whole state. `sink` is buffered; see [`state`](crate::state) for the usual forms.
    ///
    /// # Errors
    /// The snapshot is not taken and the fsm goes on; the reason goes to the operator.
    fn snapshot(&self, environment: &Environment, sink: &mut impl Write) -> Result<(), Error>;

    /// Begins with the state in `source`: this plugin's own or, in an upgrade, its predecessor's.
    /// It is an error to leave bytes unread.
    ///
    /// # Errors
    /// The upgrade is refused and the old plugin goes on; the reason goes to the operator.
    fn restore(environment: &Environment, source: &mut impl BufRead) -> Result<Self, Error>;
}
