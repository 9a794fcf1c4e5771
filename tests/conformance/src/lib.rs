//! Golden frames and components of the contract: what a host must go on serving, and what an SDK
//! must read and write, for as long as a version of the contract is published.
//!
//! `contract-VERSION/machine.wasm` is a component of that version, which counts: a command whose
//! first byte is `n` is refused, any other adds one, and each answers the count as eight bytes.
//! `NAME.commands` is a frame, `NAME.outcomes` what that component answers to it when fresh.
//! `malformed/` holds frames that must be refused; outcomes there claim to answer two commands.
