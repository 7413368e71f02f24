//! Lines on which suddenly nobody is reached: all busy, all unanswered.
//!
//! Each such call is honest, so none is evidence for a rollback. But a number whose own usual share
//! is 5 % and which now reaches nobody has something wrong with it, and a person should look.

use std::collections::VecDeque;

use crate::model::id::Resource;
use crate::model::time::Time;

/// Odds that must be reached before a person is told, for a number with twelve calls a day.
const THRESHOLD: f64 = 2e5;

/// A number with fewer calls a day is taken to have so many.
const FEWEST_A_DAY: f64 = 10.0;

/// Believed share of calls that reach nobody: prior as if seen, and bounds. Honest lines have 5 to
/// 30 %, after hours 100 %.
const PRIOR: (f64, f64) = (1.5, 12.0);
const BOUNDS: (f64, f64) = (0.05, 0.5);

/// The share in the fault that is looked for.
const FAULT: f64 = 0.95;

/// So many of the latest calls can still turn out otherwise: a leg's row, or an alert, comes late by minutes.
const REVISABLE: usize = 16;

/// One number's calls that reached somebody or nobody.
#[derive(Clone, Debug, Default)]
pub struct Unreached {
    /// What the calls before the latest come to.
    before: Odds,
    latest: VecDeque<Heard>,
    odds: Odds,
    is_told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    call: Resource,
    is_unreached: bool,
    at: Time,
}

#[derive(Clone, Copy, Debug)]
struct Odds {
    calls: f64,
    unreached: f64,
    statistic: f64,
}

impl Default for Odds {
    fn default() -> Odds {
        Odds { calls: 0.0, unreached: 0.0, statistic: 1.0 }
    }
}

impl Odds {
    /// Takes in a call. True if it is enough then.
    fn add(&mut self, heard: Heard, start: Time) -> bool {
        let (failures, calls) = PRIOR;
        let usual = ((failures + self.unreached) / (calls + self.calls)).clamp(BOUNDS.0, BOUNDS.1);
        let ratio = if heard.is_unreached { FAULT / usual } else { (1.0 - FAULT) / (1.0 - usual) };
        self.calls += 1.0;
        self.unreached += f64::from(u8::from(heard.is_unreached));
        let statistic = (self.statistic + 1.0) * ratio;
        if statistic < THRESHOLD * FEWEST_A_DAY / 12.0 {
            // Far from enough however few call, as it is of nearly all lines: not worth the arithmetic.
            self.statistic = statistic;
            return false;
        }
        let hours = heard.at.since(start).as_secs_f64() / 3600.0;
        let a_day = (24.0 * (self.calls + 0.5) / (hours + 1.0)).max(FEWEST_A_DAY);
        let enough = THRESHOLD * a_day / 12.0;
        // No more than is enough: however long it lasted, a few who are reached again show that it is over.
        self.statistic = statistic.min(enough);
        self.statistic >= enough
    }
}

impl Unreached {
    /// Takes in a call: whether it reached nobody, as was said before and as is known now. `None`: it says nothing of
    /// the line. True if a person should be told, once.
    pub fn take(&mut self, call: Resource, was: Option<bool>, is: Option<bool>, now: Time, start: Time) -> bool {
        let known = self.latest.iter().position(|h| h.call == call);
        let is_enough = match (known, is) {
            // One of those that are settled for good.
            (None, Some(_)) if was.is_some() => return false,
            (None, None) => return false,
            (None, Some(is_unreached)) => {
                let heard = Heard { call, is_unreached, at: now };
                self.latest.push_back(heard);
                if self.latest.len() > REVISABLE
                    && let Some(oldest) = self.latest.pop_front()
                {
                    self.before.add(oldest, start);
                }
                self.odds.add(heard, start)
            }
            (Some(i), is) => {
                match (self.latest.get_mut(i), is) {
                    (Some(heard), Some(is_unreached)) => heard.is_unreached = is_unreached,
                    (_, _) => _ = self.latest.remove(i),
                }
                self.odds = self.before;
                self.latest.iter().fold(false, |_, heard| self.odds.add(*heard, start))
            }
        };
        let tell = !self.is_told && is_enough;
        self.is_told |= tell;
        // Once it is over it may be told again.
        self.is_told &= self.odds.statistic > 1.0;
        tell
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::id::CallSid;

    #[test]
    fn what_is_enough_grows_with_the_calls_a_day_and_the_odds_no_further() {
        let start = Time::from_secs(1_000_000);
        let mut line = Unreached::default();
        let now = start + Duration::from_secs(47 * 3600);
        let call = |n| Resource::Call(CallSid::from_u128(n));
        for n in 0..40 {
            assert!(!line.take(call(n), None, Some(false), now, start), "everybody is reached");
        }
        let told = (40..100).filter(|n| line.take(call(*n), None, Some(true), now, start)).count();
        assert_eq!(told, 1, "once");
        // A hundred calls in two days are some fifty a day.
        let a_day = 24.0 * 100.5 / 48.0;
        assert!((line.odds.statistic - THRESHOLD * a_day / 12.0).abs() < 1e-3, "{}", line.odds.statistic);
    }

    #[test]
    fn what_is_revised_is_as_if_it_had_been_told_so_at_first() {
        let start = Time::from_secs(1_000_000);
        let at = |n: u128| start + Duration::from_secs(60 * n as u64);
        let call = |n| Resource::Call(CallSid::from_u128(n));
        let (mut line, mut revised) = (Unreached::default(), Unreached::default());
        let (first, known) =
            (|n: u128| Some(!n.is_multiple_of(3)), |n: u128| (!n.is_multiple_of(5)).then_some(n.is_multiple_of(3)));
        for n in 0..40 {
            line.take(call(n), None, known(n), at(n), start);
            revised.take(call(n), None, first(n), at(n), start);
            if let Some(n) = n.checked_sub(3) {
                revised.take(call(n), first(n), known(n), at(n), start);
            }
            // Too long ago to be known.
            if let Some(n) = n.checked_sub(30).filter(|n| known(*n).is_some()) {
                revised.take(call(n), known(n), first(n), at(n), start);
            }
        }
        for n in 37..40 {
            revised.take(call(n), first(n), known(n), at(n), start);
        }
        assert_eq!((line.odds.calls, line.odds.unreached), (revised.odds.calls, revised.odds.unreached));
        assert!((line.odds.statistic - revised.odds.statistic).abs() < 1e-9);
    }
}
