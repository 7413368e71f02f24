//! What really happened during a recording, where somebody knows, and which decisions were right by it.
//!
//! A truth is a JSON file with `faults`, as the detector's prepared logs have it beside them: of which numbers, from
//! when to when, and what is to be expected of whoever watches.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::E164;
use crate::core::model::time::Time;

/// A rollback so long after the end of a fault is still one for it.
const ROLLBACK_WITHIN: Duration = Duration::from_secs(180);

/// And a page.
const PAGE_WITHIN: Duration = Duration::from_secs(900);

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RecordedTruth {
    pub faults: Vec<Fault>,
}

/// Something that befell numbers, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fault {
    pub kind: String,
    pub from: Time,
    pub to: Time,
    /// All, if none is named.
    #[serde(default)]
    pub numbers: Vec<E164>,
    pub expected: ExpectedDecision,
    /// What else is right.
    #[serde(default)]
    pub accept: Vec<ExpectedDecision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedDecision {
    Rollback,
    Page,
    Either,
    /// It looks like a fault and is none that a rollback would cure.
    NoRollback,
}

/// Whether a decision was right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "judgement", rename_all = "snake_case")]
pub enum Judgement {
    /// For this fault, so long after it began.
    Right { fault: String, after: Duration },
    /// Some of its numbers had nothing, or nothing that this would cure.
    Wrong { numbers: Vec<E164>, because: String },
}

impl Judgement {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Judgement::Right { fault, after } => format!("right: {fault}, {} s after it began", after.as_secs()),
            Judgement::Wrong { numbers, because } => format!("WRONG for {} of its numbers: {because}", numbers.len()),
        }
    }
}

impl Fault {
    fn covers(&self, number: E164, at: Time, within: Duration) -> bool {
        (self.numbers.is_empty() || self.numbers.contains(&number)) && self.from <= at && at <= self.to + within
    }

    fn accepts(&self, action: Action) -> bool {
        match action {
            Action::Rollback => {
                matches!(self.expected, ExpectedDecision::Rollback | ExpectedDecision::Either)
                    || self.accept.contains(&ExpectedDecision::Rollback)
            }
            Action::Page { .. } | Action::Withheld { .. } => {
                self.expected != ExpectedDecision::NoRollback || self.accept.contains(&ExpectedDecision::Page)
            }
        }
    }

    /// Somebody has to be helped or told.
    fn is_one(&self) -> bool {
        self.expected != ExpectedDecision::NoRollback
    }
}

/// How the decisions of a recording compare with what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayScore {
    pub right: u32,
    pub wrong: u32,
    pub faults: u32,
    pub found: u32,
    /// Kinds of the faults that nobody was told of, and how many.
    pub missed: BTreeMap<String, u32>,
    /// From the beginning of each fault that was found, the shortest first.
    pub after: Vec<Duration>,
}

impl ReplayScore {
    /// For people.
    pub fn text(&self) -> String {
        let missed = self.missed.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ");
        let missed = if missed.is_empty() { "none".to_owned() } else { missed };
        let median = self.after.get(self.after.len() / 2);
        let median = median.map_or_else(String::new, |d| format!("; half of them within {} s", d.as_secs()));
        format!(
            "by what really happened: {} right, {} wrong; faults found: {} of {}{median}; missed: {missed}",
            self.right, self.wrong, self.found, self.faults
        )
    }
}

/// Compares decisions with the truth, as they come.
#[derive(Clone, Debug)]
pub struct Judge<'a> {
    truth: &'a RecordedTruth,
    found: Vec<Option<Duration>>,
    score: ReplayScore,
}

impl<'a> Judge<'a> {
    pub fn new(truth: &'a RecordedTruth) -> Judge<'a> {
        Judge { truth, found: vec![None; truth.faults.len()], score: ReplayScore::default() }
    }

    pub fn judge(&mut self, d: &Decision) -> Judgement {
        let within = if d.action == Action::Rollback { ROLLBACK_WITHIN } else { PAGE_WITHIN };
        let (mut wrong, mut because, mut right) = (Vec::new(), None, None);
        for number in d.numbers.iter().map(|n| n.e164) {
            let covering = || self.truth.faults.iter().enumerate().filter(|(_, f)| f.covers(number, d.at, within));
            match covering().find(|(_, f)| f.accepts(d.action)) {
                Some((nth, fault)) => {
                    let after = d.at.since(fault.from);
                    self.found[nth].get_or_insert(after);
                    right.get_or_insert((fault.kind.clone(), after));
                }
                None => {
                    wrong.push(number);
                    let near = covering().next().map(|(_, f)| format!("{} is no reason for it", f.kind));
                    because.get_or_insert(near.unwrap_or_else(|| "nothing was wrong with it".to_owned()));
                }
            }
        }
        match (because, right) {
            (None, Some((fault, after))) => {
                self.score.right += 1;
                Judgement::Right { fault, after }
            }
            (because, _) => {
                self.score.wrong += 1;
                Judgement::Wrong { numbers: wrong, because: because.unwrap_or_default() }
            }
        }
    }

    pub fn score(mut self) -> ReplayScore {
        for (fault, found) in self.truth.faults.iter().zip(&self.found).filter(|(f, _)| f.is_one()) {
            self.score.faults += 1;
            match found {
                Some(after) => {
                    self.score.found += 1;
                    self.score.after.push(*after);
                }
                None => *self.score.missed.entry(fault.kind.clone()).or_default() += 1,
            }
        }
        self.score.after.sort_unstable();
        self.score
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::decision::{DecisionId, PageReason};
    use crate::core::model::id::Channel;
    use crate::core::model::verdict::Evidence;
    use crate::testing::ours;

    fn decision(action: Action, at: &str, numbers: &[&str]) -> Decision {
        Decision {
            id: DecisionId(1),
            at: at.parse().unwrap(),
            action,
            channel: Channel::Voice,
            group: "support".parse().unwrap(),
            numbers: numbers.iter().map(|n| ours(n)).collect(),
            rule: String::new(),
            evidence: Evidence::default(),
        }
    }

    #[test]
    fn a_decision_is_right_where_there_was_a_fault_that_it_would_help() {
        let truth: RecordedTruth = serde_json::from_str(
            r#"{"scenario":"x","faults":[
            {"id":"a","kind":"webhook","from":"2026-11-21T09:00:00Z","to":"2026-11-21T10:00:00Z",
             "numbers":["+15005550100"],"expected":"rollback","accept":["rollback"]},
            {"kind":"storm","from":"2026-11-21T09:00:00Z","to":"2026-11-21T10:00:00Z",
             "numbers":["+15005550101"],"expected":"no-rollback","accept":["page"]},
            {"kind":"silence","from":"2026-11-21T11:00:00Z","to":"2026-11-21T12:00:00Z",
             "numbers":["+15005550100"],"expected":"page","accept":["page"]}]}"#,
        )
        .unwrap();
        let mut judge = Judge::new(&truth);
        let right = judge.judge(&decision(Action::Rollback, "2026-11-21T09:01:02Z", &["+15005550100"]));
        assert_eq!(right.text(), "right: webhook, 62 s after it began");
        let half = judge.judge(&decision(Action::Rollback, "2026-11-21T09:02:00Z", &["+15005550100", "+15005550101"]));
        assert_eq!(half.text(), "WRONG for 1 of its numbers: storm is no reason for it");
        let late = judge.judge(&decision(Action::Rollback, "2026-11-21T10:04:00Z", &["+15005550100"]));
        assert!(late.text().contains("nothing was wrong with it"), "{}", late.text());
        let page = Action::Page { reason: PageReason::Silence };
        assert!(matches!(
            judge.judge(&decision(page, "2026-11-21T09:10:00Z", &["+15005550101"])),
            Judgement::Right { .. }
        ));
        let score = judge.score();
        assert_eq!((score.right, score.wrong, score.faults, score.found), (2, 2, 2, 1));
        assert!(score.text().ends_with("missed: 1 silence"), "{}", score.text());
    }
}
