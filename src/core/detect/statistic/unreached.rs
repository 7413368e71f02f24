//! Lines on which suddenly nobody is reached: all busy, all unanswered.
//!
//! Each such call is honest, so none is evidence for a rollback. But a number whose own usual share
//! is 5 % and which now reaches nobody has something wrong with it, and a person should look.

use crate::core::model::time::Time;

/// Odds that must be reached before a person is told, for a number with twelve calls a day.
const THRESHOLD: f64 = 2e5;

/// Believed share of calls that reach nobody: prior as if seen, and bounds. Honest lines have 5 to
/// 30 %, after hours 100 %.
const PRIOR: (f64, f64) = (1.5, 12.0);
const BOUNDS: (f64, f64) = (0.05, 0.5);

/// The share in the fault that is looked for.
const FAULT: f64 = 0.95;

/// One number's calls that reached somebody or nobody.
#[derive(Clone, Copy, Debug)]
pub struct Unreached {
    calls: f64,
    unreached: f64,
    statistic: f64,
    is_told: bool,
}

impl Default for Unreached {
    fn default() -> Unreached {
        Unreached { calls: 0.0, unreached: 0.0, statistic: 1.0, is_told: false }
    }
}

impl Unreached {
    /// Takes in a call. True if a person should be told, once.
    pub fn add(&mut self, is_unreached: bool, now: Time, start: Time) -> bool {
        let (failures, calls) = PRIOR;
        let usual = ((failures + self.unreached) / (calls + self.calls)).clamp(BOUNDS.0, BOUNDS.1);
        let ratio = if is_unreached { FAULT / usual } else { (1.0 - FAULT) / (1.0 - usual) };
        self.calls += 1.0;
        self.unreached += f64::from(u8::from(is_unreached));
        let hours = now.since(start).as_secs_f64() / 3600.0;
        let a_day = (24.0 * (self.calls + 0.5) / (hours + 1.0)).max(10.0);
        let enough = THRESHOLD * a_day / 12.0;
        // No more than is enough: however long it lasted, a few who are reached again show that it is over.
        self.statistic = ((self.statistic + 1.0) * ratio).min(enough);
        let tell = !self.is_told && self.statistic >= enough;
        self.is_told |= tell;
        // Once it is over it may be told again.
        self.is_told &= self.statistic > 1.0;
        tell
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_enough_grows_with_the_calls_a_day_and_the_odds_no_further() {
        let start = Time::from_secs(1_000_000);
        let mut line = Unreached::default();
        let now = start + Duration::from_secs(47 * 3600);
        for _ in 0..40 {
            assert!(!line.add(false, now, start), "everybody is reached");
        }
        let told = (0..60).filter(|_| line.add(true, now, start)).count();
        assert_eq!(told, 1, "once");
        // A hundred calls in two days are some fifty a day.
        let a_day = 24.0 * 100.5 / 48.0;
        assert!((line.statistic - THRESHOLD * a_day / 12.0).abs() < 1e-3, "{}", line.statistic);
    }
}
