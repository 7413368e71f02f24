//! What is shipped for Prometheus and Grafana names only what exists: metrics, labels and their values,
//! runbooks, commands. What the expressions mean is tested with promtool and a real Prometheus
//! (`tests/strangers/rules`, `tests/strangers/port-day`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringback::metrics::define::{self, Definition, MetricKind};

use crate::agent::DAY;
use crate::metrics::values;
use crate::support::{break_app, with_token};
use crate::words::ringback;
use crate::world::play;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Files of a folder by extension, with their text.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(root(folder))
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&p).unwrap()))
        .collect();
    found.sort();
    found
}

/// The rule files.
fn rules() -> Vec<(String, String)> {
    files("alerts", "yml").into_iter().filter(|(name, _)| name != "alertmanager.example.yml").collect()
}

/// What follows `- key: ` on lines of the rule files.
fn named(key: &str) -> BTreeSet<String> {
    let prefix = format!("- {key}: ");
    let all = rules();
    let lines = all.iter().flat_map(|(_, text)| text.lines());
    lines.filter_map(|l| l.trim().strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// Every metric in a text, with what stands in the braces behind it.
fn selectors(text: &str) -> Vec<(String, String)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("ringback_") {
        let start = rest[..at].rfind(|c| !is_name(c)).map_or(0, |i| i + 1);
        let tail = &rest[start..];
        let end = tail.find(|c| !is_name(c)).unwrap_or(tail.len());
        let name = &tail[..end];
        let braces = tail[end..].strip_prefix('{').and_then(|t| t.split_once('}')).map_or("", |(inside, _)| inside);
        found.push((name.to_owned(), braces.to_owned()));
        rest = &tail[end..];
    }
    found
}

fn definition(name: &str) -> Option<&'static Definition> {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
    define::all().find(|d| d.name == name || d.kind == MetricKind::Histogram && d.name == base)
}

/// What is wrong with the metrics, labels and values that a text names.
fn faults(file: &str, text: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, braces) in selectors(text) {
        if name.contains(':') {
            if !recorded.contains(&name) {
                faults.push(format!("{file}: no rule records {name}"));
            }
            continue;
        }
        let Some(d) = definition(&name) else {
            faults.push(format!("{file}: there is no metric {name}"));
            continue;
        };
        for matcher in braces.replace('\\', "").split("\",").filter(|m| m.contains('=')) {
            let (label, value) = matcher.split_once(['=', '!']).unwrap();
            let label = label.trim().trim_start_matches(',').trim();
            if ["cluster", "instance", "job", "le"].contains(&label) {
                continue;
            }
            if !d.labels.contains(&label) {
                faults.push(format!("{file}: {name} has no label {label}"));
                continue;
            }
            let known = values(d, label);
            let value = value.trim_start_matches(['=', '~', '"']).trim_end_matches('"');
            if !known.contains('`') || value.contains(['%', '$', '.', '+', '[']) {
                continue;
            }
            for v in value.split('|').filter(|v| !v.is_empty() && !known.contains(&format!("`{v}`"))) {
                faults.push(format!("{file}: {label} of {name} is never {v}"));
            }
        }
    }
    faults
}

#[test]
fn every_metric_label_and_value_that_is_used_exists() {
    let recorded = named("record");
    let mut used = rules();
    used.extend(files("dashboards", "json"));
    used.extend(files("alerts/tests", "yml"));
    used.extend(files("alerts/runbooks", "md"));
    let found: Vec<String> = used.iter().flat_map(|(file, text)| faults(file, text, &recorded)).collect();
    assert_eq!(found, Vec::<String>::new());
    assert!(!faults("x", r#"ringback_calls_total{verdict="ok"}"#, &recorded).is_empty());
    assert!(!faults("x", r#"ringback_verdict{verdict="broken"}"#, &recorded).is_empty());
    assert!(!faults("x", "ringback_call_total", &recorded).is_empty());
}

#[test]
fn every_alert_has_its_runbook_its_severity_and_five_tests() {
    let alerts = named("alert");
    assert!(alerts.len() > 30);
    let runbooks: BTreeMap<String, String> = files("alerts/runbooks", "md").into_iter().collect();
    let names: BTreeSet<String> = runbooks.keys().map(|n| n.trim_end_matches(".md").to_owned()).collect();
    assert_eq!(names, alerts, "an alert a runbook");
    for (name, text) in &runbooks {
        for heading in ["## Meaning", "## Impact", "## Where to type", "## Diagnosis", "## Mitigation", "## Escalation"]
        {
            assert!(text.contains(heading), "{name} has no {heading}");
        }
    }
    let tests: String = files("alerts/tests", "yml").into_iter().map(|(_, text)| text).collect();
    let rules: String = rules().into_iter().map(|(_, text)| text).collect();
    for alert in &alerts {
        for case in ["firing", "healthy", "no data", "low traffic", "short blip"] {
            assert!(tests.contains(&format!("name: '{alert}: {case}'")), "{alert} has no test \"{case}\"");
        }
        assert!(alert.starts_with("Ringback"));
        let rule = rules.split(&format!("- alert: {alert}\n")).nth(1).unwrap();
        let rule = rule.split("- alert: ").next().unwrap();
        for part in
            ["severity: ", "level: ", "summary: ", "description: ", "next: ", "runbook_url: ", "dashboard_url: "]
        {
            assert!(rule.contains(part), "{alert} has no {part}");
        }
        assert!(rule.contains(&format!("/{alert}.md'")), "{alert} links to another's runbook");
    }
}

/// The words of a command line, with quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

#[test]
fn every_command_that_on_call_is_told_to_type_exists() {
    let mut lines: BTreeSet<String> = BTreeSet::new();
    for (_, text) in files("alerts/runbooks", "md") {
        lines.extend(text.lines().map(str::trim).filter(|l| l.starts_with("ringback ")).map(str::to_owned));
    }
    for (_, text) in rules() {
        let next = text.lines().filter_map(|l| l.trim().strip_prefix("next: '")).map(|l| l.trim_end_matches('\''));
        lines.extend(next.filter(|l| l.starts_with("ringback ")).map(|l| {
            let l = l.replace("''", "'").replace("{{ $labels.number }}", "+15005550100");
            l.replace("{{ $labels.group }}", "support").replace("{{ $labels.channel }}", "voice")
        }));
    }
    assert!(lines.len() > 20, "{lines:?}");
    for line in &lines {
        let words = words(line);
        if ["rollback", "restore", "hold", "release", "approve", "mode"].contains(&words[1].as_str()) {
            assert!(line.contains("--reason "), "{line}: needs a reason");
        }
        // With --help at the end, all that stands before it is looked at and nothing is done.
        let out = Command::new(env!("CARGO_BIN_EXE_ringback")).args(&words[1..]).arg("--help").output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// A day on which callers fail: what the runbooks say is typed as it stands there, beside the agent that it is about.
#[test]
fn every_runbooks_command_works_as_it_is_written() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        break_app(w);
        w.pass(300).await;
        let mut lines: BTreeSet<String> = BTreeSet::new();
        for (_, text) in files("alerts/runbooks", "md") {
            lines.extend(text.lines().map(str::trim).filter(|l| l.starts_with("ringback ")).map(str::to_owned));
        }
        // These begin an agent, or ask for a file that is somebody's own.
        lines.retain(|l| !l.starts_with("ringback run ") && !l.starts_with("ringback replay "));
        assert!(lines.len() > 25, "{lines:?}");
        for line in &lines {
            let mut words = words(line).split_off(1);
            if ["rollback", "restore"].contains(&words[0].as_str()) {
                words.push("--yes".to_owned());
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (code, said) = ringback(w, &agent, &words).await;
            // It may find trouble, for there is some.
            assert!([0, 1].contains(&code) && !said.trim().is_empty(), "{line}: {code}: {said}");
            assert!(!said.contains("Usage:") && !said.contains("does not answer"), "{line}: {said}");
            w.pass(5).await;
        }
        agent.stop().await;
    });
}
