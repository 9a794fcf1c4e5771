//! Golden frames and components of the contract.
