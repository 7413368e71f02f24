//! `ringback simulate`: what the rules in force would do, before they have to.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;

use super::{Exit, complain, say};
use crate::config::AlertRules;
use crate::core::model::counted::{amount, some_of};
use crate::core::model::id::GroupName;
use crate::simulate::report::{FaultShape, FaultSight, SimulatedGroup, SimulationReport};
use crate::simulate::{LEVELS, WATCHED_FOR, simulate as run};

#[derive(Debug, clap::Args)]
pub struct SimulateArguments {
    /// The configuration file; no credentials are needed
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Which days: the same seed gives the same report
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Quiet days of a number to play, shared by the groups
    #[arg(long, value_name = "NUMBER-DAYS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    days: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let rules = AlertRules::load(&arguments.config)?;
    let shows = io::stderr().is_terminal();
    let mut shown = None;
    let mut progress = |done: f64| {
        let percent = (done * 100.0) as u32;
        if shows && shown != Some(percent) {
            shown = Some(percent);
            // Nothing can be done about a closed terminal.
            let _ = write!(io::stderr(), "\r{percent} % ");
        }
    };
    let report = run(&rules.roster, &rules.engine, arguments.seed, arguments.days, &mut progress);
    if shows {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    if arguments.json {
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(&text(&report))?;
    }
    let mut exit = Exit::Done;
    for group in report.groups.iter().filter(|g| g.cries_wolf()) {
        complain(&warning(group));
        exit = Exit::FoundTrouble;
    }
    Ok(exit)
}

fn warning(g: &SimulatedGroup) -> String {
    let q = &g.quiet;
    let (cause, cure) = if 2 * q.by_threshold > q.rollbacks {
        ("[[group.threshold]]", "raise its callers or ratio, or give it action = \"page\"")
    } else {
        ("[group.detector]", "allow fewer false rollbacks in its budget, or raise usual_failures")
    };
    format!(
        "{}: {cause} would cry wolf: {} false rollbacks per 1,000 number-days, where the budget is {}; {cure}",
        names(&g.groups),
        figure(q.rollbacks_per_1000.rate),
        figure(g.budget),
    )
}

fn text(report: &SimulationReport) -> String {
    let groups: Vec<String> = report.groups.iter().map(group_text).collect();
    let mut text = format!("{}\n\n{NOTE}", groups.join("\n\n"));
    if let Some(days) = report.groups.iter().filter_map(SimulatedGroup::wants_days).max() {
        let days = days.div_ceil(1000) * 1000 * report.groups.len() as u64;
        let _ = write!(text, "\nToo few quiet days to tell whether the budget is kept: --days {days} might do.");
    }
    text
}

/// What the figures are of.
const NOTE: &str = "Callers: distinct people whom the fault met before the rollback. Time: from the fault's beginning, at ten\n\
                    in the morning. Each: the median and, in brackets, within which nine in ten were.";

fn group_text(g: &SimulatedGroup) -> String {
    let q = &g.quiet;
    let numbers = amount(g.numbers, "number");
    let each = if g.groups.len() > 1 { " each" } else { "" };
    let (r, p) = (q.rollbacks_per_1000, q.pages_per_1000);
    let mut text = format!(
        "{}: {numbers}{each}\n  quiet days     {} false rollbacks per 1,000 number-days (95 %: {} to {}; budget {})\n{:17}{} \
         false pages per 1,000 (95 %: {} to {}); {} number-days played\n",
        names(&g.groups),
        figure(r.rate),
        figure(r.low),
        figure(r.high),
        figure(g.budget),
        "",
        figure(p.rate),
        figure(p.low),
        figure(p.high),
        q.number_days
    );
    let faults: Vec<FaultShape> =
        FaultShape::ALL.into_iter().filter(|f| g.faults.iter().any(|s| s.fault == *f)).collect();
    let row = |first: &str, cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|c| format!("{c:<29}")).collect();
        format!("\n  {first:<15}{}", cells.concat()).trim_end().to_owned()
    };
    let line = |first: &str, cells| format!("\n{}", row(first, cells).trim_start_matches('\n'));
    text += &line("callers a day", faults.iter().map(|f| f.text().to_owned()).collect());
    for level in LEVELS {
        let of = |f: &FaultShape| g.faults.iter().find(|s| s.fault == *f && s.callers_a_day == level);
        text += &line(&level.to_string(), faults.iter().map(|f| of(f).map_or_else(String::new, cell)).collect());
    }
    text
}

/// Callers and time: `4 (6), 12 min (31 min)`.
fn cell(s: &FaultSight) -> String {
    if s.trials == 0 {
        return "rolled back before".to_owned();
    }
    let (Some(callers), Some(seconds)) = (s.callers.median, s.seconds.median) else {
        return format!("{} of {} in {}", s.decided, s.trials, span(WATCHED_FOR.as_secs_f64()));
    };
    let mut text = format!("{callers} ");
    let p90 = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let _ = write!(text, "({}), {} ", p90(s.callers.p90.map(|c| c.to_string())), span(seconds));
    let _ = write!(text, "({})", p90(s.seconds.p90.map(span)));
    text
}

/// Two digits are enough to be told.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 9.95 * 60.0 => format!("{:.1} min", s / 60.0),
        s if s < 99.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 9.95 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

fn figure(x: f64) -> String {
    match x {
        0.0 => "0".to_owned(),
        x if x < 0.0995 => format!("{x:.3}"),
        x if x < 9.95 => format!("{x:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        x => format!("{x:.0}"),
    }
}

/// A few by name.
fn names(groups: &[GroupName]) -> String {
    some_of(groups, 4, ToString::to_string)
}
