//! A plugin whose `describe` traps, for tests of the host. It is apart from `hostile`, because a
//! plugin has no settings when it is described.
#![cfg(target_family = "wasm")]

use coracle_guest::guest::bindings::exports::coracle::fsm::machine::{
    Description, Guest, Sink, Source,
};

struct Component;

impl Guest for Component {
    fn describe() -> Description {
        panic!("hostile-describe-trap has nothing to say");
    }

    fn init() -> Result<(), Vec<u8>> {
        Ok(())
    }

    fn apply(_: Vec<u8>) -> Vec<u8> {
        Vec::new()
    }

    fn query(_: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        Ok(Vec::new())
    }

    fn snapshot(_: Sink) -> Result<(), Vec<u8>> {
        Ok(())
    }

    fn restore(_: Source) -> Result<(), Vec<u8>> {
        Ok(())
    }
}

coracle_guest::export_component!(Component);
