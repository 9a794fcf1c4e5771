//! The format of scripts: a command, `----`, what it prints, and an empty line.
//!
//! Lines that begin with `#` and empty lines between blocks are comment. With the environment
//! variable `CORACLE_REWRITE` set, what a command prints replaces what the file expects.

use std::fs;
use std::path::Path;

/// A command with its arguments: `name word key=value key=(a,b)`.
pub(crate) struct Command<'a> {
    pub(crate) name: &'a str,
    pub(crate) words: Vec<&'a str>,
    pub(crate) options: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(line: &'a str) -> Self {
        let mut command = Self {
            name: "",
            words: Vec::new(),
            options: Vec::new(),
        };
        let mut rest = line.trim();
        while !rest.is_empty() {
            // A list may hold spaces; it ends with its bracket.
            let end = match (rest.find(' '), rest.find("=(")) {
                (Some(space), Some(list)) if list < space => {
                    rest.find(')').map_or(rest.len(), |at| at + 1)
                }
                (None, _) => rest.len(),
                (Some(space), _) => space,
            };
            let (argument, tail) = rest.split_at(end);
            rest = tail.trim_start();
            command.take(argument);
        }
        command
    }

    /// The values of an option, empty if it is not given.
    pub(crate) fn values(&self, key: &str) -> Option<&[&'a str]> {
        let option = self.options.iter().find(|(name, _)| *name == key);
        option.map(|(_, values)| &values[..])
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        let value = self.values(key)?.first()?;
        Some(value.parse().unwrap_or_else(|_| panic!("{key}={value}")))
    }

    /// The word at a position, as a number; a leading `n` is ignored.
    pub(crate) fn word(&self, at: usize) -> u64 {
        let word = self.words.get(at).copied().unwrap_or_default();
        let digits = word.trim_start_matches('n');
        digits
            .parse()
            .unwrap_or_else(|_| panic!("{}: no number at word {at}: {word:?}", self.name))
    }

    fn take(&mut self, argument: &'a str) {
        match argument.split_once('=') {
            Some((key, value)) => {
                let list = value.trim_start_matches('(').trim_end_matches(')');
                let values = list.split(',').map(str::trim).filter(|v| !v.is_empty());
                self.options.push((key, values.collect()));
            }
            None if self.name.is_empty() => self.name = argument,
            None => self.words.push(argument),
        }
    }
}

/// Runs every block of a file through `run` and compares what it prints.
pub(crate) fn check(path: &Path, mut run: impl FnMut(&Command<'_>) -> String) {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut lines = text.lines().enumerate().peekable();
    let mut rewritten = String::new();
    let mut wrong = None;
    while let Some((number, line)) = lines.next() {
        rewritten.push_str(line);
        rewritten.push('\n');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (_, separator) = lines.next().unwrap_or_default();
        assert_eq!(separator, "----", "{}:{}", path.display(), number + 1);
        let mut expected = String::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            expected.push_str(line);
            expected.push('\n');
        }
        let mut found = run(&Command::parse(line));
        if !found.is_empty() && !found.ends_with('\n') {
            found.push('\n');
        }
        rewritten.push_str("----\n");
        rewritten.push_str(&found);
        if found != expected && wrong.is_none() {
            let at = format!("{}:{}: {line}", path.display(), number + 1);
            wrong = Some(format!("{at}\nexpected:\n{expected}found:\n{found}"));
        }
    }
    if let Some(wrong) = wrong {
        if std::env::var_os("CORACLE_REWRITE").is_some() {
            fs::write(path, rewritten).expect("the script can be written");
        } else {
            panic!("{wrong}");
        }
    }
}

/// The scripts of a folder, in order of their names.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    paths
}
