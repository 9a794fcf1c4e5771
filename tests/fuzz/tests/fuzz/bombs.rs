//! Batches that are small on the wire, and would be large in memory.

use bytes::Bytes;
use coracle_fuzz::{Tape, peak_bytes};
use coracle_transport::codec::decode;
use coracle_transport::{MAX_BATCH_MEMORY_BYTES, MAX_FRAME_BYTES, MAX_WIRE_VERSION, fuzzing};

/// Memory that is taken whatever the input.
const SLACK: usize = 64 << 10;

/// Bytes of a batch beside what it is full of, at most.
const ROOM: usize = 64;

/// Fills a batch of this version with so many bytes of something.
type Filling = fn(&mut Vec<u8>, u8, &mut Tape<'_>, usize);

/// What a batch is full of: each time as small as the wire allows.
const FILLINGS: &[Filling] = &[entries, payloads, replicas, envelopes, appends];

/// The head of an envelope of version 2 that says nothing that it need not.
const SAID_BEFORE: u8 = 0xe0;

const APPEND: u8 = 3;
const HEARTBEAT_REPLY: u8 = 7;
const SNAPSHOT: u8 = 8;
const WAKE: u8 = 17;

#[test]
fn batch_bombs() {
    fuzz!(40, 32, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let version = 1 + tape.byte() % 2;
        let filling = tape.pick(FILLINGS);
        let most = (1 << (10 + tape.below(15))) - ROOM;
        let mut batch = vec![version];
        filling(&mut batch, version, &mut tape, most);
        let batch = match tape.flag() {
            true => fuzzing::packed(&batch),
            false => batch.clone(),
        };
        let batch = Bytes::from(batch);
        if batch.len() > MAX_FRAME_BYTES {
            return;
        }
        let (_, peak) = peak_bytes(|| decode(batch, MAX_WIRE_VERSION));
        assert!(
            peak <= SLACK + MAX_BATCH_MEMORY_BYTES,
            "{peak} bytes of memory"
        );
    });
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Address and tag of an envelope.
fn address(out: &mut Vec<u8>, version: u8, tag: u8) {
    match version {
        // Group, two replicas, term.
        1 => out.extend([1, 0, 0, 0, 0, 0, tag]),
        _ => out.push(SAID_BEFORE | tag),
    }
}

/// One append of empty entries.
fn entries(out: &mut Vec<u8>, version: u8, _: &mut Tape<'_>, most: usize) {
    let entry = [1, 1, 0, 0];
    out.push(1);
    address(out, version, APPEND);
    out.extend([0, 0, 0]);
    varint(out, most / entry.len());
    out.extend(entry.iter().cycle().take(most));
}

/// One append of entries with payloads that are copied.
fn payloads(out: &mut Vec<u8>, version: u8, tape: &mut Tape<'_>, most: usize) {
    let length = 1 + tape.byte() % 127;
    let mut entry = vec![1, 1, 1, length];
    entry.resize(entry.len() + usize::from(length), 0);
    let count = most / entry.len();
    out.push(1);
    address(out, version, APPEND);
    out.extend([0, 0, 0]);
    varint(out, count);
    out.extend(entry.iter().cycle().take(count * entry.len()));
}

/// One configuration of many voters.
fn replicas(out: &mut Vec<u8>, version: u8, tape: &mut Tape<'_>, most: usize) {
    out.push(1);
    address(out, version, SNAPSHOT);
    out.extend([1, 1, 1]);
    let mut ids = Vec::new();
    let mut count = 0;
    // As many as two bytes have room for, or wider ones.
    let born = if tape.flag() { 1 } else { 128 };
    while ids.len() < most {
        varint(&mut ids, count / born);
        varint(&mut ids, count % born);
        count += 1;
    }
    varint(out, count);
    out.extend(ids);
    out.extend([0, 0, 0, 0]);
}

/// Many messages without fields.
fn envelopes(out: &mut Vec<u8>, version: u8, _: &mut Tape<'_>, most: usize) {
    let mut one = Vec::new();
    match version {
        1 => {
            address(&mut one, version, HEARTBEAT_REPLY);
            one.push(1);
        }
        _ => address(&mut one, version, WAKE),
    }
    let count = (most / one.len()).min(coracle_transport::MAX_BATCH_ENVELOPES);
    varint(out, count);
    out.extend(one.iter().cycle().take(count * one.len()));
}

/// Many appends, each of a few entries.
fn appends(out: &mut Vec<u8>, version: u8, tape: &mut Tape<'_>, most: usize) {
    let mut one = Vec::new();
    address(&mut one, version, APPEND);
    let few = 1 + tape.byte() % 64;
    one.extend([0, 0, 0, few]);
    one.extend([1, 1, 0, 0].iter().cycle().take(4 * usize::from(few)));
    let count = (most / one.len()).min(coracle_transport::MAX_BATCH_ENVELOPES);
    varint(out, count);
    out.extend(one.iter().cycle().take(count * one.len()));
}
