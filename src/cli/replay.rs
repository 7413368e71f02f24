//! `ringback replay`: the detector over a recorded log, and two configurations side by side.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::{Exit, complain, say};
use crate::config::AlertRules;
use crate::core::model::bounds;
use crate::core::model::counted::cut_at;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::{Channel, E164};
use crate::core::model::time::Time;
use crate::file;
use crate::replay::truth::{Judge, RecordedTruth};
use crate::replay::{DecisionRecord, Remark, ReplaySummary, play};

#[derive(Debug, clap::Args)]
pub struct ReplayArguments {
    /// The configuration file; no credentials are needed
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// The recorded log, JSON Lines; - reads the input stream
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Where decisions are written, JSON Lines; - writes them to the output stream, and nothing else
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Another configuration, played beside the first; what differs is shown
    #[arg(long, value_name = "FILE", conflicts_with = "decisions")]
    compare: Option<PathBuf>,
    /// What really happened, as the prepared logs have it beside them: says whether each decision was right
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    truth: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Bad lines that are told one by one; the others are counted.
const TOLD: usize = 20;

/// Bytes between two signs of progress.
const PROGRESS: u64 = 16 << 20;

pub fn replay(arguments: &ReplayArguments) -> anyhow::Result<Exit> {
    let rules = AlertRules::load(&arguments.config)?;
    match &arguments.compare {
        Some(other) => compare(arguments, &rules, &AlertRules::load(other)?, other),
        None => one(arguments, &rules),
    }
}

fn one(arguments: &ReplayArguments, rules: &AlertRules) -> anyhow::Result<Exit> {
    let is_stdout = arguments.decisions.as_deref() == Some(Path::new("-"));
    let mut out: Option<Box<dyn Write>> = match &arguments.decisions {
        None => None,
        Some(_) if is_stdout => Some(Box::new(BufWriter::new(io::stdout().lock()))),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Some(Box::new(BufWriter::new(file)))
        }
    };
    let truth = arguments.truth.as_deref().map(read_truth).transpose()?;
    let mut judge = truth.as_ref().map(Judge::new);
    let mut lines = Vec::new();
    let summary = run(&arguments.events, rules, true, &mut |decision| {
        let judged = judge.as_mut().map(|judge| judge.judge(decision));
        if let Some(out) = &mut out {
            serde_json::to_writer(&mut *out, &DecisionRecord::of(decision))?;
            out.write_all(b"\n")?;
        } else if !arguments.json {
            lines.push(line(decision));
            lines.extend(judged.map(|j| format!("    {}", j.text())));
        }
        Ok(())
    })?;
    let score = judge.map(Judge::score);
    if let Some(out) = &mut out {
        out.flush().context("cannot write the decisions")?;
    }
    drop(out);
    if summary.bad_lines > 0 && summary.bad_lines == summary.lines {
        bail!(
            "no line of {} could be read, so nothing was decided on it: write one JSON object a line, each whole",
            arguments.events.display()
        );
    }
    match (is_stdout, arguments.json) {
        (true, _) => {
            complain(&text(&summary));
            if let Some(score) = &score {
                complain(&score.text());
            }
        }
        (false, true) => {
            let mut all = serde_json::to_value(&summary)?;
            if let Some(score) = &score {
                all["score"] = serde_json::to_value(score)?;
            }
            say(&serde_json::to_string_pretty(&all)?)?;
        }
        (false, false) => {
            for line in lines {
                say(&line)?;
            }
            say(&text(&summary))?;
            for line in by_group(&summary) {
                say(&line)?;
            }
            if let Some(score) = &score {
                say(&score.text())?;
            }
        }
    }
    Ok(Exit::Done)
}

fn read_truth(path: &Path) -> anyhow::Result<RecordedTruth> {
    let text = file::bytes(path, bounds::EXPORT_BYTES).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no truth of a recording", path.display()))
}

/// What became of each group's calls and messages, in columns.
fn by_group(s: &ReplaySummary) -> Vec<String> {
    if s.groups.is_empty() {
        return Vec::new();
    }
    let row = |name: &str, cells: [&str; 5]| {
        let [channel, served, failed, ignored, open] = cells;
        format!("{name:<24} {channel:<10}{served:>9}{failed:>9}{ignored:>9}{open:>9}")
    };
    let mut lines = vec![row("group", ["channel", "served", "failed", "ignored", "open"])];
    lines.extend(s.groups.iter().map(|g| {
        let [served, failed, ignored, open] = [g.served, g.failed, g.ignored, g.open].map(|n| n.to_string());
        let (channel, open) = if g.is_sent { ("sent", "") } else { (g.channel.label(), open.as_str()) };
        row(g.group.as_str(), [channel, &served, &failed, &ignored, open])
    }));
    lines
}

/// Plays the file once.
fn run(
    events: &Path,
    rules: &AlertRules,
    is_first: bool,
    decided: &mut impl FnMut(&Decision) -> io::Result<()>,
) -> anyhow::Result<ReplaySummary> {
    let name = events.display();
    let (input, size): (Box<dyn Read>, Option<u64>) = if events == Path::new("-") {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(events).with_context(|| format!("cannot read {name}"))?;
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        (Box::new(file), size)
    };
    let (mut told, mut next) = (0, None);
    let mut remark = |remark: Remark| match remark {
        _ if !is_first => {}
        Remark::Bad(bad) => {
            told += 1;
            let text = format!("{name}: {bad}; skipped");
            if told <= TOLD {
                complain(&text);
            } else {
                next.get_or_insert(text);
            }
        }
        Remark::Unsorted(line) => complain(&format!(
            "{name}: line {line}: seen before the line above it; taken in at that line's time. Sort the file by seen_at"
        )),
    };
    let shows = io::stderr().is_terminal();
    let mut shown = 0;
    let mut progress = |bytes: u64| {
        if shows && bytes >= shown + PROGRESS {
            shown = bytes;
            let of = size.map_or(String::new(), |size| format!(" of {} MB", size >> 20));
            // Nothing can be done about a closed terminal.
            let _ = write!(io::stderr(), "\r{} MB{of} ", bytes >> 20);
        }
    };
    let input = BufReader::with_capacity(1 << 16, input);
    let summary = play(input, rules.account, &rules.roster, &rules.engine, &mut remark, &mut progress, decided);
    if shown > 0 {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let summary = summary.with_context(|| format!("replaying {name}"))?;
    if let Some(next) = next {
        let is_last = cut_at(told, TOLD) == told;
        complain(&if is_last { next } else { format!("{name}: {} more bad lines", told - TOLD) });
    }
    if is_first && summary.out_of_order > 1 {
        complain(&format!("{name}: {} lines in all were seen before the line above them", summary.out_of_order));
    }
    Ok(summary)
}

fn line(d: &Decision) -> String {
    let what = match d.action {
        Action::Rollback => "rollback".to_owned(),
        Action::Page { reason } => format!("page ({})", reason.label()),
        Action::Withheld { guard } => format!("withheld ({})", guard.label()),
    };
    let numbers = match d.numbers.as_slice() {
        [one] => one.e164.to_string(),
        many => format!("{} numbers", many.len()),
    };
    format!("{}  {what:<22} {} {} {numbers}: {}", d.at, d.group, d.channel, d.rule)
}

fn text(s: &ReplaySummary) -> String {
    let span = match (s.from, s.until) {
        (Some(from), Some(until)) => format!(" from {from} to {until}"),
        _ => String::new(),
    };
    let mut text = format!(
        "{} lines{span}: {} calls, {} messages, {} alerts, {} probes, {} of other numbers, {} bad\nrollbacks: {} \
         (numbers: {}), pages: {}",
        s.lines,
        s.calls,
        s.messages,
        s.alerts,
        s.probes,
        s.foreign,
        s.bad_lines,
        s.rollbacks,
        s.numbers_rolled_back,
        s.pages
    );
    if s.unread_numbers > 0 {
        text += &format!(
            "\nnumbers that the recording does not describe (kind number): {}; what became of their calls and messages \
             is not known",
            s.unread_numbers
        );
    }
    if s.out_of_order > 0 {
        text += &format!("\n{} lines were out of order", s.out_of_order);
    }
    text
}

/// When each configuration rolled a number back.
#[derive(Debug, Default, Serialize)]
struct Pair {
    first: Option<Time>,
    other: Option<Time>,
}

type Rollbacks = BTreeMap<(E164, Channel), Time>;

fn compare(
    arguments: &ReplayArguments,
    first: &AlertRules,
    other: &AlertRules,
    other_path: &Path,
) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        arguments.events != Path::new("-"),
        "--compare reads the recording twice: name a file with --events, not -"
    );
    let rollbacks = |rules: &AlertRules, is_first: bool| -> anyhow::Result<(ReplaySummary, Rollbacks)> {
        let mut rollbacks = Rollbacks::new();
        let summary = run(&arguments.events, rules, is_first, &mut |d| {
            if d.action == Action::Rollback {
                for n in &d.numbers {
                    rollbacks.entry((n.e164, d.channel)).or_insert(d.at);
                }
            }
            Ok(())
        })?;
        Ok((summary, rollbacks))
    };
    let (first_summary, a) = rollbacks(first, true)?;
    let (other_summary, b) = rollbacks(other, false)?;
    let mut pairs: BTreeMap<(E164, Channel), Pair> = BTreeMap::new();
    for (key, at) in &a {
        pairs.entry(*key).or_default().first = Some(*at);
    }
    for (key, at) in &b {
        pairs.entry(*key).or_default().other = Some(*at);
    }
    if arguments.json {
        let differences: Vec<_> = pairs
            .iter()
            .filter(|(_, p)| p.first != p.other)
            .map(|((number, channel), p)| {
                serde_json::json!({
                    "number": number, "channel": channel, "first": p.first, "other": p.other
                })
            })
            .collect();
        let all = serde_json::json!({ "first": first_summary, "other": other_summary, "differences": differences });
        say(&serde_json::to_string_pretty(&all)?)?;
        return Ok(Exit::Done);
    }
    let row = |name: &str, a: u64, b: u64| say(&format!("{name:<24}{a:>16}{b:>16}"));
    say(&format!("{:<24}{:>16}{:>16}", "", short(&arguments.config), short(other_path)))?;
    row("rollbacks", first_summary.rollbacks, other_summary.rollbacks)?;
    row("numbers rolled back", first_summary.numbers_rolled_back, other_summary.numbers_rolled_back)?;
    row("pages", first_summary.pages, other_summary.pages)?;
    let when = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    for ((number, channel), p) in pairs.iter().filter(|(_, p)| p.first != p.other) {
        let by = match (p.first, p.other) {
            (Some(a), Some(b)) if b < a => format!("{} s sooner", a.since(b).as_secs()),
            (Some(a), Some(b)) => format!("{} s later", b.since(a).as_secs()),
            (Some(_), None) => "no longer".to_owned(),
            (None, _) => "newly".to_owned(),
        };
        say(&format!("{number} {channel}: {} / {}: {by}", when(p.first), when(p.other)))?;
    }
    Ok(Exit::Done)
}

fn short(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
