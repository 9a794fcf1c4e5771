//! Ways in for `tests/fuzz`: what nodes say to each other on behalf of clients. Each reader answers
//! with what it has read as it would be written again.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use coracle_driver::{Digest, Limits};
use coracle_proto::{LogId, NodeId};

use super::bulk::{Bulk, Given};
use super::call::{Call, Failure, Hidden, Reply, decode_result, encode_result};
use super::configure::wanted;
use super::create::decode_limits;
use super::membership::fuzzing as book;
use super::settings::fuzzing as settings;
use crate::config::Config;
use crate::join::wire::{self, Admission, Fields, Refused, Request};

/// One call of most kinds.
pub fn calls() -> Vec<Vec<u8>> {
    let digest = Digest([7; 32]);
    let calls = [
        Call::Apply {
            group: 7,
            body: b"put a 1".to_vec(),
            key: Some([3; 16]),
        },
        Call::Query {
            group: 7,
            request: b"get a".to_vec(),
            min_index: 9,
        },
        Call::CreateFsm {
            name: "kv".into(),
            plugin: digest,
            config: BTreeMap::from([("a".into(), "b".into())]),
            limits: vec![1, 2],
        },
        Call::Join {
            proof: [1; 32],
            fields: vec![1, 2, 3],
            exporter: Hidden(vec![2; 32]),
        },
        Call::Restore {
            group: 1,
            image: digest,
            fresh: true,
        },
        Call::Transfer {
            group: 1,
            to: Some(2),
        },
        Call::Configure {
            set: BTreeMap::from([("raft.heartbeat_ms".into(), "5".into())]),
        },
    ];
    calls.iter().map(|call| call.encode().to_vec()).collect()
}

/// Reads a call.
pub fn read_call(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Call::decode(bytes).ok()?.encode().to_vec())
}

/// The limits of a new fsm, as a call holds them.
pub fn limits() -> Vec<u8> {
    postcard::to_stdvec(&Limits::default()).unwrap_or_default()
}

/// Reads such limits.
pub fn read_limits(bytes: &[u8]) -> Option<Vec<u8>> {
    postcard::to_stdvec(&decode_limits(bytes).ok()?).ok()
}

/// Reads the value that a call gives a setting, and applies it. Whether it could be.
pub fn read_setting(key: &str, json: &str, config: &Config) -> bool {
    let wanted = wanted(&BTreeMap::from([(key.to_owned(), json.to_owned())]));
    let changes = wanted.map(|wanted| wanted.into_iter().collect::<Vec<_>>());
    changes.is_ok_and(|changes| {
        let mut changes = changes.into_iter();
        changes
            .all(|(key, value)| value.is_none_or(|value| config.with_setting(&key, &value).is_ok()))
    })
}

/// A file of settings that were changed at run time.
pub fn changed_settings() -> Vec<u8> {
    settings::file()
}

/// Reads such a file and puts it on top of a configuration.
pub fn read_changed_settings(bytes: &[u8], config: &Config) -> Option<(Vec<u8>, Config)> {
    settings::read(bytes, config)
}

/// A file with the addresses of nodes.
pub fn addresses() -> Vec<u8> {
    book::file()
}

/// Nodes, and where they are.
pub type Addresses = Vec<(NodeId, SocketAddr)>;

/// Reads such a file: whom a node connects to, and the file as it would be written again.
pub fn read_addresses(bytes: &[u8], config: &Config) -> Option<(Addresses, Vec<u8>)> {
    book::read(bytes, config)
}

/// One answer of most kinds.
pub fn answers() -> Vec<Vec<u8>> {
    let admission = Admission {
        node: 4,
        certificate: "c".into(),
        authority: "a".into(),
        cluster: "prod".into(),
        members: vec![(1, "q".into(), "h".into())],
    };
    let results = [
        Ok(Reply::Applied {
            index: 9,
            reply: vec![1; 20],
            replayed: true,
            term: Some(3),
        }),
        Ok(Reply::At { index: 9 }),
        Ok(Reply::Admitted(admission)),
        Ok(Reply::AuthorityKey(Hidden(vec![1; 9]))),
        Err(Failure::unknown("a reason")),
        Err(Failure::query_refused(b"no".to_vec())),
    ];
    let encoded = results.iter().map(|result| encode_result(result).to_vec());
    encoded.collect()
}

/// Reads an answer.
pub fn read_answer(bytes: &[u8]) -> Vec<u8> {
    encode_result(&decode_result(bytes)).to_vec()
}

/// One header of a bulk stream of every kind, and a description.
pub fn bulks() -> Vec<Vec<u8>> {
    let digest = Digest([7; 32]);
    let last = LogId { term: 2, index: 9 };
    let bulks = [
        Bulk::Plugin { digest },
        Bulk::Newest {
            group: 3,
            at_least: 9,
        },
        Bulk::Image { digest },
    ];
    let mut all: Vec<Vec<u8>> = bulks.iter().map(|bulk| bulk.encode().to_vec()).collect();
    all.push(Given::new(last, digest).encode().to_vec());
    all
}

/// Reads a header of a bulk stream, and a description.
pub fn read_bulk(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (
        Bulk::decode(bytes).ok().map(|bulk| bulk.encode().to_vec()),
        Given::decode(bytes)
            .ok()
            .map(|given| given.encode().to_vec()),
    )
}

/// A request to join, and both answers.
pub fn joins() -> Vec<Vec<u8>> {
    let fields = Fields {
        token: 7,
        name: Some("n".into()),
        quic: "127.0.0.1:1".into(),
        http: "127.0.0.1:2".into(),
        csr: vec![1, 2, 3],
        version: "0".into(),
    };
    let refused = Refused {
        message: "no".into(),
        again: true,
    };
    vec![
        Request::prove(&fields, &[1; 32], &[2; 32]).encode(),
        wire::encode_answer(&Err(refused)),
    ]
}

/// Reads a request to join; whether it would be taken for proven.
pub fn read_join(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let request = Request::decode(bytes).ok()?;
    let _ = request.fields();
    Some((request.encode(), request.is_proven(&[1; 32], &[2; 32])))
}

/// Reads the answer to one.
pub fn read_join_answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let answer = wire::decode_answer(bytes).ok()?;
    Some(wire::encode_answer(&answer))
}
