//! How much is going on lately: a count that forgets.

use std::time::Duration;

use crate::model::time::Time;

/// A count in which what happened a half-life ago counts half.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrivalRate {
    count: f64,
    at: Option<Time>,
}

impl ArrivalRate {
    pub fn add(&mut self, now: Time, half_life: Duration) {
        self.count = self.count(now, half_life) + 1.0;
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
    }

    /// What happened `at` is told of late: it counts as if it had been told of then.
    pub fn add_earlier(&mut self, at: Time, half_life: Duration) {
        match self.at {
            Some(last) if at < last => {
                let decay = std::f64::consts::LN_2 / half_life.as_secs_f64();
                self.count += (-decay * last.since(at).as_secs_f64()).exp();
            }
            Some(_) | None => self.add(at, half_life),
        }
    }

    /// The count as it stands at `now`.
    pub fn count(&self, now: Time, half_life: Duration) -> f64 {
        // What comes together in a poll has one time: nothing is forgotten in between.
        let Some(at) = self.at.filter(|at| *at < now) else { return self.count };
        let decay = std::f64::consts::LN_2 / half_life.as_secs_f64();
        self.count * (-decay * now.since(at).as_secs_f64()).exp()
    }

    /// Events a second, when counting began at `start`.
    pub fn per_second(&self, now: Time, start: Time, half_life: Duration) -> f64 {
        let decay = std::f64::consts::LN_2 / half_life.as_secs_f64();
        let counted = now.since(start).as_secs_f64() + 60.0;
        self.count(now, half_life) * decay / (1.0 - (-decay * counted.max(60.0)).exp())
    }
}

impl ArrivalRate {
    /// The count as it stood when something last happened.
    pub const fn count_then(&self) -> f64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_LIFE: Duration = Duration::from_secs(600);

    #[test]
    fn what_happened_a_half_life_ago_counts_half() {
        let at = |seconds: i64| Time::from_secs(1000 + seconds);
        let mut rate = ArrivalRate::default();
        (0..2).for_each(|_| rate.add(at(0), HALF_LIFE));
        let count = |rate: &ArrivalRate, seconds| (rate.count(at(seconds), HALF_LIFE) * 1e6).round() / 1e6;
        assert_eq!([0, 600, 1200].map(|s| count(&rate, s)), [2.0, 1.0, 0.5]);
        rate.add(at(600), HALF_LIFE);
        assert_eq!((rate.count_then(), count(&rate, 600), count(&rate, 1200)), (2.0, 2.0, 1.0));
        // What is told of late as such counts as if it had been told of in time.
        rate.add_earlier(at(0), HALF_LIFE);
        assert_eq!(count(&rate, 600), 2.5);
        rate = ArrivalRate::default();
        [0, 0, 600].into_iter().for_each(|s| rate.add(at(s), HALF_LIFE));
        // What is told late forgets nothing.
        rate.add(at(0), HALF_LIFE);
        assert_eq!(count(&rate, 600), 3.0);
    }

    #[test]
    fn a_rate_takes_account_of_how_short_it_was_counted_and_a_minute_at_the_least() {
        let mut rate = ArrivalRate::default();
        let now = Time::from_secs(1000);
        rate.add(now, HALF_LIFE);
        let decay = std::f64::consts::LN_2 / 600.0;
        let per_second = |counted: u64| rate.per_second(now, now - Duration::from_secs(counted), HALF_LIFE);
        // Counted for one half-life, with a minute that is added: half of what would be there in the end.
        assert!((per_second(540) - decay / 0.5).abs() < 1e-12);
        assert!((per_second(1140) - decay / 0.75).abs() < 1e-12);
        assert!((per_second(0) - 1.0 / 60.0).abs() < 1e-3);
    }
}
