//! The report for people: errors first, each once, with as many numbers as a person reads; the verdict last.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::code::{CodePage, FindingCode, FindingSeverity};
use super::report::{CheckFinding, CheckVerdict, NotLookedAt, Report, SwapTime};
use crate::model::counted::{cut_at, some_of};

/// Columns that fit everywhere.
const WIDTH: usize = 80;

/// Numbers that are named of many.
const NAMED: usize = 4;

/// In how many ways one code is shown to have been seen.
const WAYS: usize = 5;

/// Codes that are named of many.
const CODES: usize = 6;

/// The whole report, without an end of line; the verdict is the last line.
pub fn whole(report: &Report, is_strict: bool) -> String {
    let mut out = String::new();
    for of_one_code in report.findings.chunk_by(|a, b| a.code == b.code) {
        found(&mut out, of_one_code);
    }
    if !report.not_looked_at.is_empty() {
        out += "Not looked at\n";
        for n in &report.not_looked_at {
            unlooked(&mut out, n);
        }
        out.push('\n');
    }
    if !report.swaps.is_empty() {
        out += "How long a swap takes, at the pace that Twilio has now\n";
        for swap in &report.swaps {
            out += &format!("  {}\n", swap_text(swap));
        }
        out.push('\n');
    }
    if let Some(f) = report.findings.first() {
        let _ = writeln!(out, "More of a code: `ringback docs checks#{}`, or an agent's /docs/checks#{0}.\n", f.code);
    }
    out + &verdict(report, is_strict)
}

/// What is wrong alone, a line each, and the verdict: fit for a chat.
pub fn short(report: &Report, is_strict: bool) -> String {
    let mut out = String::new();
    for all in report.findings.chunk_by(|a, b| a.code == b.code) {
        // Of whom it was seen in any way.
        let together = |of: fn(&CheckFinding) -> &Vec<String>| {
            let names: BTreeSet<&String> = all.iter().flat_map(of).collect();
            names.into_iter().cloned().collect()
        };
        let whole =
            CheckFinding { groups: together(|f| &f.groups), numbers: together(|f| &f.numbers), ..all[0].clone() };
        let CheckFinding { code, severity, title, .. } = &whole;
        let _ = writeln!(out, "{code} {}: {title}{}", severity.label(), of_whom(&whole));
    }
    for n in report.not_looked_at.iter().filter(|n| n.is_needed) {
        let _ = writeln!(out, "{} not looked at: {}", codes(&n.codes), n.because);
    }
    out + &verdict(report, is_strict)
}

/// What a code means: for `--explain`.
pub fn explain(code: FindingCode) -> String {
    let CodePage { code, severity, title, why, cure } = code.page();
    let mut out = format!("{code} ({}): {title}\n", severity.label());
    wrapped(&mut out, "  why:  ", why);
    wrapped(&mut out, "  cure: ", cure);
    out.trim_end().to_owned()
}

/// The line that agrees with the exit code.
pub fn verdict(report: &Report, is_strict: bool) -> String {
    let (errors, warnings) = (report.count(FindingSeverity::Error), report.count(FindingSeverity::Warning));
    let needed = report.not_looked_at.iter().filter(|n| n.is_needed).count();
    let unlooked = report.not_looked_at.len();
    let many = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(many(errors, "error"));
    }
    if warnings > 0 {
        parts.push(many(warnings, "warning"));
    }
    if unlooked > 0 {
        let of_these = if needed > 0 { format!(" ({needed} needed)") } else { String::new() };
        parts.push(format!("{unlooked} not looked at{of_these}"));
    }
    parts.push(format!("{} passed", many(report.passed.len(), "check")));
    let parts = parts.join(", ");
    let word = match report.verdict {
        CheckVerdict::Ready => "READY",
        CheckVerdict::ReadyWithWarnings if is_strict => "NOT READY (a warning counts, by --strict)",
        CheckVerdict::ReadyWithWarnings => "READY, with warnings",
        CheckVerdict::NotReady => "NOT READY",
        CheckVerdict::NotKnown => "NOT KNOWN whether it is ready",
        CheckVerdict::NotRun => "COULD NOT RUN: Twilio could not be asked",
    };
    format!("{word}: {}: {parts}", many(report.numbers, "number"))
}

/// What was found of one code.
fn found(out: &mut String, all: &[CheckFinding]) {
    let f = &all[0];
    wrapped(out, &format!("{} {}: ", f.code, f.severity.label()), f.title);
    let (told, more) = all.split_at(cut_at(all.len(), WAYS));
    for f in told {
        wrapped(out, "  seen: ", &format!("{}{}", f.seen, of_whom(f)));
    }
    if !more.is_empty() {
        let _ = writeln!(out, "  seen: {} more like these (--json has all)", more.len());
    }
    wrapped(out, "  why:  ", f.why);
    wrapped(out, "  cure: ", f.cure);
    out.push('\n');
}

/// The numbers of a finding, or its groups.
fn of_whom(f: &CheckFinding) -> String {
    let groups = some(&f.groups);
    match (f.numbers.len(), f.groups.is_empty()) {
        (0, true) => String::new(),
        (0, false) => format!(" [{groups}]"),
        (1, _) => format!(" [{} of {groups}]", f.numbers[0]),
        (n, _) => format!(" [{n} numbers of {groups}: {}]", some(&f.numbers)),
    }
}

fn some(names: &[String]) -> String {
    some_of(names, NAMED, Clone::clone)
}

fn codes(all: &[FindingCode]) -> String {
    let (named, more) = all.split_at(cut_at(all.len(), CODES));
    let named = named.iter().map(|c| c.code()).collect::<Vec<_>>().join(" ");
    if more.is_empty() { named } else { format!("{named} and {} more", more.len()) }
}

fn unlooked(out: &mut String, n: &NotLookedAt) {
    let needed = if n.is_needed { " (needed)" } else { "" };
    let of = match n.numbers.len() {
        0 => String::new(),
        1 => format!(" [{}]", n.numbers[0]),
        many => format!(" [{many} numbers: {}]", some(&n.numbers)),
    };
    wrapped(out, "  ", &format!("{}{needed}: not looked at because {}{of}", codes(&n.codes), n.because));
}

fn swap_text(swap: &SwapTime) -> String {
    let SwapTime { group, numbers, written_s, proven_s } = swap;
    let span = |s: f64| if s < 100.0 { format!("{s:.0} s") } else { format!("{:.0} min", s / 60.0) };
    let proven = match proven_s {
        Some(s) => format!("proven by test calls in {}", span(*s)),
        None => "no test call proves it".to_owned(),
    };
    format!("{group}: {numbers} written in {}, {proven}", span(*written_s))
}

/// `text` after `head`, in lines of [`WIDTH`], the further ones beneath the first.
fn wrapped(out: &mut String, head: &str, text: &str) {
    let indent = if head.trim().is_empty() { head.len() + 2 } else { head.chars().count().min(8) };
    let mut line = head.to_owned();
    let mut is_first = true;
    for word in text.split_whitespace() {
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent);
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        line += word;
        is_first = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
