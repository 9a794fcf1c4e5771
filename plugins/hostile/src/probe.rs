//! What a machine sees of the world, by the contract and by `std`.

use std::{collections::HashSet, fmt::Write, time::SystemTime};

use coracle_guest::{Environment, Level};

/// Elements of the set whose order is shown.
const ELEMENTS: u8 = 16;

/// Nanoseconds since the Unix epoch as `std` has them.
pub(crate) fn clock() -> String {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos().to_string(),
        Err(before) => format!("-{}", before.duration().as_nanos()),
    }
}

pub(crate) fn random(environment: &Environment) -> String {
    let mut bytes = [0; 16];
    environment.random(&mut bytes);
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all");
        hex
    })
}

/// Depends on the seed that `std` takes for its hash sets.
pub(crate) fn hash_order() -> String {
    let set: HashSet<u8> = (0..ELEMENTS).collect();
    let order: Vec<String> = set.iter().map(u8::to_string).collect();
    order.join(" ")
}

#[expect(clippy::print_stdout, reason = "shows where a guest's output goes")]
pub(crate) fn write_log(environment: &Environment) {
    environment.log(Level::Info, "hostile was told to log");
    println!("hostile was told to print");
}
