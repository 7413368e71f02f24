//! Which numbers our own region processes, remembered for an hour: one request a number, which a rollback of a
//! thousand numbers cannot wait for. That another region has one is never remembered, because somebody may be moving
//! it just now. Nor is asked again for an hour what has no answer: version 3 of the Routes API, where there is none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::model::id::E164;
use crate::core::model::time::Time;
use crate::core::routing::record::Elsewhere;

/// It is asked for again after this.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// One number's trouble is not the others': so many in a row have no answer where there is no version 3.
const LACKING: u32 = 3;

/// What was read of regions, and when.
#[derive(Default)]
pub struct HomeRegions(Mutex<Read>);

#[derive(Default)]
struct Read {
    /// Numbers that our region processes.
    home: HashMap<E164, Time>,
    /// Since when regions of messages were not to be had, and of how many numbers in a row.
    without_messaging: Option<(Time, u32)>,
}

impl HomeRegions {
    fn lock(&self) -> MutexGuard<'_, Read> {
        // Whole entries only: valid after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if it is known at `now` that our region processes this number.
    pub fn has(&self, now: Time, number: E164) -> bool {
        self.lock().home.get(&number).is_some_and(|at| now < *at + KNOWN_FOR)
    }

    /// As read at `now`.
    pub fn learn(&self, now: Time, number: E164, elsewhere: &Elsewhere) {
        if elsewhere.iter().all(Option::is_none) {
            self.lock().home.insert(number, now);
        } else {
            self.lock().home.remove(&number);
        }
    }

    /// False if the region of some number's messages was not to be had within the last hour.
    pub fn has_messaging(&self, now: Time) -> bool {
        self.lock().without_messaging.is_none_or(|(at, _)| at + KNOWN_FOR <= now)
    }

    /// False if it is not worth a request at `now`: of several numbers in a row it was not to be had.
    pub fn may_have_messaging(&self, now: Time) -> bool {
        let lacking = self.lock().without_messaging;
        lacking.is_none_or(|(at, numbers)| numbers < LACKING || at + KNOWN_FOR <= now)
    }

    /// A number has a route, and the version that knows of messages did, or did not, answer with it.
    pub fn learn_messaging(&self, now: Time, is_had: bool) {
        let lacking = &mut self.lock().without_messaging;
        let before = lacking.filter(|(at, _)| now < *at + KNOWN_FOR).map_or(0, |(_, numbers)| numbers);
        *lacking = match is_had {
            // What was not to be had of another number still is not.
            true => lacking.map(|(at, _)| (at, 0)),
            false => Some((now, before + 1)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_without_an_answer_does_not_keep_the_others_from_being_asked() {
        let (regions, now) = (HomeRegions::default(), Time::from_secs(0));
        regions.learn_messaging(now, false);
        regions.learn_messaging(now, false);
        assert!(regions.may_have_messaging(now) && !regions.has_messaging(now));
        regions.learn_messaging(now, true);
        regions.learn_messaging(now, false);
        regions.learn_messaging(now, false);
        assert!(regions.may_have_messaging(now) && !regions.has_messaging(now));
        regions.learn_messaging(now, false);
        assert!(!regions.may_have_messaging(now));
        assert!(regions.may_have_messaging(now + KNOWN_FOR) && regions.has_messaging(now + KNOWN_FOR));
    }

    #[test]
    fn that_a_number_is_at_home_is_known_for_an_hour_and_nothing_else_is() {
        let regions = HomeRegions::default();
        let number: E164 = "+15005550100".parse().unwrap();
        assert!(!regions.has(Time::from_secs(0), number));
        regions.learn(Time::from_secs(0), number, &[None, None]);
        assert!(regions.has(Time::from_secs(3599), number));
        assert!(!regions.has(Time::from_secs(3600), number));
        regions.learn(Time::from_secs(3600), number, &[None, None]);
        regions.learn(Time::from_secs(3601), number, &[None, Some("ie1".to_owned())]);
        assert!(!regions.has(Time::from_secs(3602), number));
    }
}
