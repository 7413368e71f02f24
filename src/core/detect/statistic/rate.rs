//! How much is going on lately: a count that forgets.

use std::time::Duration;

use crate::core::model::time::Time;

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
