//! How soon trouble was seen and what was done about it, step by step.

use super::material::{Again, Material, Recorded};
use super::words::{numbers, span};
use crate::core::explain::Recomputed;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::NumberId;
use crate::core::model::order::OrderResult;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;

/// One step, and how long after the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionStep {
    pub at: Time,
    pub what: String,
}

/// What came of one decision.
#[derive(Clone, Debug)]
pub struct Reaction<'a> {
    pub decision: &'a Decision,
    pub steps: Vec<ReactionStep>,
    pub recomputed: Option<&'a Recomputed>,
}

/// Every decision of the span with what followed it, oldest first.
pub fn reactions<'a>(m: &'a Material, records: &'a [Recorded], roster: &Roster) -> Vec<Reaction<'a>> {
    let decided = records.iter().filter(|r| m.covers(r.at));
    let one = |r: &'a Recorded| {
        let Entry::Decision(decision) = &r.entry else { return None };
        let recomputed = m.again.iter().find(|a: &&Again| a.decision == decision.id).map(|a| &a.recomputed);
        Some(Reaction { decision, steps: steps(m, records, r, decision, roster), recomputed })
    };
    decided.filter_map(one).collect()
}

/// The numbers of a step on their way to a line: when the first and the last had it.
#[derive(Default)]
struct Reached {
    first: Option<Time>,
    last: Option<Time>,
    numbers: Vec<NumberId>,
}

impl Reached {
    fn add(&mut self, at: Time, number: NumberId) {
        self.first.get_or_insert(at);
        self.last = Some(at);
        if !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
    }

    /// The step, told at the instant at which the last number had it.
    fn step(self, what: &str, all: usize, roster: &Roster) -> Option<ReactionStep> {
        let (first, last) = self.first.zip(self.last)?;
        let of = match self.numbers.len() {
            n if n == all && all == 1 => String::new(),
            n if n == all => format!(", all {all} numbers"),
            _ => format!(", {} of {all}: {}", self.numbers.len(), numbers(&self.numbers, roster)),
        };
        let began =
            if first < last { format!(" (the first {} earlier)", span(last.since(first))) } else { String::new() };
        Some(ReactionStep { at: last, what: format!("{what}{of}{began}") })
    }
}

fn steps(m: &Material, records: &[Recorded], at: &Recorded, decision: &Decision, roster: &Roster) -> Vec<ReactionStep> {
    let mut steps = Vec::new();
    if let Some(since) = decision.evidence.since {
        let what = if decision.evidence.callers > 0 { "first failing call that counts" } else { "first sign" };
        steps.push(ReactionStep { at: since, what: what.to_owned() });
    }
    steps.push(ReactionStep { at: at.at, what: "decided".to_owned() });
    let all = decision.numbers.len();
    let (mut intended, mut read_back, mut proven, mut unproven) = <(Reached, Reached, Reached, Reached)>::default();
    let ours = records.iter().filter(|r| r.seq > at.seq && r.at <= m.head.to);
    for r in ours.filter(|r| r.entry.decision() == Some(decision.id)) {
        let mut step = |what: String| steps.push(ReactionStep { at: r.at, what });
        if let Entry::Refused { guard, .. } = &r.entry {
            step(format!("waited: {}", guard.text()));
        } else if let Entry::Asked { guard, .. } = &r.entry {
            step(format!("approval asked for: {}", guard.text()));
        } else if let Entry::Approved { by, .. } = &r.entry {
            step(format!("approved by {}", by.name));
        } else if let Entry::Closed { why, .. } = &r.entry {
            step(format!("closed: {}", why.text()));
        } else if let Entry::Intent { number, .. } = &r.entry {
            intended.add(r.at, *number);
        } else if let Entry::Result { number, result, .. } = &r.entry {
            match result {
                OrderResult::Written => read_back.add(r.at, *number),
                OrderResult::Proven => proven.add(r.at, *number),
                OrderResult::Unproven
                | OrderResult::Failed
                | OrderResult::Refused
                | OrderResult::Superseded
                | OrderResult::Restored => unproven.add(r.at, *number),
            }
        }
    }
    steps.extend(intended.step("written", all, roster));
    steps.extend(read_back.step("read back: the fallback is in effect", all, roster));
    steps.extend(proven.step("proven by a test", all, roster));
    steps.extend(unproven.step("ended otherwise than asked", all, roster));
    if matches!(decision.action, Action::Page { .. } | Action::Withheld { .. })
        && let Some(told) = m.told.iter().find(|t| t.decision == Some(decision.id) && t.delivery == "delivered")
    {
        let ended = told.ended.unwrap_or(told.at);
        steps.push(ReactionStep { at: ended, what: format!("{} was told", told.notifier) });
    }
    steps.sort_by_key(|s| s.at);
    steps
}
