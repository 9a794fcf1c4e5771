//! What a guest may call.

/// `coracle:fsm/{environment,log,state}`.
mod contract;
/// The deterministic stub of WASI 0.2.
mod wasi;

use wasmtime::Result;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

use crate::fault::GuestError;
use crate::store::Data;

pub(crate) use contract::{SinkHandle, SourceHandle};

/// A linker for one component: ours, and a trap for each function of a known interface that has
/// no meaning here (files, mostly).
pub(crate) fn linker(component: &Component) -> Result<Linker<Data>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    contract::define(&mut linker)?;
    wasi::define(&mut linker)?;
    linker.allow_shadowing(true);
    for (name, import) in component.component_type().imports(engine) {
        if let ComponentItem::ComponentInstance(instance) = import.ty {
            if wasi::is_whole(name) || name.starts_with("coracle:") {
                continue;
            }
            let mut target = linker.instance(name)?;
            for (item, external) in instance.exports(engine) {
                define_trap(&mut target, name, item, &external.ty)?;
            }
        }
    }
    Ok(linker)
}

fn define_trap(
    target: &mut LinkerInstance<'_, Data>,
    interface: &str,
    item: &str,
    ty: &ComponentItem,
) -> Result<()> {
    match ty {
        ComponentItem::ComponentFunc(_) => {
            let name = format!("{interface}#{item}");
            target.func_new(item, move |_, _, _, _| {
                Err(GuestError::trap(format!("{name} is not available to a state machine")).into())
            })
        }
        ComponentItem::Resource(_) => {
            target.resource(item, ResourceType::host::<Unavailable>(), |_, _| Ok(()))
        }
        _ => Ok(()),
    }
}

/// A resource that no instance ever gets.
struct Unavailable;
