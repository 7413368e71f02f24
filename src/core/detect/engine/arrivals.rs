//! How lately somebody came: what was seen of a number says how it does only while callers go on coming.
//!
//! Three callers who were served in two hours make a number healthy, and for a quiet one that is as much as there is.
//! Of a busy one to which nobody has come for a quarter of an hour the same three say nothing any more: that it was
//! well is known, and not that it is (law 4). So health lapses by the number's own pace. It does so too where callers
//! come and none of their calls is ever seen to end: a list that shows them as unfinished for good tells of nobody.

use std::time::Duration;

use crate::model::time::Time;

/// How lately callers must have been served: of yesterday's nobody wants to know. It is over sooner where they stopped
/// coming.
pub(super) const HEALTHY_FOR: Duration = Duration::from_secs(2 * 3600);

/// Arrivals that are remembered: the gaps between them are the pace.
const KEPT: usize = 6;

/// Of fewer than so many nobody can say how fast they come.
const PACE_OF: usize = 4;

/// A gap so many times as long as those before it. By chance it is one of some hundred, which costs a number that goes
/// on a while of `unknown`, and nobody's sleep.
const TIMES: u32 = 10;

/// Shorter gaps are nobody's: callers come in bursts.
const AT_LEAST: Duration = Duration::from_secs(15 * 60);

/// When the latest callers or writers were first seen, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals([Option<Time>; KEPT]);

impl Arrivals {
    pub(super) fn add(&mut self, at: Time) {
        self.0.rotate_left(1);
        let latest = self.0[KEPT - 2].map_or(at, |last| last.max(at));
        self.0[KEPT - 1] = Some(latest);
    }

    /// True if the latest came so lately that the next one need not have come yet.
    pub(super) fn go_on(&self, now: Time) -> bool {
        let known = || self.0.iter().flatten();
        let (Some(first), Some(last)) = (known().next(), known().next_back()) else { return false };
        let count = known().count();
        let pace = if count < PACE_OF { HEALTHY_FOR } else { last.since(*first) / (count as u32 - 1) };
        *last + (pace * TIMES).clamp(AT_LEAST, HEALTHY_FOR) >= now
    }

    /// True if what became of somebody is known who came as lately as the latest, or not long before them: the latest
    /// may all be talking still. `served`: when the call of the latest who was served began.
    pub(super) fn are_followed(&self, served: Option<Time>) -> bool {
        match (self.0[0], served) {
            (Some(first), Some(served)) => served + AT_LEAST >= first,
            (None, _) => true,
            (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes after the last of six arrivals, so many minutes apart, for which they are said to go on.
    fn goes_on_for(minutes: i64) -> i64 {
        let mut arrivals = Arrivals::default();
        (0..9).for_each(|i| arrivals.add(Time::from_secs(i * minutes * 60)));
        let last = 8 * minutes;
        (0..=300).take_while(|m| arrivals.go_on(Time::from_secs((last + m) * 60))).last().unwrap()
    }

    #[test]
    fn it_goes_by_the_pace_from_a_quarter_of_an_hour_to_two_hours() {
        assert_eq!([0, 1, 2, 5, 12, 40].map(goes_on_for), [15, 15, 20, 50, 120, 120]);
    }

    #[test]
    fn of_the_latest_six_somebody_is_known_to_be_served_or_a_quarter_of_an_hour_before_them() {
        let mut arrivals = Arrivals::default();
        (0..5).for_each(|i| arrivals.add(Time::from_secs(2000 + i)));
        assert!(arrivals.are_followed(Some(Time::from_secs(0))), "so few may all be talking");
        arrivals.add(Time::from_secs(2005));
        assert!(arrivals.are_followed(Some(Time::from_secs(1100))));
        assert!(!arrivals.are_followed(Some(Time::from_secs(1099))) && !arrivals.are_followed(None));
    }

    #[test]
    fn of_nobody_it_does_not_go_on_and_of_a_few_for_two_hours() {
        let mut arrivals = Arrivals::default();
        assert!(!arrivals.go_on(Time::from_secs(0)));
        for _ in 0..3 {
            arrivals.add(Time::from_secs(0));
            assert!(arrivals.go_on(Time::from_secs(7200)) && !arrivals.go_on(Time::from_secs(7201)));
        }
        arrivals.add(Time::from_secs(0));
        assert!(arrivals.go_on(Time::from_secs(900)) && !arrivals.go_on(Time::from_secs(901)));
    }
}
