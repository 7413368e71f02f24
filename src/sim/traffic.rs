//! Who calls when: arrivals of a number over the day, and the people behind them.

use super::chance::{self, Chance, Purpose};
use super::scenario::{ScenarioTraffic, TrafficShape};
use crate::core::model::time::Time;

/// A person's telephone number, as digits; also who they are.
pub type Caller = u64;

impl TrafficShape {
    /// Traffic at this hour of the local day, as a part of the peak.
    fn at(self, hour: f64) -> f64 {
        let hill = |peak: f64, width: f64, floor: f64| {
            let away = (hour - peak).abs();
            let away = away.min(24.0 - away);
            floor + (1.0 - floor) * (-(away / width).powi(2)).exp()
        };
        match self {
            TrafficShape::Flat => 1.0,
            TrafficShape::Day => hill(13.5, 4.2, 0.12),
            TrafficShape::Evening => hill(19.0, 3.0, 0.10),
            TrafficShape::Office if !(8.0..18.0).contains(&hour) => 0.04,
            TrafficShape::Office if hour < 9.0 => 0.04 + 0.96 * (hour - 8.0),
            TrafficShape::Office if (12.0..13.0).contains(&hour) => 0.62,
            TrafficShape::Office if hour >= 17.5 => 1.0 - 1.92 * (hour - 17.5),
            TrafficShape::Office => 1.0,
        }
    }
}

impl ScenarioTraffic {
    /// What there is at `t` of the peak.
    pub(super) fn shape_at(&self, t: Time) -> f64 {
        let local = t.as_millis() + i64::from(self.utc_offset) * 1000;
        self.shape.at(local.rem_euclid(86_400_000) as f64 / 3_600_000.0)
    }

    /// Peak rate a millisecond of the `rank`-th number (from 0) of a group, given the first one's an hour.
    pub(super) fn peak(&self, first_per_hour: f64, floor: f64, rank: usize) -> f64 {
        if first_per_hour == 0.0 {
            return 0.0;
        }
        let own = first_per_hour / ((rank + 1) as f64).powf(self.skew);
        own.max(floor.min(first_per_hour)) / 3_600_000.0
    }
}

/// The arrivals of one number on one channel: a Poisson process, thinned.
///
/// Candidates come at the highest rate that the day can reach; each is kept with the probability that
/// the hour gives it. A change of traffic thereby changes who is left out, never who might have called.
pub struct ArrivalProcess {
    chance: Chance,
    /// Candidates a millisecond.
    rate: f64,
    at: f64,
    ordinal: u64,
}

/// A candidate: it becomes a call if `kept` lies below what the hour gives.
pub struct Candidate {
    pub at: Time,
    pub ordinal: u64,
    pub kept: f64,
}

impl ArrivalProcess {
    pub fn new(seed: u64, purpose: Purpose, number: usize, rate: f64, from: Time) -> ArrivalProcess {
        ArrivalProcess {
            chance: chance::stream(seed, purpose, number as u64, 0),
            rate,
            at: from.as_millis() as f64,
            ordinal: 0,
        }
    }

    pub fn next(&mut self) -> Option<Candidate> {
        if self.rate <= 0.0 {
            return None;
        }
        self.at += self.chance.gap() / self.rate;
        self.ordinal += 1;
        let kept = self.chance.unit();
        Some(Candidate { at: Time::from_millis(self.at as i64), ordinal: self.ordinal, kept })
    }
}

/// Who dials: one of the number's regulars, or somebody new.
pub fn caller(seed: u64, number: usize, traffic: &ScenarioTraffic, luck: &mut Chance) -> Caller {
    let (regular, which, new) = (luck.unit() < traffic.regulars, luck.unit(), luck.digits());
    if !regular {
        return person(new);
    }
    // A quarter of a working day's callers, of whom the first call most.
    let known = (traffic.calls_per_hour * 2.0).clamp(3.0, 400.0);
    let k = (known * which.powf(2.2)) as u64;
    person(chance::stream(seed, Purpose::Regular, number as u64, k).digits())
}

/// A North American number of nobody's: area code 201 to 999 but 500, where our own examples live.
fn person(digits: u128) -> Caller {
    let area = 201 + (digits % 798) as u64;
    let area = if area == 500 { 501 } else { area };
    let exchange = 200 + (digits >> 32) as u64 % 800;
    let line = (digits >> 64) as u64 % 10_000;
    10_000_000_000 + area * 10_000_000 + exchange * 10_000 + line
}

/// Which of `carriers` serves this caller. Fixed for life.
pub fn carrier(caller: Caller, carriers: usize) -> usize {
    (caller.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % carriers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn arrivals_have_the_rate_asked_for_and_ignore_each_other() {
        let hour = Time::from_secs(3600);
        let within_hour = |number| {
            let mut a = ArrivalProcess::new(1, Purpose::Calls, number, 600.0 / 3_600_000.0, Time::EPOCH);
            std::iter::from_fn(move || a.next()).take_while(|c| c.at < hour).map(|c| c.at).collect::<Vec<_>>()
        };
        let first = within_hour(0);
        // Poisson: 600 expected, standard deviation 24.5.
        assert!((500..700).contains(&first.len()), "{}", first.len());
        assert_eq!(first, within_hour(0));
        assert_ne!(first, within_hour(1));
    }

    #[test]
    fn every_hour_of_every_shape_is_a_share() {
        for shape in [TrafficShape::Flat, TrafficShape::Day, TrafficShape::Office, TrafficShape::Evening] {
            for minute in 0..1440 {
                let s = shape.at(f64::from(minute) / 60.0);
                assert!((0.0..=1.0).contains(&s), "{shape:?} at minute {minute}: {s}");
            }
        }
        let office =
            ScenarioTraffic { shape: TrafficShape::Office, utc_offset: -5 * 3600, ..ScenarioTraffic::default() };
        let three = "2026-11-20T03:00:00-05:00".parse().unwrap();
        assert!(office.shape_at(three) < 0.1 && office.shape_at("2026-11-20T10:00:00-05:00".parse().unwrap()) == 1.0);
    }

    #[test]
    fn callers_are_valid_numbers_some_call_again_and_all_carriers_have_some() {
        let traffic = ScenarioTraffic { regulars: 0.5, ..ScenarioTraffic::default() };
        let callers: Vec<Caller> =
            (0..2000).map(|k| caller(3, 0, &traffic, &mut chance::stream(3, Purpose::Call, 0, k))).collect();
        let distinct: BTreeSet<_> = callers.iter().collect();
        assert!((1000..1700).contains(&distinct.len()), "{}", distinct.len());
        assert_eq!(distinct.iter().map(|c| carrier(**c, 5)).collect::<BTreeSet<_>>().len(), 5);
        for c in distinct {
            format!("+{c}").parse::<crate::core::model::id::E164>().unwrap();
        }
    }
}
