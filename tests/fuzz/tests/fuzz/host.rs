//! What nodes say to each other on behalf of clients, tickets, and files of settings and addresses.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use coracle::config::{Config, HOT};
use coracle::recover::decode_marker;
use coracle::server::fuzzing;
use coracle::ticket::{Secret, Ticket};
use coracle_client::{
    DigestHex, Endpoint, EventKind, MemberRole, check_fsm_name, node_id, parse_duration,
};
use coracle_fuzz::{Tape, input, within};

const SLACK: usize = 32 << 10;

#[test]
fn calls() {
    let seeds = fuzzing::calls();
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK + 64 * bytes.len(), || fuzzing::read_call(&bytes));
        if let Some(again) = read {
            assert_eq!(fuzzing::read_call(&again), Some(again), "it comes back");
        }
    });
}

#[test]
fn answers() {
    let seeds = fuzzing::answers();
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let again = within(SLACK + 64 * bytes.len(), || fuzzing::read_answer(&bytes));
        assert_eq!(fuzzing::read_answer(&again), again, "it comes back");
    });
}

#[test]
fn bulk_headers() {
    let seeds = fuzzing::bulks();
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let (header, given) = within(SLACK + 16 * bytes.len(), || fuzzing::read_bulk(&bytes));
        if let Some(again) = header {
            assert_eq!(fuzzing::read_bulk(&again).0, Some(again), "it comes back");
        }
        if let Some(again) = given {
            assert_eq!(fuzzing::read_bulk(&again).1, Some(again), "it comes back");
        }
    });
}

#[test]
fn joins() {
    let seeds = fuzzing::joins();
    let sound = fuzzing::read_join(&seeds[0]);
    assert!(
        sound.is_some_and(|(_, proven)| proven),
        "the seed is proven"
    );
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        if let Some((again, proven)) = fuzzing::read_join(&bytes) {
            assert_eq!(again, bytes, "one encoding only");
            assert!(
                !proven || bytes == seeds[0],
                "what was changed is not proven"
            );
        }
        let answer = within(SLACK + 64 * bytes.len(), || {
            fuzzing::read_join_answer(&bytes)
        });
        if let Some(again) = answer {
            assert_eq!(fuzzing::read_join_answer(&again), Some(again));
        }
    });
}

fn ticket(tape: &mut Tape<'_>) -> Ticket {
    Ticket {
        cluster: String::from_utf8_lossy(tape.bytes(9)).into_owned(),
        pin: [7; 32],
        addresses: vec!["127.0.0.1:7400".parse().expect("an address")],
        token: tape.small(9),
        secret: Secret([9; 16]),
        role: MemberRole::Witness,
        expires: tape.small(1 << 40),
    }
}

#[test]
fn tickets() {
    let seeds = [ticket(&mut Tape::new(b"prod")).to_string().into_bytes()];
    fuzz!(20_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let made = ticket(&mut tape);
        let word = made.to_string();
        assert_eq!(word.parse(), Ok(made.clone()), "it comes back");
        let _ = made.check(UNIX_EPOCH + Duration::from_secs(tape.small(1 << 40) >> 20));
        let text = String::from_utf8_lossy(&input(&mut tape, &seeds)).into_owned();
        if let Ok(read) = within(SLACK + 8 * text.len(), || text.parse::<Ticket>()) {
            let _ = read.check(UNIX_EPOCH);
            assert_eq!(read.to_string().parse(), Ok(read), "it comes back");
        }
    });
}

const SETTINGS: &str = r#"
node = 1
cluster = "prod"
data_dir = "data"

[listen]
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"

[tls]
cert = "node.crt"
key = "node.key"
ca = "ca.crt"

[[peers]]
id = 1
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"

[[peers]]
id = 2
quic = "127.0.0.1:7402"
http = "127.0.0.1:7403"

[raft]
election_timeout_ms = 500
heartbeat_ms = 50

[storage]
low_water_bytes = 8388608
"#;

#[test]
fn settings() {
    let hasty = SETTINGS.replace("election_timeout_ms = 500", "election_timeout_ms = 50");
    let seeds = [SETTINGS, &hasty].map(|text| text.as_bytes().to_vec());
    let path = Path::new("coracle.toml");
    fuzz!(4_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let text = String::from_utf8_lossy(&bytes);
        let parsed = within((1 << 20) + 256 * text.len(), || Config::parse(&text, path));
        match parsed {
            Ok(config) => {
                assert!(config.raft.heartbeat_interval() < config.raft.election_timeout());
                let _ = config.settings();
            }
            Err(error) => assert!(!error.to_string().is_empty(), "it says why"),
        }
    });
}

fn config() -> Config {
    Config::parse(SETTINGS, Path::new("coracle.toml")).expect("the seed is sound")
}

/// What a configuration takes in memory, a few times over, and the reader of a file.
const CONFIG_BYTES: usize = 1 << 20;

#[test]
fn changed_settings() {
    let config = config();
    let deep = format!("{}a = 1", "a.".repeat(10_000));
    let seeds = [
        fuzzing::changed_settings(),
        b"\"raft.heartbeat_ms\" = 700".to_vec(),
        b"[raft]\nheartbeat_ms = 40".to_vec(),
        deep.into_bytes(),
        format!("a = {}", "[".repeat(10_000)).into_bytes(),
    ];
    let sound = fuzzing::read_changed_settings(&seeds[0], &config);
    let (_, changed) = sound.expect("the seed is sound");
    assert_ne!(changed.settings(), config.settings());
    fuzz!(2_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(CONFIG_BYTES + 256 * bytes.len(), || {
            fuzzing::read_changed_settings(&bytes, &config)
        });
        if let Some((again, merged)) = read {
            assert!(merged.raft.heartbeat_interval() < merged.raft.election_timeout());
            let (twice, same) =
                fuzzing::read_changed_settings(&again, &config).expect("it was read");
            assert_eq!(twice, again, "it comes back");
            assert_eq!(same.settings(), merged.settings(), "it means the same");
        }
    });
}

#[test]
fn values_of_settings() {
    let config = config();
    let seeds = ["5", "null", "\"trace\"", "{\"a\":[1.5e300]}", "[[[[[[[["];
    let seeds = seeds.map(|value| value.as_bytes().to_vec());
    fuzz!(2_000, 100, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let key = tape.pick(&HOT).as_bytes().to_vec();
        let key = input(&mut tape, &[key]);
        let value = input(&mut tape, &seeds);
        let (key, value) = (
            String::from_utf8_lossy(&key),
            String::from_utf8_lossy(&value),
        );
        let allowed = CONFIG_BYTES + 64 * (key.len() + value.len());
        within(allowed, || fuzzing::read_setting(&key, &value, &config));
    });
}

#[test]
fn limits() {
    let seeds = [fuzzing::limits()];
    assert!(
        fuzzing::read_limits(&seeds[0]).is_some(),
        "the seed is sound"
    );
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK, || fuzzing::read_limits(&bytes));
        if let Some(again) = read {
            assert_eq!(fuzzing::read_limits(&again), Some(again), "it comes back");
        }
    });
}

#[test]
fn addresses() {
    let config = config();
    let seeds = [fuzzing::addresses()];
    let sound = fuzzing::read_addresses(&seeds[0], &config);
    let (first, _) = sound.expect("the seed is sound");
    assert_eq!(first.len(), 1, "the other node");
    fuzz!(10_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = within(SLACK + 64 * bytes.len(), || {
            fuzzing::read_addresses(&bytes, &config)
        });
        if let Some((first, again)) = read {
            assert!(first.iter().all(|(node, _)| node.0 != config.node));
            let same = fuzzing::read_addresses(&again, &config);
            assert_eq!(same, Some((first, again)), "it comes back");
        }
    });
}

#[test]
fn markers() {
    let seeds = [
        r#"{"at":1,"survivors":[2],"removed":[1,3],"groups":[{"group":0,"last":[2,9],"source":2}]}"#,
    ]
    .map(|text| text.as_bytes().to_vec());
    assert!(decode_marker(&seeds[0]).is_some(), "the seed is sound");
    fuzz!(10_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let allowed = SLACK + 64 * bytes.len();
        if let Some(marker) = within(allowed, || decode_marker(&bytes)) {
            let again = serde_json::to_vec(&marker).expect("a marker is json");
            let back = decode_marker(&again).expect("it was read");
            assert_eq!(
                serde_json::to_vec(&back).expect("json"),
                again,
                "it comes back"
            );
        }
    });
}

/// A word that is read as something is the word for it.
fn one_word_each<T: FromStr<Err: Display> + Display>(text: &str) {
    match text.parse::<T>() {
        Ok(read) => assert_eq!(read.to_string(), text, "one word each"),
        Err(error) => assert!(!error.to_string().is_empty(), "it says why"),
    }
}

#[test]
fn words() {
    let seeds = [
        "leader",
        "witness",
        "0707070707070707070707070707070707070707070707070707070707070707",
        "1h30m",
        "250ms",
        "n4",
        "kv",
        "http://127.0.0.1:7401",
        "18446744073709551615s",
    ]
    .map(|word| word.as_bytes().to_vec());
    fuzz!(20_000, 100, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse_duration(&text);
        let _ = node_id(&text);
        let _ = text.parse::<Endpoint>();
        let _ = coracle::config::parse_value(&text);
        one_word_each::<EventKind>(&text);
        one_word_each::<MemberRole>(&text);
        one_word_each::<DigestHex>(&text);
        if check_fsm_name(&text).is_ok() {
            assert!(text.len() <= 63 && text.is_ascii(), "{text:?}");
        }
    });
}
