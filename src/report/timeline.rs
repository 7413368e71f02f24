//! What happened, in order: the journal's entries and the notices, in words, with who did it.
//!
//! One step of many numbers is one line. The condensed timeline has the lines without which the day cannot be told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::material::{Material, Recorded, Told};
use super::words::{numbers, span};
use crate::core::model::decision::{Action, Decision, DecisionId};
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::{Author, By, FallbackState, Operation, OrderResult};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::NoticeStatus;
use crate::core::port::news::{Met, PortEntry};
use crate::core::rollback::entry::Entry;

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    Port,
    Decision,
    Guard,
    Write,
    Proof,
    Person,
    Change,
    Fallback,
    Notice,
    Agent,
}

impl LineKind {
    pub const fn label(self) -> &'static str {
        match self {
            LineKind::Port => "port",
            LineKind::Decision => "decision",
            LineKind::Guard => "guard",
            LineKind::Write => "write",
            LineKind::Proof => "proof",
            LineKind::Person => "person",
            LineKind::Change => "change",
            LineKind::Fallback => "fallback",
            LineKind::Notice => "notice",
            LineKind::Agent => "agent",
        }
    }
}

/// Who acts where no person does.
pub const AGENT: &str = "Ringback";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineLine {
    pub at: Time,
    pub kind: LineKind,
    pub who: String,
    pub text: String,
    /// Of which numbers, where it is of some alone.
    pub of: Vec<NumberId>,
    /// It belongs to the condensed timeline.
    pub is_key: bool,
    pub group: Option<GroupName>,
    pub channel: Option<Channel>,
}

impl TimelineLine {
    /// The whole line, with the names of its numbers.
    pub fn told(&self, roster: &Roster) -> String {
        if self.of.is_empty() { self.text.clone() } else { format!("{}: {}", self.text, numbers(&self.of, roster)) }
    }
}

/// Lines that say the same of several numbers within this are one line of the condensed timeline.
const ALIKE: Duration = Duration::from_secs(1800);

/// The lines without which the day cannot be told, those that are alike in one.
pub fn condensed(lines: &[TimelineLine]) -> Vec<TimelineLine> {
    let mut key: Vec<(TimelineLine, Time)> = Vec::new();
    for line in lines.iter().filter(|l| l.is_key) {
        let is_alike = |(first, _): &&mut (TimelineLine, Time)| {
            let same =
                (first.kind, &first.who, &first.text, &first.group) == (line.kind, &line.who, &line.text, &line.group);
            same && !line.of.is_empty() && line.at.since(first.at) <= ALIKE
        };
        match key.iter_mut().find(is_alike) {
            Some((first, last)) => {
                let new: Vec<NumberId> = line.of.iter().filter(|n| !first.of.contains(n)).copied().collect();
                first.of.extend(new);
                *last = line.at;
            }
            None => key.push((line.clone(), line.at)),
        }
    }
    let within = |(mut line, last): (TimelineLine, Time)| {
        let lasted = last.since(line.at);
        if lasted.as_secs() > 0 {
            line.text += &format!(" (within {})", span(lasted));
        }
        line
    };
    key.into_iter().map(within).collect()
}

/// Steps of one decision that are alike and come within this are one line.
const TOGETHER: Duration = Duration::from_secs(120);

/// Steps of many numbers on their way to one line.
struct Steps {
    first: Time,
    last: Time,
    numbers: Vec<NumberId>,
}

/// What makes two steps alike: whose they are, and in which words they are told.
type StepKey = (DecisionId, Channel, &'static str, String);

/// Every line of the span, in order.
pub fn timeline(m: &Material, records: &[Recorded], roster: &Roster) -> Vec<TimelineLine> {
    let mut lines = Vec::new();
    let mut open: BTreeMap<StepKey, Steps> = BTreeMap::new();
    let operations: BTreeMap<DecisionId, Operation> = records
        .iter()
        .filter_map(|r| if let Entry::Order(order) = &r.entry { Some((order.id, order.operation)) } else { None })
        .collect();
    for r in records.iter().filter(|r| m.covers(r.at)) {
        let Some((key, number)) = step(&r.entry) else {
            lines.extend(tell(r, roster));
            continue;
        };
        if open.get(&key).is_some_and(|s| r.at.since(s.first) > TOGETHER)
            && let Some(steps) = open.remove(&key)
        {
            lines.push(told_step(&key, &steps, &operations, roster));
        }
        let steps = open.entry(key).or_insert(Steps { first: r.at, last: r.at, numbers: Vec::new() });
        steps.last = r.at;
        steps.numbers.push(number);
    }
    lines.extend(open.iter().map(|(key, steps)| told_step(key, steps, &operations, roster)));
    lines.extend(notices(&m.told));
    lines.sort_by_key(|l| l.at);
    lines
}

/// A step of one number, if the entry is one.
fn step(entry: &Entry) -> Option<(StepKey, NumberId)> {
    match entry {
        Entry::Snapshot { decision, channel, number, .. } => {
            Some(((*decision, *channel, "snapshot", String::new()), *number))
        }
        Entry::Checked { decision, channel, number, fallback } => {
            Some(((*decision, *channel, "checked", fallback.label().to_owned()), *number))
        }
        Entry::Intent { decision, channel, number, .. } => {
            Some(((*decision, *channel, "intent", String::new()), *number))
        }
        Entry::Written { decision, channel, number } => Some(((*decision, *channel, "taken", String::new()), *number)),
        Entry::Result { decision, channel, number, result, detail } => {
            // What is as asked needs no words, which name a call and differ with each number.
            let detail = if result.is_as_asked() { String::new() } else { detail.clone() };
            Some(((*decision, *channel, result.label(), detail), *number))
        }
        Entry::Decision(_)
        | Entry::Order(_)
        | Entry::Stage { .. }
        | Entry::Refused { .. }
        | Entry::Asked { .. }
        | Entry::Approved { .. }
        | Entry::Closed { .. }
        | Entry::Recovered { .. }
        | Entry::Phase { .. }
        | Entry::Hold(_)
        | Entry::Release { .. }
        | Entry::Mode { .. }
        | Entry::Ported { .. }
        | Entry::Port(_)
        | Entry::Drift { .. }
        | Entry::Adopted { .. }
        | Entry::Started { .. }
        | Entry::Fallback { .. } => None,
    }
}

fn told_step(
    (id, channel, what, detail): &StepKey,
    steps: &Steps,
    operations: &BTreeMap<DecisionId, Operation>,
    roster: &Roster,
) -> TimelineLine {
    let operation = operations.get(id).map_or("order", |o| o.label());
    let is_result = OrderResult::ALL.iter().any(|r| r.label() == *what);
    let done = match *what {
        "snapshot" => "the whole record is kept".to_owned(),
        "checked" => format!("the fallback was looked at: {detail}"),
        "intent" => "about to write".to_owned(),
        "taken" => "Twilio took the write".to_owned(),
        "restored" => "restored, and read back".to_owned(),
        result => {
            let said = match result {
                "written" if operation == "rollback" => "read back: the fallback is in effect",
                "written" => "read back: as asked",
                "proven" => "proven by a test",
                other => other,
            };
            if detail.is_empty() { said.to_owned() } else { format!("{said}: {detail}") }
        }
    };
    let lasted = steps.last.since(steps.first);
    let until = if lasted.as_secs() > 0 { format!(" (within {})", span(lasted)) } else { String::new() };
    let group = steps.numbers.first().and_then(|n| roster.find(*n)).map(|ix| roster.group_of(ix).name.clone());
    TimelineLine {
        at: steps.first,
        kind: if is_result && *what == "proven" { LineKind::Proof } else { LineKind::Write },
        who: AGENT.to_owned(),
        text: format!("{id} {operation}, {channel}: {done}{until}"),
        of: steps.numbers.clone(),
        is_key: is_result,
        group,
        channel: Some(*channel),
    }
}

/// A decision in a sentence.
pub fn decided(d: &Decision) -> String {
    let words = d.evidence.counted.words(d.channel);
    let of = d.evidence.callers.max(d.evidence.failing);
    let mut seen =
        if of > 0 { format!("{} of {} failed", d.evidence.failing, words.count(of)) } else { d.rule.clone() };
    if let Some(reason) = d.evidence.reasons.first() {
        seen += &format!(": {}", reason.reason.text());
        if let Some(code) = reason.code.and_then(|c| c.named()) {
            seen += &format!(" (Twilio error {code})");
        }
    }
    if d.evidence.failing_probes > 0 {
        seen += &format!("; {} of {} test calls failed", d.evidence.failing_probes, d.evidence.probes);
    }
    let what = match d.action {
        Action::Rollback => "rollback".to_owned(),
        Action::Withheld { guard } => format!("no rollback, for {}", guard.text()),
        Action::Page { reason } => format!("a person is needed: {}", reason.text()),
    };
    format!("{} {}, {}: {what}; {seen}", d.id, d.group, d.channel)
}

/// A line of an entry that is no step of one number.
fn tell(r: &Recorded, roster: &Roster) -> Option<TimelineLine> {
    let clock = super::words::clock;
    let line = |kind, text: String| TimelineLine {
        at: r.at,
        kind,
        who: AGENT.to_owned(),
        text,
        of: Vec::new(),
        is_key: true,
        group: None,
        channel: None,
    };
    let by = |author: &Author, text: String| TimelineLine {
        who: author.name.to_string(),
        ..line(LineKind::Person, format!("{text}: {}", author.reason))
    };
    let of = |numbers: &[NumberId], channel: Option<Channel>, line: TimelineLine| {
        let group = numbers.first().and_then(|n| roster.find(*n)).map(|ix| roster.group_of(ix).name.clone());
        TimelineLine { of: numbers.to_vec(), group, channel, ..line }
    };
    Some(match &r.entry {
        Entry::Decision(d) => of(&d.numbers, Some(d.channel), line(LineKind::Decision, decided(d))),
        Entry::Order(o) => {
            let text = format!("{} {} of {}, {}", o.id, o.operation.label(), o.group, o.channel);
            let told = match &o.by {
                By::Detector => TimelineLine { is_key: false, ..line(LineKind::Write, text) },
                By::Operator(author) => by(author, text),
            };
            of(&o.numbers, Some(o.channel), told)
        }
        Entry::Stage { decision, numbers, channel } => {
            let told = line(LineKind::Write, format!("{decision}: the restore's next stage"));
            of(numbers, Some(*channel), TimelineLine { is_key: false, ..told })
        }
        Entry::Refused { decision, numbers, guard, channel } => {
            of(numbers, Some(*channel), line(LineKind::Guard, format!("{decision} waits: {}", guard.text())))
        }
        Entry::Asked { decision, numbers, guard, until, channel } => {
            let text = format!("{decision} asks for approval until {}: {}", clock(*until), guard.text());
            of(numbers, Some(*channel), line(LineKind::Guard, text))
        }
        Entry::Approved { decision, by: author } => by(author, format!("approved {decision}")),
        Entry::Closed { decision, numbers, why, channel } => {
            of(numbers, Some(*channel), line(LineKind::Guard, format!("{decision} no longer stands: {}", why.text())))
        }
        Entry::Recovered { channel, numbers } => {
            of(numbers, Some(*channel), line(LineKind::Decision, format!("callers are served again, {channel}")))
        }
        Entry::Hold(hold) => by(&hold.by, format!("hold on {} until {}", hold.scope.text(roster), clock(hold.until))),
        Entry::Release { scope, by: author } => by(author, format!("hold on {} released", scope.text(roster))),
        Entry::Mode { mode, by: author } => by(author, format!("mode {}", mode.label())),
        Entry::Ported { numbers, by: author } => of(numbers, None, by(author, "said to be ported".to_owned())),
        Entry::Port(entry) => port(entry, line, of),
        Entry::Phase { channel, number, phase } => {
            let told = line(LineKind::Port, format!("{channel}: {}", phase.label()));
            of(&[*number], Some(*channel), TimelineLine { is_key: false, ..told })
        }
        Entry::Drift { number, channel, differences, actor } => {
            let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let told = line(LineKind::Change, format!("{channel} was changed: {}", what.join("; ")));
            let who = actor.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
            of(&[*number], Some(*channel), TimelineLine { who, ..told })
        }
        Entry::Adopted { number, channel, by: author, .. } => {
            let told = line(LineKind::Person, format!("{channel}: the handler that it has is the right one"));
            of(&[*number], Some(*channel), TimelineLine { who: author.to_string(), ..told })
        }
        Entry::Started { version, rules } => {
            let changed = if rules.is_some() { ", with rules that are new" } else { "" };
            let told = line(LineKind::Agent, format!("the agent began (version {version}{changed})"));
            TimelineLine { is_key: false, ..told }
        }
        Entry::Fallback { group, channel, state, detail, broken_for, .. } => {
            let told = line(LineKind::Fallback, format!("fallback of {group}, {channel}: {}: {detail}", state.label()));
            let is_key = *state == FallbackState::Broken || !broken_for.is_empty();
            let (group, channel) = (Some(group.clone()), Some(*channel));
            TimelineLine { is_key, of: broken_for.clone(), group, channel, ..told }
        }
        Entry::Snapshot { .. }
        | Entry::Checked { .. }
        | Entry::Intent { .. }
        | Entry::Written { .. }
        | Entry::Result { .. } => return None,
    })
}

fn port(
    entry: &PortEntry,
    line: impl Fn(LineKind, String) -> TimelineLine,
    of: impl Fn(&[NumberId], Option<Channel>, TimelineLine) -> TimelineLine,
) -> TimelineLine {
    let twilio = |text: String| TimelineLine { who: "Twilio".to_owned(), ..line(LineKind::Port, text) };
    match entry {
        PortEntry::Status { numbers, state, .. } => of(numbers, None, twilio(state.text())),
        PortEntry::Met { channel, met, numbers } => {
            let what = match met {
                Met::Arrived => "the first live callers arrive",
                Met::Served => "the first live callers are served",
                Met::Probed => "the first test is served",
                Met::Forwarded => "a caller came by way of the old provider",
            };
            let told = line(LineKind::Port, format!("{what}, {channel}"));
            of(numbers, Some(*channel), TimelineLine { is_key: matches!(met, Met::Arrived | Met::Forwarded), ..told })
        }
        PortEntry::Eve { due, waiting, .. } => {
            of(waiting, None, twilio(format!("the first is due at {}", super::words::instant(*due))))
        }
        PortEntry::Passive { group, channel, seen } => {
            let text = format!("{group}, {channel}: {} numbers are watched as in every other week", seen.passive);
            TimelineLine {
                is_key: false,
                group: Some(group.clone()),
                channel: Some(*channel),
                ..line(LineKind::Port, text)
            }
        }
    }
}

/// Each notice once, with whom it reached.
fn notices(told: &[Told]) -> Vec<TimelineLine> {
    let mut lines: Vec<(&Told, Vec<String>)> = Vec::new();
    for t in told {
        let by = match t.delivery.as_str() {
            "delivered" => t.notifier.clone(),
            other => format!("{} ({})", t.notifier, other.replace('_', " ")),
        };
        let is_same = |(of, _): &&mut (&Told, Vec<String>)| {
            of.at == t.at && of.title == t.title && of.kind == t.kind && of.status == t.status
        };
        match lines.iter_mut().rev().take(64).find(is_same) {
            Some((_, reached)) => reached.push(by),
            None => lines.push((t, vec![by])),
        }
    }
    let line = |(t, reached): (&Told, Vec<String>)| {
        let over = if t.status == NoticeStatus::Resolved { "over: " } else { "" };
        TimelineLine {
            at: t.at,
            kind: LineKind::Notice,
            who: AGENT.to_owned(),
            text: format!("told {}: {over}{}", reached.join(", "), t.title),
            of: Vec::new(),
            is_key: false,
            group: t.group.clone(),
            channel: None,
        }
    };
    lines.into_iter().map(line).collect()
}
