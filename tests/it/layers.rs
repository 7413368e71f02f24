//! Who may use whom, as the crate's front page says. One package cannot enforce it by crate walls,
//! so this does.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dir), &mut out);
    out
}

/// Lines of code in `dir` that mention one of `words`, comments left out.
fn mentions(dir: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(dir) {
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for word in words {
                if code.contains(word) {
                    found.push(format!("{}:{}: {word}", path.display(), i + 1));
                }
            }
        }
    }
    found
}

/// What waits, reads, writes or knows the time, and the parts that do.
const IMPURE: &[&str] = &[
    "tokio",
    "async ",
    ".await",
    "reqwest",
    "hyper",
    "axum",
    "sqlx",
    "tracing",
    "prometheus",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "Instant::now",
    "println!",
    "crate::twilio",
    "crate::clock",
    "crate::metrics",
    "crate::store",
    "crate::agent",
    "crate::admin",
    "crate::cli",
];

#[test]
fn the_core_is_pure() {
    let impure = [IMPURE, &["rand::", "crate::config", "crate::sim"]].concat();
    assert_eq!(mentions("core", &impure), Vec::<String>::new());
}

#[test]
fn what_is_simulated_depends_on_the_seed_alone() {
    let impure = [IMPURE, &["rand::", "crate::config"]].concat();
    assert_eq!(mentions("simulate", &impure), Vec::<String>::new());
}

#[test]
fn neighbours_do_not_know_each_other() {
    let neighbours = ["twilio", "store", "sim", "config", "notify", "admin", "agent", "cli"];
    let may = |who: &str, whom: &str| {
        matches!((who, whom), ("cli" | "agent", _) | ("config", "twilio") | ("admin", "agent" | "config"))
            && (who, whom) != ("agent", "cli")
            && (who, whom) != ("agent", "sim")
            && (who, whom) != ("agent", "admin")
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for who in neighbours.iter().filter(|w| root.join(w).is_dir()) {
        for whom in neighbours.iter().filter(|w| *w != who && !may(who, w)) {
            let word = format!("crate::{whom}");
            assert_eq!(mentions(who, &[word.as_str()]), Vec::<String>::new(), "{who} must not use {whom}");
        }
    }
}

/// Law 12: a number can be released by a DELETE alone, and the one that can be sent names a recording.
#[test]
fn nothing_but_a_recording_can_be_deleted_at_twilio() {
    let deletes: Vec<String> =
        ["twilio", "agent", "cli"].iter().flat_map(|dir| mentions(dir, &[".delete(", "Method::DELETE"])).collect();
    assert_eq!(deletes.len(), 1, "{deletes:?}");
    assert!(deletes[0].contains("twilio/request.rs"), "{deletes:?}");
}
