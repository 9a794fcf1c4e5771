//! The macro that makes a component of a machine.

/// Exports a [`StateMachine`](crate::StateMachine) as the component's `coracle:fsm/machine`.
///
/// Expands to nothing off wasm, because a native linker cannot write the contract's names; so the
/// same crate has native unit tests.
#[macro_export]
macro_rules! export {
    ($machine:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::guest::{
                self, Slot,
                bindings::exports::coracle::fsm::machine::{Description, Guest, Sink, Source},
            };

            ::std::thread_local! {
                static MACHINE: Slot<$machine> = const { Slot::new(None) };
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> Description {
                    guest::describe::<$machine>()
                }
                fn init() -> Result<(), Vec<u8>> {
                    MACHINE.with(guest::init)
                }
                fn apply(frame: Vec<u8>) -> Vec<u8> {
                    MACHINE.with(|machine| guest::apply(machine, &frame))
                }
                fn query(request: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
                    MACHINE.with(|machine| guest::query(machine, &request))
                }
                fn snapshot(sink: Sink) -> Result<(), Vec<u8>> {
                    MACHINE.with(|machine| guest::snapshot(machine, sink))
                }
                fn restore(source: Source) -> Result<(), Vec<u8>> {
                    MACHINE.with(|machine| guest::restore(machine, source))
                }
            }

            $crate::export_component!(Component);
        };
    };
}

/// Exports a hand-written implementation of the generated `Guest` trait. For plugins that break the
/// contract on purpose; see [`export!`].
#[macro_export]
macro_rules! export_component {
    ($component:ident) => {
        #[cfg(target_family = "wasm")]
        #[allow(
            unsafe_code,
            clippy::allow_attributes_without_reason,
            reason = "generated"
        )]
        const _: () = {
            $crate::guest::bindings::export_machine!(
                $component with_types_in $crate::guest::bindings
            );
        };
    };
}
