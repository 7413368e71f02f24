//! A decision made once more, from what is stored.
//!
//! The store keeps every entry of the logs as it was seen, up to when alerts had been read, and what
//! was done about it. [`Recomputation`] gives them to the same engine in the same order, under the rules that
//! were in force, up to the instant of the decision, and compares what comes out. Nothing of the
//! decision itself goes in.
//!
//! Two things are not stored and bound how exact this is: at which fraction of a second the engine
//! ticked, and in which order two logs' polls that ended within milliseconds were taken in. Counts are
//! compared exactly, the statistic within [`SAME`].

use serde::{Deserialize, Serialize};

use crate::core::detect::engine::{Engine, EngineEvent};
use crate::core::detect::observation::Observation;
use crate::core::detect::rules::Rules;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::{Channel, E164};
use crate::core::model::order::Operation;
use crate::core::model::roster::Roster;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::verdict::Evidence;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::Orders;

use std::time::Duration;

/// Two statistics are the same if they differ by no more than this share.
const SAME: f64 = 0.01;

/// So long before the decision the engine ticks as often as an agent's does; before that, with what
/// comes in.
const CLOSELY: Duration = Duration::from_secs(60);

/// Between an agent's ticks.
const TICK: Duration = Duration::from_secs(1);

/// As an agent's: what nobody decided anew is asked for again after this.
const AGAIN: Duration = Duration::from_secs(60);

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

/// The engine, on its way to a decision for the second time.
pub struct Recomputation {
    engine: Engine,
    orders: Orders,
    target: Decision,
    /// What has been decided on the way, of which the target may be one.
    decided: Vec<Decision>,
    now: Time,
    /// What had come back before the agent began, and is not told to the engine yet.
    back: std::collections::VecDeque<(Time, E164, Channel)>,
    /// What came in since the last tick.
    is_behind: bool,
}

impl Recomputation {
    /// `start`: when the agent that decided began; `hands`: what the journal held then.
    pub fn new(roster: &Roster, rules: &Rules, orders: Orders, start: Time, target: Decision) -> Recomputation {
        let mut engine = Engine::new(roster.clone(), rules.settings(roster), start);
        for (number, channel, saga) in orders.sagas().filter(|(_, _, s)| s.state.is_on_fallback()) {
            if let Some(ix) = engine.roster().find(number) {
                engine.rolled_back(saga.since.unwrap_or(Time::EPOCH), ix, channel);
            }
        }
        let back = orders.returned_to_handler().into();
        Recomputation { engine, orders, target, decided: Vec::new(), now: start, back, is_behind: false }
    }

    /// Something that was seen before the agent began, which it took in then. `until`: up to when
    /// alerts had been read.
    pub fn remembered(&mut self, at: Time, observation: &Observation, until: Time) {
        self.engine.catch_up(at.min(until));
        self.come_back(at);
        self.engine.observe(at, observation);
    }

    fn come_back(&mut self, until: Time) {
        while let Some((at, number, channel)) = self.back.pop_front_if(|(at, _, _)| *at <= until) {
            if let Some(ix) = self.engine.roster().find(number) {
                self.engine.restored(at, ix, channel);
            }
        }
    }

    /// All that the agent took in at its start.
    pub fn begin(&mut self, until: Option<Time>) {
        self.come_back(Time::NEVER);
        if let Some(until) = until {
            self.engine.catch_up(until);
        }
    }

    pub fn observe(&mut self, at: Time, observation: &Observation) {
        self.advance(at);
        self.engine.observe(at, observation);
        self.is_behind = true;
    }

    /// The alerts had been read up to `at`.
    pub fn polled(&mut self, at: Time) {
        self.advance(at);
        self.engine.polled(Source::Alerts, at);
        self.is_behind = true;
    }

    /// What the agent wrote to its journal.
    pub fn journaled(&mut self, at: Time, entry: &Entry) {
        self.advance(at);
        if self.orders.fold(at, entry).is_err() {
            return;
        }
        match entry {
            Entry::Result { decision, channel, number, .. } => {
                let act = self.orders.order(*decision).map(|p| p.order.act);
                let Some(ix) = self.engine.roster().find(*number) else { return };
                let is_on_fallback = self.orders.state(*number, *channel).is_on_fallback();
                match act {
                    Some(Operation::Rollback) if is_on_fallback => self.engine.rolled_back(at, ix, *channel),
                    Some(Operation::Rollback) => {
                        let again = self.orders.not_before(*number, *channel).unwrap_or(at);
                        self.engine.not_rolled_back(ix, *channel, again);
                    }
                    Some(Operation::Restore) if !is_on_fallback => self.engine.restored(at, ix, *channel),
                    Some(Operation::Restore) | None => {}
                }
            }
            Entry::Closed { channel, numbers, why, .. } if why.is_on_own_handler() => {
                for ix in numbers.iter().filter_map(|n| self.engine.roster().find(*n)).collect::<Vec<_>>() {
                    self.engine.not_rolled_back(ix, *channel, at + AGAIN);
                }
            }
            Entry::Drift { number, channel, .. } => {
                if let Some(ix) = self.engine.roster().find(*number)
                    && matches!(
                        self.engine.channel(ix, *channel).rollback,
                        crate::core::detect::engine::RollbackProgress::Done(_)
                    )
                {
                    self.engine.restored(at, ix, *channel);
                }
            }
            Entry::Phase { channel, number, phase } => {
                if let Some(ix) = self.engine.roster().find(*number)
                    && self.engine.channel(ix, *channel).phase != *phase
                {
                    self.engine.resume_phase(ix, *channel, *phase, at);
                }
            }
            Entry::Decision(_)
            | Entry::Order(_)
            | Entry::Stage { .. }
            | Entry::Refused { .. }
            | Entry::Asked { .. }
            | Entry::Approved { .. }
            | Entry::Closed { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Started { .. }
            | Entry::Fallback { .. } => {}
        }
    }

    /// What comes of it at the instant of the decision.
    pub fn conclude(mut self) -> Recomputed {
        self.advance(self.target.at);
        self.tick(self.target.at);
        let target = &self.target;
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
                let missing: Vec<String> =
                    target.numbers.iter().filter(|n| !found.numbers.contains(n)).map(ToString::to_string).collect();
                if !missing.is_empty() {
                    differences.push(figure("numbers", &missing.join(", "), "not among them"));
                }
            }
            None => {
                differences.push(figure("decision", &said(&target.action), "none"));
                if let Some(ix) = target.numbers.first().and_then(|n| self.engine.roster().find(*n)) {
                    compare(&target.evidence, &self.engine.channel(ix, target.channel).evidence, &mut differences);
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
        // The agent saw, or it would not have decided.
        for source in [Source::Calls, Source::Messages, Source::Numbers] {
            self.engine.polled(source, at);
        }
        for event in self.engine.tick(at) {
            if let EngineEvent::Decided(decision) = event {
                if decision.action == Action::Rollback {
                    // As the agent does: a decision stands until the journal says what became of it.
                    for n in &decision.numbers {
                        if let Some(ix) = self.engine.roster().find(*n) {
                            self.engine.not_rolled_back(ix, decision.channel, Time::NEVER);
                        }
                    }
                }
                self.decided.push(decision);
            }
        }
    }
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
