//! Damaged files: found, named, and never answered from.

use std::path::{Path, PathBuf};

use coracle_client::FsmState;
use coracle_it::Cluster;

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Changes one byte in every `step` of a file.
fn damage(path: &Path, step: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    for position in (step / 2..bytes.len()).step_by(step) {
        bytes[position] ^= 0x40;
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_log_stops_the_node_and_the_others_go_on() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.stop(2);
    for file in files(&cluster.data(2), "redb") {
        damage(&file, 512);
    }

    cluster.start_node(2);
    let status = cluster.wait_for_exit(2);

    assert!(!status.success());
    assert!(cluster.log(2).contains("log"), "{}", cluster.log(2));
    cluster.coracle_ok(&["apply", "kv", "put", "b", "2"]);
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
}

#[test]
fn a_damaged_snapshot_is_not_restored_from() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    for number in 0..20 {
        cluster.coracle_ok(&["apply", "kv", "put", &format!("k{number}"), "value"]);
    }
    cluster.coracle_ok(&["snapshot", "kv"]);
    // A file that no floor names yet would rightly be ignored.
    coracle_it::eventually("the node to have a snapshot", || {
        let status = cluster.fsm_status(3, "kv")?;
        if status.snapshot_index > 0 {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    });
    cluster.stop(3);
    let group = cluster.fsm_status(1, "kv").unwrap().group;
    for file in files(&cluster.data(3), "snapshot") {
        if file.to_string_lossy().contains(&format!("{group}")) {
            damage(&file, 64);
        }
    }

    cluster.start_node(3);

    coracle_it::eventually("the damage to be named", || {
        let log = cluster.log(3);
        if log.contains("snapshot") && (log.contains("checksum") || log.contains("damaged")) {
            Ok(())
        } else {
            Err(log.lines().last().unwrap_or_default().to_owned())
        }
    });
    cluster.coracle_ok(&["apply", "kv", "put", "b", "2"]);
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "k7"]).trim_end(),
        "value"
    );
}

#[test]
fn a_replica_whose_snapshot_is_damaged_or_gone_gets_another_nodes_and_goes_on() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    for number in 0..20 {
        cluster.coracle_ok(&["apply", "kv", "put", &format!("k{number}"), "value"]);
    }
    let taken: u64 = cluster
        .coracle_ok(&["snapshot", "kv"])
        .trim()
        .parse()
        .unwrap();
    for (node, spoil) in [(2, false), (3, true)] {
        coracle_it::eventually("the node to have a snapshot", || {
            match cluster.fsm_status(node, "kv")?.snapshot_index {
                index if index >= taken => Ok(()),
                index => Err(format!("it is at {index}")),
            }
        });
        let group = cluster.fsm_status(node, "kv").unwrap().group;
        cluster.stop(node);
        let own = format!("g{group}-");
        let mut touched = 0;
        for file in files(&cluster.data(node), "snapshot") {
            if file
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&own)
            {
                touched += 1;
                match spoil {
                    true => damage(&file, 64),
                    false => std::fs::remove_file(file).unwrap(),
                }
            }
        }
        assert!(touched > 0);
        cluster.coracle_ok(&["apply", "kv", "put", &format!("after{node}"), "2"]);

        cluster.start_node(node);

        coracle_it::eventually("the fsm to run again", || {
            match cluster.fsm_status(node, "kv")?.state {
                FsmState::Running => Ok(()),
                state => Err(state.to_string()),
            }
        });
        cluster.converged_chain("kv");
        assert!(cluster.log(node).contains("a lost snapshot was fetched"));
    }
}

#[test]
fn a_damaged_plugin_is_named_and_fetched_again() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.kill(3);
    let bytes = files(&cluster.data(3), "wasm").remove(0);
    damage(&bytes, 64);
    std::fs::remove_dir_all(cluster.data(3).join("compiled")).unwrap();

    cluster.start_node(3);

    coracle_it::eventually("the fsm to run again", || {
        let status = cluster.fsm_status(3, "kv")?;
        if status.state == FsmState::Running {
            Ok(())
        } else {
            Err(status.state.to_string())
        }
    });
    cluster.converged_chain("kv");
    assert!(cluster.log(3).contains("damaged"), "{}", cluster.log(3));
}

#[test]
fn a_wiped_node_does_not_come_back_as_itself() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.kill(1);
    std::fs::remove_dir_all(cluster.data(1)).unwrap();

    cluster.start_node(1);
    let status = cluster.wait_for_exit(1);

    assert!(!status.success());
    assert!(cluster.log(1).contains("data"), "{}", cluster.log(1));
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
}

#[test]
fn an_old_copy_of_the_log_is_refused() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.stop(3);
    let log = files(&cluster.data(3), "redb").remove(0);
    let old = std::fs::read(&log).unwrap();
    cluster.start_node(3);
    for number in 0..20 {
        cluster.coracle_ok(&["apply", "kv", "put", "a", &number.to_string()]);
    }
    cluster.converged_chain("kv");
    cluster.stop(3);
    std::fs::write(&log, old).unwrap();

    cluster.start_node(3);
    let status = cluster.wait_for_exit(3);

    assert!(!status.success());
    assert!(
        cluster.log(3).contains("acknowledged data is missing"),
        "{}",
        cluster.log(3)
    );
}
