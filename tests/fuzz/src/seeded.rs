//! Tapes that a seed stands for: the same on every machine, others for every seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The variable of the environment that holds the seed.
const SEED: &str = "CORACLE_FUZZ_SEED";

/// Set where an engine of bolero draws tapes for as long as it is asked to.
const ENGINES: [&str; 2] = ["BOLERO_RANDOM_ITERATIONS", "BOLERO_LIBFUZZER_ARGS"];

/// Gives `target` so many tapes of at most so many bytes; none if bolero draws them.
///
/// # Panics
///
/// As the target does; the tape is printed first.
#[expect(clippy::print_stdout, reason = "a test's report")]
pub fn seeded(tapes: u64, most_bytes: usize, target: impl Fn(&[u8])) {
    if ENGINES.iter().any(|it| std::env::var_os(it).is_some()) {
        return;
    }
    let seed = std::env::var(SEED).map_or(0, |digits| {
        digits.parse().expect("CORACLE_FUZZ_SEED is a number")
    });
    for nth in 0..tapes {
        let tape = tape(seed, nth, most_bytes);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&tape))) {
            println!("tape {nth} of {SEED}={seed}, for `xxd -r -p` into the corpus:");
            println!("{}", hex(&tape));
            resume_unwind(panic);
        }
    }
}

fn tape(seed: u64, nth: u64, most_bytes: usize) -> Vec<u8> {
    let mut random = SplitMix(mixed(seed) ^ mixed(nth.wrapping_add(1)));
    let length = (random.next() % (most_bytes as u64 + 1)) as usize;
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    words
        .take(length.div_ceil(8))
        .flatten()
        .take(length)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Steele, Lea and Flood's generator.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }
}

fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn every_seed_has_tapes_of_its_own() {
        let all = |seed| (0..100).map(|nth| tape(seed, nth, 40)).collect::<Vec<_>>();
        assert_eq!(all(7), all(7));
        let same = all(7).iter().filter(|tape| all(8).contains(tape)).count();
        assert!(same <= all(7).iter().filter(|tape| tape.len() < 3).count());
        let lengths = all(7).iter().map(Vec::len).collect::<Vec<_>>();
        assert!(lengths.iter().max() > Some(&30) && lengths.iter().all(|it| *it <= 40));
    }

    #[test]
    #[should_panic(expected = "a long one")]
    fn what_a_tape_breaks_is_reported() {
        seeded(100, 40, |tape| assert!(tape.len() < 20, "a long one"));
    }

    #[test]
    fn a_target_gets_as_many_tapes_as_were_asked_for() {
        let seen = RefCell::new(0);
        seeded(25, 8, |_| *seen.borrow_mut() += 1);
        assert_eq!(seen.into_inner(), 25);
    }
}
