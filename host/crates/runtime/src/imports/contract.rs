//! `coracle:fsm/{environment,log,state}@0.1.0`.

use wasmtime::Result;
use wasmtime::component::{Linker, Resource, ResourceType, WasmList};

use crate::fault::{FailureClass, GuestError};
use crate::printable::printable;
use crate::store::{Context, Data, charge};

/// Most bytes that one `random` gives.
const MAX_RANDOM: u32 = 65_536;

/// Most bytes that one `source.read` gives.
const MAX_READ: u32 = 1 << 20;

/// Fuel of a random byte, which costs half a round of SHA-256.
pub(super) const RANDOM_FUEL: u64 = 8;

/// Where a snapshot goes. There is one at a time, so the handle says nothing.
pub(crate) struct SinkHandle;

/// Where a restore comes from.
pub(crate) struct SourceHandle;

pub(super) fn define(linker: &mut Linker<Data>) -> Result<()> {
    environment(linker)?;
    log(linker)?;
    state(linker)
}

fn environment(linker: &mut Linker<Data>) -> Result<()> {
    let mut instance = linker.instance("coracle:fsm/environment@0.1.0")?;
    instance.func_wrap("time", |mut store: Context<'_>, (): ()| {
        charge(&mut store, 0)?;
        Ok((store.data().environment.time,))
    })?;
    instance.func_wrap("random", |mut store: Context<'_>, (len,): (u32,)| {
        let len = len.min(MAX_RANDOM);
        Ok((random(&mut store, len)?,))
    })?;
    instance.func_wrap(
        "config",
        |mut store: Context<'_>, (key,): (WasmList<u8>,)| {
            charge(&mut store, key.len() as u64)?;
            let value = store.data().settings.get(key.as_le_slice(&store)).cloned();
            charge(
                &mut store,
                value.as_ref().map_or(0, |value| value.len() as u64),
            )?;
            Ok((value,))
        },
    )
}

/// The next bytes of this call's stream.
pub(super) fn random(store: &mut Context<'_>, len: u32) -> Result<Vec<u8>> {
    charge(store, RANDOM_FUEL * u64::from(len))?;
    let mut bytes = vec![0; len as usize];
    store.data_mut().random.fill(&mut bytes);
    Ok(bytes)
}

fn log(linker: &mut Linker<Data>) -> Result<()> {
    let mut instance = linker.instance("coracle:fsm/log@0.1.0")?;
    instance.func_wrap(
        "write",
        |mut store: Context<'_>, (level, message): (u8, WasmList<u8>)| {
            charge(&mut store, message.len() as u64)?;
            write_log(&mut store, level, &message);
            Ok(())
        },
    )
}

/// Passes on what fits into the call's limit. Nothing comes back to the guest.
pub(super) fn write_log(store: &mut Context<'_>, level: u8, message: &WasmList<u8>) {
    let left = store.data().log_left;
    let kept = left.min(message.len() as u64);
    let text = String::from_utf8_lossy(&message.as_le_slice(&*store)[..kept as usize]);
    let text = printable(text.trim_end_matches('\n'));
    if !text.is_empty() {
        match level {
            0 => tracing::trace!(target: "coracle::guest", "{text}"),
            1 => tracing::debug!(target: "coracle::guest", "{text}"),
            2 => tracing::info!(target: "coracle::guest", "{text}"),
            3 => tracing::warn!(target: "coracle::guest", "{text}"),
            _ => tracing::error!(target: "coracle::guest", "{text}"),
        }
    }
    store.data_mut().log_left = left - kept;
}

fn state(linker: &mut Linker<Data>) -> Result<()> {
    let mut instance = linker.instance("coracle:fsm/state@0.1.0")?;
    instance.resource("sink", ResourceType::host::<SinkHandle>(), |_, _| Ok(()))?;
    instance.resource(
        "source",
        ResourceType::host::<SourceHandle>(),
        |_, _| Ok(()),
    )?;
    instance.func_wrap(
        "[method]sink.write",
        |mut store: Context<'_>, (_, chunk): (Resource<SinkHandle>, WasmList<u8>)| {
            charge(&mut store, chunk.len() as u64)?;
            // Taken out while the guest's memory is borrowed.
            let Some(mut sink) = store.data_mut().sink.take() else {
                return Err(GuestError::trap("sink used after its call").into());
            };
            let fits = sink.write(chunk.as_le_slice(&store));
            store.data_mut().sink = Some(sink);
            if fits? {
                Ok(())
            } else {
                Err(too_large().into())
            }
        },
    )?;
    instance.func_wrap(
        "[method]source.read",
        |mut store: Context<'_>, (_, max): (Resource<SourceHandle>, u32)| {
            let Some(source) = store.data_mut().source.as_mut() else {
                return Err(GuestError::trap("source used after its call").into());
            };
            let chunk = source.read(max.min(MAX_READ) as usize)?;
            grant_for(&mut store, chunk.len() as u64)?;
            charge(&mut store, chunk.len() as u64)?;
            Ok((chunk,))
        },
    )
}

fn too_large() -> GuestError {
    let reason = "the snapshot is larger than its limit".into();
    GuestError {
        class: FailureClass::BadResult,
        reason,
    }
}

/// How large the state will become is not known when `restore` begins, so its fuel comes with the
/// bytes.
fn grant_for(store: &mut Context<'_>, bytes: u64) -> Result<()> {
    let per_mib = u128::from(store.data().state_fuel_per_mib);
    let granted = u64::try_from((per_mib * u128::from(bytes)) >> 20).unwrap_or(u64::MAX);
    let fuel = store.get_fuel()?.saturating_add(granted);
    store.set_fuel(fuel)
}
