//! How many items a section says it has, against the bytes it has for them.

use wasmparser::{Payload, SectionLimited};

use crate::stage::StageError;

/// Refuses a section with more items than bytes. The validator makes room for as many as are
/// announced, up to 128 MiB for a section of four bytes.
pub(crate) fn plausible(payload: &Payload<'_>) -> Result<(), StageError> {
    let Some((items, bytes)) = announced(payload) else {
        return Ok(());
    };
    if items as usize > bytes {
        return Err(StageError::Invalid(format!(
            "a section announces {items} items in {bytes} bytes"
        )));
    }
    Ok(())
}

fn announced(payload: &Payload<'_>) -> Option<(u32, usize)> {
    Some(match payload {
        Payload::TypeSection(section) => size(section),
        Payload::ImportSection(section) => size(section),
        Payload::FunctionSection(section) => size(section),
        Payload::TableSection(section) => size(section),
        Payload::MemorySection(section) => size(section),
        Payload::TagSection(section) => size(section),
        Payload::GlobalSection(section) => size(section),
        Payload::ExportSection(section) => size(section),
        Payload::ElementSection(section) => size(section),
        Payload::DataSection(section) => size(section),
        Payload::CodeSectionStart { count, range, .. } => (*count, range.len()),
        Payload::InstanceSection(section) => size(section),
        Payload::CoreTypeSection(section) => size(section),
        Payload::ComponentInstanceSection(section) => size(section),
        Payload::ComponentAliasSection(section) => size(section),
        Payload::ComponentTypeSection(section) => size(section),
        Payload::ComponentCanonicalSection(section) => size(section),
        Payload::ComponentImportSection(section) => size(section),
        Payload::ComponentExportSection(section) => size(section),
        _ => return None,
    })
}

fn size<T>(section: &SectionLimited<'_, T>) -> (u32, usize) {
    (section.count(), section.range().len())
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    /// A component's sections of kind `id`, each with one body.
    fn checked(id: u8, body: &[u8]) -> Result<(), StageError> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([id, body.len() as u8]);
        bytes.extend(body);
        for payload in Parser::new(0).parse_all(&bytes) {
            plausible(&payload.expect("the section is read"))?;
        }
        Ok(())
    }

    #[test]
    fn a_section_with_more_items_than_bytes_is_refused() {
        const EXPORTS: u8 = 11;
        let million = [0xc0, 0x84, 0x3d];
        let refused = checked(EXPORTS, &million).expect_err("no bytes for a million exports");
        assert!(refused.to_string().contains("1000000 items"), "{refused}");
        checked(EXPORTS, &[0]).expect("none need no bytes");
    }
}
