//! The command line as scripts use it.

use std::io::Write;
use std::process::{Command, Stdio};

use coracle_it::{Cluster, plugin};

#[test]
fn lines_are_applied_in_order_and_counted() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let lines = cluster.folder().join("lines.txt");
    let mut file = std::fs::File::create(&lines).unwrap();
    for number in 0..200 {
        writeln!(file, "put key value-{number}").unwrap();
    }
    drop(file);

    let out = cluster.coracle_ok(&[
        "apply",
        "kv",
        "-o",
        "json",
        "--lines",
        lines.to_str().unwrap(),
    ]);

    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["count"], 200, "{out}");
    assert_eq!(
        cluster
            .coracle_ok(&["query", "kv", "get", "key"])
            .trim_end(),
        "value-199"
    );
}

#[test]
fn exit_codes_say_what_happened() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    let kv = plugin("kv");
    let kv = kv.to_str().unwrap();
    let cases: [(&[&str], i32); 7] = [
        (&["query", "kv", "get", "missing"], 9),
        (&["query", "none", "get", "a"], 5),
        (&["apply"], 2),
        (&["no-such-command"], 2),
        (&["--endpoint", "http://127.0.0.1:1", "status"], 3),
        (
            &["fsm", "create", "kv", "--plugin", kv, "--config", "a=b"],
            6,
        ),
        (&["status", "-o", "json"], 0),
    ];
    for (arguments, code) in cases {
        let output = cluster.coracle(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    }
}

#[test]
fn status_shows_positions_and_chains_as_json() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);

    let json: serde_json::Value =
        serde_json::from_str(&cluster.coracle_ok(&["status", "-o", "json"])).unwrap();

    let text = json.to_string();
    for word in [
        "\"fsms\"",
        "\"chain\"",
        "\"applied_index\"",
        "\"snapshot_index\"",
        "\"leader\"",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn the_demo_runs_a_script_and_fails_at_the_first_line_that_fails() {
    let cluster = Cluster::init(1);
    let kv = plugin("kv");
    let v2 = plugin("kv-v2");
    let good = format!(
        "# a comment\napply put a 1\nquery get a\n.kill n1\napply put b 2\n.restart n1\nquery get b\n.upgrade kv {}\nquery ver a\n.status\n",
        v2.display()
    );
    for (script, success) in [
        (good.as_str(), true),
        ("apply put a 1\nquery get none\n", false),
    ] {
        let file = cluster.folder().join("script");
        std::fs::write(&file, script).unwrap();
        let output = coracle(&[
            "demo",
            "--plugin",
            kv.to_str().unwrap(),
            "--exec",
            file.to_str().unwrap(),
        ]);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.success(), success, "{text}");
    }
}

fn coracle(arguments: &[&str]) -> std::process::Output {
    Command::new(coracle_it::binary())
        .args(arguments)
        .env_remove("CORACLE_ENDPOINTS")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_node_under_a_wrong_name_leaves_no_trace_and_starts_under_the_right_one() {
    let mut cluster = Cluster::init(3);
    let config = cluster.config(1).to_owned();
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, right.replace("node = 1", "node = 2")).unwrap();
    cluster.start_node(1);
    assert!(
        !cluster.wait_for_exit(1).success(),
        "its certificate names another node"
    );

    std::fs::write(&config, right).unwrap();
    for id in cluster.ids() {
        cluster.start_node(id);
    }
    cluster.wait_for_leader();
    assert!(cluster.status(1).is_ok(), "{}", cluster.log(1));
}

#[test]
fn the_demo_works_on_a_terminal() {
    let cluster = Cluster::init(1);
    let script = cluster.folder().join("script");
    std::fs::write(&script, "apply put a 1\nquery get a\n").unwrap();
    let demo = format!(
        "{} demo --plugin {} --exec {}",
        coracle_it::binary().display(),
        plugin("kv").display(),
        script.display()
    );

    // `script` gives its child a terminal, with colours and progress bars.
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &demo, "/dev/null"])
        .env_remove("CORACLE_ENDPOINTS")
        .stdin(Stdio::null())
        .output()
        .unwrap();

    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
