//! The user's own thresholds: so many distinct callers, at such a share of all, in so long.
//!
//! Not everybody wants statistics. A rule here is read as it is written and evaluated beside the
//! detector, on the same outcomes: curable failures of distinct callers, busy lines left out, late
//! alerts revising what was counted. What follows from it meets the same guards.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::code::Code;
use crate::core::model::id::Channel;
use crate::core::model::id::Resource;
use crate::core::model::reason::{Outcome, Reason};
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, ReasonCount};

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
    /// many minutes, errors beside evidence of service, and messages of ours that do not arrive.
    pub fn defaults(channel: Channel) -> Vec<Rule> {
        let rule = Rule::not_curable(channel);
        let all = Reason::ALL.to_vec();
        let within = Duration::from_secs(1800);
        let mut rules = vec![
            rule.clone(),
            Rule { callers: 8, ratio: 1.0, within, reasons: all.clone(), subject: RuleSubject::Calls, ..rule.clone() },
            Rule { within, reasons: all, subject: RuleSubject::Warnings, ..rule.clone() },
        ];
        if channel == Channel::Messaging {
            rules.push(Rule { subject: RuleSubject::Recipients, ..rule });
        }
        rules
    }

    /// True if a window cannot meet it, as can be said without a look at each of its entries. `served`: when somebody
    /// was served last.
    pub fn is_moot(&self, now: Time, window: &Window, served: Option<Time>) -> bool {
        let since = now - self.within;
        match self.subject {
            RuleSubject::Callers => false,
            RuleSubject::Calls => served.is_some_and(|at| at >= since),
            RuleSubject::Warnings => window.warned_at.is_none_or(|at| at < since),
            RuleSubject::Recipients => window.entries.is_empty(),
        }
    }

    pub fn is_met(&self, e: &Evidence, now: Time) -> bool {
        let lasts = match self.subject {
            RuleSubject::Calls => NONE_SERVED_FOR,
            RuleSubject::Callers | RuleSubject::Warnings | RuleSubject::Recipients => Duration::ZERO,
        };
        e.failing >= self.callers
            && f64::from(e.failing) >= self.ratio * f64::from(e.callers)
            && e.since.is_some_and(|since| since + lasts <= now)
    }

    /// The rule in words, with what met it.
    pub fn text(&self, e: &Evidence) -> String {
        let minutes = self.within.as_secs_f64() / 60.0;
        let what = match self.subject {
            RuleSubject::Callers => "callers failed",
            RuleSubject::Calls => "calls failed, whoever called,",
            RuleSubject::Warnings => "callers had an error logged and were served",
            RuleSubject::Recipients => "recipients did not get a message",
        };
        format!(
            "threshold: {} of {} {what} within {minutes} min (at least {}, at least {:.0} %)",
            e.failing,
            e.callers,
            self.callers,
            self.ratio * 100.0
        )
    }
}

/// For so long no call was served before [`RuleSubject::Calls`] pages.
const NONE_SERVED_FOR: Duration = Duration::from_secs(600);

/// The recent calls or messages of one number and channel, by the start of the call, since a failing
/// call is short and shows up before a good one that began earlier.
#[derive(Clone, Debug, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
    /// When the latest entry with a warning began.
    warned_at: Option<Time>,
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
    pub fn apply(&mut self, change: &OutcomeChange, keep: Duration) {
        let before = change.at - keep;
        while self.entries.front().is_some_and(|e| e.started_at < before) {
            self.entries.pop_front();
        }
        let failed = match change.is {
            Outcome::Ok => None,
            Outcome::Failed(reason) => Some((reason, change.code)),
            Outcome::Ignored(_) => {
                self.entries.retain(|e| e.resource != change.entry);
                return;
            }
        };
        if change.was.is_some()
            && let Some(e) = self.entries.iter_mut().rev().find(|e| e.resource == change.entry)
        {
            e.failed = failed;
            return;
        }
        if change.started_at < before {
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

    /// An entry that was served has an error.
    pub fn warn(&mut self, resource: Resource, code: Code) {
        if let Some(e) = self.entries.iter_mut().rev().find(|e| e.resource == resource) {
            e.warning = Some(code);
            self.warned_at = self.warned_at.max(Some(e.started_at));
        }
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// What windows, of one number each, say to a rule at `now`. Failures that do not count for it are
    /// left out, as if those callers had not called.
    pub fn gather<'a>(windows: impl Iterator<Item = &'a Window>, rule: &Rule, now: Time) -> Evidence {
        let since = now - rule.within;
        let mut callers: HashMap<(u64, Option<Resource>), Option<(Reason, Option<Code>)>> = HashMap::new();
        let mut failures: Vec<(Time, Resource)> = Vec::new();
        let mut evidence = Evidence::default();
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
                    RuleSubject::Callers | RuleSubject::Warnings | RuleSubject::Recipients => (e.caller, None),
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
        let mut reasons: BTreeMap<(Reason, Option<Code>), u32> = BTreeMap::new();
        for found in callers.values().flatten() {
            *reasons.entry(*found).or_default() += 1;
        }
        evidence.reasons =
            reasons.into_iter().map(|((reason, code), callers)| ReasonCount { reason, code, callers }).collect();
        evidence.reasons.sort_by_key(|r| std::cmp::Reverse(r.callers));
        Evidence {
            callers: callers.len() as u32,
            failing: evidence.reasons.iter().map(|r| r.callers).sum(),
            since: failures.last().map(|(at, _)| *at),
            samples: failures.iter().take(3).map(|(_, r)| *r).collect(),
            ..evidence
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::detect::observation::RemoteParty;
    use crate::core::model::id::CallSid;
    use crate::core::model::reason::IgnoreReason;
    use crate::core::model::roster::NumberIx;

    fn change(call: u128, caller: u64, at: i64, was: Option<Outcome>, is: Outcome) -> OutcomeChange {
        OutcomeChange {
            entry: Resource::Call(CallSid::from_u128(call)),
            number: NumberIx(0),
            channel: Channel::Voice,
            party: RemoteParty { hash: caller, last_two: None, is_prober: false },
            is_inbound: true,
            started_at: Time::from_secs(at),
            at: Time::from_secs(at + 30),
            was,
            is,
            code: None,
        }
    }

    const KEEP: Duration = Duration::from_secs(120);
    const BROKEN: Outcome = Outcome::Failed(Reason::Webhook);

    fn rule(within: u64) -> Rule {
        Rule {
            within: Duration::from_secs(within),
            reasons: Reason::ALL.into_iter().filter(|r| r.is_curable()).collect(),
            action: RuleAction::Rollback,
            ..Rule::not_curable(Channel::Voice)
        }
    }

    fn curable(w: &Window, now: i64, within: u64) -> Evidence {
        Window::gather([w].into_iter(), &rule(within), Time::from_secs(now))
    }

    #[test]
    fn redials_are_one_witness() {
        let mut w = Window::default();
        for i in 0..8 {
            w.apply(&change(i, 77, i as i64, None, BROKEN), KEEP);
        }
        w.apply(&change(8, 78, 20, None, Outcome::Ok), KEEP);
        let e = curable(&w, 60, 600);
        assert_eq!((e.callers, e.failing, e.since), (2, 1, Some(Time::from_secs(0))));
        assert!(!rule(600).is_met(&e, Time::from_secs(60)));
    }

    #[test]
    fn a_revision_edits_its_entry_and_a_soft_outcome_removes_it() {
        let mut w = Window::default();
        w.apply(&change(1, 1, 1, None, Outcome::Ok), KEEP);
        w.apply(&change(1, 1, 1, Some(Outcome::Ok), BROKEN), KEEP);
        assert_eq!((curable(&w, 9, 99).callers, curable(&w, 9, 99).failing), (1, 1));
        w.apply(&change(1, 1, 1, Some(BROKEN), Outcome::Ignored(IgnoreReason::Busy)), KEEP);
        assert_eq!(curable(&w, 9, 99).callers, 0);
    }

    #[test]
    fn what_a_rule_does_not_name_does_not_count_for_it() {
        let mut w = Window::default();
        for i in 0..5 {
            w.apply(&change(i.into(), i, i as i64, None, Outcome::Failed(Reason::Carrier)), KEEP);
        }
        assert_eq!(curable(&w, 9, 99).callers, 0);
        let page = Rule::not_curable(Channel::Voice);
        assert!(page.is_met(&Window::gather([&w].into_iter(), &page, Time::from_secs(9)), Time::from_secs(9)));
    }

    #[test]
    fn only_the_recent_counts() {
        let mut w = Window::default();
        w.apply(&change(2, 2, 200, None, BROKEN), KEEP);
        w.apply(&change(1, 1, 100, None, BROKEN), KEEP);
        assert_eq!(curable(&w, 210, 60).failing, 1);
        assert_eq!(curable(&w, 210, 210).samples[0], Resource::Call(CallSid::from_u128(2)));
        w.apply(&change(3, 3, 241, None, BROKEN), KEEP);
        assert_eq!(curable(&w, 241, 241).failing, 2, "the first is too old to be kept");
    }
}
