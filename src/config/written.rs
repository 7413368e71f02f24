//! What a configuration says, key by key, in a form that only tells whether two say the same: so that a configuration
//! which is read again can be told by what has changed, and no secret is kept for it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use toml::{Table, Value};

use super::text;
use crate::core::model::bounds;
use crate::core::model::counted::cut_at;
use crate::core::model::foreign::line;

/// Changed keys that are named; more are counted.
const NAMED: usize = 40;

/// The key of a file that is large.
const PROFILE: &str = "history.profile";

/// A hash for every key of a file, and for what is in the files that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<String, u64>);

impl Written {
    /// What is no TOML says nothing.
    pub fn of(text: &str, dir: &Path) -> Written {
        let mut written = Written::default();
        if let Ok(table) = text.parse::<Table>() {
            written.add_table("", &table, dir);
        }
        written
    }

    /// The keys that are not the same in both, in order.
    pub fn changed(&self, new: &Written) -> Vec<String> {
        let differs = |key: &&String| self.0.get(*key) != new.0.get(*key);
        let mut keys: Vec<String> = self.0.keys().filter(differs).map(|key| line(key, 100)).collect();
        keys.extend(new.0.keys().filter(|key| !self.0.contains_key(*key)).map(|key| line(key, 100)));
        keys.sort_unstable();
        let more = keys.split_off(cut_at(keys.len(), NAMED));
        if !more.is_empty() {
            keys.push(format!("and {} more", more.len()));
        }
        keys
    }

    fn add_table(&mut self, of: &str, table: &Table, dir: &Path) {
        for (key, value) in table {
            let key = if of.is_empty() { key.clone() } else { format!("{of}.{key}") };
            self.add(key, value, dir);
        }
    }

    fn add(&mut self, key: String, value: &Value, dir: &Path) {
        match value {
            Value::Table(table) => self.add_table(&key, table, dir),
            Value::Array(items) if items.iter().any(Value::is_table) => {
                for (i, item) in items.iter().enumerate() {
                    // By its name, if it has one: which of them it is says nothing.
                    let name = item.get("name").and_then(Value::as_str);
                    let key = name.map_or_else(|| format!("{key}[{}]", i + 1), |name| format!("{key}.{name}"));
                    self.add(key, item, dir);
                }
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => {
                let mut hash = DefaultHasher::new();
                format!("{value:?}").hash(&mut hash);
                if let Some(file) = value.as_str().filter(|_| is_file(&key)) {
                    text::bytes(
                        &dir.join(file),
                        if key == PROFILE { bounds::PROFILE_BYTES } else { bounds::CONFIG_BYTES },
                    )
                    .ok()
                    .hash(&mut hash);
                }
                self.0.insert(key, hash.finish());
            }
        }
    }
}

/// A certificate is read again whenever it changes, by itself.
fn is_file(key: &str) -> bool {
    key == PROFILE || key.ends_with("_file") && !key.starts_with("agent.tls.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_that_are_written_otherwise() {
        let of = |text: &str| Written::of(text, Path::new("/nonexistent"));
        let before = of("[agent]\nveto = \"0s\"\nlisten = \"x\"\n[[group]]\nname = \"a\"\nnumbers = [\"+1\"]\n\
             [[group.threshold]]\nratio = 0.5\n[[notify]]\nname = \"ops\"\nurl = \"secret\"\n");
        let after =
            of("# said otherwise\n[[notify]]\nname = \"ops\"\nurl = \"other\"\n[agent]\nlisten = \"x\"\n[[group]]\n\
             numbers = [\"+1\", \"+2\"]\nname = \"a\"\n[[group.threshold]]\nratio = 0.6\n[[group]]\nname = \"b\"\n");
        let expected =
            ["agent.veto", "group.a.numbers", "group.a.threshold[1].ratio", "group.b.name", "notify.ops.url"];
        assert_eq!(before.changed(&after), expected);
        assert_eq!(before.changed(&before), Vec::<String>::new());
    }
}
