//! From bytes to a plugin that can be started.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, InstancePre};

use crate::Limits;
use crate::depth::instrument;
use crate::engine::{CONTRACT, EPOCH, Engine};
use crate::exports::{Description, Exports, Guest};
use crate::fault::Fault;
use crate::imports::linker;
use crate::inspect::{MACHINE, inspect};
use crate::store::Data;

/// Most bytes of a plugin's name or version.
const MAX_LABEL: usize = 256;

/// Caps on what is compiled, so that compilation ends in bounded time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of a component. Interpreters have up to 20 MiB.
    pub component_bytes: u64,
    /// Core modules in a component.
    pub modules: u64,
    /// Functions over all modules.
    pub functions: u64,
    /// Bytes of one function's code.
    pub body_bytes: u64,
    /// Estimated bytes of one function's stack frame.
    pub frame_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            modules: 64,
            functions: 200_000,
            body_bytes: 2 << 20,
            frame_bytes: 256 << 10,
        }
    }
}

impl Caps {
    pub(crate) fn check(&self, what: &'static str, found: u64, cap: u64) -> Result<(), StageError> {
        if found > cap {
            Err(StageError::Cap { what, found, cap })
        } else {
            Ok(())
        }
    }
}

/// Why bytes are no plugin for this engine.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Neither a module nor a component.
    #[error("not wasm: the file does not begin like a WebAssembly component")]
    NotWasm,
    /// A core module: the toolchain's last step is missing.
    #[error(
        "is a core module, not a component: build for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Not valid, or valid only with a proposal that is off here.
    #[error("not a valid component for this engine: {0}")]
    Invalid(String),
    /// Larger than a cap of this node.
    #[error("too large: {found} {what}, at most {cap} are allowed")]
    Cap {
        /// What was counted.
        what: &'static str,
        /// How much of it there is.
        found: u64,
        /// The cap.
        cap: u64,
    },
    /// Imports that no state machine gets.
    #[error("imports what a state machine may not use: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// The interface of the contract is missing.
    #[error("does not export {MACHINE}")]
    NoMachine,
    /// An import or export does not have the contract's type.
    #[error("does not fit the contract: {0}")]
    Contract(String),
    /// The engine refused to compile it.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// It could not be instantiated within a default fsm's limits.
    #[error("cannot be instantiated: {0}")]
    Instantiate(#[source] Fault),
    /// `describe` failed.
    #[error("describe failed: {0}")]
    Describe(#[source] Fault),
    /// `describe` returned something that is no label.
    #[error("describe gave a {field} that is not UTF-8 text of 1 to {MAX_LABEL} bytes")]
    Label {
        /// Name or version.
        field: &'static str,
    },
    /// This machine cannot run the engine.
    #[error("cannot make the engine: {0}")]
    Engine(String),
    /// The folder of compiled code failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Cache {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl From<wasmparser::BinaryReaderError> for StageError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid(format!(
            "{} (at offset {:#x})",
            error.message(),
            error.offset()
        ))
    }
}

/// A compiled plugin. Cheap to clone; instances keep what they need of it.
#[derive(Clone)]
pub struct Plugin {
    digest: [u8; 32],
    name: String,
    version: String,
    pub(crate) guest: Arc<Guest>,
}

impl Plugin {
    /// SHA-256 of the original bytes: the plugin's identity.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version it gives itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The engine epoch that runs it.
    pub fn epoch(&self) -> u32 {
        EPOCH
    }

    /// The version of the contract it was built against.
    pub fn contract(&self) -> &'static str {
        CONTRACT
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

pub(crate) fn stage(engine: &Engine, bytes: &[u8]) -> Result<Plugin, StageError> {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let component = match &engine.cache {
        Some(cache) => match cache.load(&engine.wasmtime, &digest)? {
            Some(component) => component,
            None => {
                let component = compile(engine, bytes)?;
                cache.store(&digest, &component)?;
                component
            }
        },
        None => compile(engine, bytes)?,
    };
    let guest = Guest {
        pre: link(&component)?,
        exports: Exports::find(&component)?,
    };
    let Description { name, version } = guest.describe(&Limits::default())?;
    Ok(Plugin {
        digest,
        name: label("name", name)?,
        version: label("version", version)?,
        guest: Arc::new(guest),
    })
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, StageError> {
    let inspection = inspect(bytes, &engine.caps)?;
    let component = if engine.depth_counter {
        Component::from_binary(&engine.wasmtime, &instrument(bytes, &inspection)?)
    } else {
        Component::from_binary(&engine.wasmtime, bytes)
    };
    component.map_err(|error| StageError::Compile(format!("{error:#}")))
}

fn link(component: &Component) -> Result<InstancePre<Data>, StageError> {
    linker(component)
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(|error| StageError::Contract(format!("{error:#}")))
}

fn label(field: &'static str, bytes: Vec<u8>) -> Result<String, StageError> {
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty() && text.len() <= MAX_LABEL)
        .ok_or(StageError::Label { field })
}
