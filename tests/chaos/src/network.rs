//! Who hears whom: packets dropped on their way in by nftables, by the addresses of both ends.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::cluster::address;
use crate::failure::Failure;

/// The rules of this run's own network. Before the translation of addresses, so that the two ends of
/// a packet are a node and a node, or a node and a relay.
const TABLE: &str = "
table ip chaos {
  set cuts { type ipv4_addr . ipv4_addr; }
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
}

impl Network {
    /// A network in which everybody hears everybody. Without `nft` it stays so.
    ///
    /// # Errors
    /// If the rules are refused.
    pub fn set_up() -> Result<Self, Failure> {
        let usable = crate::program::Tool::Nft.check().is_ok();
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
        })
    }

    /// From now on, what each `from` sends does not reach its `to`; all else does.
    ///
    /// # Errors
    /// If there is no `nft`, or it refuses.
    pub fn cut(&mut self, pairs: &[(u64, u64)]) -> Result<(), Failure> {
        if !self.usable {
            return crate::program::Tool::Nft.check();
        }
        let mut script = String::from("flush set ip chaos cuts\n");
        for (from, to) in pairs {
            for there in [address(*to), relayed(*from, *to), relayed(*to, *from)] {
                let from = address(*from);
                // Writing to a string does not fail.
                let _ = writeln!(script, "add element ip chaos cuts {{ {from} . {there} }}");
            }
        }
        nft(&script)?;
        self.cuts = pairs.to_vec();
        Ok(())
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
        crate::program::Tool::Nft.check()?;
        let mut rules = String::new();
        for (from, to) in pairs {
            let (saddr, daddr, relay) = (address(*from), address(*to), relayed(*from, *to));
            let _ = writeln!(
                rules,
                "    ip saddr {saddr} ip daddr {daddr} udp dport {port} dnat to {relay}:{port}"
            );
        }
        nft(&format!(
            "table ip relayed {{\n  chain leaving {{\n    type nat hook output priority -100;\n{rules}  }}\n}}\n"
        ))
    }
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
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::harness(format!("load the rules {script:?}"), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_cuts_both_ways_and_only_across() {
        assert_eq!(apart(&[1], &[2, 3]), [(1, 2), (2, 1), (1, 3), (3, 1)]);
        assert_eq!(one_way(2, &[1, 2, 3], false), [(2, 1), (2, 3)]);
        assert_eq!(one_way(2, &[1, 2, 3], true), [(1, 2), (3, 2)]);
    }
}
