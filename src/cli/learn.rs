//! `ringback learn`: what should ring, from the call records of the weeks before; and one number's week as a plot.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::config::{AlertRules, HistoryColumns};
use crate::core::model::id::{E164, GroupName};
use crate::core::model::time::Time;
use crate::core::profile::{NumberProfile, Profile, document};
use crate::file;
use crate::learn::summary::{LearnSummary, workday};
use crate::learn::week::{PlotMarks, calls, plot};
use crate::learn::{Records, learn as learn_profile};

#[derive(Debug, clap::Args)]
pub struct LearnArguments {
    /// Call records of the weeks before the port, CSV with a line of headings
    #[arg(value_name = "FILE", required_unless_present = "show")]
    files: Vec<PathBuf>,
    /// The configuration file; no credentials are needed
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Whose callers' numbers begin how, CSV: +1212555,Carrier
    #[arg(long, value_name = "FILE", conflicts_with = "show")]
    carriers: Option<PathBuf>,
    /// Where the profile is written; with --show, which one is read
    #[arg(long, value_name = "FILE", default_value = "profile.json")]
    out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// When the profile is made, for the same bytes every time; the present if left out
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// Plot a number's week, as the profile has it
    #[arg(long, value_name = "NUMBER", conflicts_with = "files")]
    show: Option<E164>,
    /// Print the summary, or the number, as JSON
    #[arg(long)]
    json: bool,
}

pub fn learn(arguments: &LearnArguments) -> anyhow::Result<Exit> {
    match arguments.show {
        Some(number) => show(arguments, number),
        None => make(arguments),
    }
}

fn make(arguments: &LearnArguments) -> anyhow::Result<Exit> {
    let rules = AlertRules::load_to_learn(&arguments.config)?;
    let columns = HistoryColumns::load(&arguments.config)?;
    let out = &arguments.out;
    if out.exists() && !arguments.force {
        complain(&format!("ringback: {} is there already: replace it with --force, or name another", out.display()));
        return Ok(Exit::BadUsage);
    }
    let learnt = learn_profile(Records {
        files: &arguments.files,
        carriers: arguments.carriers.as_deref(),
        columns: &columns,
        roster: &rules.roster,
        made_at: arguments.at.unwrap_or_else(|| Clock::system().now()),
    });
    let learnt = match learnt {
        Ok(learnt) => learnt,
        Err(e) if e.is_usage() => {
            complain(&format!("ringback: {e}"));
            return Ok(Exit::BadUsage);
        }
        Err(e) => bail!(e),
    };
    for line in &learnt.remarks {
        complain(line);
    }
    write(out, &document::write(&learnt.profile)).with_context(|| format!("cannot write {}", out.display()))?;
    let groups: Vec<GroupName> = rules.roster.groups().map(|(_, g)| g.name.clone()).collect();
    let summary = LearnSummary::of(&learnt, &groups);
    if arguments.json {
        say(&serde_json::to_string_pretty(&summary)?)?;
        return Ok(Exit::Done);
    }
    for line in summary.lines() {
        say(&line)?;
    }
    // The configuration's paths are relative to it.
    let is_beside = arguments.config.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let named = if is_beside { out.clone() } else { std::path::absolute(out)? };
    say(&format!(
        "written     {}; use it with [history] profile = {:?} in {}",
        out.display(),
        named,
        arguments.config.display()
    ))?;
    Ok(Exit::Done)
}

/// Whole or not at all: an agent that reads it meanwhile has the old one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = file::open_own(&mut options, &new)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// A profile of very many numbers has some megabytes.
const MOST: u64 = 1 << 30;

fn show(arguments: &LearnArguments, number: E164) -> anyhow::Result<Exit> {
    let path = &arguments.out;
    let bytes = file::bytes(path, MOST).with_context(|| {
        format!("cannot read {}: make it with ringback learn, or name it with --out", path.display())
    })?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no profile", path.display()))?;
    let profile = document::read(&text).with_context(|| path.display().to_string())?;
    let Some(of) = profile.numbers.get(&number) else {
        complain(&format!(
            "ringback: {} has no records of {number}; it has {} numbers",
            path.display(),
            profile.numbers.len()
        ));
        return Ok(Exit::BadUsage);
    };
    if arguments.json {
        let one = document::number_json(of);
        say(&serde_json::to_string_pretty(&one)?)?;
        return Ok(Exit::Done);
    }
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let marks = if is_dumb { PlotMarks::Ascii } else { PlotMarks::Blocks };
    for line in about(number, of, &profile).into_iter().chain(plot(of, marks)) {
        say(line.trim_end())?;
    }
    Ok(Exit::Done)
}

fn about(number: E164, of: &NumberProfile, profile: &Profile) -> Vec<String> {
    let zone = of.timezone.iana_name().map_or_else(|| "a fixed offset".to_owned(), str::to_owned);
    let day = |t: Time| t.to_timestamp().strftime("%Y-%m-%d").to_string();
    let span = of.span.map_or_else(String::new, |(from, to)| format!(", {} to {}", day(from), day(to)));
    let due = workday(of);
    let stray = 1.645 * (due + (of.spread.0 + of.newness) * due * due).sqrt();
    let mut lines = vec![
        format!("{number}  {}, {} calls{span}, {zone}", of.standing.label(), of.calls),
        format!(
            "a workday has about {} calls, nine of ten have {} to {}; now {:.2} of its mean",
            calls(due),
            calls((due - stray).max(0.0)),
            calls(due + stray),
            of.level
        ),
    ];
    if !of.carriers.is_empty() {
        let shares = profile.carriers.iter().zip(&of.carriers);
        let mut shares: Vec<(&str, f64)> = shares.map(|(c, share)| (c.name.as_str(), *share)).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        let told: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {:.0} %", share * 100.0)).collect();
        lines.push(format!("callers by carrier: {}", told.join(", ")));
    }
    lines.push(String::new());
    lines
}
