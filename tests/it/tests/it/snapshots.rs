//! Snapshots for users: saved, verified, restored from, taken to another cluster.

use std::path::{Path, PathBuf};
use std::process::Output;

use coracle_it::{Cluster, Load, plugin};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn get(cluster: &Cluster, fsm: &str, key: &str) -> String {
    let output = cluster.coracle(&["query", fsm, "get", key]);
    match output.status.success() {
        true => String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned(),
        false => format!("exit {:?}", output.status.code()),
    }
}

/// Takes a snapshot and saves it.
fn save(cluster: &Cluster, fsm: &str, name: &str) -> PathBuf {
    cluster.coracle_ok(&["snapshot", "take", fsm]);
    let path = cluster.folder().join(name);
    let out = path.to_str().unwrap();
    coracle_it::eventually("the snapshot to be saved", || {
        let output = cluster.coracle(&["snapshot", "save", fsm, "--out", out]);
        match output.status.success() {
            true => Ok(()),
            false => Err(said(&output)),
        }
    });
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_running_cluster_goes_back_to_a_saved_snapshot_on_every_replica() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "--key", "once", "put", "a", "old"]);
    let file = save(&cluster, "kv", "kv.snapshot");
    let listed = cluster.coracle_ok(&["snapshot", "list", "kv"]);
    let inspected = cluster.coracle_ok(&["snapshot", "inspect", text(&file), "-o", "json"]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert!(
        listed.contains(inspected["digest"].as_str().unwrap()),
        "{listed}"
    );
    assert_eq!(inspected["sessions"], 1);

    cluster.coracle_ok(&["apply", "kv", "put", "a", "new"]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(50);
    // One that is down has to catch up without the file.
    let leader = cluster.wait_for_fsm_leader("kv");
    let down = cluster.ids().into_iter().rfind(|id| *id != leader).unwrap();
    cluster.kill(down);
    let restored = cluster.coracle_ok(&["snapshot", "restore", "kv", "--from", text(&file)]);
    assert!(restored.trim().parse::<u64>().unwrap() > 50, "{restored}");
    load.wait_for(50);
    load.pause();

    assert_eq!(get(&cluster, "kv", "a"), "old");
    // The remembered commands came back with the state.
    let again = cluster.coracle_ok(&[
        "apply", "kv", "--key", "once", "put", "a", "old", "-o", "json",
    ]);
    assert!(again.contains("\"replayed\":true"), "{again}");
    cluster.start_node(down);
    cluster.converged_chain("kv");
    // And after all nodes have started anew.
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start_node(id);
    }
    cluster.wait_for_fsm_leader("kv");
    assert_eq!(get(&cluster, "kv", "a"), "old");
    cluster.converged_chain("kv");
}

#[test]
fn a_restore_that_the_plugin_refuses_changes_nothing() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("count", "counter", &[]);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "count", "count.snapshot");

    let output = cluster.coracle(&["snapshot", "restore", "kv", "--from", text(&file)]);

    assert_eq!(output.status.code(), Some(9), "{}", said(&output));
    assert!(
        said(&output).contains("restore failed"),
        "{}",
        said(&output)
    );
    assert_eq!(get(&cluster, "kv", "a"), "1");
    cluster.coracle_ok(&["apply", "kv", "put", "b", "2"]);
    cluster.converged_chain("kv");
}

#[test]
fn a_replica_starts_again_after_a_refused_restore_whose_file_is_gone() {
    let mut cluster = Cluster::start(1);
    cluster.create_fsm("count", "counter", &[]);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "count", "count.snapshot");
    let refused = cluster.coracle(&["snapshot", "restore", "kv", "--from", text(&file)]);
    assert_eq!(refused.status.code(), Some(9), "{}", said(&refused));
    // The next file takes its place.
    let other = save(&cluster, "kv", "kv.snapshot");
    cluster.coracle_ok(&["snapshot", "restore", "kv", "--from", text(&other)]);
    let refused = cluster.coracle(&["snapshot", "restore", "count", "--from", text(&other)]);
    assert_eq!(refused.status.code(), Some(9), "{}", said(&refused));
    coracle_it::eventually("a snapshot behind the refused restore", || {
        let status = cluster.fsm_status(1, "count")?;
        match status.snapshot_index {
            behind if behind >= status.applied_index => Ok(()),
            before => Err(format!("{before} of {}", status.applied_index)),
        }
    });
    // The log names it at the latest with the next acknowledged command.
    cluster.coracle_ok(&["apply", "kv", "put", "a", "2"]);

    cluster.kill(1);
    for file in std::fs::read_dir(cluster.data(1).join("snapshots")).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "image")
        {
            std::fs::remove_file(path).unwrap();
        }
    }
    cluster.start_node(1);

    cluster.wait_for_fsm_leader("count");
    assert_eq!(cluster.coracle_ok(&["query", "count", "get"]).trim(), "0");
}

#[test]
fn replicas_that_come_back_together_find_the_snapshot_behind_a_restore_whose_file_is_gone() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    for round in ["1", "2"] {
        cluster.coracle_ok(&["apply", "kv", "put", "a", round]);
        let file = save(&cluster, "kv", round);
        cluster.coracle_ok(&["snapshot", "restore", "kv", "--from", text(&file)]);
    }

    cluster.coracle_ok(&["fsm", "place", "kv", "--node", "n3"]);
    cluster.coracle_ok(&["fsm", "place", "kv", "--all"]);

    cluster.coracle_ok(&["apply", "kv", "put", "b", "3"]);
    cluster.converged_chain("kv");
    assert_eq!(get(&cluster, "kv", "a"), "2");
}

#[test]
fn a_new_fsm_from_a_snapshot_never_takes_the_place_of_one_that_is_there() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "kv", "kv.snapshot");
    cluster.coracle_ok(&["apply", "kv", "put", "a", "2"]);

    let again = cluster.coracle(&["fsm", "create", "kv", "--from-snapshot", text(&file)]);

    assert_eq!(again.status.code(), Some(6), "{}", said(&again));
    assert!(
        said(&again).contains("coracle snapshot restore kv"),
        "{}",
        said(&again)
    );
    assert_eq!(get(&cluster, "kv", "a"), "2");
}

#[test]
fn a_damaged_file_is_found_before_anything_is_sent() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "kv", "kv.snapshot");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    for arguments in [
        &["snapshot", "inspect", text(&file)][..],
        &["snapshot", "restore", "kv", "--from", text(&file)],
        &["fsm", "create", "two", "--from-snapshot", text(&file)],
    ] {
        let output = cluster.coracle(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains("match"), "{}", said(&output));
    }
}

#[test]
fn a_saved_snapshot_becomes_a_new_fsm_here_and_in_another_cluster() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "kv", "kv.snapshot");

    cluster.coracle_ok(&["fsm", "create", "two", "--from-snapshot", text(&file)]);
    assert_eq!(get(&cluster, "two", "a"), "1");
    cluster.coracle_ok(&["apply", "two", "put", "a", "2"]);
    assert_eq!(get(&cluster, "kv", "a"), "1");

    let other = Cluster::start(3);
    let create = ["fsm", "create", "kv", "--from-snapshot", text(&file)];
    let without = other.coracle(&create);
    assert_eq!(without.status.code(), Some(5), "{}", said(&without));
    assert!(
        said(&without).contains("coracle plugin add"),
        "{}",
        said(&without)
    );
    let plugin = plugin("kv");
    other.coracle_ok(&["plugin", "add", text(&plugin)]);
    other.coracle_ok(&create);
    assert_eq!(get(&other, "kv", "a"), "1");
    other.converged_chain("kv");
}

#[test]
fn a_snapshot_can_be_fetched_with_any_client_and_in_parts() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let file = save(&cluster, "kv", "kv.snapshot");
    let saved = std::fs::read(&file).unwrap();
    let url = format!("{}/v1/fsms/kv/snapshots/latest", cluster.http(1));
    let fetch = |more: &[&str]| {
        let mut curl = std::process::Command::new("curl");
        let output = curl.args(["-sf"]).args(more).arg(&url).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };

    assert!(fetch(&[]) == saved);
    assert!(fetch(&["-r", "10-19"]) == saved[10..20]);
    assert!(fetch(&["-r", "100-"]) == saved[100..]);
}

#[test]
fn no_more_snapshots_are_kept_than_the_setting_says() {
    let cluster = Cluster::start_with(1, "\n[snapshot]\nkeep = 3\n");
    cluster.create_fsm("kv", "kv", &[]);
    let mut taken = Vec::new();
    for number in 0..5 {
        cluster.coracle_ok(&["apply", "kv", "put", "a", &number.to_string()]);
        taken.push(cluster.coracle_ok(&["snapshot", "kv"]).trim().to_owned());
    }

    coracle_it::eventually("older snapshots to go", || {
        let list = cluster.coracle_ok(&["snapshot", "list", "kv"]);
        let indexes: Vec<&str> = list
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        match indexes == taken[2..] {
            true => Ok(()),
            false => Err(format!("{indexes:?} of {taken:?}")),
        }
    });
    let old = cluster.folder().join("old");
    cluster.coracle_ok(&[
        "snapshot",
        "save",
        "kv",
        "--index",
        &taken[2],
        "--out",
        text(&old),
    ]);
    cluster.coracle_ok(&["snapshot", "restore", "kv", "--from", text(&old)]);
    assert_eq!(get(&cluster, "kv", "a"), "2");
}
