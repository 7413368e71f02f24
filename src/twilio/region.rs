//! Which numbers' calls our own region processes, remembered for an hour: one request a number, which a rollback of a
//! thousand numbers cannot wait for. That another region has them is never remembered, because somebody may be moving
//! the number just now.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::model::id::E164;
use crate::core::model::time::Time;

/// It is asked for again after this.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Numbers whose calls our region processes, and when that was read.
#[derive(Default)]
pub struct HomeRegions(Mutex<HashMap<E164, Time>>);

impl HomeRegions {
    fn lock(&self) -> MutexGuard<'_, HashMap<E164, Time>> {
        // Whole entries only: valid after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if it is known at `now` that our region processes this number's calls.
    pub fn has(&self, now: Time, number: E164) -> bool {
        self.lock().get(&number).is_some_and(|at| now < *at + KNOWN_FOR)
    }

    /// As read at `now`: `region` is another than ours, if any.
    pub fn learn(&self, now: Time, number: E164, region: Option<&str>) {
        match region {
            None => self.lock().insert(number, now),
            Some(_) => self.lock().remove(&number),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_number_is_at_home_is_known_for_an_hour_and_nothing_else_is() {
        let regions = HomeRegions::default();
        let number: E164 = "+15005550100".parse().unwrap();
        assert!(!regions.has(Time::from_secs(0), number));
        regions.learn(Time::from_secs(0), number, None);
        assert!(regions.has(Time::from_secs(3599), number));
        assert!(!regions.has(Time::from_secs(3600), number));
        regions.learn(Time::from_secs(3600), number, None);
        regions.learn(Time::from_secs(3601), number, Some("ie1"));
        assert!(!regions.has(Time::from_secs(3602), number));
    }
}
