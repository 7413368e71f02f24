//! What `ringback learn` says of what it has learnt: of rows, of time, of numbers, and how sure it is.

use serde::Serialize;

use super::read::{ReadFile, ReadTally, ZonesOf};
use super::start::DayOrder;
use super::week::calls;
use super::{Learnt, total};
use crate::core::model::counted::{amount, some_of};
use crate::core::model::id::{E164, GroupName};
use crate::core::model::time::Time;
use crate::core::profile::fit::Hole;
use crate::core::profile::{NumberProfile, NumberStanding};

/// Numbers and holes that are named in a line.
const NAMED: usize = 6;

/// A workday without a call is telling if it comes by chance less than once in so many.
const TELLING: f64 = 1000.0;

/// As JSON.
#[derive(Debug, Serialize)]
pub struct LearnSummary {
    files: Vec<FileSummary>,
    rows: RowSummary,
    from: Time,
    to: Time,
    holes: Vec<HoleSummary>,
    numbers: NumberSummary,
    /// Calls due on a workday, with the range in which nine of ten are.
    workday: WorkdaySummary,
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FileSummary {
    file: String,
    rows: u64,
    columns: String,
    times: &'static str,
}

#[derive(Debug, Serialize)]
struct RowSummary {
    read: u64,
    used: u64,
    duplicates: u64,
    outbound: u64,
    /// Of callers who test, of robots, and of our own test calls.
    tests: u64,
    redials: u64,
    other_numbers: u64,
    old: u64,
    bad: u64,
}

#[derive(Debug, Serialize)]
struct HoleSummary {
    /// Absent of the whole account.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    from: Time,
    to: Time,
}

#[derive(Debug, Serialize)]
struct NumberSummary {
    usual: usize,
    new: Vec<E164>,
    dying: Vec<E164>,
    dead: Vec<E164>,
    /// Of the configuration, and in no row.
    without_records: Vec<E164>,
    /// Those of which a workday without a call is telling.
    telling: usize,
}

#[derive(Debug, Serialize)]
struct WorkdaySummary {
    calls: f64,
    low: f64,
    high: f64,
}

impl LearnSummary {
    /// `groups` as the roster has them.
    pub fn of(learnt: &Learnt, groups: &[GroupName]) -> LearnSummary {
        let numbers = &learnt.profile.numbers;
        let of = |standing| numbers.iter().filter(move |(_, n)| n.standing == standing).map(|(e164, _)| *e164);
        let ReadTally { rows, inbound: _, outbound, other_numbers, probes, bad } = total(&learnt.files);
        let cleaned = learnt.cleaned;
        let due: f64 = numbers.values().map(workday).sum();
        let stray = 1.645 * (due + learnt.profile.account.0 * due * due).sqrt();
        let hole =
            |h: &Hole| HoleSummary { group: h.group.and_then(|g| groups.get(g).cloned()), from: h.from, to: h.to };
        LearnSummary {
            files: learnt.files.iter().map(file).collect(),
            rows: RowSummary {
                read: rows,
                used: cleaned.used,
                duplicates: cleaned.duplicates,
                outbound,
                tests: cleaned.tests + probes,
                redials: cleaned.redials,
                other_numbers,
                old: cleaned.old,
                bad,
            },
            from: learnt.profile.from,
            to: learnt.profile.to,
            holes: learnt.holes.iter().map(hole).collect(),
            numbers: NumberSummary {
                usual: of(NumberStanding::Usual).count(),
                new: of(NumberStanding::New).collect(),
                dying: of(NumberStanding::Dying).collect(),
                dead: of(NumberStanding::Dead).collect(),
                without_records: learnt.unknown.clone(),
                telling: numbers.values().filter(|n| silent_workday(n) < 1.0 / TELLING).count(),
            },
            workday: WorkdaySummary { calls: due, low: (due - stray).max(0.0), high: due + stray },
            remarks: learnt.remarks.clone(),
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for file in &self.files {
            lines.push(format!("{}: {} rows", file.file, file.rows));
            lines.push(format!("  columns   {}", file.columns));
            lines.push(format!("  times     {}", file.times));
        }
        let r = &self.rows;
        lines.push(format!("rows        {} read, {} used as callers' calls", r.read, r.used));
        let left_out = [
            (r.duplicates, "more than once"),
            (r.outbound, "outbound"),
            (r.tests, "tests and robots"),
            (r.redials, "redials within an hour"),
            (r.other_numbers, "other numbers"),
            (r.old, "too old, or of a wrong date"),
            (r.bad, "not understood"),
        ];
        let left_out: Vec<String> =
            left_out.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !left_out.is_empty() {
            lines.push(format!("left out    {}", left_out.join(", ")));
        }
        let days = self.to.since(self.from).as_secs() / 86_400;
        let day = |t: Time| t.to_timestamp().strftime("%Y-%m-%d %H:%M").to_string();
        lines.push(format!("from        {} to {} UTC, {}", day(self.from), day(self.to), amount(days as usize, "day")));
        if !self.holes.is_empty() {
            let of = |h: &HoleSummary| {
                let whose = h.group.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
                let same_day = day(h.from)[..10] == day(h.to)[..10];
                let until = if same_day { day(h.to)[11..].to_owned() } else { day(h.to) };
                format!("{whose} {} to {until}", day(h.from))
            };
            lines.push(format!("missing     {} UTC; taken out", some_of(&self.holes, NAMED, of)));
        }
        self.add_numbers(&mut lines);
        lines
    }

    fn add_numbers(&self, lines: &mut Vec<String>) {
        let n = &self.numbers;
        let learnt = n.usual + n.new.len() + n.dying.len() + n.dead.len();
        lines.push(format!("numbers     {} learnt, {} as usual", learnt, n.usual));
        for (numbers, what) in [
            (&n.new, "new, their week is mostly that of others"),
            (&n.dying, "fading before the port"),
            (&n.dead, "dead before the port"),
            (&n.without_records, "of the configuration without any record, judged by the day alone"),
        ] {
            if !numbers.is_empty() {
                let named = some_of(numbers, NAMED, ToString::to_string);
                lines.push(format!("            {} {what}: {named}", numbers.len()));
            }
        }
        let w = &self.workday;
        lines.push(format!(
            "sure        a workday has about {} calls, nine of ten have {} to {}",
            calls(w.calls),
            calls(w.low),
            calls(w.high)
        ));
        let rare = learnt - n.telling;
        lines.push(format!(
            "            of {} a workday without a call is telling; {} ring too seldom for that",
            amount(n.telling, "number"),
            rare
        ));
    }
}

fn file(file: &ReadFile) -> FileSummary {
    let times = match (file.zones, file.days) {
        (ZonesOf::Value, _) => "each with its offset",
        (ZonesOf::Heading, None) => "in the zone of the heading or of history.columns.timezone",
        (ZonesOf::Heading, Some(DayOrder::MonthFirst)) => {
            "in the zone of the heading or the configuration; month first"
        }
        (ZonesOf::Heading, Some(DayOrder::DayFirst)) => "in the zone of the heading or the configuration; day first",
        (ZonesOf::Number, None) => "without a zone: read in each number's timezone of the configuration",
        (ZonesOf::Number, Some(DayOrder::MonthFirst)) => {
            "without a zone: read in each number's timezone of the configuration; month first"
        }
        (ZonesOf::Number, Some(DayOrder::DayFirst)) => {
            "without a zone: read in each number's timezone of the configuration; day first"
        }
    };
    FileSummary { file: file.name.clone(), rows: file.tally.rows, columns: file.columns.told(), times }
}

/// Calls due on a mean workday.
pub fn workday(number: &NumberProfile) -> f64 {
    number.week.rates()[..5 * 48].iter().sum::<f64>() / 5.0
}

/// How likely a workday is without any call.
fn silent_workday(number: &NumberProfile) -> f64 {
    let (due, spread) = (workday(number), (number.spread.0 + number.newness).max(1e-3));
    (1.0 + spread * due).powf(-1.0 / spread)
}
