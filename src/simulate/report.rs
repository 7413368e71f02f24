//! What came of the simulated days, in numbers, and which of them are bad.

use std::time::Duration;

use serde::Serialize;

use crate::core::model::decision::{Action, Decision, PageReason};
use crate::core::model::id::GroupName;

#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    pub seed: u64,
    pub groups: Vec<SimulatedGroup>,
}

/// What the rules of some groups, alike in all but their name, would do.
#[derive(Clone, Debug, Serialize)]
pub struct SimulatedGroup {
    pub groups: Vec<GroupName>,
    /// In each of the groups.
    pub numbers: usize,
    /// False rollbacks per 1,000 number-days that the configuration puts up with.
    pub budget: f64,
    pub quiet: Quiet,
    /// By fault and level.
    pub faults: Vec<FaultSight>,
}

impl SimulatedGroup {
    /// More false rollbacks than the budget, by more than chance explains.
    pub fn cries_wolf(&self) -> bool {
        self.quiet.rollbacks_per_1000.low > self.budget
    }

    /// Too few days were played to tell whether the budget is kept: so many might do, if no number is
    /// rolled back on them.
    pub fn wants_days(&self) -> Option<u64> {
        let is_open = !self.cries_wolf() && self.quiet.rollbacks_per_1000.high > self.budget;
        is_open.then(|| (1000.0 * RateEstimate::new(0, 0, 1000).high / self.budget).ceil() as u64)
    }
}

/// Days without a fault, on which every rollback is a false one.
#[derive(Clone, Debug, Serialize)]
pub struct Quiet {
    pub number_days: u64,
    /// Decisions to roll back.
    pub rollbacks: u64,
    /// Decisions to page for callers who fail or reach nobody. Silence and outages are not in it: they
    /// are told by the whole account's traffic, which is not played.
    pub pages: u64,
    /// Rollbacks that a `[[group.threshold]]` asked for, not the detector.
    pub by_threshold: u64,
    /// Numbers' channels that were rolled back: a decision can take a whole group.
    pub rolled_back: u64,
    /// These per 1,000 number-days.
    pub rollbacks_per_1000: RateEstimate,
    pub pages_per_1000: RateEstimate,
}

impl Quiet {
    pub(super) fn new(number_days: u64) -> Quiet {
        let none = RateEstimate::new(0, 0, number_days);
        Quiet {
            number_days,
            rollbacks: 0,
            pages: 0,
            by_threshold: 0,
            rolled_back: 0,
            rollbacks_per_1000: none,
            pages_per_1000: none,
        }
    }

    pub(super) fn decided(&mut self, decision: &Decision) {
        match decision.action {
            Action::Rollback => {
                self.rollbacks += 1;
                self.rolled_back += decision.numbers.len() as u64;
                // The detector alone has a score.
                self.by_threshold += u64::from(decision.evidence.score.is_none());
            }
            Action::Page {
                reason:
                    PageReason::Failing(_)
                    | PageReason::Unreached
                    | PageReason::FewCallers
                    | PageReason::ErrorsBesideService
                    | PageReason::OldHandler,
            } => self.pages += 1,
            // These rest on what the whole account does, and here is one group of it, or copies.
            Action::Page { reason: PageReason::Silence | PageReason::Outage } | Action::Withheld { .. } => {}
        }
        self.rollbacks_per_1000 = RateEstimate::new(self.rollbacks, self.rolled_back, self.number_days);
        self.pages_per_1000 = RateEstimate::new(self.pages, self.pages, self.number_days);
    }
}

/// A rate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RateEstimate {
    pub rate: f64,
    pub low: f64,
    pub high: f64,
}

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.96;

impl RateEstimate {
    /// `events` came about independently and made `count` in all, in so many number-days. Per 1,000.
    ///
    /// The interval is the Poisson one in Byar's approximation (Breslow and Day 1987), within 1 % of the
    /// exact one above; below it errs towards no alarm.
    fn new(events: u64, count: u64, number_days: u64) -> RateEstimate {
        let per_event = if events == 0 { 1.0 } else { count as f64 / events as f64 };
        let limit = |n: f64, z: f64| n * (1.0 - 1.0 / (9.0 * n) + z / (3.0 * n.sqrt())).max(0.0).powi(3);
        let low = if events == 0 { 0.0 } else { limit(events as f64, -Z) };
        let high = limit(events as f64 + 1.0, Z);
        let per_1000 = |n: f64| n * 1000.0 / number_days as f64;
        RateEstimate { rate: per_1000(count as f64), low: per_1000(low * per_event), high: per_1000(high * per_event) }
    }
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultShape {
    /// Every caller of one number fails.
    Total,
    Half,
    Quarter,
    /// Every caller of every number of the group fails.
    Group,
}

impl FaultShape {
    pub const ALL: [FaultShape; 4] = [FaultShape::Total, FaultShape::Half, FaultShape::Quarter, FaultShape::Group];
    pub const OF_ONE: [FaultShape; 3] = [FaultShape::Total, FaultShape::Half, FaultShape::Quarter];

    /// Share of callers who fail.
    pub const fn share(self) -> f64 {
        match self {
            FaultShape::Total | FaultShape::Group => 1.0,
            FaultShape::Half => 0.5,
            FaultShape::Quarter => 0.25,
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            FaultShape::Total => "all fail",
            FaultShape::Half => "half fail",
            FaultShape::Quarter => "a quarter fails",
            FaultShape::Group => "whole group fails",
        }
    }
}

/// How soon a fault is seen.
#[derive(Clone, Debug, Serialize)]
pub struct FaultSight {
    pub fault: FaultShape,
    /// On each number.
    pub callers_a_day: u32,
    pub trials: usize,
    /// Of these, how many were rolled back within [`super::WATCHED_FOR`].
    pub decided: usize,
    /// Distinct callers whom the fault met before the rollback: absent where too few were decided.
    pub callers: Spread<u64>,
    /// From the fault's beginning to the decision.
    pub seconds: Spread<f64>,
}

/// Half of all, and nine in ten, were within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread<T> {
    pub median: Option<T>,
    pub p90: Option<T>,
}

impl<T: PartialOrd + Copy> Spread<T> {
    /// `decided` of `trials`; the others would be beyond all of them.
    fn new(mut decided: Vec<T>, trials: usize) -> Spread<T> {
        decided.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let at = |share: f64| decided.get(((share * trials as f64).ceil() as usize).saturating_sub(1)).copied();
        Spread { median: at(0.5), p90: at(0.9) }
    }
}

impl FaultSight {
    pub(super) fn new(fault: FaultShape, callers_a_day: u32, seen: &[Option<(Duration, usize)>]) -> FaultSight {
        let decided: Vec<(Duration, usize)> = seen.iter().flatten().copied().collect();
        FaultSight {
            fault,
            callers_a_day,
            trials: seen.len(),
            decided: decided.len(),
            callers: Spread::new(decided.iter().map(|(_, callers)| *callers as u64).collect(), seen.len()),
            seconds: Spread::new(decided.iter().map(|(after, _)| after.as_secs_f64()).collect(), seen.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_poisson_distribution() {
        let near = |events, count, (low, high): (f64, f64)| {
            let rate = RateEstimate::new(events, count, 1000);
            assert!(rate.low <= low && rate.low >= low / 2.0, "{events}: {rate:?}");
            assert!((rate.high / high - 1.0).abs() < 0.01, "{events}: {rate:?}");
        };
        // Exact limits, from tables.
        near(0, 0, (0.0, 3.689));
        near(1, 1, (0.0253, 5.572));
        near(10, 10, (4.795, 18.39));
        // One decision about a group of ten is one event.
        near(1, 10, (0.253, 55.72));
    }

    #[test]
    fn what_was_not_decided_lies_beyond_what_was() {
        let spread = Spread::new(vec![3, 1, 2], 5);
        assert_eq!(spread, Spread { median: Some(3), p90: None });
        assert_eq!(Spread::<u64>::new(vec![], 0), Spread { median: None, p90: None });
    }
}
