//! Plugins before they are compiled, and what guests say.

use coracle_fuzz::{Tape, input, within};
use coracle_runtime::{fuzzing, printable};

/// What the validator takes for any component.
const SLACK: usize = 4 << 20;

#[test]
fn components() {
    let seeds = [include_bytes!("../../../conformance/contract-0.1.0/machine.wasm").to_vec()];
    let sound = fuzzing::instrumented(&seeds[0]).expect("the seed is a plugin");
    sound.expect("and stays one");
    fuzz!(4_000, 100, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let done = within(SLACK + 64 * bytes.len(), || fuzzing::instrumented(&bytes));
        if let Some(result) = done {
            assert!(
                result.is_ok(),
                "what passes inspection stays valid: {result:?}"
            );
        }
    });
}

#[test]
fn guest_texts() {
    let seeds = [
        "line\nnext \u{1b}[31m red",
        "\u{202e}\u{2028}\u{9b}2J",
        "plain",
    ]
    .map(|text| text.as_bytes().to_vec());
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let text = String::from_utf8_lossy(&bytes);
        let shown = within(1024 + 16 * text.len(), || printable(&text).into_owned());
        let plain = |letter: char| letter == '\t' || !letter.is_control();
        assert!(shown.chars().all(plain), "{shown:?}");
        assert_eq!(printable(&shown), shown, "once is enough");
    });
}
