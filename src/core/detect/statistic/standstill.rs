//! No calls at all, on any number: measured by the wall clock, for there is nobody else to measure it by.
//!
//! The silence of one number is measured in the others' calls ([`super::silence`]), and that clock stands still when
//! all are silent. This is the sign of life of the whole: nobody can get through, or the log that we read stands still
//! while callers do come, and looks the same. Nobody can tell which of the two it is, so it is said and rolls nothing
//! back.
//!
//! If `a` calls came lately in a time that counts as `b` seconds, none comes for `t` seconds with probability
//! (1 + t/b)^-(a + 1/2). The day has a shape, which here nothing cancels: traffic may fall to half within the memory
//! of the rate at any time, and three times a day, at opening, lunch and closing, to what a lull leaves. So a gap is a
//! standstill only if both would have it once in a thousand days.

use std::time::Duration;

use crate::model::time::Time;

use super::params::SilenceParams;
use super::rate::ArrivalRate;

/// What is left of the traffic when a day takes its usual course.
const COURSE: f64 = 0.5;

/// Times a day at which all numbers' traffic may fall to what a lull leaves.
const CHANGES: f64 = 3.0;

/// Days between false alarms, nominally, of either kind.
const DAYS: f64 = 1000.0;

/// What came in a shorter time than this is taken to have come in as long: people try out a number with some calls in
/// a row, and then nobody calls.
const COUNTED_AT_LEAST: Duration = Duration::from_secs(3600);

/// Fewer calls say nothing of how many are to be expected.
const LEAST_CALLS: u64 = 30;

/// All numbers are silent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standstill {
    /// When the last call of any number was seen.
    pub since: Time,
    /// Calls that would have come until it was told, had all gone on as before.
    pub missed: f64,
}

/// Measures the calls of all numbers together.
#[derive(Clone, Debug, Default)]
pub struct Everybody {
    rate: ArrivalRate,
    calls: u64,
    first: Option<Time>,
    last: Option<Time>,
    /// Since when the gap is too long.
    too_long_since: Option<Time>,
    told: Option<Standstill>,
}

impl Everybody {
    /// A call became visible.
    pub fn heard(&mut self, now: Time, params: &SilenceParams) {
        self.rate.add(now, params.half_life);
        self.calls += 1;
        self.first.get_or_insert(now);
        self.last = self.last.max(Some(now));
        self.too_long_since = None;
        self.told = None;
    }

    /// Calls that were over before anybody watched: how many came then is known all the same.
    pub fn heard_before(&mut self, began: &[Time], params: &SilenceParams) {
        for at in began {
            self.rate.add_earlier(*at, params.half_life);
            self.calls += 1;
            self.first = Some(self.first.map_or(*at, |first| first.min(*at)));
            self.last = self.last.max(Some(*at));
        }
    }

    /// None of the numbers has a call, and that is no chance.
    pub const fn standstill(&self) -> Option<Standstill> {
        self.told
    }

    /// When any number was last called.
    pub const fn last(&self) -> Option<Time> {
        self.last
    }

    /// Looks again. `left`: what a lull leaves of the traffic at a time of the day, where it leaves least.
    pub fn look(&mut self, now: Time, params: &SilenceParams, left: impl Fn(Time) -> f64) {
        let (Some(first), Some(last)) = (self.first, self.last) else { return };
        if self.told.is_some() || self.calls < LEAST_CALLS {
            return;
        }
        let decay = std::f64::consts::LN_2 / params.half_life.as_secs_f64();
        let counted = last.since(first).max(COUNTED_AT_LEAST).as_secs_f64();
        let (own, within) = (self.rate.count_then(), (1.0 - (-decay * counted).exp()) / decay);
        let gap = now.since(last).as_secs_f64();
        let chance = |share: f64| (-(own + 0.5) * (share * gap / within).ln_1p()).exp();
        let gaps_a_day = (own * 86_400.0 / within).max(CHANGES);
        let is_too_long = chance(COURSE) * gaps_a_day * DAYS < 1.0
            && chance(left(last).min(left(now)).min(COURSE)) * CHANGES * DAYS < 1.0;
        if !is_too_long {
            self.too_long_since = None;
            return;
        }
        // A row may be late; as long as one may still come, nothing is said.
        if *self.too_long_since.get_or_insert(now) + params.unseen <= now {
            self.told = Some(Standstill { since: last, missed: own * gap / within });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes after the last of `hours` of calls, so many seconds apart, at which a standstill is told.
    fn told_after(hours: i64, apart: i64, left: f64) -> Option<i64> {
        let params = SilenceParams::default();
        let mut all = Everybody::default();
        let end = hours * 3600;
        for s in (0..=end).step_by(apart as usize) {
            all.heard(Time::from_secs(s), &params);
            all.look(Time::from_secs(s), &params, |_| left);
            assert_eq!(all.standstill(), None);
        }
        let last = end / apart * apart;
        (0..12 * 60).find(|m| {
            all.look(Time::from_secs(last + m * 60), &params, |_| left);
            all.standstill().is_some()
        })
    }

    #[test]
    fn a_busy_account_that_nobody_calls_any_more_is_told_within_minutes_and_a_quiet_one_within_hours() {
        // Calls an hour: 720, 60, 6; in the core of a day and at its edge.
        assert_eq!([5, 60, 600].map(|apart| told_after(6, apart, 0.6)), [Some(4), Some(31), Some(358)]);
        assert_eq!([5, 60, 600].map(|apart| told_after(6, apart, 0.08)), [Some(10), Some(104), None]);
        // One hour is enough to know.
        assert_eq!(told_after(1, 5, 0.6), Some(4));
    }

    #[test]
    fn one_call_of_any_number_ends_it_and_it_says_how_many_were_missed() {
        let params = SilenceParams::default();
        let mut all = Everybody::default();
        (0..720).for_each(|i| all.heard(Time::from_secs(i * 5), &params));
        let last = Time::from_secs(719 * 5);
        for minutes in 0..20 {
            all.look(last + Duration::from_secs(minutes * 60), &params, |_| 0.6);
        }
        let told = all.standstill().unwrap();
        assert_eq!(told.since, last);
        assert!((told.missed - 48.0).abs() < 3.0, "four minutes of twelve a minute: {}", told.missed);
        all.heard(last + Duration::from_secs(1300), &params);
        assert_eq!(all.standstill(), None);
    }

    #[test]
    fn what_came_before_anybody_watched_says_how_much_is_missing() {
        let params = SilenceParams::default();
        let mut all = Everybody::default();
        all.heard(Time::from_secs(3600), &params);
        let before: Vec<Time> = (0..720).map(|i| Time::from_secs(i * 5)).rev().collect();
        all.heard_before(&before, &params);
        let told = (0..60).find(|m| {
            all.look(Time::from_secs(3600 + m * 60), &params, |_| 0.6);
            all.standstill().is_some()
        });
        assert_eq!((told, all.last()), (Some(4), Some(Time::from_secs(3600))));
    }

    #[test]
    fn too_few_calls_say_nothing_and_a_burst_says_little() {
        let params = SilenceParams::default();
        for (calls, after) in [(29, None), (30, Some(4))] {
            let mut all = Everybody::default();
            (0..calls).for_each(|i| all.heard(Time::from_secs(i), &params));
            let found = (1..24).find(|hours| {
                // Twice: what is too long has to stay so.
                for s in [0, 120] {
                    all.look(Time::from_secs(hours * 3600 + s), &params, |_| 0.08);
                }
                all.standstill().is_some()
            });
            assert_eq!(found, after, "{calls}");
        }
    }
}
