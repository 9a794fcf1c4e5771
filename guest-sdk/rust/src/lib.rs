//! The Rust guest SDK: one trait and one macro to write a replicated state machine.
//!
//! A plugin implements [`StateMachine`] and names its type in [`export!`]. Built for
//! `wasm32-wasip2` it is a component for Coracle; built natively the same crate runs in unit tests
//! on a [`TestHost`], because the macro expands to nothing there.
//!
//! ```
//! use coracle_guest::{Environment, Error, Malformed, Postcard, StateMachine, TestHost, state};
//! use serde::{Deserialize, Serialize};
//! use std::io::{BufRead, Write};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! enum Command<'a> {
//!     Open { owner: &'a str },
//!     Pay { amount: u32 },
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum Refusal {
//!     NotEnough { balance: u32 },
//!     Malformed(String),
//! }
//!
//! impl From<Malformed> for Refusal {
//!     fn from(why: Malformed) -> Self {
//!         Self::Malformed(why.to_string())
//!     }
//! }
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Account {
//!     owner: String,
//!     balance: u32,
//! }
//!
//! impl StateMachine for Account {
//!     const NAME: &'static str = "account";
//!     const VERSION: &'static str = "1.0.0";
//!     type Format = Postcard;
//!     type Command<'a> = Command<'a>;
//!     type Query<'a> = ();
//!     type Reply = u32;
//!     type Answer = u32;
//!     type Refusal = Refusal;
//!
//!     fn init(_: &Environment) -> Result<Self, Error> {
//!         Ok(Self { owner: String::new(), balance: 100 })
//!     }
//!
//!     fn apply(&mut self, _: &Environment, command: Command<'_>) -> Result<u32, Refusal> {
//!         match command {
//!             Command::Open { owner } => self.owner = owner.to_owned(),
//!             Command::Pay { amount } => {
//!                 let balance = self.balance;
//!                 let rest = balance.checked_sub(amount);
//!                 self.balance = rest.ok_or(Refusal::NotEnough { balance })?;
//!             }
//!         }
//!         Ok(self.balance)
//!     }
//!
//!     fn query(&self, _: &Environment, (): ()) -> Result<u32, Refusal> {
//!         Ok(self.balance)
//!     }
//!
//!     fn snapshot(&self, _: &Environment, sink: &mut impl Write) -> Result<(), Error> {
//!         state::save(self, sink)
//!     }
//!
//!     fn restore(_: &Environment, source: &mut impl BufRead) -> Result<Self, Error> {
//!         state::load(source)
//!     }
//! }
//!
//! coracle_guest::export!(Account);
//!
//! let mut host = TestHost::<Account>::new()?;
//! let pay = |amount| Postcard::bytes(&Command::Pay { amount });
//! assert_eq!(host.apply(pay(30)), Ok(Postcard::bytes(&70u32)));
//! assert_eq!(host.apply(pay(80)), Err(Postcard::bytes(&Refusal::NotEnough { balance: 70 })));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Determinism
//!
//! A machine's answers and its state may depend on nothing but its commands and the
//! [`Environment`]. The host enforces it: there are no files and no sockets, and the clocks and the
//! random numbers of `std` give constants of the entry.

mod environment; // what a machine may know of the world
mod error; // why it cannot begin or end
mod export; // the macro
mod format; // commands and replies to bytes and back
mod frame; // a group of commands to a group of outcomes
mod machine; // the trait
pub mod state;

#[cfg(target_family = "wasm")]
pub mod guest;
#[cfg(not(target_family = "wasm"))]
mod test_host; // runs a machine in native unit tests

pub use environment::{Environment, Level};
pub use error::Error;
pub use format::{Decode, Encode, Malformed, Postcard, Raw, Text};
pub use frame::{BadFrame, apply_frame, commands, query};
pub use machine::StateMachine;
#[cfg(not(target_family = "wasm"))]
pub use test_host::{Outcome, TestHost, check_restore};
