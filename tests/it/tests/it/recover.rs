//! A majority of the nodes is lost for good, and the rest goes on.

use std::path::Path;
use std::process::Output;

use coracle_it::{Cluster, Load};

fn recover(cluster: &Cluster, nodes: &[u64], more: &[&str]) -> Output {
    let folders: Vec<String> = nodes
        .iter()
        .map(|id| cluster.data(*id).display().to_string())
        .collect();
    let mut arguments = vec!["recover", "-o", "json"];
    for folder in &folders {
        arguments.extend(["--data-dir", folder]);
    }
    arguments.extend(more);
    cluster.coracle(&arguments)
}

fn report(output: &Output) -> serde_json::Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every file below a folder, with what is in it.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn one_of_three_nodes_goes_on_alone_with_everything_that_was_acknowledged() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(200);
    cluster.coracle_ok(&["snapshot", "kv"]);
    load.wait_for(50);
    load.pause();
    cluster.converged_chain("kv");
    for id in 1..=3 {
        cluster.kill(id);
    }

    // A look changes nothing, and a running node is left alone.
    let before = content(&cluster.data(2));
    let dry = report(&recover(&cluster, &[2], &[]));
    assert_eq!(dry["written"], false);
    assert_eq!(dry["survivors"], serde_json::json!([2]));
    assert_eq!(dry["removed"], serde_json::json!([1, 3]));
    assert!(
        before == content(&cluster.data(2)),
        "a dry run wrote something"
    );
    cluster.start_node(2);
    coracle_it::eventually("node 2 to run", || cluster.status(2).map(drop));
    let busy = recover(&cluster, &[2], &["--yes"]);
    assert!(String::from_utf8_lossy(&busy.stderr).contains("in use by a running node"));
    cluster.kill(2);

    let done = report(&recover(&cluster, &[2], &["--yes"]));
    let copy = done["copies"][0].as_str().unwrap().to_owned();
    cluster.start_node(2);
    cluster.wait_for_leader();

    let status = cluster.status(2).unwrap();
    assert_eq!(status.recovered.unwrap().removed, [1, 3]);
    assert!(Path::new(&copy).join("log/log.redb").exists());
    load.resume();
    load.wait_for(50);
    assert!(load.check(&cluster) > 300);
    // What changes the cluster needs no more than the survivor.
    cluster.create_fsm("other", "counter", &[]);
    cluster.coracle_ok(&["snapshot", "kv"]);
    // And again after a restart.
    cluster.kill(2);
    cluster.start_node(2);
    cluster.wait_for_leader();
    cluster.coracle_ok(&["apply", "kv", "put", "last", "1"]);
}

#[test]
fn two_of_five_survive_and_the_one_that_was_behind_gets_the_better_log() {
    let mut cluster = Cluster::start_with(
        5,
        "\n[snapshot]\nretained_entries = 5\nretained_bytes = 4096\n",
    );
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "early", "1"]);
    cluster.converged_chain("kv");
    cluster.kill(5);
    for number in 0..30 {
        cluster.coracle_ok(&["apply", "kv", "put", &format!("k{number}"), "v"]);
    }
    cluster.coracle_ok(&["snapshot", "kv"]);
    cluster.coracle_ok(&["apply", "kv", "put", "late", "2"]);
    cluster.converged_chain("kv");
    for id in 1..=4 {
        cluster.kill(id);
    }

    let done = report(&recover(
        &cluster,
        &[4, 5],
        &["--survivors", "n4,n5", "--yes"],
    ));
    assert_eq!(done["survivors"], serde_json::json!([4, 5]));
    let behind = &done["folders"][1]["groups"][1];
    assert_eq!(behind["action"], "replace", "{behind}");
    assert!(behind["behind"].as_u64().unwrap() > 30, "{behind}");

    cluster.start_node(4);
    cluster.start_node(5);
    cluster.wait_for_leader();
    cluster.wait_for_fsm_leader("kv");
    cluster.coracle_ok(&["apply", "kv", "put", "after", "3"]);
    for (key, value) in [("early", "1"), ("k29", "v"), ("late", "2"), ("after", "3")] {
        let found = cluster.coracle_ok(&["query", "kv", "get", key]);
        assert_eq!(found.trim_end(), value, "{key}");
    }
    cluster.converged_chain("kv");
}

#[test]
fn folders_that_do_not_belong_together_are_refused() {
    let mut one = Cluster::start(1);
    let mut other = Cluster::start(2);
    one.kill(1);
    for id in 1..=2 {
        other.kill(id);
    }
    let (a, b) = (one.data(1), other.data(2));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());

    let foreign = one.coracle(&["recover", "--data-dir", a, "--data-dir", b, "--yes"]);
    let twice = one.coracle(&["recover", "--data-dir", a, "--data-dir", a]);
    let absent = one.coracle(&["recover", "--data-dir", a, "--survivors", "n2"]);
    let empty = one.folder().to_str().unwrap().to_owned();
    let nothing = one.coracle(&["recover", "--data-dir", &empty]);

    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said(&foreign).contains("different clusters"),
        "{}",
        said(&foreign)
    );
    assert_eq!(foreign.status.code(), Some(6));
    assert!(said(&twice).contains("in use"), "{}", said(&twice));
    assert!(said(&absent).contains("survivor n2"), "{}", said(&absent));
    assert_eq!(absent.status.code(), Some(2));
    assert!(said(&nothing).contains("no log"), "{}", said(&nothing));
}

#[test]
fn a_node_whose_log_lost_data_says_what_to_do_and_can_be_recovered_when_it_is_alone() {
    let mut cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.stop(1);
    std::fs::remove_file(cluster.data(1).join("log/anchor")).unwrap();

    cluster.start_node(1);
    assert!(!cluster.wait_for_exit(1).success());
    let log = cluster.log(1);
    assert!(log.contains("acknowledged data is missing"), "{log}");
    assert!(log.contains("coracle recover"), "{log}");
    assert!(log.contains("coracle members replace n1"), "{log}");

    let done = report(&recover(&cluster, &[1], &["--yes"]));
    let loss = done["folders"][0]["loss"].as_str().unwrap();
    assert!(loss.contains("no log/anchor"), "{loss}");
    cluster.start_node(1);
    cluster.wait_for_fsm_leader("kv");
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
}
