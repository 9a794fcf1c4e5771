//! The data-driven format of vectors that take input: commands, `----`, what they print, and an
//! empty line. An output that itself holds empty lines is opened by a second `----` and closed by
//! two of them.

use std::fs;
use std::path::Path;

/// One block of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// Line of the first command, 1-based.
    pub(crate) line: usize,
    /// The commands, each with the lines of input below it.
    pub(crate) steps: Vec<Step>,
    /// What the commands print, without trailing white space.
    pub(crate) expected: Vec<String>,
}

/// A command line and its input.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) input: String,
}

impl Block {
    /// The command whose output the block is about: the last.
    pub(crate) fn command(&self) -> &str {
        self.steps.last().map_or("", |step| &step.command)
    }

    /// Output was switched off, or there was none.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(&self.expected[..], [line] if line == "ok" || line == "ok (quiet)")
    }
}

/// The blocks of a file. What follows a command that takes no input is a further command.
pub(crate) fn read(path: &Path, takes_input: fn(&str) -> bool) -> Result<Vec<Block>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text, takes_input).map_err(|e| format!("{}:{e}", path.display()))
}

fn parse(text: &str, takes_input: fn(&str) -> bool) -> Result<Vec<Block>, String> {
    let mut lines = (1..).zip(text.lines()).peekable();
    let mut blocks = Vec::new();
    while let Some((number, line)) = lines.next() {
        if is_comment(line) {
            continue;
        }
        let mut steps = vec![step(line)];
        loop {
            let (number, line) = lines.next().ok_or_else(|| format!("{number}: no ----"))?;
            match line.trim() {
                "----" => break,
                _ if is_comment(line) => {}
                other => {
                    add(&mut steps, other, takes_input).map_err(|e| format!("{number}: {e}"))?
                }
            }
        }
        let mut expected = Vec::new();
        if lines.next_if(|(_, line)| *line == "----").is_some() {
            loop {
                let (_, line) = lines.next().ok_or_else(|| format!("{number}: no end"))?;
                if line == "----" && lines.next_if(|(_, next)| *next == "----").is_some() {
                    break;
                }
                expected.push(line.trim_end().to_owned());
            }
        } else {
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                expected.push(line.trim_end().to_owned());
            }
        }
        blocks.push(Block {
            line: number,
            steps,
            expected,
        });
    }
    Ok(blocks)
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

fn step(line: &str) -> Step {
    Step {
        command: line.trim().to_owned(),
        input: String::new(),
    }
}

fn add(steps: &mut Vec<Step>, line: &str, takes_input: fn(&str) -> bool) -> Result<(), String> {
    let last = steps.last_mut().ok_or("input without a command")?;
    if takes_input(&last.command) && last.input.is_empty() {
        line.clone_into(&mut last.input);
    } else {
        steps.push(step(line));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_commands_input_and_output_with_empty_lines() {
        let text = "# why\nlog-level none\nadd-nodes 1\n----\nok\n\n\npropose-conf-change 1\nv2 l3\n----\n----\na\n\nb\n----\n----\n\nraft-state\n----\n1: x\n";
        let blocks = parse(text, |command| command.starts_with("propose")).unwrap();
        let commands = blocks[0].steps.iter().map(|step| &step.command[..]);
        assert_eq!(
            commands.collect::<Vec<_>>(),
            ["log-level none", "add-nodes 1"]
        );
        assert!(blocks[0].is_quiet());
        assert_eq!(blocks[1].steps[0].input, "v2 l3");
        assert_eq!(blocks[1].expected, ["a", "", "b"]);
        assert_eq!((blocks[2].line, blocks[2].command()), (18, "raft-state"));
    }
}
