//! Who hears whom: packets dropped on their way in by nftables, by the addresses of both ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cluster::address;
use crate::failure::Failure;
use crate::program;
use crate::tool::Tool;

/// The rules of this run's own network. Before the translation of addresses, so that the two ends of
/// a packet are a node and a node, or a node and a relay.
const TABLE: &str = "
table ip chaos {
  set cuts { type ipv4_addr . ipv4_addr; counter; }
  chain arriving {
    type filter hook input priority -300;
    ip saddr . ip daddr @cuts meta l4proto udp drop
  }
}
";

/// What is cut off from what.
#[derive(Debug)]
pub struct Network {
    usable: bool,
    cuts: Vec<(u64, u64)>,
    /// Packets that earlier cuts have dropped.
    dropped: u64,
    /// Cuts so far.
    count: u64,
}

impl Network {
    /// A network in which everybody hears everybody. Without `nft` it stays so.
    ///
    /// # Errors
    /// If the rules are refused.
    pub fn set_up() -> Result<Self, Failure> {
        let usable = Tool::Nft.check().is_ok();
        if usable {
            // An earlier run in this network has left its own, perhaps the way to its relay.
            for table in ["chaos", "relayed"] {
                nft(&format!("add table ip {table}\ndelete table ip {table}"))?;
            }
            nft(TABLE)?;
        }
        Ok(Self {
            usable,
            cuts: Vec::new(),
            dropped: 0,
            count: 0,
        })
    }

    /// From now on, what each `from` sends does not reach its `to`; all else does.
    ///
    /// # Errors
    /// If there is no `nft`, or it refuses.
    pub fn cut(&mut self, pairs: &[(u64, u64)]) -> Result<(), Failure> {
        if !self.usable {
            return Tool::Nft.check();
        }
        let mut script = String::from("flush set ip chaos cuts\n");
        for (from, to) in pairs {
            for (from, there) in ways(*from, *to) {
                // Writing to a string does not fail.
                let _ = writeln!(script, "add element ip chaos cuts {{ {from} . {there} }}");
            }
        }
        // The new rules count from zero.
        self.dropped = self.all_dropped()?;
        nft(&script)?;
        self.count += u64::from(!pairs.is_empty());
        self.cuts = pairs.to_vec();
        Ok(())
    }

    /// The packets that each direction that is cut now has cost.
    ///
    /// # Errors
    /// If `nft` does not tell.
    pub fn dropped(&self) -> Result<BTreeMap<(u64, u64), u64>, Failure> {
        let list = program::line("nft -j list set ip chaos cuts")?;
        let counted =
            counters(&list).ok_or_else(|| Failure::harness("read the counters of nft", &list))?;
        let of = |(from, to): &(u64, u64)| {
            let ways = ways(*from, *to).into_iter();
            ways.filter_map(|way| counted.get(&way)).sum()
        };
        Ok(self.cuts.iter().map(|pair| (*pair, of(pair))).collect())
    }

    /// The packets that all cuts so far have cost, if there was one.
    ///
    /// # Errors
    /// If `nft` does not tell, or if nobody has noticed any cut.
    pub fn felt(&self) -> Result<Option<u64>, Failure> {
        match (self.count, self.all_dropped()?) {
            (0, _) => Ok(None),
            (cuts, 0) => Err(Failure::harness(
                format!("cut the network {cuts} times"),
                "no packet was ever dropped",
            )),
            (_, dropped) => Ok(Some(dropped)),
        }
    }

    fn all_dropped(&self) -> Result<u64, Failure> {
        let now = match self.cuts.is_empty() {
            true => 0,
            false => self.dropped()?.values().sum(),
        };
        Ok(self.dropped + now)
    }

    /// Everybody hears everybody.
    ///
    /// # Errors
    /// If `nft` refuses.
    pub fn heal(&mut self) -> Result<(), Failure> {
        if self.cuts.is_empty() {
            return Ok(());
        }
        self.cut(&[])
    }

    /// Sends the packets of each pair over the relay's address for it.
    ///
    /// # Errors
    /// If there is no `nft`, or it refuses.
    pub(crate) fn redirect(&self, pairs: &[(u64, u64)], port: u16) -> Result<(), Failure> {
        Tool::Nft.check()?;
        let mut rules = String::new();
        for (from, to) in pairs {
            let (saddr, daddr, relay) = (address(*from), address(*to), relayed(*from, *to));
            let _ = writeln!(
                rules,
                "    ip saddr {saddr} ip daddr {daddr} udp dport {port} dnat to {relay}:{port}"
            );
        }
        nft(&relaying(&rules))
    }
}

fn relaying(rules: &str) -> String {
    format!(
        "table ip relayed {{\n  chain leaving {{\n    type nat hook output priority -100;\n{rules}  }}\n}}\n"
    )
}

/// Whether the kernel takes such rules.
///
/// # Errors
/// Why it does not.
pub(crate) fn probe() -> Result<(), Failure> {
    let rules = "    udp dport 1 dnat to 127.0.0.1:1\n";
    let both = format!("{TABLE}{}", relaying(rules));
    let names = |text: String| {
        text.replace(" ip chaos ", " ip tried ")
            .replace(" ip relayed ", " ip tried2 ")
    };
    nft(&names(both))?;
    nft("delete table ip tried\ndelete table ip tried2")
}

/// The two ends of what `from` sends to `to`: it may go over a relay, which stands for the other end.
fn ways(from: u64, to: u64) -> [(String, String); 3] {
    [address(to), relayed(from, to), relayed(to, from)].map(|there| (address(from), there))
}

/// The packets that each element of a set has seen, by its two addresses.
fn counters(list: &str) -> Option<BTreeMap<(String, String), u64>> {
    let list: Value = serde_json::from_str(list).ok()?;
    let set = list.get("nftables")?.as_array()?;
    let elements = set.iter().find_map(|part| part.get("set"))?.get("elem");
    let elements = elements.and_then(Value::as_array);
    let counted = elements.into_iter().flatten().map(|element| {
        let element = element.get("elem")?;
        let ends = element.get("val")?.get("concat")?;
        let end = |at: usize| ends.get(at).and_then(Value::as_str).map(str::to_owned);
        let packets = element.get("counter")?.get("packets")?.as_u64()?;
        Some(((end(0)?, end(1)?), packets))
    });
    counted.collect()
}

/// The address of the relay between `from`, who dials, and `to`.
pub(crate) fn relayed(from: u64, to: u64) -> String {
    format!("127.1.{}.{}", from + 1, to + 1)
}

/// Everybody in `one` and nobody in `other` hears the other, and the other way round.
pub fn apart(one: &[u64], other: &[u64]) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    for a in one {
        for b in other {
            pairs.extend([(*a, *b), (*b, *a)]);
        }
    }
    pairs
}

/// Nobody hears `one`, which hears all others; or, with `deaf`, it hears nobody.
pub fn one_way(one: u64, others: &[u64], deaf: bool) -> Vec<(u64, u64)> {
    let others = others.iter().filter(|other| **other != one);
    others
        .map(|other| if deaf { (*other, one) } else { (one, *other) })
        .collect()
}

fn nft(script: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::harness("run nft", error);
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let wrote = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(script.as_bytes()),
        None => Ok(()),
    };
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return wrote.map_err(failed);
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::harness(format!("load the rules {script:?}"), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packets_of_each_direction_are_read_from_what_nft_says() {
        let list = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"name": "cuts",
            "elem": [{"elem": {"val": {"concat": ["127.0.0.2", "127.0.0.3"]},
                               "counter": {"packets": 7, "bytes": 203}}}]}}]}"#;
        let ends = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let counted = counters(list).unwrap();
        assert_eq!(counted.get(&ends("127.0.0.2", "127.0.0.3")), Some(&7));
        assert!(ways(1, 2).iter().any(|way| counted.contains_key(way)));
        assert!(!ways(2, 1).iter().any(|way| counted.contains_key(way)));
        let empty = r#"{"nftables": [{"set": {"name": "cuts"}}]}"#;
        assert_eq!(counters(empty), Some(BTreeMap::new()));
        assert_eq!(counters("{}"), None);
    }

    #[test]
    fn a_partition_cuts_both_ways_and_only_across() {
        assert_eq!(apart(&[1], &[2, 3]), [(1, 2), (2, 1), (1, 3), (3, 1)]);
        assert_eq!(one_way(2, &[1, 2, 3], false), [(2, 1), (2, 3)]);
        assert_eq!(one_way(2, &[1, 2, 3], true), [(1, 2), (3, 2)]);
    }
}
