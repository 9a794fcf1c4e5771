//! The page of the documentation on these vectors holds the tables of files and of differences.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::differences::{DIFFERENCES, Difference};

const BEGIN: &str = "<!-- written by the test -->\n";
const END: &str = "<!-- end of what the test writes -->\n";

/// The files that are known, and what each is about. Others are run all the same.
const FILES: [(&str, &str); 28] = [
    ("async_storage_writes.txt", "a pipeline of writes, two deep"),
    (
        "async_storage_writes_append_aba_race.txt",
        "overwritten entries whose writes finish late",
    ),
    ("campaign.txt", "an election"),
    (
        "campaign_learner_must_vote.txt",
        "a learner that does not know of its promotion votes",
    ),
    ("checkquorum.txt", "a leader without a quorum steps down"),
    (
        "confchange_disable_validation.txt",
        "leaving a joint configuration that is not applied yet",
    ),
    ("confchange_v1_add_single.txt", "a voter is added"),
    ("confchange_v1_remove_leader.txt", "a leader is removed"),
    (
        "confchange_v1_remove_leader_stepdown.txt",
        "a leader is removed and steps down",
    ),
    (
        "confchange_v2_add_double_auto.txt",
        "two voters are added, then removed",
    ),
    (
        "confchange_v2_add_double_implicit.txt",
        "a joint configuration that is left by itself",
    ),
    ("confchange_v2_add_single_auto.txt", "a voter is added"),
    (
        "confchange_v2_add_single_explicit.txt",
        "a joint configuration that is left on demand",
    ),
    (
        "confchange_v2_replace_leader.txt",
        "a leader hands over and is replaced",
    ),
    (
        "confchange_v2_replace_leader_stepdown.txt",
        "a leader is replaced and steps down",
    ),
    (
        "forget_leader.txt",
        "followers and learners forget a leader",
    ),
    (
        "forget_leader_prevote_checkquorum.txt",
        "who has forgotten grants pre-votes",
    ),
    (
        "forget_leader_read_only_lease_based.txt",
        "forgetting a leader and its lease",
    ),
    (
        "heartbeat_resp_recovers_from_probing.txt",
        "from probing back to pipelining",
    ),
    (
        "lagging_commit.txt",
        "a follower that is behind by a commit",
    ),
    ("prevote.txt", "pre-votes"),
    ("prevote_checkquorum.txt", "pre-votes with check-quorum"),
    ("probe_and_replicate.txt", "figure 7 of the paper"),
    ("replicate_pause.txt", "a full window"),
    ("single_node.txt", "a group of one"),
    (
        "slow_follower_after_compaction.txt",
        "a follower behind a compacted log",
    ),
    (
        "snapshot_succeed_via_app_resp.txt",
        "a snapshot whose success shows in an answer",
    ),
    (
        "snapshot_succeed_via_app_resp_behind.txt",
        "a snapshot that is older than the one asked for",
    ),
];

/// Whether the page says what a file is about.
pub(crate) fn is_known(file: &str) -> bool {
    FILES.iter().any(|(name, _)| *name == file)
}

#[test]
fn the_page_on_vectors_lists_every_file_and_difference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors.md");
    let text = fs::read_to_string(&page).expect("a readable page");
    let (before, rest) = text.split_once(BEGIN).expect("where the tables begin");
    let (table, after) = rest.split_once(END).expect("where they end");
    let expected = render(DIFFERENCES);
    if std::env::var_os("CORACLE_REWRITE").is_some() {
        let text = [before, BEGIN, &expected, END, after].concat();
        fs::write(&page, text).expect("a writable page");
    } else {
        assert_eq!(table, expected, "rewrite the table with CORACLE_REWRITE=1");
    }
}

fn render(differences: &[Difference]) -> String {
    let mut text = "\n| file | about | differs |\n|---|---|---|\n".to_owned();
    for (name, about) in FILES {
        let count = differences.iter().filter(|d| d.file == name).count();
        let differs = match count {
            0 => String::new(),
            1 => "1 block".to_owned(),
            more => format!("{more} blocks"),
        };
        writeln!(text, "| `{name}` | {about} | {differs} |").expect("to a string");
    }
    let mut file = "";
    for difference in differences {
        if difference.file != file {
            file = difference.file;
            write!(text, "\n### `{file}`\n").expect("to a string");
        }
        let (command, nth) = (difference.command, difference.nth);
        let instead: String = difference
            .instead
            .lines()
            .map(|line| format!("  {}\n", line.trim()))
            .collect();
        let reason = difference.reason;
        write!(
            text,
            "\n- `{command}` ({nth}). {reason} Instead:\n\n  ```\n{instead}  ```\n"
        )
        .expect("to a string");
    }
    text.push('\n');
    text
}
