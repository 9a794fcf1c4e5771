//! The sandbox: runs plugins as WebAssembly components under wasmtime.
