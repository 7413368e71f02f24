//! A decision made once more, from what is stored.
//!
//! The store keeps every entry of the logs as it was seen, up to when alerts had been read, and what
//! was done about it. [`Recomputation`] gives them to the same [`Control`] in the same order, under the rules that
//! were in force, up to the instant of the decision, and compares what comes out. Nothing of the
//! decision itself goes in.
//!
//! What was taken in has a place, and each record of the journal says up to which: the order is that in which things
//! happened, also of what was seen long before it could be kept. One thing is not stored and bounds how exact this is:
//! at which fraction of a second the engine ticked. Counts are compared exactly, the statistic within [`SAME`].
//!
//! A decision that could not be written had no effect, and was made again later. Nothing tells of the first one but
//! that it comes out here and is not in the journal.

use serde::{Deserialize, Serialize};

use crate::control::{Control, DECIDE_AGAIN};
use crate::detect::engine::EngineEvent;
use crate::detect::observation::Observation;
use crate::model::decision::{Action, Decision};
use crate::model::id::AccountSid;
use crate::model::source::Source;
use crate::model::time::Time;
use crate::model::verdict::Evidence;
use crate::rollback::entry::Entry;

use std::time::Duration;

/// Two statistics are the same if they differ by no more than this share.
const SAME: f64 = 0.01;

/// So long before the decision the engine ticks as often as an agent's does; before that, with what
/// comes in.
const CLOSELY: Duration = Duration::from_secs(60);

/// The journal has a decision within this, or it could not be written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(15);

/// Between an agent's ticks.
const TICK: Duration = Duration::from_secs(1);

/// Whether a decision follows from what is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Recomputed {
    Follows,
    /// It does not, or not with these figures.
    NoLonger {
        differences: Vec<Figure>,
    },
    /// Entries that it rested on are no longer kept: only its own figures could be compared, and
    /// these are enough for it or not.
    NotKept {
        is_enough: bool,
    },
}

impl Recomputed {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Recomputed::Follows => "it follows from the stored entries".to_owned(),
            Recomputed::NoLonger { differences } => {
                let each = |f: &Figure| format!("{}: {} in the decision, {} now", f.what, f.stored, f.recomputed);
                format!("it no longer follows: {}", differences.iter().map(each).collect::<Vec<_>>().join("; "))
            }
            Recomputed::NotKept { is_enough } => format!(
                "entries are no longer kept: compared with stored figures only, which are {} for it",
                if *is_enough { "enough" } else { "not enough" }
            ),
        }
    }
}

/// One figure that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    pub what: String,
    pub stored: String,
    pub recomputed: String,
}

/// A control on its way to a decision for the second time.
pub struct Recomputation {
    control: Control,
    target: Decision,
    /// What has been decided on the way, of which the target may be one.
    decided: Vec<Decision>,
    /// Those of them that the journal does not have so far.
    unwritten: Vec<Decision>,
    now: Time,
    /// What came in since the last tick.
    is_behind: bool,
}

impl Recomputation {
    /// `control`: where the journal and what was seen put the agent that decided when it began, at `start`.
    pub const fn new(control: Control, start: Time, target: Decision) -> Recomputation {
        Recomputation { control, target, decided: Vec::new(), unwritten: Vec::new(), now: start, is_behind: false }
    }

    pub fn observe(&mut self, at: Time, account: AccountSid, observation: &Observation) {
        self.advance(at);
        self.control.engine_mut().observe(at, account, observation);
        self.is_behind = true;
    }

    /// The alerts had been read up to `at`.
    pub fn polled(&mut self, at: Time) {
        self.advance(at);
        self.control.engine_mut().polled(Source::Alerts, at);
        self.is_behind = true;
    }

    /// What the agent wrote to its journal.
    pub fn journaled(&mut self, at: Time, entry: &Entry) {
        self.advance(at);
        if let Entry::Decision(written) = entry {
            self.unwritten.retain(|d| d.channel != written.channel || d.group != written.group);
        }
        // What contradicts itself has stopped the agent then; people were told then.
        let _ = self.control.apply(at, entry);
    }

    /// What comes of it at the instant of the decision.
    pub fn conclude(mut self) -> Recomputed {
        self.advance(self.target.at);
        // What came out before and is not in the journal had no effect: at this instant it was still to be decided.
        for Decision { channel, numbers, .. } in std::mem::take(&mut self.unwritten) {
            self.control.may_decide_again(&numbers, channel, self.target.at);
        }
        self.tick(self.target.at);
        let (target, roster) = (&self.target, self.control.engine().roster());
        let is_same = |d: &&Decision| {
            let (same_what, same_where) = (d.action == target.action, d.channel == target.channel);
            let same_whom = target.numbers.iter().any(|n| d.numbers.contains(n));
            same_what && same_where && same_whom && d.at + CLOSELY >= target.at
        };
        let found = self.decided.iter().rev().find(is_same);
        let mut differences = Vec::new();
        match found {
            Some(found) => {
                compare(&target.evidence, &found.evidence, &mut differences);
                let missing: Vec<String> = target
                    .numbers
                    .iter()
                    .filter(|n| !found.numbers.contains(n))
                    .map(|n| roster.name(*n).to_string())
                    .collect();
                if !missing.is_empty() {
                    differences.push(figure("numbers", &missing.join(", "), "not among them"));
                }
            }
            None => {
                differences.push(figure("decision", &said(&target.action), "none"));
                if let Some(ix) = target.numbers.first().and_then(|n| self.control.engine().roster().find(*n)) {
                    compare(
                        &target.evidence,
                        &self.control.engine().channel(ix, target.channel).evidence,
                        &mut differences,
                    );
                }
            }
        }
        if differences.is_empty() { Recomputed::Follows } else { Recomputed::NoLonger { differences } }
    }

    fn advance(&mut self, to: Time) {
        let closely = self.target.at - CLOSELY;
        if self.is_behind && to > self.now {
            self.tick(self.now);
        }
        while closely < to && self.now.max(closely) + TICK < to {
            self.now = self.now.max(closely) + TICK;
            self.tick(self.now);
        }
        self.now = self.now.max(to);
    }

    fn tick(&mut self, at: Time) {
        self.is_behind = false;
        for Decision { at, channel, numbers, .. } in self.unwritten.extract_if(.., |d| d.at + WRITTEN_WITHIN <= at) {
            // The agent's tick may have been earlier than ours.
            self.control.may_decide_again(&numbers, channel, at + DECIDE_AGAIN - TICK);
        }
        // The agent saw, or it would not have decided.
        for source in [Source::Calls, Source::Messages, Source::Numbers] {
            self.control.engine_mut().polled(source, at);
        }
        for event in self.control.engine_mut().tick(at) {
            if let EngineEvent::Decided(decision) = event {
                // As it does in the agent, until the journal says what became of it.
                self.control.decision_stands(&decision);
                if decision.action == Action::Rollback {
                    self.unwritten.push((*decision).clone());
                }
                self.decided.push(*decision);
            }
        }
    }
}

/// What can be said of a decision whose entries are gone: its own figures against each other.
pub fn not_kept(decision: &Decision) -> Recomputed {
    let is_rollback = matches!(decision.action, Action::Rollback | Action::Withheld { .. });
    let is_enough = decision.evidence.score.is_none_or(|score| !is_rollback || score.is_enough());
    Recomputed::NotKept { is_enough }
}

fn said(action: &Action) -> String {
    match action {
        Action::Rollback => "rollback".to_owned(),
        Action::Withheld { guard } => format!("withheld: {}", guard.label()),
        Action::Page { reason } => format!("page: {}", reason.label()),
    }
}

fn figure(what: &str, stored: &str, recomputed: &str) -> Figure {
    Figure { what: what.to_owned(), stored: stored.to_owned(), recomputed: recomputed.to_owned() }
}

fn compare(stored: &Evidence, again: &Evidence, differences: &mut Vec<Figure>) {
    for (what, a, b) in [
        ("callers", stored.callers, again.callers),
        ("failing callers", stored.failing, again.failing),
        ("probes", stored.probes, again.probes),
        ("failing probes", stored.failing_probes, again.failing_probes),
    ] {
        if a != b {
            differences.push(figure(what, &a.to_string(), &b.to_string()));
        }
    }
    let parts =
        |e: &Evidence| [("statistic", e.score.map(|s| s.statistic)), ("threshold", e.score.map(|s| s.threshold))];
    for ((what, a), (_, b)) in parts(stored).into_iter().zip(parts(again)) {
        let is_same = match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= SAME * a.abs().max(b.abs()),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same {
            let text = |v: Option<f64>| v.map_or("none".to_owned(), |v| format!("{v:.3}"));
            differences.push(figure(what, &text(a), &text(b)));
        }
    }
}
