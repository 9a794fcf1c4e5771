//! Tests of the core from the outside: several replicas that step each other's messages.

mod cluster;
mod interaction;
mod interactions;
mod pitfalls;
mod random;
mod script;
mod vectors;
