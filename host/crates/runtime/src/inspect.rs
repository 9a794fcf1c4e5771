//! Reads a component before anything is compiled: validity, caps, imports, exports, and per
//! function what the depth counter must know.

use wasmparser::{
    ComponentExternalKind, Encoding, FuncValidatorAllocations, FunctionBody, Operator, Parser,
    Payload, TypeRef, ValType, ValidPayload, Validator,
};

use crate::engine::{CONTRACT, FEATURES};
use crate::sections::plausible;
use crate::stage::{Caps, StageError};

/// Least native bytes a function's frame is taken to need: return address, saved registers, and
/// what a call needs around it.
const FRAME_BASE: u64 = 128;

/// Native bytes per local and per operand: without SIMD no value is wider.
const SLOT: u64 = 8;

/// Alignment of a stack in linear memory.
const SHADOW_ALIGN: i32 = 16;

/// Interfaces of the contract that a plugin may import, of any patch version.
const CONTRACT_IMPORTS: &[&str] = &[
    "coracle:fsm/environment",
    "coracle:fsm/log",
    "coracle:fsm/state",
];

/// Interfaces of WASI 0.2 that a plugin may import; all are deterministic here.
const WASI_IMPORTS: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
];

/// The interface every plugin exports.
pub(crate) const MACHINE: &str = "coracle:fsm/machine@0.1.0";

/// What was found in a component.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Core modules in the order of their bytes.
    pub(crate) modules: Vec<ModuleFacts>,
}

/// What the depth counter must know of a core module.
#[derive(Debug, Default)]
pub(crate) struct ModuleFacts {
    /// Results of each type.
    pub(crate) results: Vec<Vec<ValType>>,
    pub(crate) imported_functions: u32,
    pub(crate) globals: u32,
    /// Per global whether it may be a toolchain's stack pointer.
    stack_pointers: Vec<bool>,
    /// Defined functions in order.
    pub(crate) functions: Vec<FunctionFacts>,
}

/// What the depth counter must know of a function.
#[derive(Debug)]
pub(crate) struct FunctionFacts {
    pub(crate) ty: u32,
    /// Estimated native bytes of its frame.
    pub(crate) frame: u64,
    /// Indexes of the functions it calls by name.
    pub(crate) calls: Vec<u32>,
    /// Whether it calls through a table.
    pub(crate) indirect: bool,
    /// The frame it takes from the stack in linear memory, if it does so first of all.
    pub(crate) shadow: Option<ShadowFrame>,
}

/// A frame on the stack that C-like toolchains keep in linear memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShadowFrame {
    /// The global that is the stack pointer.
    pub(crate) pointer: u32,
    /// Bytes taken from it.
    pub(crate) bytes: i32,
}

/// Checks the bytes against everything but their behaviour.
pub(crate) fn inspect(bytes: &[u8], caps: &Caps) -> Result<Inspection, StageError> {
    caps.check("bytes", bytes.len() as u64, caps.component_bytes)?;
    if Parser::is_core_wasm(bytes) {
        return Err(StageError::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(StageError::NotWasm);
    }
    Walk::new(caps).run(bytes)
}

impl ModuleFacts {
    fn add_global(&mut self, may_be_stack_pointer: bool) {
        self.globals += 1;
        self.stack_pointers.push(may_be_stack_pointer);
    }
}

/// Where LLVM lets a stack begin: aligned, and not among small numbers.
fn is_stack_top(value: i32) -> bool {
    value >= 1024 && value % SHADOW_ALIGN == 0
}

struct Walk<'a> {
    caps: &'a Caps,
    open: Vec<Encoding>,
    functions: u64,
    imports: Vec<String>,
    exported: bool,
    inspection: Inspection,
}

impl<'a> Walk<'a> {
    fn new(caps: &'a Caps) -> Self {
        Self {
            caps,
            open: Vec::new(),
            functions: 0,
            imports: Vec::new(),
            exported: false,
            inspection: Inspection::default(),
        }
    }

    fn run(mut self, bytes: &[u8]) -> Result<Inspection, StageError> {
        let mut validator = Validator::new_with_features(FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        let mut parser = Parser::new(0);
        // How an immediate may be spelt depends on what is on.
        parser.set_features(FEATURES);
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            plausible(&payload)?;
            match validator.payload(&payload)? {
                ValidPayload::Func(function, body) => {
                    self.caps.check(
                        "bytes of a function",
                        body.range().len() as u64,
                        self.caps.body_bytes,
                    )?;
                    let ty = function.ty;
                    let mut function = function.into_validator(allocations);
                    let mut facts = function_facts(ty, &mut function, &body)?;
                    let module = self.module()?;
                    facts.shadow = facts
                        .shadow
                        .filter(|f| module.stack_pointers[f.pointer as usize]);
                    self.caps
                        .check("bytes of a frame", facts.frame, self.caps.frame_bytes)?;
                    self.module()?.functions.push(facts);
                    allocations = function.into_allocations();
                }
                ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::End(_) => {}
            }
            self.payload(payload)?;
        }
        self.verdict()
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), StageError> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.open.push(encoding);
                if encoding == Encoding::Module {
                    self.inspection.modules.push(ModuleFacts::default());
                    let modules = self.inspection.modules.len() as u64;
                    self.caps
                        .check("core modules", modules, self.caps.modules)?;
                }
            }
            Payload::End(_) => {
                self.open.pop();
            }
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    let results = ty?.results().to_vec();
                    self.module()?.results.push(results);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) => self.module()?.imported_functions += 1,
                        TypeRef::Global(_) => self.module()?.add_global(true),
                        _ => {}
                    }
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let first = global?.init_expr.get_operators_reader().read()?;
                    let pointer =
                        matches!(first, Operator::I32Const { value } if is_stack_top(value));
                    self.module()?.add_global(pointer);
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(count);
                self.caps
                    .check("functions", self.functions, self.caps.functions)?;
            }
            Payload::ComponentImportSection(section) if self.open.len() == 1 => {
                for import in section {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if self.open.len() == 1 => {
                for export in section {
                    let export = export?;
                    self.exported |= export.name.name == MACHINE
                        && export.kind == ComponentExternalKind::Instance;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn module(&mut self) -> Result<&mut ModuleFacts, StageError> {
        self.inspection
            .modules
            .last_mut()
            .ok_or_else(|| StageError::Invalid("a core section outside of a core module".into()))
    }

    fn verdict(self) -> Result<Inspection, StageError> {
        let foreign: Vec<String> = self
            .imports
            .into_iter()
            .filter(|name| !is_known_import(name))
            .collect();
        if !foreign.is_empty() {
            return Err(StageError::Imports(foreign));
        }
        if !self.exported {
            return Err(StageError::NoMachine);
        }
        Ok(self.inspection)
    }
}

/// `name` is an interface of the contract's or WASI's version track.
fn is_known_import(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    let on_track = |track: &str| {
        version
            .strip_prefix(track)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|patch| patch.parse::<u32>().is_ok())
    };
    let (contract_track, _) = CONTRACT
        .rsplit_once('.')
        .expect("CONTRACT has a patch version");
    (CONTRACT_IMPORTS.contains(&interface) && on_track(contract_track))
        || (WASI_IMPORTS.contains(&interface) && on_track("0.2"))
}

fn function_facts<T: wasmparser::WasmModuleResources>(
    ty: u32,
    function: &mut wasmparser::FuncValidator<T>,
    body: &FunctionBody<'_>,
) -> Result<FunctionFacts, StageError> {
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader)?;
    let mut operators = body.get_operators_reader()?;
    let (mut height, mut calls, mut indirect) = (0, Vec::new(), false);
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        function.op(offset, &operator)?;
        height = height.max(function.operand_stack_height());
        match operator {
            Operator::Call { function_index } => calls.push(function_index),
            Operator::CallIndirect { .. } => indirect = true,
            _ => {}
        }
    }
    operators.finish()?;
    calls.sort_unstable();
    calls.dedup();
    let slots = u64::from(function.len_locals()) + u64::from(height);
    let shadow = shadow_frame(body)?;
    Ok(FunctionFacts {
        ty,
        frame: FRAME_BASE + SLOT * slots,
        calls,
        indirect,
        shadow,
    })
}

/// LLVM's prologue: `global.get SP, i32.const BYTES, i32.sub, local.tee _, global.set SP`.
fn shadow_frame(body: &FunctionBody<'_>) -> Result<Option<ShadowFrame>, StageError> {
    let mut operators = body.get_operators_reader()?;
    let mut next = || {
        if operators.eof() {
            Ok(Operator::End)
        } else {
            operators.read()
        }
    };
    Ok(match (next()?, next()?, next()?, next()?, next()?) {
        (
            Operator::GlobalGet {
                global_index: pointer,
            },
            Operator::I32Const { value: bytes },
            Operator::I32Sub,
            Operator::LocalTee { .. },
            Operator::GlobalSet { global_index },
        ) if pointer == global_index && bytes > 0 && bytes % SHADOW_ALIGN == 0 => {
            Some(ShadowFrame { pointer, bytes })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_known_by_interface_and_version_track() {
        for known in [
            "coracle:fsm/log@0.1.0",
            "coracle:fsm/state@0.1.7",
            "wasi:io/poll@0.2.11",
        ] {
            assert!(is_known_import(known), "{known}");
        }
        for foreign in [
            "coracle:fsm/log",
            "coracle:fsm/log@0.2.0",
            "coracle:fsm/machine@0.1.0",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc",
            "wasi:sockets/tcp@0.2.0",
            "run",
        ] {
            assert!(!is_known_import(foreign), "{foreign}");
        }
    }
}
