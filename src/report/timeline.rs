//! What happened, in order: the journal's entries and the notices, in words, with who did it.
//!
//! One step of many numbers is one line. The condensed timeline has the lines without which the day cannot be told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::material::{Material, Recorded, Told};
use super::words::{numbers, span};
use crate::core::model::decision::DecisionId;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::Operation;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::notice::NoticeStatus;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::sentence::{Actor, Sentence, SentenceWeight, Topic};

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    Entry(Topic),
    Verdict,
    Notice,
}

impl LineKind {
    pub const fn label(self) -> &'static str {
        match self {
            LineKind::Entry(Topic::Port) => "port",
            LineKind::Entry(Topic::Decision) => "decision",
            LineKind::Entry(Topic::Guard) => "guard",
            LineKind::Entry(Topic::Write) => "write",
            LineKind::Entry(Topic::Proof) => "proof",
            LineKind::Entry(Topic::Person) => "person",
            LineKind::Entry(Topic::Change) => "change",
            LineKind::Entry(Topic::Fallback) => "fallback",
            LineKind::Entry(Topic::Agent) => "agent",
            LineKind::Verdict => "verdict",
            LineKind::Notice => "notice",
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
type StepKey = (DecisionId, Channel, String, Option<String>);

/// Every line of the span, in order.
pub fn timeline(m: &Material, records: &[Recorded], roster: &Roster) -> Vec<TimelineLine> {
    // First, for they are the reasons of what was decided at the same instant.
    let mut lines = verdicts(m, roster);
    let mut open: BTreeMap<StepKey, (Steps, Sentence)> = BTreeMap::new();
    let operations: BTreeMap<DecisionId, Operation> = records
        .iter()
        .filter_map(|r| if let Entry::Order(order) = &r.entry { Some((order.id, order.operation)) } else { None })
        .collect();
    for r in records.iter().filter(|r| m.covers(r.at)) {
        let operation = r.entry.decision().and_then(|id| operations.get(&id).copied());
        let sentence = r.entry.sentence(r.at, operation, roster);
        let Some((key, number)) = step(&r.entry, &sentence) else {
            lines.push(line(r.at, &sentence));
            continue;
        };
        if open.get(&key).is_some_and(|(s, _)| r.at.since(s.first) > TOGETHER)
            && let Some((steps, first)) = open.remove(&key)
        {
            lines.push(told_step(&key, &steps, &first));
        }
        let (steps, _) =
            open.entry(key).or_insert_with(|| (Steps { first: r.at, last: r.at, numbers: Vec::new() }, sentence));
        steps.last = r.at;
        steps.numbers.push(number);
    }
    lines.extend(open.iter().map(|(key, (steps, first))| told_step(key, steps, first)));
    lines.extend(notices(&m.told));
    lines.sort_by_key(|l| l.at);
    lines
}

/// What was said of numbers, one line for those of a group of which the same was said at the same time.
fn verdicts(m: &Material, roster: &Roster) -> Vec<TimelineLine> {
    let mut lines: Vec<TimelineLine> = Vec::new();
    for said in &m.outcomes.verdicts {
        let text = match said.verdict {
            Verdict::Failing => format!("{}: failing: callers are not served", said.channel),
            Verdict::Suspect => format!("{}: suspect: some callers fail, too few to act on", said.channel),
            Verdict::Silent => format!("{}: silent: callers who should come do not", said.channel),
            Verdict::Healthy => format!("{}: healthy again: callers are served", said.channel),
            Verdict::Unknown | Verdict::Blind => continue,
        };
        let group = roster.find(said.number).map(|ix| roster.group_of(ix).name.clone());
        let is_same = |l: &&mut TimelineLine| l.at == said.at && l.text == text && l.group == group;
        if let Some(line) = lines.iter_mut().rev().take_while(|l| l.at == said.at).find(is_same) {
            line.of.push(said.number);
            continue;
        }
        lines.push(TimelineLine {
            at: said.at,
            kind: LineKind::Verdict,
            who: AGENT.to_owned(),
            text,
            of: vec![said.number],
            is_key: said.verdict != Verdict::Suspect,
            group,
            channel: Some(said.channel),
        });
    }
    lines
}

/// A step of one number on its way to a result, or its result, with what makes it like others.
fn step(entry: &Entry, sentence: &Sentence) -> Option<(StepKey, NumberId)> {
    let result = if let Entry::Result { result, .. } = entry { Some(*result) } else { None };
    if sentence.topic == Topic::Port || result.is_none() && sentence.weight > SentenceWeight::Step {
        return None;
    }
    // What is as asked needs no more words, which name a call or a digest and differ with each number.
    let more = sentence.more.clone().filter(|_| result.is_some_and(|r| !r.is_as_asked()));
    Some(((sentence.decision?, sentence.channel?, sentence.text.clone(), more), *sentence.numbers.first()?))
}

fn told_step((id, channel, text, more): &StepKey, steps: &Steps, of: &Sentence) -> TimelineLine {
    let more = more.as_ref().map_or_else(String::new, |more| format!(": {more}"));
    let lasted = steps.last.since(steps.first);
    let until = if lasted.as_secs() > 0 { format!(" (within {})", span(lasted)) } else { String::new() };
    TimelineLine {
        at: steps.first,
        kind: LineKind::Entry(of.topic),
        who: AGENT.to_owned(),
        text: format!("{id}, {channel}: {text}{more}{until}"),
        of: steps.numbers.clone(),
        is_key: of.weight == SentenceWeight::Key,
        group: of.group.clone(),
        channel: Some(*channel),
    }
}

/// A line of an entry that is no step of one number.
fn line(at: Time, sentence: &Sentence) -> TimelineLine {
    let id = sentence.decision.map_or_else(String::new, |id| format!("{id} "));
    let more = sentence.more.as_ref().map_or_else(String::new, |more| format!(": {more}"));
    TimelineLine {
        at,
        kind: LineKind::Entry(sentence.topic),
        who: match &sentence.who {
            Actor::Ringback | Actor::Detector => AGENT.to_owned(),
            who @ (Actor::Person(_) | Actor::Twilio | Actor::Other(_)) => who.to_string(),
        },
        text: format!("{id}{}{more}", sentence.text),
        of: sentence.numbers.clone(),
        is_key: sentence.weight == SentenceWeight::Key,
        group: sentence.group.clone(),
        channel: sentence.channel,
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
