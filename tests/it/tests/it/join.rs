//! Tickets, good ones and others.

use std::process::{Command, Output};

use coracle_client::{CreateToken, MemberRole};
use coracle_it::{Cluster, binary, eventually};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_ticket_lets_one_node_in_and_the_next_is_told_that_it_is_used() {
    let mut cluster = Cluster::start(1);
    let ticket = cluster.ticket(MemberRole::Voter);
    let id = cluster.start_joining(&ticket);
    cluster.wait_for_role(id, MemberRole::Voter);

    let output = cluster.join_fails(&ticket, 3);

    assert_eq!(output.status.code(), Some(4));
    assert!(
        stderr(&output).contains("token used"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("coracle token create join"));
    let metrics = cluster.run(cluster.client_of(&[1]).metrics()).unwrap();
    for count in ["{result=\"admitted\"} 1", "{result=\"refused\"} 1"] {
        let sample = format!("coracle_join_requests_total{count}\n");
        assert!(metrics.contains(&sample), "{sample}");
    }
}

#[test]
fn a_node_that_has_joined_starts_again_with_its_ticket_or_without() {
    let mut cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    let ticket = cluster.ticket(MemberRole::Voter);
    let id = cluster.start_joining(&ticket);
    cluster.wait_for_role(id, MemberRole::Voter);
    assert!(cluster.stop(id).success(), "{}", cluster.log(id));

    cluster.start_node(id);

    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.converged_chain("kv");
}

#[test]
fn tickets_that_are_no_good_say_which_way() {
    let cluster = Cluster::start(1);
    let good = cluster.ticket(MemberRole::Voter);

    let damaged = format!("{}a", &good[..good.len() - 1]);
    let damaged = if damaged == good {
        good.replace('a', "b")
    } else {
        damaged
    };
    let output = cluster.join_fails(&damaged, 2);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));

    let token = CreateToken {
        role: MemberRole::Voter,
        ttl_seconds: 1,
        uses: 1,
    };
    let short = cluster.run(cluster.client().create_token(&token)).unwrap();
    eventually("the ticket to expire", || {
        let shown = cluster.coracle_ok(&["token", "show", &short.ticket, "-o", "json"]);
        match shown.contains("\"expired\":true") {
            true => Ok(()),
            false => Err(shown),
        }
    });
    let output = cluster.join_fails(&short.ticket, 2);
    assert!(stderr(&output).contains("expired"), "{}", stderr(&output));

    let revoked = cluster.run(cluster.client().create_token(&CreateToken {
        ttl_seconds: 60,
        ..token
    }));
    let revoked = revoked.unwrap();
    cluster.coracle_ok(&["token", "revoke", &revoked.id]);
    let output = cluster.join_fails(&revoked.ticket, 2);
    assert!(stderr(&output).contains("revoked"), "{}", stderr(&output));

    let output = cluster.join_fails(&good, 1);
    assert!(
        stderr(&output).contains("choose another with --quic"),
        "{}",
        stderr(&output)
    );
    for output in [cluster.log(1), stderr(&output)] {
        assert!(!output.contains(&good), "the ticket is in a log");
    }
}

#[test]
fn nobody_joins_at_the_address_of_a_member_that_is_away() {
    let mut cluster = Cluster::start(3);
    let ticket = cluster.ticket(MemberRole::Voter);
    cluster.kill(3);

    let output = cluster.join_fails(&ticket, 3);

    assert!(
        stderr(&output).contains("address taken"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_ticket_of_another_cluster_is_noticed_before_anything_is_sent() {
    let mut cluster = Cluster::start(1);
    let ticket = cluster.ticket(MemberRole::Voter);
    cluster.stop(1);
    let mut other = Cluster::init(1);
    let mut text = std::fs::read_to_string(other.config(1)).unwrap();
    let (there, here) = (other.addresses(1), cluster.addresses(1));
    text = text.replace(&there.0, &here.0).replace(&there.1, &here.1);
    std::fs::write(other.config(1), text).unwrap();
    other.start_node(1);
    eventually("the other cluster to be there", || cluster.status(1));

    let output = cluster.join_fails(&ticket, 2);

    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("another cluster"),
        "{}",
        stderr(&output)
    );
    assert!(!other.log(1).contains("wants to join"));
}

#[test]
fn a_node_that_could_not_serve_does_not_become_a_member() {
    let cluster = Cluster::start(1);
    let ticket = cluster.ticket(MemberRole::Voter);
    let (quic, http) = cluster.addresses(2);
    let (_, taken) = cluster.addresses(1);
    let folder = cluster.folder().join("n2");
    let folder = folder.to_str().unwrap();
    for (quic, http, name, hint) in [
        (&quic, &taken, "blue", "choose another with --http"),
        (&quic, &"192.0.2.1:7401".to_owned(), "blue", "--http"),
        (&"192.0.2.1:7400".to_owned(), &http, "blue", "--quic"),
        (&quic, &http, "n1", "choose another with --name"),
    ] {
        let output = Command::new(binary())
            .args(["start", "--join", &ticket, "--data-dir", folder])
            .args(["--quic", quic, "--http", http, "--name", name])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains(hint), "{}", stderr(&output));
    }
    let list = eventually("the list of the leader", || cluster.members());
    assert_eq!(list.members.len(), 1, "{list:?}");
}
