//! Plugins before they are compiled, compiled code before it is believed, and what guests say.

use std::fs::{self, OpenOptions};

use coracle_fuzz::{Tape, damaged, input, within};
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

/// What the engine takes to load code that is sound.
const LOADED_BYTES: usize = 1 << 20;

/// Longer than any file that is read.
const ENDLESS: u64 = 1 << 36;

#[test]
fn compiled_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let (compiled, good) = fuzzing::Compiled::new(folder.path()).expect("an engine");
    assert!(compiled.load().expect("a file"), "the seed is sound");
    fuzz!(1_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let endless = tape.byte() < 16;
        let bytes = damaged(&mut tape, good.clone());
        fs::write(compiled.path(), &bytes).expect("a folder");
        if endless {
            let file = OpenOptions::new().write(true).open(compiled.path());
            let grown = file.and_then(|file| file.set_len(ENDLESS));
            grown.expect("a file with a hole");
        }
        let taken = within(LOADED_BYTES + 2 * bytes.len(), || compiled.load());
        let sound = bytes == good && !endless;
        assert_eq!(taken.expect("a file"), sound, "only what was written here");
    });
}
