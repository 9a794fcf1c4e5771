//! Tests of the core from the outside: several replicas that step each other's messages.

mod cases;
mod cluster;
mod confchange;
mod datadriven;
mod interaction;
mod interactions;
mod membership;
mod paper;
mod pitfalls;
mod quick;
mod random;
mod random_leadership;
mod script;
mod vectors;
