//! The user's own thresholds: so many distinct callers, at such a share of all, in so long.
//!
//! Not everybody wants statistics. A rule here is read as it is written and evaluated beside the
//! detector, on the same outcomes: curable failures of distinct callers, busy lines left out, late
//! alerts revising what was counted. What follows from it meets the same guards.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::excess::{self, Excess, ONE_ATTEMPT};
use crate::detect::ledger::OutcomeChange;
use crate::model::code::Code;
use crate::model::counted::Counted;
use crate::model::id::Channel;
use crate::model::id::Resource;
use crate::model::reason::{Outcome, Reason};
use crate::model::time::Time;
use crate::model::verdict::{Evidence, ReasonCount};

/// `[[group.threshold]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Distinct callers who must have failed.
    pub callers: u32,
    /// Share of the distinct callers who must have failed, 0..=1.
    pub ratio: f64,
    pub within: Duration,
    pub channel: Channel,
    /// Failures that count.
    pub reasons: Vec<Reason>,
    pub action: RuleAction,
    #[serde(default)]
    pub subject: RuleSubject,
}

/// What a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleSubject {
    /// Distinct callers of our numbers.
    #[default]
    Callers,
    /// Calls, whoever calls: a telephone system or a forwarding provider sends all its callers with one number.
    Calls,
    /// Distinct callers who were served beside an error.
    Warnings,
    /// Distinct recipients of messages of ours.
    Recipients,
    /// Attempts to call or write since somebody was served last, over hours: of quiet numbers.
    Run,
    /// The same of messages of ours, since one arrived.
    SentRun,
    /// Callers of one number who fail, more of them than honest days bring.
    Excess,
    /// The same of messages of ours.
    SentExcess,
}

impl RuleSubject {
    /// What is looked at is what came since somebody was served, and no share of all that came.
    pub const fn is_run(self) -> bool {
        match self {
            RuleSubject::Run | RuleSubject::SentRun => true,
            RuleSubject::Callers
            | RuleSubject::Calls
            | RuleSubject::Warnings
            | RuleSubject::Recipients
            | RuleSubject::Excess
            | RuleSubject::SentExcess => false,
        }
    }

    /// A sum over all outcomes of one number, which says nothing of several together.
    pub const fn is_excess(self) -> bool {
        matches!(self, RuleSubject::Excess | RuleSubject::SentExcess)
    }

    /// True if what it counts is callers who were not served.
    pub const fn is_of_callers(self) -> bool {
        match self {
            RuleSubject::Callers | RuleSubject::Calls | RuleSubject::Run | RuleSubject::Excess => true,
            RuleSubject::Warnings | RuleSubject::Recipients | RuleSubject::SentRun | RuleSubject::SentExcess => false,
        }
    }

    /// What its figures count.
    pub const fn counted(self) -> Counted {
        match self {
            RuleSubject::Callers | RuleSubject::Warnings => Counted::People,
            RuleSubject::Calls | RuleSubject::Run | RuleSubject::Excess => Counted::Attempts,
            RuleSubject::Recipients => Counted::Recipients,
            RuleSubject::SentRun | RuleSubject::SentExcess => Counted::Sent,
        }
    }

    /// It is about messages that our side sent.
    pub const fn is_sent(self) -> bool {
        match self {
            RuleSubject::Recipients | RuleSubject::SentRun | RuleSubject::SentExcess => true,
            RuleSubject::Callers
            | RuleSubject::Calls
            | RuleSubject::Warnings
            | RuleSubject::Run
            | RuleSubject::Excess => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    Rollback,
    Page,
}

impl Rule {
    /// Trouble that a swap would not cure, told to a person unless a rule of their own says otherwise:
    /// three callers and half of all within ten minutes are beyond what honest days bring.
    pub fn not_curable(channel: Channel) -> Rule {
        Rule {
            callers: 3,
            ratio: 0.5,
            within: Duration::from_secs(600),
            channel,
            reasons: Reason::ALL.into_iter().filter(|r| !r.is_curable()).collect(),
            action: RuleAction::Page,
            subject: RuleSubject::Callers,
        }
    }

    /// The rules that page unless the user has some: beside [`Rule::not_curable`], calls of which none is served for
    /// many minutes, errors beside evidence of service, messages of ours that do not arrive, and numbers with so few
    /// callers that only hours say it.
    pub fn defaults(channel: Channel) -> Vec<Rule> {
        let rule = Rule::not_curable(channel);
        let all = Reason::ALL.to_vec();
        let within = Duration::from_secs(1800);
        let mut rules = vec![
            rule.clone(),
            Rule { callers: 8, ratio: 1.0, within, reasons: all.clone(), subject: RuleSubject::Calls, ..rule.clone() },
            // Half of the calls, where so few different people call that nothing else counts them.
            Rule { callers: 20, within, reasons: all.clone(), subject: RuleSubject::Calls, ..rule.clone() },
            Rule { within, reasons: all.clone(), subject: RuleSubject::Warnings, ..rule.clone() },
        ];
        let run = Rule {
            callers: RUN,
            ratio: 1.0,
            within: RUN_WITHIN,
            reasons: all,
            subject: RuleSubject::Run,
            ..rule.clone()
        };
        // Last: what another rule has told of already they need not.
        let excess = Rule { ratio: 0.0, within: excess::WITHIN, subject: RuleSubject::Excess, ..rule.clone() };
        if channel == Channel::Messaging {
            rules.push(Rule { subject: RuleSubject::Recipients, ..rule });
            rules.push(Rule { subject: RuleSubject::SentExcess, ..excess.clone() });
            rules.push(Rule { subject: RuleSubject::SentRun, ..run.clone() });
        }
        rules.extend([excess, run]);
        rules
    }

    /// True if these windows cannot meet it together, as can be said without a look at each of their entries.
    pub fn is_moot<'a>(&self, now: Time, mut windows: impl Iterator<Item = &'a Window>) -> bool {
        let since = now - self.within;
        let lately = |at: Option<Time>| at.is_some_and(|at| at >= since);
        match self.subject {
            RuleSubject::Callers => false,
            RuleSubject::Calls if self.ratio < 1.0 => {
                windows.map(|w| w.entries.len()).sum::<usize>() < self.callers as usize
            }
            RuleSubject::Calls => windows.any(|w| lately(w.served_at)),
            RuleSubject::Warnings => !windows.any(|w| lately(w.warned_at)),
            RuleSubject::Recipients => windows.all(|w| w.entries.is_empty()),
            RuleSubject::Excess | RuleSubject::SentExcess => windows.all(|w| w.excess.enough().is_none()),
            RuleSubject::Run | RuleSubject::SentRun => {
                windows.all(|w| w.entries.back().is_none_or(|e| e.failed.is_none()))
            }
        }
    }

    /// The same rule from when on what it found began: of who was served before then nothing is told as if it were
    /// since.
    pub fn from_its_begin(&self, found: &Evidence, now: Time) -> Rule {
        Rule { within: found.since.map_or(self.within, |at| now.since(at)), ..self.clone() }
    }

    pub fn is_met(&self, e: &Evidence, now: Time) -> bool {
        self.due_at(e).is_some_and(|at| at <= now)
    }

    /// When the rule is met, if nothing changes until then: some ask that it goes on for a while.
    pub fn due_at(&self, e: &Evidence) -> Option<Time> {
        let lasts = match self.subject {
            RuleSubject::Calls => NONE_SERVED_FOR,
            RuleSubject::Run | RuleSubject::SentRun => RUN_LASTS,
            RuleSubject::Callers
            | RuleSubject::Warnings
            | RuleSubject::Recipients
            | RuleSubject::Excess
            | RuleSubject::SentExcess => Duration::ZERO,
        };
        let are_enough = e.failing >= self.callers && f64::from(e.failing) >= self.ratio * f64::from(e.callers);
        e.since.filter(|_| are_enough).map(|since| since + lasts)
    }

    /// The rule in words, with what met it.
    pub fn text(&self, e: &Evidence) -> String {
        let within = match self.within.as_secs() {
            0..7200 => format!("{} min", self.within.as_secs_f64() / 60.0),
            7200..172_800 => format!("{} h", self.within.as_secs_f64() / 3600.0),
            172_800.. => format!("{} days", self.within.as_secs() / 86400),
        };
        let who = self.subject.counted().words(self.channel).many;
        let what = match self.subject {
            RuleSubject::Callers => "failed",
            RuleSubject::Calls => "failed, whoever they are from,",
            RuleSubject::Warnings => "had an error logged and were served",
            RuleSubject::Recipients => "did not get a message",
            RuleSubject::Run => "failed, whoever they are from, since somebody was served last",
            RuleSubject::SentRun => "did not arrive, whoever they are for, since one did last",
            RuleSubject::Excess => "failed, more than honest days bring,",
            RuleSubject::SentExcess => "did not arrive, more than on honest days,",
        };
        let found = format!("threshold: {} of {} {who} {what} within {within}", e.failing, e.callers);
        if self.subject.is_excess() {
            // It is weighed, and no count alone is enough.
            return found;
        }
        format!("{found} (at least {}, at least {:.0} %)", self.callers, self.ratio * 100.0)
    }
}

/// For so long no call was served before [`RuleSubject::Calls`] pages.
const NONE_SERVED_FOR: Duration = Duration::from_secs(600);

/// So many attempts in a row fail, over [`RUN_LASTS`] at the least, before a quiet number pages. A wrong page costs a
/// person one call to the number, a missed one hours of callers, of whom a quiet number has no more than these. With
/// honest failures that know nothing of each other, of a share `p`, a run of five begins at one call in `1 / p^5`: at
/// 20 calls a day and 5 % that is 0.006 pages in 1,000 number-days, at 10 % 0.18, at 15 % 1.3. Up to 12 calls an hour
/// can have five in 20 minutes by chance at all; there the same shares give 0.09, 2.6 and 19. Faster numbers need
/// longer runs, which chance does not bring, and have the rules and the statistic that look at minutes.
const RUN: u32 = 5;

/// Whoever redials a desk that is broken for a minute has given up by then: redials come within a minute and a half,
/// and each is half as likely as the one before.
const RUN_LASTS: Duration = Duration::from_secs(20 * 60);

/// Calls longer ago say nothing of today's handler. With one call a day, all failing, somebody is told within the week.
/// What an agent reads back after a restart reaches less far: the run is then found some calls later.
const RUN_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// So many entries of a run are kept beyond those that the other rules look at: the first, which says since when, and
/// the latest.
const RUN_KEPT: usize = 64;

/// How far back a window looks.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// At all entries.
    pub all: Duration,
    /// At those that failed since somebody was served.
    pub run: Duration,
}

/// The recent calls or messages of one number and channel, by the start of the call, since a failing
/// call is short and shows up before a good one that began earlier.
#[derive(Clone, Debug, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
    /// When the latest entry with a warning began.
    warned_at: Option<Time>,
    /// When the latest entry that was served began, kept or not.
    served_at: Option<Time>,
    excess: Excess,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    started_at: Time,
    resource: Resource,
    caller: u64,
    failed: Option<(Reason, Option<Code>)>,
    /// An error beside evidence of service.
    warning: Option<Code>,
}

impl Window {
    /// Takes in a settled or revised outcome, and drops what is older than `keep`.
    pub fn apply(&mut self, change: &OutcomeChange, keep: Horizon) {
        self.forget(change.at - keep.all, change.at - keep.run);
        self.excess.apply(change);
        let failed = match change.is {
            Outcome::Ok => None,
            Outcome::Failed(reason) => Some((reason, change.code)),
            Outcome::Ignored(_) => {
                if change.was.is_some() {
                    self.entries.retain(|e| e.resource != change.entry);
                    self.revise_served(change);
                }
                return;
            }
        };
        if failed.is_none() {
            self.served_at = self.served_at.max(Some(change.started_at));
        }
        if change.was.is_some()
            && let Some(e) = self.entries.iter_mut().rev().find(|e| e.resource == change.entry)
        {
            e.failed = failed;
            self.revise_served(change);
            return;
        }
        let is_of_run = failed.is_some() && self.served_at.is_none_or(|at| at < change.started_at);
        if change.started_at < change.at - if is_of_run { keep.run.max(keep.all) } else { keep.all } {
            return;
        }
        let entry = Entry {
            started_at: change.started_at,
            resource: change.entry,
            caller: change.party.hash,
            failed,
            warning: None,
        };
        let at = self.entries.iter().rposition(|e| e.started_at <= entry.started_at).map_or(0, |i| i + 1);
        self.entries.insert(at, entry);
    }

    /// Drops what began before `before`, unless it is of a run and began after `run`.
    fn forget(&mut self, before: Time, run: Time) {
        let served_at = self.served_at;
        let is_of_run =
            |e: &Entry| e.failed.is_some() && e.started_at >= run && served_at.is_none_or(|at| at < e.started_at);
        while self.entries.front().is_some_and(|e| e.started_at < before && !is_of_run(e)) {
            self.entries.pop_front();
        }
        while self.entries.get(RUN_KEPT).is_some_and(|e| e.started_at < before) {
            self.entries.remove(1);
        }
    }

    /// What was told to be served is not after all: who was served last is another one.
    fn revise_served(&mut self, change: &OutcomeChange) {
        if change.was == Some(Outcome::Ok) && change.is != Outcome::Ok && self.served_at == Some(change.started_at) {
            self.served_at = self.entries.iter().rev().find(|e| e.failed.is_none()).map(|e| e.started_at);
        }
    }

    /// An entry that was served has an error.
    pub fn warn(&mut self, resource: Resource, code: Code) {
        if let Some(e) = self.entries.iter_mut().rev().find(|e| e.resource == resource) {
            e.warning = Some(code);
            self.warned_at = self.warned_at.max(Some(e.started_at));
        }
    }

    pub fn clear(&mut self) {
        *self = Window::default();
    }

    /// Another rule has told of what adds up to more than honest days bring: only what comes now is news.
    pub fn excess_is_told(&mut self) {
        self.excess = Excess::default();
    }

    /// The attempts that failed since somebody of these windows was served, oldest first: the same caller's calls that
    /// follow each other at once are one.
    fn attempts(windows: &[&Window], rule: &Rule, now: Time) -> Vec<(usize, Entry)> {
        let served_at = windows.iter().filter_map(|w| w.served_at).max();
        let is_of_run = |e: &&Entry| e.started_at >= now - rule.within && served_at.is_none_or(|at| at < e.started_at);
        let counts = |e: &&Entry| e.failed.is_some_and(|(reason, _)| rule.reasons.contains(&reason));
        let of = |(i, w): (usize, &&'_ Window)| {
            let failed = w.entries.iter().rev().take_while(is_of_run).filter(counts);
            failed.map(|e| (i, *e)).collect::<Vec<_>>()
        };
        let mut failed: Vec<(usize, Entry)> = windows.iter().enumerate().flat_map(of).collect();
        failed.sort_by_key(|(_, e)| e.started_at);
        let mut last: HashMap<u64, Time> = HashMap::new();
        failed.retain(|(_, e)| {
            let is_new = last.get(&e.caller).is_none_or(|at| *at + ONE_ATTEMPT <= e.started_at);
            if is_new {
                last.insert(e.caller, e.started_at);
            }
            is_new
        });
        failed
    }

    /// Distinct callers of a run.
    pub fn callers_of_run<'a>(windows: impl Iterator<Item = &'a Window>, rule: &Rule, now: Time) -> usize {
        let attempts = Window::attempts(&windows.collect::<Vec<_>>(), rule, now);
        attempts.iter().map(|(_, e)| e.caller).collect::<HashSet<_>>().len()
    }

    fn gather_run(windows: &[&Window], rule: &Rule, now: Time) -> Evidence {
        let attempts = Window::attempts(windows, rule, now);
        let numbers: HashSet<usize> = attempts.iter().map(|(i, _)| *i).collect();
        Evidence {
            callers: attempts.len() as u32,
            failing: attempts.len() as u32,
            since: attempts.first().map(|(_, e)| e.started_at),
            reasons: counted(attempts.iter().filter_map(|(_, e)| e.failed)),
            samples: attempts.iter().rev().take(3).map(|(_, e)| e.resource).collect(),
            failing_numbers: numbers.len() as u32,
            numbers: windows.len() as u32,
            counted: rule.subject.counted(),
            ..Evidence::default()
        }
    }

    fn gather_excess(&self, rule: &Rule) -> Evidence {
        let Some(sum) = self.excess.enough() else {
            return Evidence::default();
        };
        let failed = &sum.failed;
        Evidence {
            callers: sum.calls(),
            failing: sum.failing,
            since: sum.since,
            reasons: counted(failed.iter().map(|f| f.why)),
            samples: failed.iter().rev().take(3).map(|f| f.resource).collect(),
            failing_numbers: 1,
            numbers: 1,
            counted: rule.subject.counted(),
            ..Evidence::default()
        }
    }

    /// What windows, of one number each, say to a rule at `now`. Failures that do not count for it are
    /// left out, as if those callers had not called.
    pub fn gather<'a>(mut windows: impl Iterator<Item = &'a Window>, rule: &Rule, now: Time) -> Evidence {
        if rule.subject.is_excess() {
            return windows.next().map_or_else(Evidence::default, |window| window.gather_excess(rule));
        }
        if rule.subject.is_run() {
            return Window::gather_run(&windows.collect::<Vec<_>>(), rule, now);
        }
        let since = now - rule.within;
        let mut callers: HashMap<(u64, Option<Resource>), Option<(Reason, Option<Code>)>> = HashMap::new();
        let mut failures: Vec<(Time, Resource)> = Vec::new();
        let mut evidence = Evidence { counted: rule.subject.counted(), ..Evidence::default() };
        for window in windows {
            let before = failures.len();
            for e in window.entries.iter().rev().take_while(|e| e.started_at >= since) {
                let failed = match (rule.subject, e.failed) {
                    (RuleSubject::Warnings, None) => e.warning.map(|code| (Reason::Unexplained, Some(code))),
                    (RuleSubject::Warnings, Some(_)) => continue,
                    (_, Some((reason, _))) if !rule.reasons.contains(&reason) => continue,
                    (_, other) => other,
                };
                let who = match rule.subject {
                    RuleSubject::Calls => (0, Some(e.resource)),
                    RuleSubject::Callers
                    | RuleSubject::Warnings
                    | RuleSubject::Recipients
                    | RuleSubject::Run
                    | RuleSubject::SentRun
                    | RuleSubject::Excess
                    | RuleSubject::SentExcess => (e.caller, None),
                };
                let seen = callers.entry(who).or_insert(failed);
                if failed.is_some() {
                    *seen = seen.or(failed);
                    failures.push((e.started_at, e.resource));
                }
            }
            evidence.numbers += 1;
            evidence.failing_numbers += u32::from(failures.len() > before);
        }
        failures.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        evidence.reasons = counted(callers.values().flatten().copied());
        Evidence {
            callers: callers.len() as u32,
            failing: evidence.reasons.iter().map(|r| r.callers).sum(),
            since: failures.last().map(|(at, _)| *at),
            samples: failures.iter().take(3).map(|(_, r)| *r).collect(),
            ..evidence
        }
    }
}

/// How often each reason was found, the most frequent first.
fn counted(found: impl Iterator<Item = (Reason, Option<Code>)>) -> Vec<ReasonCount> {
    let mut reasons: BTreeMap<(Reason, Option<Code>), u32> = BTreeMap::new();
    for found in found {
        *reasons.entry(found).or_default() += 1;
    }
    let count = |((reason, code), callers)| ReasonCount { reason, code, callers };
    let mut counts: Vec<ReasonCount> = reasons.into_iter().map(count).collect();
    counts.sort_by_key(|r| std::cmp::Reverse(r.callers));
    counts
}

#[cfg(test)]
mod tests;
