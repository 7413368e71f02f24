//! Who gets in: whether others read a file that holds a secret, by which names the agent is asked for, and whether the
//! state is a file.
//!
//! A token that can be guessed is a fault, for a door that anybody opens is worse than an agent that says at its start
//! how to close it. What is merely short, or is a file that others may read, is a warning: it was so yesterday too, and
//! this may be the port day.

use std::path::Path;
use std::sync::Arc;

use super::section::{Faults, Section};
use crate::core::notice::make::Addresses;

/// Warns of a file with a secret that others than its owner can read, or write.
pub fn is_private(path: &Path, faults: &Faults) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let Ok(found) = std::fs::metadata(path) else { return };
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        // Where it is somebody else's, its group is how we read it.
        let others = if is_ours { 0o077 } else { 0o037 };
        if found.is_file() && found.mode() & others != 0 {
            faults.warn(format!(
                "{} holds a secret, and others than its owner may read or write it (mode {:03o}): chmod 600 it",
                path.display(),
                found.mode() & 0o777
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, faults);
}

/// Why this is no path for the state; the rest of a sentence.
pub fn state_problem(path: &str) -> Option<String> {
    let file = Path::new(path).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let example = "write a path, such as \"sqlite:ringback.db\"";
    if path.eq_ignore_ascii_case(":memory:") || path.starts_with(":memory:") {
        Some(format!("a state in memory is gone with the process, and with it what was swapped: {example}"))
    } else if path.starts_with("file:") || path.contains('?') || path.contains('#') {
        Some(format!("parameters and SQLite's own addresses are not taken: {example}"))
    } else if path.starts_with("//") && !path.starts_with("///") {
        Some("this is a path from the root: write \"sqlite:\" and the path, without //".to_owned())
    } else if path.ends_with('/') || path.chars().any(char::is_control) || path.trim() != path {
        Some(format!("this is no file: {example}"))
    } else if matches!(file.as_deref(), Some("lock" | "key")) {
        Some(
            "files of that name are kept beside the state: name it otherwise, such as \"sqlite:ringback.db\""
                .to_owned(),
        )
    } else {
        None
    }
}

/// `agent.hosts`, and the host of `agent.public_url`.
pub fn names(s: &mut Section<'_>, addresses: &Addresses) -> Arc<[String]> {
    let mut names: Vec<String> = Vec::new();
    for host in s.list::<String>("hosts").unwrap_or_default() {
        let is_host = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !text.is_empty() && text.chars().all(fits) || text.parse::<std::net::IpAddr>().is_ok()
        };
        if is_host(&host.value) {
            names.push(host.value.trim_end_matches('.').to_ascii_lowercase());
        } else {
            s.faults().at(
                host.span,
                format!(
                    "{}: {:?}: a host's name without scheme and port, such as \"ringback.example.com\"",
                    s.key("hosts"),
                    host.value
                ),
            );
        }
    }
    let public = addresses.agent.as_deref().and_then(|url| url.parse::<url::Url>().ok());
    names.extend(public.as_ref().and_then(|url| url.host_str()).map(|host| host.trim_matches(['[', ']']).to_owned()));
    names.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_file() {
        for path in [
            ":memory:",
            ":MEMORY:",
            ":memory:?cache=shared",
            "file:ringback.db",
            "file::memory:",
            "ringback.db?mode=ro",
            "a#b.db",
            "//ringback.db",
            "state/",
            "ringback.lock",
            "ringback.key",
            " ringback.db",
            "a\nb.db",
        ] {
            assert!(state_problem(path).is_some(), "{path}");
        }
        for path in ["ringback.db", "/var/lib/ringback/ringback.db", "///var/lib/x.db", "state of mine.db", "a%20b.db"]
        {
            assert_eq!(state_problem(path), None, "{path}");
        }
    }
}
