//! What happened, told in order, and what it comes to.
//!
//! The story has two sources: what the agent says of itself, and what the pretend world knows to be
//! true. The difference between them is what a port day is about.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::agent::publish::status::{ChannelStatus, RollbackStatus, Status};
use crate::cli::text::{wrapped, wrapped_command};
use crate::core::model::decision::{Action, DecisionId, Phase};
use crate::core::model::id::{Channel, E164, GroupName, NumberId};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::sim::{HandlerCondition, Sim, TimelineMark, Truth, TruthTally};

/// The demo's company is in New York; the story tells its local time.
const ZONE: jiff::tz::Offset = jiff::tz::Offset::constant(-5);

/// A line of the story.
#[derive(Clone, Debug, Serialize)]
pub struct StoryLine {
    pub at: Time,
    pub kind: StoryKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoryKind {
    /// A number's callers now reach Twilio.
    Ported,
    /// Something breaks, or looks as if.
    Trouble,
    /// What the agent has seen.
    Seen,
    /// What the agent does.
    Decided,
    /// The agent has looked at the result.
    ReadBack,
    /// A test call has heard the result.
    Proven,
    /// Callers are served by the fallback.
    Served,
}

/// How a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    NotPorted,
    /// Ported, and too few callers yet.
    Unknown,
    Served,
    Suspect,
    Failing,
    Blind,
    OnFallback,
}

/// One group, as a line of the view.
#[derive(Clone, Debug)]
pub struct GroupLine {
    pub name: GroupName,
    pub lights: Vec<Light>,
    pub tally: TruthTally,
}

pub struct DemoStory {
    pub now: Time,
    pub lines: Vec<StoryLine>,
    pub groups: Vec<GroupLine>,
    /// The steps of the first rollback.
    pub steps: Steps,
    /// How much of the world's timeline has been told.
    told: usize,
    decisions: DecisionId,
    read_back: HashMap<DecisionId, usize>,
    /// Since when each group has numbers that are suspect.
    suspect_since: HashMap<GroupName, Time>,
    /// Each number's record at the beginning.
    before: BTreeMap<E164, serde_json::Value>,
    group_of: HashMap<E164, GroupName>,
}

/// When the first rollback's steps happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Steps {
    pub first_failing_call: Option<Time>,
    pub first_suspicion: Option<Time>,
    pub decided: Option<Time>,
    pub read_back: Option<Time>,
    pub proven: Option<Time>,
    pub first_served_by_fallback: Option<Time>,
}

impl DemoStory {
    pub fn new(sim: &Sim, roster: &Roster) -> DemoStory {
        let numbers = || roster.numbers().map(|(ix, n)| (n.id.e164, roster.group_of(ix).name.clone()));
        DemoStory {
            now: Time::EPOCH,
            lines: Vec::new(),
            groups: Vec::new(),
            steps: Steps::default(),
            told: 0,
            decisions: DecisionId(0),
            read_back: HashMap::new(),
            suspect_since: HashMap::new(),
            before: numbers().filter_map(|(n, _)| Some((n, sim.number(n)?))).collect(),
            group_of: numbers().collect(),
        }
    }

    /// Takes in how things stand now.
    pub fn look(&mut self, now: Time, sim: &Sim, status: &Status) {
        self.now = now;
        let truth = sim.truth();
        let first_new = self.lines.len();
        for entry in &truth.timeline[self.told..] {
            if let Some((kind, text)) = self.tell_world(&entry.what) {
                self.lines.push(StoryLine { at: entry.at, kind, text });
            }
        }
        self.told = truth.timeline.len();
        self.tell_agent(status, &truth);
        self.lines[first_new..].sort_by_key(|l| l.at);
        self.groups = status
            .groups
            .iter()
            .map(|g| GroupLine {
                name: g.group.clone(),
                lights: g.numbers.iter().map(|n| light(&n.channels)).collect(),
                tally: truth.groups.get(&g.group).cloned().unwrap_or_default(),
            })
            .collect();
    }

    fn tell_world(&self, mark: &TimelineMark) -> Option<(StoryKind, String)> {
        match mark {
            TimelineMark::Ported { number, channel: Channel::Voice } => {
                let group = self.group_of.get(number)?;
                Some((StoryKind::Ported, format!("{number} of {group} is ported: its callers now reach Twilio")))
            }
            TimelineMark::Handler { url, state } => Some((
                StoryKind::Trouble,
                if let HandlerCondition::Status(code) = state.condition {
                    format!("{url} begins to answer HTTP {code}: callers hear an error, and nobody knows yet")
                } else if state.condition.harms() {
                    format!("{url} {state}, and nobody knows yet")
                } else {
                    format!("{url}: {state} (no caller is harmed)")
                },
            )),
            TimelineMark::Traffic { group, change } => {
                Some((StoryKind::Trouble, format!("{group}: {change} (an honest day, no fault)")))
            }
            TimelineMark::Storm { number, calls } => Some((
                StoryKind::Trouble,
                format!("one caller with a problem of their own dials {number} {calls} times (no fault)"),
            )),
            TimelineMark::Campaign { number, texts } => {
                Some((StoryKind::Trouble, format!("{number} sends {texts} texts to customers")))
            }
            TimelineMark::Fault { kind, .. } => Some((StoryKind::Trouble, format!("Twilio's API misbehaves: {kind}"))),
            TimelineMark::Ported { channel: Channel::Messaging, .. }
            | TimelineMark::Updated(_)
            | TimelineMark::Release { .. } => None,
        }
    }

    fn tell_agent(&mut self, status: &Status, truth: &Truth) {
        for decision in status.decisions.iter().rev().filter(|d| d.id > self.decisions).cloned().collect::<Vec<_>>() {
            self.decisions = decision.id;
            let e = &decision.evidence;
            let code = e.reasons.first().and_then(|r| r.code).map_or(String::new(), |c| format!(" (Twilio error {c})"));
            let since = e.since.map_or_else(String::new, local);
            let (group, failing, callers) = (&decision.group, e.failing, e.callers);
            let seen = match decision.action {
                // Of whom nobody knows that they were harmed, or who did not call.
                Action::Page { .. } => {
                    format!("{group}: errors with {failing} of {callers} people since {since}{code}")
                }
                Action::Rollback | Action::Withheld { .. } => {
                    let why = e.reasons.first().map_or("", |r| r.reason.text());
                    format!("{group}: {failing} of {callers} callers failed since {since}: {why}{code}")
                }
            };
            self.lines.push(StoryLine { at: decision.at, kind: StoryKind::Seen, text: seen });
            let text = match decision.action {
                Action::Rollback => {
                    if self.steps.decided.is_none() {
                        self.steps.first_suspicion = self.suspect_since.get(&decision.group).copied();
                    }
                    self.steps.decided.get_or_insert(decision.at);
                    self.steps.first_failing_call = self.steps.first_failing_call.or(e.since);
                    let n = decision.numbers.len();
                    self.read_back.insert(decision.id, n);
                    format!("rollback: {n} number{} of {} to the fallback", plural(n), decision.group)
                }
                Action::Withheld { guard } => format!("no rollback: {}", guard.text()),
                Action::Page { reason } => format!("a person is paged, for no swap cures it: {}", reason.text()),
            };
            self.lines.push(StoryLine { at: decision.at, kind: StoryKind::Decided, text });
        }
        let done: Vec<(NumberId, Time)> = status
            .numbers()
            .flat_map(|(_, n)| n.channels.iter().map(move |c| (n.id(), c)))
            .filter_map(|(n, c)| if let RollbackStatus::Done { since } = c.rollback { Some((n, since)) } else { None })
            .collect();
        let decided: Vec<_> = status.decisions.iter().filter(|d| self.read_back.contains_key(&d.id)).cloned().collect();
        for decision in decided {
            let of_it: Vec<Time> =
                done.iter().filter(|(n, _)| decision.numbers.contains(n)).map(|(_, since)| *since).collect();
            if of_it.len() == decision.numbers.len()
                && let Some(last) = of_it.iter().max()
            {
                self.read_back.remove(&decision.id);
                self.steps.read_back.get_or_insert(*last);
                let n = of_it.len();
                let text = format!("read back: the fallback answers {n} number{} of {}", plural(n), decision.group);
                self.lines.push(StoryLine { at: *last, kind: StoryKind::ReadBack, text });
            }
        }
        let state = |n: &NumberId| {
            status.numbers().find(|(_, s)| s.id() == *n).map_or("", |(_, s)| s.channels[0].rollback_state)
        };
        let swapped: Vec<NumberId> = done.iter().map(|(n, _)| *n).collect();
        if self.steps.proven.is_none() && !swapped.is_empty() && swapped.iter().all(|n| state(n) == "proven") {
            self.steps.proven = Some(status.at);
            let n = swapped.len();
            let text = format!("test calls heard the fallback answer on {n} number{}: proven", plural(n));
            self.lines.push(StoryLine { at: status.at, kind: StoryKind::Proven, text });
        }
        for g in &status.groups {
            let mut verdicts = g.numbers.iter().flat_map(|n| &n.channels).map(|c| c.verdict);
            if verdicts.any(|v| v >= Verdict::Suspect && v != Verdict::Blind) {
                self.suspect_since.entry(g.group.clone()).or_insert(status.at);
            } else {
                self.suspect_since.remove(&g.group);
            }
        }
        if let (None, Some(first)) = (self.steps.first_served_by_fallback, truth.total.first_by_bin) {
            self.steps.first_served_by_fallback = Some(first);
            let text = "the first caller is served by the fallback".to_owned();
            self.lines.push(StoryLine { at: first, kind: StoryKind::Served, text });
        }
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The worse of a number's channels.
fn light(channels: &[ChannelStatus]) -> Light {
    let one = |c: &ChannelStatus| {
        if matches!(c.rollback, RollbackStatus::Done { .. }) {
            return (6, Light::OnFallback);
        }
        match (c.phase, c.verdict) {
            (Phase::Waiting, Verdict::Blind) | (_, Verdict::Blind) => (5, Light::Blind),
            (Phase::Waiting, _) => (0, Light::NotPorted),
            (_, Verdict::Failing) => (4, Light::Failing),
            (_, Verdict::Suspect | Verdict::Silent) => (3, Light::Suspect),
            (_, Verdict::Healthy) => (2, Light::Served),
            (_, Verdict::Unknown) => (1, Light::Unknown),
        }
    };
    channels.iter().map(one).max_by_key(|(rank, _)| *rank).map_or(Light::NotPorted, |(_, light)| light)
}

/// An instant on the company's wall clock.
pub fn local(at: Time) -> String {
    at.to_timestamp().to_zoned(jiff::tz::TimeZone::fixed(ZONE)).strftime("%H:%M:%S").to_string()
}

/// What the day comes to.
#[derive(Debug, Serialize)]
pub struct DemoSummary {
    pub is_as_expected: bool,
    /// What was not, if anything.
    pub problems: Vec<String>,
    pub with_ringback: StoryCount,
    pub without_ringback: StoryCount,
    pub numbers_swapped: usize,
    /// Of which group they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapped_group: Option<GroupName>,
    pub steps: Steps,
}

#[derive(Debug, Serialize)]
pub struct StoryCount {
    pub calls: u64,
    pub calls_failed: u64,
    pub callers_who_met_an_error: u64,
}

impl StoryCount {
    fn of(t: &TruthTally) -> StoryCount {
        StoryCount { calls: t.calls, calls_failed: t.failed, callers_who_met_an_error: t.callers_failed }
    }
}

impl DemoSummary {
    pub fn new(story: &DemoStory, sim: &Sim, without: &Truth) -> DemoSummary {
        let truth = sim.truth();
        let scenario = sim.scenario();
        let mut problems = Vec::new();
        let broken: Vec<String> = truth
            .timeline
            .iter()
            .filter_map(|e| {
                if let TimelineMark::Handler { url, state } = &e.what
                    && state.condition.harms()
                {
                    Some(url.clone())
                } else {
                    None
                }
            })
            .collect();
        let bins: Vec<String> = scenario.bins.iter().map(crate::sim::Bin::url).collect();
        let (mut swapped, mut swapped_group) = (0, None);
        for (number, before) in &story.before {
            let Some(now) = sim.number(*number) else { continue };
            let url = |record: &serde_json::Value| record["voice_url"].as_str().unwrap_or_default().to_owned();
            let should = broken.contains(&url(before));
            let is = bins.contains(&url(&now));
            swapped += usize::from(is);
            if is {
                swapped_group = story.group_of.get(number).cloned();
            }
            match (should, is) {
                (true, false) => problems.push(format!("{number} is broken and was not swapped")),
                (false, true) => problems.push(format!("{number} was swapped and was not broken")),
                (false, false) if now != *before => problems.push(format!("{number} was changed")),
                (true, true) | (false, false) => {}
            }
        }
        if truth.total.by_bin == 0 {
            problems.push("nobody was served by the fallback".to_owned());
        }
        DemoSummary {
            is_as_expected: problems.is_empty(),
            problems,
            with_ringback: StoryCount::of(&truth.total),
            without_ringback: StoryCount::of(&without.total),
            numbers_swapped: swapped,
            swapped_group,
            steps: story.steps.clone(),
        }
    }

    pub fn json(&self, story: &DemoStory) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&serde_json::json!({ "story": story.lines, "summary": self }))
    }

    /// Lines of at most `width` characters, at most `rows` of them where the terminal has 60 columns and 20 rows or
    /// more: empty lines go first. What stays up is at `address`.
    pub fn report(&self, address: SocketAddr, stays: bool, width: usize, rows: usize) -> Vec<String> {
        let row = |name: &str, with: String, without: String| format!("  {name:<26}{without:>9}{with:>15}");
        let (with, without) = (&self.with_ringback, &self.without_ringback);
        let count = |name: &str, of: fn(&StoryCount) -> u64| row(name, of(with).to_string(), of(without).to_string());
        let mut parts = vec![vec![
            row("", "with Ringback".to_owned(), "without".to_owned()),
            count("calls", |c| c.calls),
            count("calls that failed", |c| c.calls_failed),
            count("callers who met an error", |c| c.callers_who_met_an_error),
        ]];
        let said = |text: &str| -> Vec<String> {
            wrapped(text, width.saturating_sub(2).max(1)).into_iter().map(|line| format!("  {line}")).collect()
        };
        if let Some(first) = self.steps.first_failing_call {
            let mut steps = said("After the first failing call:");
            let mut step = |name: &str, at: Option<Time>| {
                steps.extend(at.map(|at| format!("  {:>9}  {name}", span(at.since(first)))));
            };
            step("seen in Twilio's logs", self.steps.first_suspicion);
            step("rollback decided", self.steps.decided);
            step("written, and read back from Twilio", self.steps.read_back);
            step("all proven by test calls", self.steps.proven);
            step("first caller served by the fallback", self.steps.first_served_by_fallback);
            parts.push(steps);
        }
        let mut end = Vec::new();
        if self.is_as_expected {
            end = said(&format!(
                "As it should be: {} broken numbers are on their fallback (a TwiML Bin: Twilio itself answers, and no \
                 webhook is asked), the others are untouched.",
                self.numbers_swapped
            ));
        }
        for problem in &self.problems {
            end.extend(said(&format!("NOT as it should be: {problem}")));
        }
        parts.push(end);
        if let Some(group) = &self.swapped_group {
            let mut next = said("Once the webhook is repaired, a person types:");
            let command = format!("ringback restore --group {group} --reason 'repaired'");
            next.extend(wrapped_command(&command, width.saturating_sub(4)).into_iter().map(|l| format!("    {l}")));
            parts.push(next);
        }
        let page = if stays {
            format!("Up until Ctrl-C: http://{address}/")
        } else {
            "With --keep-open its page and its metrics stay up.".to_owned()
        };
        parts.push(said(&page));
        let lines: usize = parts.iter().map(Vec::len).sum();
        let is_airy = lines + parts.len() <= rows;
        parts.into_iter().flat_map(|part| is_airy.then(String::new).into_iter().chain(part)).collect()
    }
}

fn span(d: Duration) -> String {
    let s = d.as_secs();
    if s < 60 { format!("{s} s") } else { format!("{} m {:02} s", s / 60, s % 60) }
}
