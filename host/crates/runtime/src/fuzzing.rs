//! Ways in for `tests/fuzz`: what looks at a plugin's bytes before anything is compiled, and at
//! compiled code before it is believed.

use wasmparser::Validator;

pub use crate::cache::fuzzing::Compiled;
use crate::depth::instrument;
use crate::engine::FEATURES;
use crate::inspect::inspect;
use crate::stage::Caps;

/// Inspects a component and puts the depth counter into it. What comes out must be a component as
/// good as the one that went in: the error says that it is not.
pub fn instrumented(bytes: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let inspection = inspect(bytes, &Caps::default()).ok()?;
    let instrumented = instrument(bytes, &inspection).map_err(|error| error.to_string());
    Some(instrumented.and_then(|component| {
        let mut validator = Validator::new_with_features(FEATURES);
        let valid = validator.validate_all(&component);
        valid.map(|_| component).map_err(|error| error.to_string())
    }))
}
