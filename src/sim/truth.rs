//! What really happened, as nobody in the world can know it: the measure of what help was worth.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::fault::ApiFault;
use super::number::Update;
use super::scenario::{HandlerState, Scenario};
use super::traffic::Caller;
use super::voice::{Fared, SimServed};
use crate::core::model::id::{Channel, E164, GroupName};
use crate::core::model::time::Time;

/// The day so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    pub scenario: String,
    pub seed: u64,
    pub from: Time,
    pub until: Time,
    /// All groups but foreign ones.
    pub total: TruthTally,
    pub groups: BTreeMap<GroupName, TruthTally>,
    pub timeline: Vec<TruthEntry>,
}

/// How callers fared. `calls` is the sum of the four `by_…` counts and `failed`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TruthTally {
    pub calls: u64,
    pub by_primary: u64,
    /// By the number's own fallback URL, its primary having failed.
    pub by_own_fallback: u64,
    /// By a TwiML Bin that the number pointed at.
    pub by_bin: u64,
    pub first_by_bin: Option<Time>,
    /// Not yet ported: by the old provider.
    pub by_losing_carrier: u64,
    pub failed: u64,
    /// Of the failed: those that would have failed in any case.
    pub failed_honestly: u64,
    /// Served, but busy, unanswered or given up.
    pub unanswered: u64,
    /// Distinct callers among the failed calls.
    pub callers_failed: u64,
    pub first_failed: Option<Time>,
    pub last_failed: Option<Time>,
    pub messages: u64,
    pub messages_by_primary: u64,
    pub messages_by_own_fallback: u64,
    pub messages_by_bin: u64,
    pub messages_by_losing_carrier: u64,
    pub messages_lost: u64,
}

/// A mark on the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TruthEntry {
    pub at: Time,
    #[serde(flatten)]
    pub what: TimelineMark,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum TimelineMark {
    Ported {
        number: E164,
        channel: Channel,
    },
    Handler {
        url: String,
        state: HandlerState,
    },
    Traffic {
        group: String,
        change: String,
    },
    Storm {
        number: E164,
        calls: u32,
    },
    Campaign {
        number: E164,
        texts: u32,
    },
    Fault {
        kind: super::ApiFaultKind,
        on: &'static str,
        share: f64,
    },
    Updated(Update),
    /// Somebody tried to release a number. It was refused.
    Release {
        number: E164,
    },
}

impl TimelineMark {
    pub fn fault(f: &ApiFault) -> TimelineMark {
        TimelineMark::Fault { kind: f.kind, on: f.on.label(), share: f.share }
    }
}

/// Truth in the making.
#[derive(Default)]
pub struct TruthLedger {
    groups: Vec<(TruthTally, BTreeSet<(u32, Caller)>)>,
    timeline: Vec<TruthEntry>,
}

impl TruthLedger {
    pub fn new(groups: usize) -> TruthLedger {
        TruthLedger { groups: vec![Default::default(); groups], timeline: Vec::new() }
    }

    pub fn mark(&mut self, at: Time, what: TimelineMark) {
        self.timeline.push(TruthEntry { at, what });
    }

    pub fn call(&mut self, group: usize, who: (u32, Caller), at: Time, fared: Fared) {
        let (t, failed) = &mut self.groups[group];
        t.calls += 1;
        t.unanswered += u64::from(fared.unanswered);
        match fared.served {
            SimServed::Primary => t.by_primary += 1,
            SimServed::OwnFallback => t.by_own_fallback += 1,
            SimServed::Bin => {
                t.by_bin += 1;
                t.first_by_bin = t.first_by_bin.or(Some(at));
            }
            SimServed::LosingCarrier => t.by_losing_carrier += 1,
            SimServed::Nobody => {
                t.failed += 1;
                t.failed_honestly += u64::from(fared.honest);
                t.first_failed = t.first_failed.or(Some(at));
                t.last_failed = t.last_failed.max(Some(at));
                failed.insert(who);
                t.callers_failed = failed.len() as u64;
            }
        }
    }

    pub fn message(&mut self, group: usize, served: SimServed) {
        let t = &mut self.groups[group].0;
        t.messages += 1;
        *match served {
            SimServed::Primary => &mut t.messages_by_primary,
            SimServed::OwnFallback => &mut t.messages_by_own_fallback,
            SimServed::Bin => &mut t.messages_by_bin,
            SimServed::LosingCarrier => &mut t.messages_by_losing_carrier,
            SimServed::Nobody => &mut t.messages_lost,
        } += 1;
    }

    pub fn truth(&self, scenario: &Scenario, from: Time, until: Time) -> Truth {
        let named = || scenario.groups.iter().zip(&self.groups);
        let mut total = TruthTally::default();
        for (_, (tally, _)) in named().filter(|(g, _)| !g.foreign) {
            total.add(tally);
        }
        Truth {
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            from,
            until,
            total,
            groups: named().map(|(g, (t, _))| (g.name.clone(), t.clone())).collect(),
            timeline: self.timeline.clone(),
        }
    }
}

impl TruthTally {
    fn add(&mut self, other: &TruthTally) {
        self.calls += other.calls;
        self.by_primary += other.by_primary;
        self.by_own_fallback += other.by_own_fallback;
        self.by_bin += other.by_bin;
        self.first_by_bin = [self.first_by_bin, other.first_by_bin].into_iter().flatten().min();
        self.by_losing_carrier += other.by_losing_carrier;
        self.failed += other.failed;
        self.failed_honestly += other.failed_honestly;
        self.unanswered += other.unanswered;
        self.callers_failed += other.callers_failed;
        self.first_failed = [self.first_failed, other.first_failed].into_iter().flatten().min();
        self.last_failed = self.last_failed.max(other.last_failed);
        self.messages += other.messages;
        self.messages_by_primary += other.messages_by_primary;
        self.messages_by_own_fallback += other.messages_by_own_fallback;
        self.messages_by_bin += other.messages_by_bin;
        self.messages_by_losing_carrier += other.messages_by_losing_carrier;
        self.messages_lost += other.messages_lost;
    }
}
