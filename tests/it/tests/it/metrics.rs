//! What a live node shows to Prometheus.

use std::collections::BTreeMap;

use coracle_client::QueryOptions;
use coracle_it::Cluster;

const PAGE: &str = include_str!("../../../../docs/metrics.md");

fn documented() -> BTreeMap<&'static str, &'static str> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `coracle_"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let name = cells.next().unwrap().trim_matches('`');
        (name.split('{').next().unwrap(), cells.next().unwrap())
    })
    .collect()
}

/// The sum of all series of a sample.
fn sum(text: &str, sample: &str) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let name = line.split(['{', ' ']).next()?;
        let value = line.rsplit_once(' ')?.1;
        (name == sample).then(|| value.parse::<f64>().unwrap())
    });
    values.sum()
}

#[test]
fn every_documented_metric_is_there_with_its_type_and_those_that_count_move() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let client = cluster.client_of(&[leader]);
    let before = cluster.run(client.metrics()).unwrap();

    for number in 0..5 {
        let command = format!("put k{number} v");
        cluster.run(client.apply("kv", command.into())).unwrap();
    }
    let query = client.query("kv", "get k1".into(), QueryOptions::default());
    cluster.run(query).unwrap();
    let after = cluster.run(client.metrics()).unwrap();

    assert!(after.ends_with("# EOF\n"));
    for (name, kind) in documented() {
        let family = name.strip_suffix("_total").unwrap_or(name);
        let declared = format!("# TYPE {family} {kind}\n");
        assert!(after.contains(&declared), "{declared} is missing");
    }
    for sample in [
        "coracle_fsm_apply_total",
        "coracle_fsm_fuel_total",
        "coracle_log_commits_total",
        "coracle_log_fsync_seconds_count",
        "coracle_raft_commit_index",
        "coracle_raft_commit_latency_seconds_count",
        "coracle_raft_read_index_seconds_count",
        "coracle_fsm_query_seconds_count",
        "coracle_http_requests_total",
        "coracle_quic_messages_total",
        "coracle_quic_bytes_total",
    ] {
        assert!(sum(&after, sample) > sum(&before, sample), "{sample}");
    }
    assert!(sum(&after, "coracle_quic_rtt_seconds") > 0.0);
    let two_certificates_of_years = 2.0 * 1_700_000_000.0;
    let ends = sum(&after, "coracle_tls_cert_expiry_timestamp_seconds");
    assert!(ends > two_certificates_of_years, "{ends}");
}
