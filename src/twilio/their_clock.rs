//! What the `Date` of answers says: how Twilio's clock stands, and which answers are old.
//!
//! Somebody between us and Twilio may keep answers and give them again. Such a copy says nothing of our clock, and
//! shows the logs as they were: a failing number in it looks well. It is known by its `Age`, which nobody adds but who
//! keeps answers, and by a `Date` that has stayed behind those of other answers while time went on.
//!
//! Time goes on by a clock that nobody sets. Both clocks may be wrong, by as much as they like: only what they do
//! between two answers counts. A first answer may be a copy, and is taken for fresh: nothing is there to compare it
//! with.

use std::time::Duration;

/// A `Date` that is behind the others by the same all this time is no copy: a clock was set back.
const SETTLES: Duration = Duration::from_secs(60);

/// Two clocks that nobody sets come apart by less than one part in so many.
const DRIFT: i64 = 60;

/// Where a clock stands beside ours that only goes forward, and when it was seen to.
#[derive(Debug, Clone, Copy)]
struct Stand {
    ahead_ms: i64,
    at: Duration,
}

/// Twilio's clock, as far as answers have told.
#[derive(Debug, Default)]
pub struct TheirClock {
    /// By the freshest answers.
    fresh: Option<Stand>,
    /// By answers that do not agree with those, and since when they agree with each other.
    other: Option<Stand>,
}

impl TheirClock {
    /// How old an answer is that comes `at` an instant of the clock that nobody sets; `None` if it is fresh. Nothing up
    /// to `bound` is called old, for an answer may be on its way for long.
    pub fn age(
        &mut self,
        date_ms: Option<i64>,
        age: Option<Duration>,
        at: Duration,
        bound: Duration,
    ) -> Option<Duration> {
        if let Some(age) = age.filter(|age| *age > bound) {
            return Some(age);
        }
        let here = Stand { ahead_ms: date_ms?.saturating_sub(ms(at)), at };
        let Some(fresh) = self.fresh else {
            self.fresh = Some(here);
            return None;
        };
        let expected = fresh.ahead_ms.saturating_sub(ms(at.saturating_sub(fresh.at)) / DRIFT);
        let behind = expected.saturating_sub(here.ahead_ms);
        if behind.abs() <= ms(bound) {
            self.fresh = Some(Stand { ahead_ms: expected.max(here.ahead_ms), at });
            self.other = None;
            return None;
        }
        let other = self.other.filter(|o| o.ahead_ms.abs_diff(here.ahead_ms) <= ms(bound).unsigned_abs() / 2);
        let agree = other.map(|since| at.saturating_sub(since.at));
        self.other = other.or(Some(here));
        // No answer is older than it says: one that is ahead needs no more than another that agrees.
        if agree.is_some_and(|agree| behind < 0 || agree >= SETTLES) {
            (self.fresh, self.other) = (Some(here), None);
            return None;
        }
        (behind > 0).then(|| Duration::from_millis(behind.unsigned_abs()))
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    /// Ages in seconds of answers that come at these seconds with these dates.
    fn ages(answers: impl IntoIterator<Item = (u64, i64)>) -> Vec<u64> {
        let mut clock = TheirClock::default();
        let age = |(at, date)| clock.age(Some(date * 1000), None, Duration::from_secs(at), BOUND);
        answers.into_iter().map(age).map(|age| age.map_or(0, |age| age.as_secs())).collect()
    }

    #[test]
    fn a_clock_that_goes_is_fresh_however_wrong_it_is() {
        for wrong in [-86_400, -60, 0, 3600] {
            // It is slow by one second in a hundred, and an answer is on its way for up to half a minute.
            let days = (0..20_000).map(|t| (t * 10, wrong + i64::try_from(t * 10 - t / 10 - t % 3 * 8).unwrap_or(0)));
            assert!(ages(days.filter(|(_, date)| *date > wrong)).iter().all(|age| *age == 0), "{wrong}");
        }
    }

    #[test]
    fn a_date_that_stands_still_is_an_old_copy() {
        let found = ages((0..100).map(|t| (t * 10, 0)));
        assert_eq!(found[..3], [0, 0, 0]);
        assert!(found[4..].iter().all(|age| *age > 30), "{found:?}");
        // Of several that were kept at several times, beside one that nobody keeps and that knows better.
        let kept = |t: u64| if t.is_multiple_of(3) { t as i64 } else { (t % 3) as i64 * 20 };
        let found = ages((102..1000).map(|t| (t, kept(t))));
        assert!(found.iter().zip(102..).all(|(age, t)| (*age == 0) == (t % 3 == 0)), "{found:?}");
    }

    #[test]
    fn a_clock_that_is_set_is_believed_after_a_while() {
        let set = |by: i64| (0..40).map(move |t| (t * 5, t as i64 * 5 + if t >= 10 { by } else { 0 }));
        let back = ages(set(-3600));
        assert!(back[10..22].iter().all(|age| *age > 3500) && back[23..].iter().all(|age| *age == 0), "{back:?}");
        assert_eq!(ages(set(3600)), [0; 40]);
        // One that is far ahead and alone makes none of the others old.
        assert_eq!(ages((0..40).map(|t| (t * 5, if t == 10 { 9999 } else { t as i64 * 5 }))), [0; 40]);
    }

    #[test]
    fn an_age_says_so_itself() {
        let mut clock = TheirClock::default();
        let mut age = |age| clock.age(Some(0), Some(Duration::from_secs(age)), Duration::ZERO, BOUND);
        assert_eq!([age(0), age(5), age(75)], [None, None, Some(Duration::from_secs(75))]);
    }
}
