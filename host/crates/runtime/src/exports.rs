//! The guest's exports, and how an instance of them comes to be.

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Func, Instance as Bound, InstancePre, Lift,
    Resource,
};
use wasmtime::{AsContextMut, Store};

use crate::Limits;
use crate::fault::{Fault, classify};
use crate::imports::{SinkHandle, SourceHandle};
use crate::inspect::MACHINE;
use crate::stage::StageError;
use crate::store::{Data, Settings};

/// Bytes that `describe` may return, both labels together.
const DESCRIPTION_BYTES: usize = 4 << 10;

/// Types of the functions as the engine checks them.
pub(crate) type Described = (Description,);
pub(crate) type Started = (Result<(), Vec<u8>>,);
pub(crate) type Applied = (Vec<u8>,);
pub(crate) type Answered = (Result<Vec<u8>, Vec<u8>>,);

/// What a plugin says of itself.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Description {
    pub(crate) name: Vec<u8>,
    pub(crate) version: Vec<u8>,
}

/// Where the contract's functions are in a component.
pub(crate) struct Exports {
    describe: ComponentExportIndex,
    init: ComponentExportIndex,
    apply: ComponentExportIndex,
    query: ComponentExportIndex,
    snapshot: ComponentExportIndex,
    restore: ComponentExportIndex,
}

impl Exports {
    pub(crate) fn find(component: &Component) -> Result<Self, StageError> {
        let machine = component
            .get_export_index(None, MACHINE)
            .ok_or(StageError::NoMachine)?;
        let find = |name: &str| {
            component
                .get_export_index(Some(&machine), name)
                .ok_or_else(|| StageError::Contract(format!("{MACHINE} has no {name}")))
        };
        Ok(Self {
            describe: find("describe")?,
            init: find("init")?,
            apply: find("apply")?,
            query: find("query")?,
            snapshot: find("snapshot")?,
            restore: find("restore")?,
        })
    }
}

/// The contract's functions of one instance, their types checked.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) describe: Func,
    pub(crate) init: Func,
    pub(crate) apply: Func,
    pub(crate) query: Func,
    pub(crate) snapshot: Func,
    pub(crate) restore: Func,
}

impl Functions {
    fn bind(exports: &Exports, bound: &Bound, store: &mut Store<Data>) -> Option<Self> {
        let mut get = |index| bound.get_func(&mut *store, index);
        Some(Self {
            describe: get(&exports.describe)?,
            init: get(&exports.init)?,
            apply: get(&exports.apply)?,
            query: get(&exports.query)?,
            snapshot: get(&exports.snapshot)?,
            restore: get(&exports.restore)?,
        })
    }

    fn check(&self, store: &Store<Data>) -> wasmtime::Result<()> {
        self.describe.typed::<(), Described>(store)?;
        self.init.typed::<(), Started>(store)?;
        self.apply.typed::<(&[u8],), Applied>(store)?;
        self.query.typed::<(&[u8],), Answered>(store)?;
        self.snapshot
            .typed::<(Resource<SinkHandle>,), Started>(store)?;
        self.restore
            .typed::<(Resource<SourceHandle>,), Started>(store)?;
        Ok(())
    }
}

/// A linked component.
pub(crate) struct Guest {
    pub(crate) pre: InstancePre<Data>,
    pub(crate) exports: Exports,
}

impl Guest {
    /// A fresh instance in a store of its own, its start fuel partly used. Sees constants only.
    pub(crate) fn instantiate(
        &self,
        limits: &Limits,
        settings: Settings,
    ) -> Result<(Store<Data>, Functions), Fault> {
        let engine = self.pre.engine();
        let mut store = Store::new(engine, Data::new(limits, settings));
        store.limiter(|data| &mut data.limiter);
        store.set_hostcall_fuel(copied_bytes(limits.reply_bytes));
        store
            .set_fuel(limits.start_fuel)
            .map_err(|error| Fault::Host(format!("{error:#}")))?;
        let bound = self
            .pre
            .instantiate(&mut store)
            .map_err(|error| classify(&error, store.data().limiter.refused()))?;
        let functions = Functions::bind(&self.exports, &bound, &mut store)
            .ok_or_else(|| Fault::Host("a function found at stage is gone".into()))?;
        Ok((store, functions))
    }

    /// Checks the types of the exports and asks the plugin what it is.
    pub(crate) fn describe(&self, limits: &Limits) -> Result<Description, StageError> {
        let (mut store, functions) = self
            .instantiate(limits, Settings::default())
            .map_err(StageError::Instantiate)?;
        functions
            .check(&store)
            .map_err(|error| StageError::Contract(format!("{error:#}")))?;
        store.set_hostcall_fuel(DESCRIPTION_BYTES);
        let described = functions
            .describe
            .typed::<(), Described>(&store)
            .and_then(|describe| describe.call(store.as_context_mut(), ()));
        match described {
            Ok((description,)) => Ok(description),
            Err(error) => {
                let refused = store.data().limiter.refused();
                Err(StageError::Describe(classify(&error, refused)))
            }
        }
    }
}

/// A limit in bytes as the engine's budget for what it copies in one call.
pub(crate) fn copied_bytes(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
