//! Bad requests get an answer that names what is wrong, and the node goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use coracle_it::Cluster;

/// A raw HTTP exchange: status line and body.
fn http(cluster: &Cluster, id: u64, head: &str, body: &[u8]) -> (u16, String) {
    let address = cluster.http(id).trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!(
        "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // A server that refuses early may not read the whole body.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    (status, answer)
}

#[test]
fn bad_requests_are_refused_by_name_and_the_node_goes_on() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    let zeros = "0".repeat(64);
    let cases: [(&str, &[u8], u16, &str); 10] = [
        ("POST /v1/fsms/none/apply HTTP/1.1", b"put a 1", 404, "none"),
        ("POST /v1/fsms/NO!/apply HTTP/1.1", b"put a 1", 400, "NO!"),
        ("GET /v1/nothing HTTP/1.1", b"", 404, "/v1/nothing"),
        ("DELETE /v1/status HTTP/1.1", b"", 405, "DELETE"),
        ("PUT /v1/fsms/x HTTP/1.1", b"{\"plugin\":", 400, "json"),
        ("PUT /v1/plugins/xyz HTTP/1.1", b"abc", 400, "xyz"),
        (
            &format!("PUT /v1/plugins/{zeros} HTTP/1.1"),
            b"abc",
            400,
            "sha",
        ),
        ("POST /v1/fsms/kv/apply HTTP/1.1", b"fly me", 422, "refused"),
        (
            "POST /v1/fsms/kv/query HTTP/1.1",
            b"get missing",
            422,
            "refused",
        ),
        (
            "POST /v1/fsms/kv/query HTTP/1.1\r\nCoracle-Consistency: maybe",
            b"get a",
            400,
            "maybe",
        ),
    ];

    for (head, body, status, word) in cases {
        let (got, answer) = http(&cluster, 1, head, body);
        assert_eq!(got, status, "{head}: {answer}");
        assert!(
            answer.to_lowercase().contains(&word.to_lowercase()),
            "{head}: {answer}"
        );
    }

    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
}

#[test]
fn an_oversized_command_is_refused_and_nothing_is_lost() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let mut body = b"put big ".to_vec();
    body.resize(40 << 20, b'x');

    let (status, answer) = http(&cluster, 1, "POST /v1/fsms/kv/apply HTTP/1.1", &body);

    assert_eq!(status, 413, "{}", &answer[..answer.len().min(400)]);
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let cluster = Cluster::start(1);
    let folder = cluster.folder();
    let text = folder.join("text.wasm");
    std::fs::write(&text, "this is not wasm").unwrap();
    let module = folder.join("module.wasm");
    std::fs::write(&module, b"\0asm\x01\0\0\0").unwrap();

    for (file, word) in [(&text, "wasm"), (&module, "module")] {
        let output = cluster.coracle(&["fsm", "create", "x", "--plugin", file.to_str().unwrap()]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_plugin_that_traps_when_it_is_described_is_refused() {
    let cluster = Cluster::start(1);
    let plugin = coracle_it::plugin("hostile-describe-trap");

    let output = cluster.coracle(&["plugin", "add", plugin.to_str().unwrap()]);

    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(message.contains("describe"), "{message}");
}

#[test]
fn garbage_on_the_quic_port_does_no_harm() {
    let cluster = Cluster::start(1);
    let http_port: u16 = cluster.http(1).rsplit(':').next().unwrap().parse().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();

    for length in [0_usize, 1, 20, 1200, 1400] {
        let garbage: Vec<u8> = (0..length).map(|i| (i * 37) as u8).collect();
        socket
            .send_to(&garbage, ("127.0.0.1", http_port - 1))
            .unwrap();
    }

    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
}
