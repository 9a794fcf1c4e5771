//! What comes from peers: batches, hellos, pieces of a transfer, certificates.

use bytes::Bytes;
use coracle_fuzz::{Tape, input, within};
use coracle_proto::{Envelope, NodeId};
use coracle_transport::codec::{decode, encode, encode_packed};
use coracle_transport::identity::{
    Authority, CertificateRequest, Name, certificate_name, request_key, spki_pin,
};
use coracle_transport::{MAX_BATCH_ENVELOPES, MAX_FRAME_BYTES, MAX_WIRE_VERSION, fuzzing};

const GOLDEN: [&str; 2] = [
    include_str!("../../../../host/crates/transport/testdata/envelopes.v1.hex"),
    include_str!("../../../../host/crates/transport/testdata/envelopes.v2.hex"),
];

/// LZ4 cannot make more of one byte than this.
const MAX_RATIO: usize = 255;

/// Bytes of data in one piece of a transfer.
const MAX_CHUNK_BYTES: usize = 256 << 10;

/// Memory that is taken whatever the input.
const SLACK: usize = 64 << 10;

/// Bytes in memory per byte of a batch: a message without fields takes one byte on the wire.
const PER_BYTE: usize = 4 * size_of::<Envelope>();

fn golden_batches() -> Vec<Vec<u8>> {
    let lines = GOLDEN.iter().flat_map(|text| text.lines());
    let hex = |line: &str| {
        let digits = line.split_whitespace().last()?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    let mut batches: Vec<Vec<u8>> = lines.filter_map(hex).collect();
    assert!(batches.len() > 20, "the golden frames are there");
    let all: Vec<Envelope> = batches
        .iter()
        .flat_map(|batch| decode(batch.clone().into(), MAX_WIRE_VERSION).expect("golden"))
        .collect();
    batches.extend([1, 2].map(|version| encode(version, &all).to_vec()));
    let many: Vec<Envelope> = all.iter().cycle().take(200).cloned().collect();
    batches.push(encode_packed(2, &many).to_vec());
    batches
}

/// As much as a batch may take in memory: a compressed one is as large as it says, within the
/// limit of a frame.
fn allowed(batch: &[u8]) -> usize {
    let packed = batch.first().is_some_and(|version| *version > 0x80);
    let plain = match packed {
        true => (batch.len() * MAX_RATIO).min(MAX_FRAME_BYTES),
        false => batch.len(),
    };
    SLACK + plain + plain.min(MAX_BATCH_ENVELOPES) * PER_BYTE
}

#[test]
fn batch() {
    let seeds = golden_batches();
    fuzz!(60_000, 256, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let newest = 1 + u16::from(tape.byte() % 3);
        let bytes = Bytes::from(input(&mut tape, &seeds));
        let decoded = within(allowed(&bytes), || decode(bytes.clone(), newest));
        let Ok(envelopes) = decoded else {
            return;
        };
        let version = u16::from(bytes[0] & 0x7f);
        assert!(version <= newest, "no newer version than agreed on");
        let again = encode(version, &envelopes);
        match bytes[0] < 0x80 {
            true => assert_eq!(again, bytes, "one encoding only"),
            false => assert_eq!(decode(again, newest), Ok(envelopes)),
        }
    });
}

#[test]
fn hello() {
    let seeds = [
        fuzzing::hello(1, Vec::new()),
        fuzzing::hello(2, vec![1, 2, 3]),
        fuzzing::hello(3, vec![u32::MAX; 64]),
    ];
    fuzz!(30_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK + 16 * bytes.len(), || fuzzing::read_hello(&bytes));
        if let Some(again) = read {
            assert_eq!(fuzzing::read_hello(&again), Some(again));
        }
    });
}

#[test]
fn chunks() {
    let noise: Vec<u8> = (0..5000u32).map(|i| ((i * i) >> 3) as u8).collect();
    let data = [vec![7; 5000], noise, vec![1]];
    let seeds: Vec<Vec<u8>> = data
        .iter()
        .flat_map(|data| [true, false].map(|compress| fuzzing::chunk(data, compress).to_vec()))
        .collect();
    fuzz!(30_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let length = *tape.pick(&[1, 5000, 10_000, u64::MAX]);
        let mut bytes = input(&mut tape, &seeds);
        bytes.extend(input(&mut tape, &seeds));
        let bytes = Bytes::from(bytes);
        let allowed = SLACK + 2 * MAX_CHUNK_BYTES + (bytes.len() * MAX_RATIO).min(4 << 20);
        let read = within(allowed, || fuzzing::read_chunks(&bytes, length));
        if let Ok(read) = read {
            assert_eq!(read.len() as u64, length, "as much as was announced");
        }
    });
}

#[test]
fn certificate_names() {
    let seeds = [
        "coracle://prod/node/7",
        "coracle://a.b-c_1/client/ops",
        "coracle://p",
        "coracle://prod/node/07",
        "coracle://prod/node/+7",
    ]
    .map(|name| name.as_bytes().to_vec());
    fuzz!(30_000, 100, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(name) = text.parse::<Name>() {
            assert_eq!(name.to_string(), text, "a name has one spelling");
        }
    });
}

#[test]
fn certificates() {
    let authority = Authority::generate("prod").expect("authority");
    let node = authority.issue_node(NodeId(7)).expect("certificate");
    let seeds = [authority.cert_pem(), node.cert_pem()].map(|pem| pem.as_bytes().to_vec());
    fuzz!(6_000, 100, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let pem = String::from_utf8_lossy(&bytes);
        within(SLACK + 64 * pem.len(), || {
            let _ = certificate_name(&pem);
            let _ = spki_pin(&pem);
        });
    });
}

#[test]
fn certificate_requests() {
    let authority = Authority::generate("prod").expect("authority");
    let request = CertificateRequest::generate().expect("request");
    let seeds = [request.csr().to_vec()];
    fuzz!(6_000, 100, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let allowed = SLACK + 64 * bytes.len();
        if within(allowed, || request_key(&bytes)).is_ok() {
            let signed = authority
                .sign_csr(NodeId(9), &bytes)
                .expect("its key is sound");
            let name = certificate_name(&signed).expect("a certificate of ours");
            assert_eq!(
                name.to_string(),
                "coracle://prod/node/9",
                "and nothing of the asker's"
            );
        }
    });
}
