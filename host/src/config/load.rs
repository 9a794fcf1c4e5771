//! From a file to a checked configuration. Every error names file, line and key.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, check};

/// Largest file read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("{} is larger than a configuration, which has at most {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{}", Shown(path, *line, message, text))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 if it is about something that is not there.
        line: usize,
        /// The line itself.
        text: String,
        /// What is wrong.
        message: String,
    },
}

struct Shown<'a>(&'a Path, usize, &'a str, &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, line, message, text) = self;
        if *line == 0 {
            return write!(f, "{}: {message}", path.display());
        }
        write!(f, "{}:{line}: {message}\n  {line} | {text}", path.display())
    }
}

impl Config {
    /// Reads, completes and checks a file. Paths in it become relative to the working directory.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.into(),
            source,
        };
        let mut text = String::new();
        // Not by the size the file claims: a device claims none and never ends.
        let file = File::open(path).map_err(read)?;
        let taken = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
        if taken.map_err(read)? as u64 > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge { path: path.into() });
        }
        Self::parse(&text, path)
    }

    /// The same, of a text that is said to be at `path`.
    ///
    /// # Errors
    ///
    /// See [`ConfigError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|e| invalid(path, text, e.span(), e.message().to_owned()))?;
        if let Err(wrong) = check::check(&config) {
            let span = find(text, &wrong.key);
            return Err(invalid(path, text, span, wrong.to_string()));
        }
        config.named = names(text);
        let folder = path.parent().unwrap_or(Path::new(""));
        for relative in [
            &mut config.data_dir,
            &mut config.tls.cert,
            &mut config.tls.key,
            &mut config.tls.ca,
        ] {
            *relative = folder.join(&*relative);
        }
        if let Some(key) = &mut config.tls.ca_key {
            *key = folder.join(&*key);
        }
        Ok(config)
    }
}

fn invalid(path: &Path, text: &str, span: Option<Range<usize>>, message: String) -> ConfigError {
    let start = span.map(|span| span.start.min(text.len()));
    let line = start.map_or(0, |start| text[..start].matches('\n').count() + 1);
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    ConfigError::Invalid {
        path: path.into(),
        line,
        text: shown.to_owned(),
        message,
    }
}

/// The settings that a file names; a list is one.
fn names(text: &str) -> BTreeSet<String> {
    let Ok(table) = text.parse::<toml::Table>() else {
        return BTreeSet::new();
    };
    let mut names = BTreeSet::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(section) => {
                names.extend(section.keys().map(|key| format!("{name}.{key}")));
            }
            _ => {
                names.insert(name);
            }
        }
    }
    names
}

/// Where the value of a key like `raft.heartbeat_ms` or `peers.1.quic` is, or its parent.
fn find(text: &str, key: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut at: Option<&Spanned<DeValue<'_>>> = None;
    for part in key.split('.') {
        let next = match at.map(Spanned::get_ref) {
            None => table.get_ref().get(part),
            Some(DeValue::Table(table)) => table.get(part),
            Some(DeValue::Array(array)) => part.parse().ok().and_then(|i: usize| array.get(i)),
            Some(_) => None,
        };
        let Some(next) = next else { return found };
        found = Some(next.span());
        at = Some(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"cluster = "blue"
node = 1
data_dir = "data"
[listen]
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"
[tls]
cert = "node.crt"
key = "node.key"
ca = "/etc/ca.crt"
[[peers]]
id = 1
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"
"#;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("d/n1/coracle.toml"))
    }

    /// The message and the line it names.
    fn error(text: &str) -> (usize, String) {
        match parse(text).expect_err(text) {
            ConfigError::Invalid { line, message, .. } => (line, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn paths_are_relative_to_the_file_and_the_rest_has_defaults() {
        let config = parse(GOOD).expect("good");
        assert_eq!(config.data_dir, Path::new("d/n1/data"));
        assert_eq!(config.tls.cert, Path::new("d/n1/node.crt"));
        assert_eq!(config.tls.ca, Path::new("/etc/ca.crt"));
        assert_eq!(config.raft.election_timeout_ms, 1000);
        assert_eq!(config.limits.command_bytes, 1 << 20);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let (line, message) = error(&format!("{GOOD}[raft]\nheartbeat = 1\n"));
        assert_eq!(line, 16);
        assert!(
            message.contains("`heartbeat`") && message.contains("heartbeat_ms"),
            "{message}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_line() {
        let text = GOOD.replace("node = 1", "node = \"one\"");
        let shown = parse(&text).expect_err("wrong type").to_string();
        assert!(shown.starts_with("d/n1/coracle.toml:2: "), "{shown}");
        assert!(shown.contains("2 | node = \"one\""), "{shown}");
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused() {
        let text = GOOD.replacen("http = \"127.0.0.1", "http = \"0.0.0.0", 1);
        let (line, message) = error(&text);
        assert_eq!(line, 6);
        assert!(message.contains("not a loopback address"), "{message}");
    }

    #[test]
    fn values_that_cannot_work_are_refused_where_they_stand() {
        for (from, to, line, part) in [
            ("node = 1", "node = 0", 2, "begin with 1"),
            ("node = 1", "node = 2", 11, "this node, 2, is missing"),
            ("\"blue\"", "\"a/b\"", 1, "cluster"),
            (
                "id = 1\nquic = \"127.0.0.1:7400",
                "id = 1\nquic = \"0.0.0.0:7400",
                13,
                "dialled",
            ),
            (
                "[tls]",
                "[raft]\nelection_timeout_ms = 200\n[tls]",
                8,
                "less than 3 heartbeats",
            ),
            (
                "[tls]",
                "[raft]\nelection_timeout_ms = 9223372036854775807\n[tls]",
                8,
                "more than 600000 ms",
            ),
            (
                "[tls]",
                "[storage]\nballast_bytes = 9000000000000000000\n[tls]",
                8,
                "storage.ballast_bytes",
            ),
            (
                "[tls]",
                "[limits]\ncommand_bytes = 0\n[tls]",
                8,
                "not between 1 and",
            ),
        ] {
            let (found, message) = error(&GOOD.replacen(from, to, 1));
            assert!(message.contains(part), "{message}");
            assert_eq!(found, line, "{message}");
        }
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let shown = Config::load(Path::new("/dev/zero")).expect_err("endless");
        assert!(matches!(shown, ConfigError::TooLarge { .. }), "{shown}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let path = Path::new("/nonexistent/coracle.toml");
        let shown = Config::load(path).expect_err("missing").to_string();
        assert!(shown.contains("/nonexistent/coracle.toml"), "{shown}");
    }
}
