//! The vectors of etcd-raft on configuration changes, from the folder named by `CORACLE_VECTORS`
//! (which holds `confchange/`), reproduced to the byte; skipped where the variable is not set.
//! Beside the configuration the files show from which index a leader would feed each member.

use std::collections::BTreeMap;
use std::path::Path;

use coracle_proto::{ChangeRefusal, Configuration, Index, ReplicaId};

use crate::datadriven::{self, Step};
use crate::interaction::blocks::describe;
use crate::interaction::change::steps;
use crate::script;

#[test]
fn the_confchange_vectors_are_reproduced() {
    let Some(folder) = std::env::var_os("CORACLE_VECTORS") else {
        println!("skipped: CORACLE_VECTORS is not set");
        return;
    };
    for file in script::files(&Path::new(&folder).join("confchange")) {
        let mut changer = Changer::default();
        let blocks = datadriven::read(&file, |_| true).unwrap_or_else(|e| panic!("{e}"));
        println!("{}: {} blocks", file.display(), blocks.len());
        for block in blocks {
            let [step] = &block.steps[..] else {
                panic!("{}:{}: too much input", file.display(), block.line);
            };
            let (at, found) = (file.display(), changer.run(step));
            assert_eq!(found, block.expected, "{at}:{}", block.line);
        }
    }
}

/// A configuration, and the next index of each of its members.
#[derive(Default)]
struct Changer {
    configuration: Configuration,
    next: BTreeMap<ReplicaId, Index>,
    /// Last index of the log: one entry per command.
    last: Index,
}

impl Changer {
    fn run(&mut self, step: &Step) -> Vec<String> {
        let last = self.last;
        self.last += 1;
        let changed = self.change(step, self.last);
        let name = step.command.as_str();
        match changed {
            Ok(configuration) => {
                let members = configuration.members();
                self.next.retain(|id, _| members.contains(id));
                for member in members {
                    self.next.entry(member).or_insert(last.max(1));
                }
                self.configuration = configuration;
                self.describe()
            }
            Err(refusal) => vec![self.error(name, refusal)],
        }
    }

    fn change(&self, step: &Step, index: Index) -> Result<Configuration, ChangeRefusal> {
        let changes = steps(&step.input).unwrap_or_else(|e| panic!("{e}"));
        let configuration = &self.configuration;
        let words: Vec<_> = step.command.split_whitespace().collect();
        match words[..] {
            ["simple"] => configuration.simple(index, &changes),
            ["enter-joint"] => configuration.enter_joint(index, false, &changes),
            ["enter-joint", flag] => {
                configuration.enter_joint(index, flag == "autoleave=true", &changes)
            }
            ["leave-joint"] if changes.is_empty() => configuration.leave_joint(index),
            _ => panic!("no such command: {}", step.command),
        }
    }

    fn error(&self, name: &str, refusal: ChangeRefusal) -> String {
        match refusal {
            ChangeRefusal::Joint if name == "simple" => {
                "can't apply simple config change in joint config".to_owned()
            }
            ChangeRefusal::Joint => "config is already joint".to_owned(),
            ChangeRefusal::NotJoint => "can't leave a non-joint config".to_owned(),
            ChangeRefusal::NeedsJoint => {
                "more than one voter changed without entering joint config".to_owned()
            }
            ChangeRefusal::NoVoters if name != "simple" && self.configuration.voters.is_empty() => {
                "can't make a zero-voter config joint".to_owned()
            }
            ChangeRefusal::NoVoters => "removed all voters".to_owned(),
            other => other.to_string(),
        }
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = vec![describe(&self.configuration)];
        lines.extend(self.next.iter().map(|(id, next)| {
            let learner = match self.configuration.learners.contains(id) {
                true => " learner",
                false => "",
            };
            format!("{}: StateProbe match=0 next={next}{learner}", id.node.0)
        }));
        lines
    }
}
