//! The depth counter: an instrumentation pass that ends a recursion at the same call on every
//! replica, long before the native stack does.
//!
//! Each core module gets a global that holds how many bytes of stack are left. A function takes the
//! estimated bytes of its frame from it and gives them back at its end; when nothing is left, it
//! calls `TRIP_NAME`, which traps. A function whose whole call tree is known and small is left
//! as it is: such a tree ends by itself, and only one of them is on the stack at a time.
//!
//! A stack in linear memory usually ends before: where a function begins with LLVM's prologue, it is
//! checked that its frame fits, for what would follow is an access out of bounds like any other.
//!
//! A wrapped body is `prologue block BODY end epilogue`: the block stands where the function's own
//! label was, so branches keep their depths and only `return` becomes a branch.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Encode, Function, FunctionSection, GlobalSection,
    GlobalType, Instruction, NameMap, NameSection, TypeSection, ValType,
};
use wasmparser::{BinaryReader, CodeSectionReader, FunctionBody, Operator};

use crate::inspect::{FunctionFacts, Inspection, ModuleFacts, ShadowFrame};
use crate::stage::StageError;

/// Estimated bytes of stack that one component's guest frames may use, all its modules together.
pub(crate) const STACK_BUDGET: u64 = 16 << 20;

/// A call tree that needs no more than this is not counted.
const UNCOUNTED_BYTES: u64 = 64 << 10;

/// The function that traps when the stack is used up; the innermost frame of such a trap.
pub(crate) const TRIP_NAME: &str = "coracle: stack exhausted";

/// Adds the counter to every core module of a validated component.
pub(crate) fn instrument(bytes: &[u8], inspection: &Inspection) -> Result<Vec<u8>, StageError> {
    let counted: Vec<Vec<bool>> = inspection.modules.iter().map(counted_functions).collect();
    let modules = counted
        .iter()
        .filter(|module| module.contains(&true))
        .count() as u64;
    // Modules may call each other, so they share the budget.
    let budget = STACK_BUDGET / modules.max(1);
    let mut modules = inspection.modules.iter().zip(&counted);
    rewrite_component(bytes, &mut modules, budget)
}

type Modules<'a, 'b> = &'a mut dyn Iterator<Item = (&'b ModuleFacts, &'b Vec<bool>)>;

fn rewrite_component(
    bytes: &[u8],
    modules: Modules<'_, '_>,
    budget: u64,
) -> Result<Vec<u8>, StageError> {
    const CORE_MODULE: u8 = wasm_encoder::ComponentSectionId::CoreModule as u8;
    const COMPONENT: u8 = wasm_encoder::ComponentSectionId::Component as u8;
    rewrite_sections(bytes, |id, data, out| {
        match id {
            CORE_MODULE => {
                let (facts, counted) = modules.next().ok_or_else(miscounted)?;
                if counted.contains(&true) {
                    push_section(
                        out,
                        id,
                        &ModulePass {
                            facts,
                            counted,
                            budget,
                        }
                        .rewrite(data)?,
                    );
                } else {
                    push_section(out, id, data);
                }
            }
            COMPONENT => push_section(out, id, &rewrite_component(data, modules, budget)?),
            _ => push_section(out, id, data),
        }
        Ok(())
    })
}

/// Which functions are counted: those whose call tree is unknown, endless or large.
fn counted_functions(module: &ModuleFacts) -> Vec<bool> {
    tree_bytes(module)
        .into_iter()
        .map(|bytes| bytes.is_none_or(|b| b > UNCOUNTED_BYTES))
        .collect()
}

/// Per function the bytes its call tree needs, none if that is not known: it calls an import,
/// calls through a table, or is part of a cycle.
fn tree_bytes(module: &ModuleFacts) -> Vec<Option<u64>> {
    enum State {
        New,
        Open,
        Done(Option<u64>),
    }
    let mut states: Vec<State> = module.functions.iter().map(|_| State::New).collect();
    let callee = |index: u32| {
        index
            .checked_sub(module.imported_functions)
            .map(|i| i as usize)
    };
    for root in 0..module.functions.len() {
        // A stack of our own, for a chain of calls may be as long as the module.
        let mut path = vec![root];
        while let Some(&function) = path.last() {
            let facts = &module.functions[function];
            if matches!(states[function], State::Done(_)) {
                path.pop();
                continue;
            }
            if matches!(states[function], State::New) && !is_opaque(facts, module) {
                states[function] = State::Open;
                let fresh = facts.calls.iter().filter_map(|call| callee(*call));
                path.extend(fresh.filter(|callee| matches!(states[*callee], State::New)));
                continue;
            }
            // All callees are done, but those on the way here: they make a cycle.
            let deepest = facts.calls.iter().try_fold(0, |deepest: u64, call| {
                match callee(*call).map(|callee| &states[callee]) {
                    Some(State::Done(Some(bytes))) => Some(deepest.max(*bytes)),
                    _ => None,
                }
            });
            let known = deepest.filter(|_| !is_opaque(facts, module));
            states[function] = State::Done(known.map(|bytes| bytes.saturating_add(facts.frame)));
            path.pop();
        }
    }
    let done = |state| {
        if let State::Done(bytes) = state {
            bytes
        } else {
            None
        }
    };
    states.into_iter().map(done).collect()
}

fn is_opaque(function: &FunctionFacts, module: &ModuleFacts) -> bool {
    function.indirect
        || function
            .calls
            .iter()
            .any(|call| *call < module.imported_functions)
}

struct ModulePass<'a> {
    facts: &'a ModuleFacts,
    counted: &'a [bool],
    budget: u64,
}

impl ModulePass<'_> {
    fn rewrite(&self, bytes: &[u8]) -> Result<Vec<u8>, StageError> {
        const TYPE: u8 = wasm_encoder::SectionId::Type as u8;
        const FUNCTION: u8 = wasm_encoder::SectionId::Function as u8;
        const GLOBAL: u8 = wasm_encoder::SectionId::Global as u8;
        const CODE: u8 = wasm_encoder::SectionId::Code as u8;
        // Sections that come after the globals (tags, 13, come before).
        const LATER: [u8; 6] = [7, 8, 9, 10, 11, 12];
        let mut has_global = false;
        let mut out = rewrite_sections(bytes, |id, data, out| {
            if LATER.contains(&id) && !has_global {
                has_global = true;
                push_section(out, GLOBAL, &appended(&[0], &self.globals())?);
            }
            match id {
                TYPE => push_section(out, id, &appended(data, &self.types())?),
                FUNCTION => push_section(out, id, &appended(data, &self.trip_declaration())?),
                GLOBAL => {
                    has_global = true;
                    push_section(out, id, &appended(data, &self.globals())?);
                }
                CODE => push_section(out, id, &self.code(data)?),
                _ => push_section(out, id, data),
            }
            Ok(())
        })?;
        wasm_encoder::Section::append_to(&self.names(), &mut out);
        Ok(out)
    }

    /// Type of the trip function, then one per wrapped function with several results: a block can
    /// name these only by a type.
    fn types(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        for function in self.wrapped_with_many_results() {
            types.ty().function([], self.results(function));
        }
        encoded(&types)
    }

    fn wrapped_with_many_results(&self) -> impl Iterator<Item = &FunctionFacts> {
        let counted = self.facts.functions.iter().zip(self.counted);
        counted
            .filter(|(f, counted)| **counted && self.arity(f) > 1)
            .map(|(f, _)| f)
    }

    fn arity(&self, function: &FunctionFacts) -> usize {
        self.facts.results[function.ty as usize].len()
    }

    fn results(&self, function: &FunctionFacts) -> Vec<ValType> {
        self.facts.results[function.ty as usize]
            .iter()
            .map(|ty| value_type(*ty))
            .collect()
    }

    fn trip_type(&self) -> u32 {
        self.facts.results.len() as u32
    }

    fn trip_index(&self) -> u32 {
        self.facts.imported_functions + self.facts.functions.len() as u32
    }

    fn trip_declaration(&self) -> Vec<u8> {
        let mut functions = FunctionSection::new();
        functions.function(self.trip_type());
        encoded(&functions)
    }

    fn globals(&self) -> Vec<u8> {
        let mut globals = GlobalSection::new();
        let ty = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(ty, &ConstExpr::i32_const(as_i32(self.budget)));
        encoded(&globals)
    }

    fn names(&self) -> NameSection {
        let mut functions = NameMap::new();
        functions.append(self.trip_index(), TRIP_NAME);
        let mut names = NameSection::new();
        names.functions(&functions);
        names
    }

    fn code(&self, data: &[u8]) -> Result<Vec<u8>, StageError> {
        let mut code = CodeSection::new();
        let mut block_type = self.trip_type();
        let bodies = CodeSectionReader::new(BinaryReader::new(data, 0))?;
        for (body, (facts, counted)) in bodies
            .into_iter()
            .zip(self.facts.functions.iter().zip(self.counted))
        {
            let body = body?;
            if !counted {
                match facts.shadow {
                    Some(shadow) => code.raw(&self.checked(data, &body, shadow)?),
                    None => code.raw(&data[body.range()]),
                };
                continue;
            }
            let block = match self.results(facts)[..] {
                [] => BlockType::Empty,
                [result] => BlockType::Result(result),
                _ => {
                    block_type += 1;
                    BlockType::FunctionType(block_type)
                }
            };
            code.raw(&self.wrapped(data, &body, facts, block)?);
        }
        let mut trip = Function::new([]);
        trip.instruction(&Instruction::Unreachable)
            .instruction(&Instruction::End);
        code.function(&trip);
        Ok(encoded(&code))
    }

    /// The body behind a check that its frame in linear memory fits.
    fn checked(
        &self,
        data: &[u8],
        body: &FunctionBody<'_>,
        shadow: ShadowFrame,
    ) -> Result<Vec<u8>, StageError> {
        let start = body.get_operators_reader()?.original_position();
        let mut out = data[body.range().start..start].to_vec();
        self.shadow_check(shadow, &mut out);
        out.extend(&data[start..body.range().end]);
        Ok(out)
    }

    fn shadow_check(&self, shadow: ShadowFrame, out: &mut Vec<u8>) {
        for instruction in [
            Instruction::GlobalGet(shadow.pointer),
            Instruction::I32Const(shadow.bytes),
            Instruction::I32LtU,
            Instruction::If(BlockType::Empty),
            Instruction::Call(self.trip_index()),
            Instruction::End,
        ] {
            instruction.encode(out);
        }
    }

    fn wrapped(
        &self,
        data: &[u8],
        body: &FunctionBody<'_>,
        facts: &FunctionFacts,
        block: BlockType,
    ) -> Result<Vec<u8>, StageError> {
        let frame = as_i32(facts.frame);
        let left = self.facts.globals;
        let mut operators = body.get_operators_reader()?;
        let mut copied = operators.original_position();
        let mut out = data[body.range().start..copied].to_vec();
        if let Some(shadow) = facts.shadow {
            self.shadow_check(shadow, &mut out);
        }
        for instruction in [
            Instruction::GlobalGet(left),
            Instruction::I32Const(frame),
            Instruction::I32Sub,
            Instruction::GlobalSet(left),
            Instruction::GlobalGet(left),
            Instruction::I32Const(0),
            Instruction::I32LtS,
            Instruction::If(BlockType::Empty),
            Instruction::Call(self.trip_index()),
            Instruction::End,
            Instruction::Block(block),
        ] {
            instruction.encode(&mut out);
        }
        let mut nesting = 0u32;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    nesting += 1;
                }
                Operator::End => nesting = nesting.saturating_sub(1),
                Operator::Return => {
                    out.extend(&data[copied..offset]);
                    Instruction::Br(nesting).encode(&mut out);
                    copied = operators.original_position();
                }
                _ => {}
            }
        }
        // The body's own `end` now closes the block.
        out.extend(&data[copied..body.range().end]);
        for instruction in [
            Instruction::GlobalGet(left),
            Instruction::I32Const(frame),
            Instruction::I32Add,
            Instruction::GlobalSet(left),
            Instruction::End,
        ] {
            instruction.encode(&mut out);
        }
        Ok(out)
    }
}

/// Copies the header and hands over section by section.
fn rewrite_sections(
    bytes: &[u8],
    mut section: impl FnMut(u8, &[u8], &mut Vec<u8>) -> Result<(), StageError>,
) -> Result<Vec<u8>, StageError> {
    const HEADER: usize = 8;
    let header = bytes.get(..HEADER).ok_or_else(miscounted)?;
    let mut out = header.to_vec();
    let mut reader = BinaryReader::new(&bytes[HEADER..], 0);
    while !reader.eof() {
        let id = reader.read_u8()?;
        let len = reader.read_var_u32()? as usize;
        section(id, reader.read_bytes(len)?, &mut out)?;
    }
    Ok(out)
}

fn push_section(out: &mut Vec<u8>, id: u8, data: &[u8]) {
    out.push(id);
    data.encode(out);
}

/// A section (count, items) with the items of another added.
fn appended(section: &[u8], more: &[u8]) -> Result<Vec<u8>, StageError> {
    let mut first = BinaryReader::new(section, 0);
    let mut second = BinaryReader::new(more, 0);
    let count = first.read_var_u32()? + second.read_var_u32()?;
    let mut out = Vec::with_capacity(section.len() + more.len() + 5);
    count.encode(&mut out);
    out.extend(&section[first.original_position()..]);
    out.extend(&more[second.original_position()..]);
    Ok(out)
}

/// A section's content without its length.
fn encoded(section: &impl Encode) -> Vec<u8> {
    let mut with_len = Vec::new();
    section.encode(&mut with_len);
    let mut reader = BinaryReader::new(&with_len, 0);
    let skip = reader
        .read_var_u32()
        .map_or(0, |_| reader.original_position());
    with_len.split_off(skip)
}

fn value_type(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(reference) if reference.is_extern_ref() => ValType::EXTERNREF,
        wasmparser::ValType::Ref(_) => ValType::FUNCREF,
    }
}

fn as_i32(bytes: u64) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn miscounted() -> StageError {
    StageError::Invalid("the instrumentation pass lost count of the sections".into())
}
