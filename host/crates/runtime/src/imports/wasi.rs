//! A deterministic stub of WASI 0.2: no files, no sockets, no arguments; standard output goes to
//! the log, clocks show the entry's time, random bytes come from the entry's stream.

use wasmtime::Result;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, WasmList,
};

use super::Unavailable;
use super::contract::{RANDOM_FUEL, random, write_log};
use crate::fault::GuestError;
use crate::store::{Context, Data, charge};

/// Bytes that a guest is told it may write to a stream at once.
const WRITE_PERMIT: u64 = 64 << 10;

/// Most bytes that one `get-random-bytes` gives; more is refused, for all must be given.
const MAX_RANDOM: u64 = 1 << 20;

/// What `insecure-seed` says, always: hash tables must not depend on when an instance began.
const INSECURE_SEED: (u64, u64) = (0x636f_7261_636c_6500, 0x7365_6564_0000_0001);

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

struct IoError;
struct Pollable;
struct InputStream;
struct OutputStream;
struct TerminalInput;
struct TerminalOutput;

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "the type has it, our streams never fail that way")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Whether all of the interface is defined here.
pub(super) fn is_whole(import: &str) -> bool {
    import.starts_with("wasi:") && !import.starts_with("wasi:filesystem/types@")
}

pub(super) fn define(linker: &mut Linker<Data>) -> Result<()> {
    process(linker)?;
    terminals(linker)?;
    io(linker)?;
    input(&mut linker.instance("wasi:io/streams@0.2.0")?)?;
    linker.allow_shadowing(true);
    output(&mut linker.instance("wasi:io/streams@0.2.0")?)?;
    linker.allow_shadowing(false);
    clocks(linker)?;
    randoms(linker)
}

fn process(linker: &mut Linker<Data>) -> Result<()> {
    let mut environment = linker.instance("wasi:cli/environment@0.2.0")?;
    answer(&mut environment, "get-environment", |_| {
        Ok(Vec::<(String, String)>::new())
    })?;
    answer(&mut environment, "get-arguments", |_| {
        Ok(Vec::<String>::new())
    })?;
    answer(&mut environment, "initial-cwd", |_| Ok(None::<String>))?;
    linker.instance("wasi:cli/exit@0.2.0")?.func_wrap(
        "exit",
        |_: Context<'_>, _: (Result<(), ()>,)| -> Result<()> {
            Err(GuestError::trap("the guest called exit").into())
        },
    )?;
    let mut stdin = linker.instance("wasi:cli/stdin@0.2.0")?;
    answer(&mut stdin, "get-stdin", |_| {
        Ok(Resource::<InputStream>::new_own(0))
    })?;
    let mut stdout = linker.instance("wasi:cli/stdout@0.2.0")?;
    answer(&mut stdout, "get-stdout", |_| {
        Ok(Resource::<OutputStream>::new_own(STDOUT))
    })?;
    let mut stderr = linker.instance("wasi:cli/stderr@0.2.0")?;
    answer(&mut stderr, "get-stderr", |_| {
        Ok(Resource::<OutputStream>::new_own(STDERR))
    })?;
    let mut preopens = linker.instance("wasi:filesystem/preopens@0.2.0")?;
    answer(&mut preopens, "get-directories", |_| {
        Ok(Vec::<(Resource<Unavailable>, String)>::new())
    })
}

fn terminals(linker: &mut Linker<Data>) -> Result<()> {
    let mut input = linker.instance("wasi:cli/terminal-input@0.2.0")?;
    input.resource(
        "terminal-input",
        ResourceType::host::<TerminalInput>(),
        |_, _| Ok(()),
    )?;
    let mut output = linker.instance("wasi:cli/terminal-output@0.2.0")?;
    output.resource(
        "terminal-output",
        ResourceType::host::<TerminalOutput>(),
        |_, _| Ok(()),
    )?;
    let mut stdin = linker.instance("wasi:cli/terminal-stdin@0.2.0")?;
    answer(&mut stdin, "get-terminal-stdin", |_| {
        Ok(None::<Resource<TerminalInput>>)
    })?;
    let mut stdout = linker.instance("wasi:cli/terminal-stdout@0.2.0")?;
    answer(&mut stdout, "get-terminal-stdout", |_| {
        Ok(None::<Resource<TerminalOutput>>)
    })?;
    let mut stderr = linker.instance("wasi:cli/terminal-stderr@0.2.0")?;
    answer(&mut stderr, "get-terminal-stderr", |_| {
        Ok(None::<Resource<TerminalOutput>>)
    })
}

fn io(linker: &mut Linker<Data>) -> Result<()> {
    let mut error = linker.instance("wasi:io/error@0.2.0")?;
    error.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    on::<IoError, _>(&mut error, "[method]error.to-debug-string", |_| {
        Ok(String::new())
    })?;
    let mut poll = linker.instance("wasi:io/poll@0.2.0")?;
    poll.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    on::<Pollable, _>(&mut poll, "[method]pollable.ready", |_| Ok(true))?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: Context<'_>, _: (Resource<Pollable>,)| charge(&mut store, 0),
    )?;
    poll.func_wrap(
        "poll",
        |mut store: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            charge(&mut store, all.len() as u64)?;
            // Nothing here ever has to be waited for.
            Ok(((0..all.len() as u32).collect::<Vec<u32>>(),))
        },
    )
}

fn input(streams: &mut LinkerInstance<'_, Data>) -> Result<()> {
    streams.resource(
        "input-stream",
        ResourceType::host::<InputStream>(),
        |_, _| Ok(()),
    )?;
    for name in [
        "[method]input-stream.read",
        "[method]input-stream.blocking-read",
    ] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, _: (Resource<InputStream>, u64)| {
                charge(&mut store, 0)?;
                Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
            },
        )?;
    }
    for name in [
        "[method]input-stream.skip",
        "[method]input-stream.blocking-skip",
    ] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, _: (Resource<InputStream>, u64)| {
                charge(&mut store, 0)?;
                Ok((Err::<u64, _>(StreamError::Closed),))
            },
        )?;
    }
    on::<InputStream, _>(streams, "[method]input-stream.subscribe", |_| {
        Ok(Resource::<Pollable>::new_own(0))
    })
}

fn output(streams: &mut LinkerInstance<'_, Data>) -> Result<()> {
    streams.resource(
        "output-stream",
        ResourceType::host::<OutputStream>(),
        |_, _| Ok(()),
    )?;
    on::<OutputStream, _>(streams, "[method]output-stream.check-write", |_| {
        Ok(Ok::<_, StreamError>(WRITE_PERMIT))
    })?;
    for name in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, (stream, bytes): (Resource<OutputStream>, WasmList<u8>)| {
                charge(&mut store, bytes.len() as u64)?;
                let level = if stream.rep() == STDERR { 3 } else { 2 };
                write_log(&mut store, level, &bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for name in [
        "[method]output-stream.flush",
        "[method]output-stream.blocking-flush",
    ] {
        on::<OutputStream, _>(streams, name, |_| Ok(Ok::<(), StreamError>(())))?;
    }
    for name in [
        "[method]output-stream.write-zeroes",
        "[method]output-stream.blocking-write-zeroes-and-flush",
    ] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, _: (Resource<OutputStream>, u64)| {
                charge(&mut store, 0)?;
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for name in [
        "[method]output-stream.splice",
        "[method]output-stream.blocking-splice",
    ] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, _: (Resource<OutputStream>, Resource<InputStream>, u64)| {
                charge(&mut store, 0)?;
                Ok((Err::<u64, _>(StreamError::Closed),))
            },
        )?;
    }
    on::<OutputStream, _>(streams, "[method]output-stream.subscribe", |_| {
        Ok(Resource::<Pollable>::new_own(0))
    })
}

fn clocks(linker: &mut Linker<Data>) -> Result<()> {
    const NANOS: u64 = 1_000_000_000;
    let mut wall = linker.instance("wasi:clocks/wall-clock@0.2.0")?;
    answer(&mut wall, "now", |store| {
        let time = store.data().environment.time;
        Ok(Datetime {
            seconds: time / NANOS,
            nanoseconds: (time % NANOS) as u32,
        })
    })?;
    answer(&mut wall, "resolution", |_| {
        Ok(Datetime {
            seconds: 0,
            nanoseconds: 1,
        })
    })?;
    let mut monotonic = linker.instance("wasi:clocks/monotonic-clock@0.2.0")?;
    answer(&mut monotonic, "now", |store| {
        Ok(store.data().environment.time)
    })?;
    answer(&mut monotonic, "resolution", |_| Ok(1u64))?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        monotonic.func_wrap(name, |mut store: Context<'_>, _: (u64,)| {
            charge(&mut store, 0)?;
            Ok((Resource::<Pollable>::new_own(0),))
        })?;
    }
    Ok(())
}

fn randoms(linker: &mut Linker<Data>) -> Result<()> {
    for (interface, bytes, integer) in [
        (
            "wasi:random/random@0.2.0",
            "get-random-bytes",
            "get-random-u64",
        ),
        (
            "wasi:random/insecure@0.2.0",
            "get-insecure-random-bytes",
            "get-insecure-random-u64",
        ),
    ] {
        let mut instance = linker.instance(interface)?;
        instance.func_wrap(bytes, |mut store: Context<'_>, (len,): (u64,)| {
            if len > MAX_RANDOM {
                charge(&mut store, 0)?;
                return Err(GuestError::trap(format!("{len} random bytes at once")).into());
            }
            Ok((random(&mut store, len as u32)?,))
        })?;
        answer(&mut instance, integer, |store| {
            charge(store, RANDOM_FUEL * 8)?;
            let mut bytes = [0; 8];
            store.data_mut().random.fill(&mut bytes);
            Ok(u64::from_le_bytes(bytes))
        })?;
    }
    let mut seed = linker.instance("wasi:random/insecure-seed@0.2.0")?;
    // `wasi:random@0.2` returns a pair; a tuple as the only result needs its own tuple around.
    answer(&mut seed, "insecure-seed", |_| Ok(INSECURE_SEED))
}

/// A function without parameters.
fn answer<R>(
    instance: &mut LinkerInstance<'_, Data>,
    name: &str,
    value: impl Fn(&mut Context<'_>) -> Result<R> + Send + Sync + 'static,
) -> Result<()>
where
    R: ComponentType + Lower + Send + 'static,
{
    instance.func_wrap(name, move |mut store: Context<'_>, (): ()| {
        charge(&mut store, 0)?;
        Ok((value(&mut store)?,))
    })
}

/// A method without parameters but its resource.
fn on<T: 'static, R>(
    instance: &mut LinkerInstance<'_, Data>,
    name: &str,
    value: impl Fn(&mut Context<'_>) -> Result<R> + Send + Sync + 'static,
) -> Result<()>
where
    R: ComponentType + Lower + Send + 'static,
{
    instance.func_wrap(name, move |mut store: Context<'_>, _: (Resource<T>,)| {
        charge(&mut store, 0)?;
        Ok((value(&mut store)?,))
    })
}
