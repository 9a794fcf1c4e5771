//! Settings by name: `raft.heartbeat_ms`. Which there are, which may change while the node runs,
//! and what they are set to.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Config, check};

/// Settings that may change while the node runs, ascending.
pub const HOT: [&str; 17] = [
    "limits.http_requests",
    "limits.queued_bytes",
    "limits.queued_commands",
    "limits.request_timeout_ms",
    "log.level",
    "metrics.max_fsms",
    "raft.election_timeout_ms",
    "raft.heartbeat_ms",
    "raft.max_inflight_appends",
    "raft.max_inflight_bytes",
    "raft.max_uncommitted_bytes",
    "raft.quiesce_after",
    "snapshot.bytes",
    "snapshot.entries",
    "snapshot.rate_bytes",
    "snapshot.retained_bytes",
    "snapshot.retained_entries",
];

/// A name is taken for a misspelt other one if so few letters differ.
const MAX_TYPOS: usize = 4;

/// Why a setting was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is none of this name.
    #[error("there is no setting {key}{}", suggestion(.closest.as_deref()))]
    Unknown {
        /// The name.
        key: String,
        /// The name that was probably meant.
        closest: Option<String>,
    },
    /// It is read when the node starts.
    #[error(
        "{key} cannot change while the node runs: set it in the node's configuration file and \
         restart the node"
    )]
    NeedsRestart {
        /// The name.
        key: String,
    },
    /// The value is none for it.
    #[error("{key}: {value}: {reason}")]
    Invalid {
        /// The name.
        key: String,
        /// The value.
        value: String,
        /// Why not.
        reason: String,
    },
}

fn suggestion(closest: Option<&str>) -> String {
    closest.map_or_else(
        || "; see `coracle config show`".to_owned(),
        |closest| format!("; did you mean {closest}?"),
    )
}

impl Config {
    /// Every setting by its name. Those that are not set and have no default are missing.
    pub fn settings(&self) -> BTreeMap<String, Value> {
        let table = Table::try_from(self).expect("invariant: a configuration is a table");
        let mut settings = BTreeMap::new();
        flatten("", &Value::Table(table), &mut settings);
        settings
    }

    /// The same with one setting changed, checked as a whole.
    ///
    /// # Errors
    /// If there is no such setting, it needs a restart, or the value is none for it.
    pub fn with_setting(&self, key: &str, value: &Value) -> Result<Self, SettingError> {
        if HOT.binary_search(&key).is_err() {
            let settings = self.settings();
            let key = key.to_owned();
            return Err(if settings.contains_key(&key) {
                SettingError::NeedsRestart { key }
            } else {
                let closest = closest(&key, settings.keys().map(String::as_str));
                SettingError::Unknown { key, closest }
            });
        }
        let invalid = |reason: String| SettingError::Invalid {
            key: key.to_owned(),
            value: value.to_string(),
            reason,
        };
        let mut table = Table::try_from(self).expect("invariant: a configuration is a table");
        put(&mut table, key, value.clone());
        let mut changed: Self = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
        changed.named.clone_from(&self.named);
        check::check(&changed).map_err(|wrong| invalid(wrong.to_string()))?;
        Ok(changed)
    }
}

/// A value as it is written on a command line: a number or a word needs no quotes.
pub fn parse_value(text: &str) -> Value {
    let line = format!("value = {text}");
    let parsed = line
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&key, value, into);
            }
        }
        value => {
            into.insert(prefix.to_owned(), value.clone());
        }
    }
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Some(Value::Table(section)) = table.get_mut(section) {
                put(section, rest, value);
            }
        }
    }
}

/// The name that differs least, if it is near enough.
fn closest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let near = names.map(|name| (distance(key, name), name));
    let (typos, name) = near.min()?;
    (typos <= MAX_TYPOS).then(|| name.to_owned())
}

/// How many letters must be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let text = r#"cluster = "blue"
node = 1
data_dir = "data"
[listen]
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"
[tls]
cert = "node.crt"
key = "node.key"
ca = "ca.crt"
[[peers]]
id = 1
quic = "127.0.0.1:7400"
http = "127.0.0.1:7401"
[raft]
heartbeat_ms = 50
"#;
        Config::parse(text, Path::new("c.toml")).unwrap()
    }

    #[test]
    fn the_table_of_the_manual_has_every_setting_with_its_default() {
        let page = include_str!("../../../docs/operating.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let rows: BTreeMap<&str, (&str, bool)> = rows
            .filter_map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let [_, key, default, hot, _, _] = cells[..] else {
                    return None;
                };
                Some((key.trim_matches('`'), (default, hot == "yes")))
            })
            .collect();
        for (key, value) in config().settings() {
            let section = key.split_once('.').map_or("", |(section, _)| section);
            if !["raft", "storage", "snapshot", "limits", "log", "metrics"].contains(&section) {
                continue;
            }
            let (default, hot) = rows.get(key.as_str()).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(*hot, HOT.contains(&key.as_str()), "{key}");
            let shown = match &value {
                Value::String(text) => format!("`{text}`"),
                value => value.to_string(),
            };
            if key != "raft.heartbeat_ms" {
                assert_eq!(*default, shown, "{key}");
            }
        }
    }

    #[test]
    fn every_hot_setting_exists_and_they_are_sorted() {
        let settings = config().settings();
        for key in HOT {
            assert!(settings.contains_key(key), "{key}");
        }
        assert!(HOT.is_sorted());
    }

    #[test]
    fn a_hot_setting_changes_and_nothing_else_does() {
        let before = config();
        let after = before
            .with_setting("raft.heartbeat_ms", &parse_value("70"))
            .unwrap();
        assert_eq!(after.raft.heartbeat_ms, 70);
        let back = after.with_setting("raft.heartbeat_ms", &parse_value("50"));
        assert_eq!(back.unwrap(), before);
    }

    #[test]
    fn what_cannot_change_or_does_not_exist_is_refused_with_what_to_do() {
        let refused = |key: &str, value: &str| {
            let error = config().with_setting(key, &parse_value(value));
            error.unwrap_err().to_string()
        };
        let cold = refused("storage.cache_bytes", "1");
        assert!(cold.contains("restart the node"), "{cold}");
        let typo = refused("raft.hartbeat_ms", "1");
        assert!(typo.contains("did you mean raft.heartbeat_ms?"), "{typo}");
        let nothing = refused("colour", "red");
        assert!(nothing.contains("coracle config show"), "{nothing}");
        let range = refused("raft.heartbeat_ms", "900");
        assert!(range.contains("less than 3 heartbeats"), "{range}");
        let kind = refused("raft.heartbeat_ms", "fast");
        assert!(kind.contains("raft.heartbeat_ms: \"fast\""), "{kind}");
    }

    #[test]
    fn values_need_quotes_only_where_they_could_be_something_else() {
        assert_eq!(parse_value("7"), Value::Integer(7));
        assert_eq!(parse_value("\"7\""), Value::String("7".into()));
        assert_eq!(parse_value("debug"), Value::String("debug".into()));
        assert_eq!(
            parse_value("coracle=debug,info"),
            Value::String("coracle=debug,info".into())
        );
    }
}
