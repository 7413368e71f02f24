//! More failures than honest days bring: cumulative sums of each number's outcomes.
//!
//! The rules that look at minutes ask for half of all callers, and a run ends with the first who is served. A number
//! that loses a third of its callers all day meets neither. Each caller who fails weighs for the share that a sum looks
//! for and against the honest one, each call that is served the other way round; a sum never falls below nothing, so
//! that a good morning does not pay for a bad noon. Source: Page's cumulative sum test (Biometrika 41, 1954): with
//! honest outcomes it takes at least exp([`ENOUGH`]) calls, a million, until it errs.
//!
//! There are two. The one looks for a third of the callers, for reasons that no swap cures, each caller once. The other
//! looks for one in seven, for whatever reason and whoever calls, for days if need be: what the detector of faults,
//! which looks back a little, does not see, and where all callers have one number.
//!
//! A sum ends as it began, by outcomes: beyond [`ENOUGH`] it grows by [`BEYOND`] at the most, so that the callers of a
//! morning's outage are not weighed against all who are served afterwards; and once it falls below, it begins anew.

use std::collections::VecDeque;
use std::time::Duration;

use crate::detect::ledger::OutcomeChange;
use crate::model::code::Code;
use crate::model::id::Resource;
use crate::model::reason::{Outcome, Reason};
use crate::model::time::Time;

/// What a sum looks for.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Of so many callers the call fails on honest days, for reasons that are nobody's handler's: carriers, filters.
    honest: f64,
    /// The share that is looked for. Smaller ones take longer, down to where a caller who fails and those who do not
    /// weigh the same: half of it, roughly.
    broken: f64,
    /// Also failures that a swap would cure.
    counts_curable: bool,
    /// A caller counts again after this; never, if there is none.
    again: Option<Duration>,
}

const QUICK: Look = Look { honest: 0.05, broken: 0.3, counts_curable: false, again: None };

/// Above six in a hundred it is a fault, whatever a number's history is (`usual_failures`).
const SLOW: Look = Look { honest: 0.06, broken: 0.15, counts_curable: true, again: Some(ONE_ATTEMPT) };

/// The same caller's calls within this are one attempt: their failures have one cause. Ten redials in seven minutes are
/// two, and somebody who does so twice in an hour is no run; a call every five minutes is one each.
pub const ONE_ATTEMPT: Duration = Duration::from_secs(240);

/// Log-likelihood that suffices.
const ENOUGH: f64 = 13.8;

/// What a sum has beyond that at the most. The slow one is over after 30 calls in a row that were served, as chance
/// brings one time in a hundred where one in seven fails; the quick one after ten.
const BEYOND: f64 = 3.0;

/// What began longer ago says nothing of today. A number with a call every four hours needs days.
pub const WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// So many of the latest failures are kept for what is told, and to know a caller again.
const KEPT: usize = 128;

/// A caller who failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    caller: u64,
    at: Time,
    pub resource: Resource,
    pub why: (Reason, Option<Code>),
}

/// What one number's outcomes have added up to.
#[derive(Clone, Debug, Default)]
pub struct Excess {
    quick: Sum,
    slow: Sum,
}

#[derive(Clone, Debug)]
pub struct Sum {
    sum: f64,
    /// When what added up to it began.
    pub since: Option<Time>,
    /// When that was known: what was known before then weighs nothing here.
    begun: Time,
    /// Those that failed, and those that began since it was known and were served.
    counted: u32,
    /// When calls began that were served, began before that, and were known after it: one that lasts is known late.
    early: VecDeque<Time>,
    /// How many of them failed.
    pub failing: u32,
    /// The latest of those.
    pub failed: VecDeque<Failed>,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum {
            sum: 0.0,
            since: None,
            begun: Time::EPOCH,
            counted: 0,
            early: VecDeque::new(),
            failing: 0,
            failed: VecDeque::new(),
        }
    }
}

impl Excess {
    /// Takes in an outcome that is new or has changed.
    pub fn apply(&mut self, change: &OutcomeChange) {
        self.quick.apply(change, QUICK);
        self.slow.apply(change, SLOW);
    }

    /// The sum that suffices, if one does.
    pub fn enough(&self) -> Option<&Sum> {
        [&self.quick, &self.slow].into_iter().find(|s| s.sum >= ENOUGH)
    }
}

impl Look {
    fn of_failed(self) -> f64 {
        (self.broken / self.honest).ln()
    }

    fn of_served(self) -> f64 {
        ((1.0 - self.broken) / (1.0 - self.honest)).ln()
    }

    const fn reason(self, outcome: Outcome) -> Option<Reason> {
        match outcome {
            Outcome::Failed(reason) if self.counts_curable || !reason.is_curable() => Some(reason),
            Outcome::Failed(_) | Outcome::Ok | Outcome::Ignored(_) => None,
        }
    }

    /// True if these are two attempts of the one caller, or of two.
    fn are_two(self, failed: &Failed, change: &OutcomeChange) -> bool {
        failed.caller != change.party.hash
            || self.again.is_some_and(|again| failed.at + again <= change.started_at.max(failed.at))
    }
}

impl Sum {
    fn apply(&mut self, change: &OutcomeChange, look: Look) {
        if self.since.is_some_and(|since| since + WITHIN < change.at) {
            *self = Sum::default();
        }
        let was_enough = self.sum >= ENOUGH;
        self.take_back(change, look);
        match (look.reason(change.is), change.is) {
            (Some(reason), _) => {
                if self.failed.iter().all(|f| look.are_two(f, change)) {
                    let why = (reason, change.code);
                    let (caller, at) = (change.party.hash, change.started_at);
                    if self.failed.len() == KEPT {
                        self.failed.pop_front();
                    }
                    self.failed.push_back(Failed { caller, at, resource: change.entry, why });
                    self.failing = self.failing.saturating_add(1);
                    self.sum = (self.sum + look.of_failed()).min(ENOUGH + BEYOND);
                    self.counted = self.counted.saturating_add(1);
                    if self.since.is_none() {
                        self.begun = change.at;
                    }
                    self.since = Some(self.since.map_or(at, |since| since.min(at)));
                }
            }
            (None, Outcome::Ok) => {
                if self.since.is_some() {
                    self.sum += look.of_served();
                    if change.started_at >= self.begun {
                        self.counted = self.counted.saturating_add(1);
                    } else {
                        if self.early.len() == KEPT {
                            self.early.pop_front();
                        }
                        self.early.push_back(change.started_at);
                    }
                }
            }
            (None, Outcome::Failed(_) | Outcome::Ignored(_)) => {}
        }
        if self.sum <= 0.0 || was_enough && self.sum < ENOUGH {
            *self = Sum::default();
        }
    }

    /// Calls since what added up to it began.
    pub fn calls(&self) -> u32 {
        let early = self.early.iter().filter(|at| self.since.is_some_and(|since| **at >= since)).count();
        self.counted.saturating_add(early as u32)
    }

    /// What a call was said to be before.
    fn take_back(&mut self, change: &OutcomeChange, look: Look) {
        if self.since.is_none() {
            return;
        }
        if let Some(i) = self.failed.iter().position(|f| f.resource == change.entry) {
            self.failed.remove(i);
            self.failing = self.failing.saturating_sub(1);
            self.sum -= look.of_failed();
            self.counted = self.counted.saturating_sub(1);
        } else if change.was == Some(Outcome::Ok) {
            if let Some(i) = self.early.iter().position(|at| *at == change.started_at) {
                self.sum -= look.of_served();
                self.early.remove(i);
            } else if change.started_at >= self.begun {
                self.sum -= look.of_served();
                self.counted = self.counted.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::observation::RemoteParty;
    use crate::model::id::{CallSid, Channel};
    use crate::model::reason::IgnoreReason;
    use crate::model::roster::NumberIx;

    fn change(n: u64, caller: u64, was: Option<Outcome>, is: Outcome) -> OutcomeChange {
        let at = Time::from_secs(1_000_000 + i64::try_from(n).unwrap() * 60);
        OutcomeChange {
            entry: Resource::Call(CallSid::from_u128(u128::from(n))),
            number: NumberIx(0),
            channel: Channel::Voice,
            party: RemoteParty { hash: caller, last_two: None, is_prober: false, carrier: None },
            is_inbound: true,
            started_at: at,
            at,
            was,
            is,
            code: None,
        }
    }

    /// Calls until it is enough, of which every `nth` fails; at most a thousand.
    fn until(nth: u64, outcome: Outcome) -> Option<u64> {
        let mut excess = Excess::default();
        (0..1000).find(|n| {
            let is = if n % nth == 0 { outcome } else { Outcome::Ok };
            excess.apply(&change(*n, *n, None, is));
            excess.enough().is_some()
        })
    }

    #[test]
    fn a_third_of_the_callers_is_soon_enough_and_honest_days_never_are() {
        let carrier = Outcome::Failed(Reason::Carrier);
        assert_eq!(until(1, carrier), Some(7));
        assert!(until(2, carrier).is_some_and(|n| n < 25));
        assert!(until(3, carrier).is_some_and(|n| n < 50), "{:?}", until(3, carrier));
        assert!(until(5, carrier).is_some_and(|n| n < 150), "{:?}", until(5, carrier));
        assert_eq!(until(12, carrier), None);
        assert_eq!(until(20, carrier), None);
        // What a swap would cure is the detector's; of the slow trickle that it does not see, somebody hears.
        let webhook = Outcome::Failed(Reason::Webhook);
        assert!(until(1, webhook).is_some_and(|n| n > 12), "{:?}", until(1, webhook));
        assert!(until(7, webhook).is_some_and(|n| n < 500), "{:?}", until(7, webhook));
        assert_eq!(until(20, webhook), None);
        assert_eq!(until(1, Outcome::Ignored(IgnoreReason::Busy)), None);
    }

    #[test]
    fn what_was_served_before_it_began_is_not_counted_since() {
        let carrier = Outcome::Failed(Reason::Carrier);
        let mut excess = Excess::default();
        // Calls that last are known after those that failed at once, and the first failure not first.
        for (n, is) in [(10, carrier), (5, Outcome::Ok), (7, Outcome::Ok), (6, carrier)] {
            excess.apply(&change(n, n, None, is));
        }
        for n in 11..18 {
            excess.apply(&change(n, n, None, carrier));
        }
        let counts = |excess: &Excess| excess.enough().map(|sum| (sum.failing, sum.calls()));
        assert_eq!(counts(&excess), Some((9, 10)), "the one of minute 7");
        excess.apply(&change(5, 5, Some(Outcome::Ok), Outcome::Ignored(IgnoreReason::Busy)));
        excess.apply(&change(7, 7, Some(Outcome::Ok), Outcome::Ignored(IgnoreReason::Busy)));
        assert_eq!(counts(&excess), Some((9, 9)));
    }

    #[test]
    fn a_sum_goes_on_while_it_fails_and_is_over_after_thirty_who_were_served() {
        let webhook = Outcome::Failed(Reason::Webhook);
        let mut excess = Excess::default();
        let mut play = |range: std::ops::Range<u64>, fails: fn(u64) -> bool| {
            for n in range {
                excess.apply(&change(n, n, None, if fails(n) { webhook } else { Outcome::Ok }));
            }
            excess.enough().map(|sum| (sum.calls(), sum.failing))
        };
        // However long everybody failed before.
        assert_eq!(play(0..500, |_| true), Some((500, 500)));
        assert!(play(500..2500, |n| n % 7 == 0).is_some());
        assert!(play(2500..2525, |_| false).is_some());
        assert_eq!(play(2525..2535, |_| false), None);
        // One more failure is no news yet.
        assert_eq!(play(2535..2560, |n| n % 10 == 0), None);
    }

    /// Receipts come an hour late: what was sent in that hour was taken to have arrived, and is told as it is by then.
    #[test]
    fn no_more_fail_than_were_counted_when_all_is_revised_late() {
        let carrier = Outcome::Failed(Reason::Carrier);
        let mut excess = Excess::default();
        for n in 0..120 {
            excess.apply(&change(n, n, None, Outcome::Ok));
            let Some(of) = n.checked_sub(60) else { continue };
            excess.apply(&OutcomeChange {
                at: change(n, n, None, carrier).at,
                ..change(of, of, Some(Outcome::Ok), carrier)
            });
            for sum in [&excess.quick, &excess.slow] {
                assert!(sum.failing <= sum.calls(), "{} of {}", sum.failing, sum.calls());
            }
        }
        let sum = excess.enough().unwrap();
        assert_eq!((sum.failing, sum.calls()), (60, 119), "those of the first hour, and those sent since it was known");
    }

    #[test]
    fn a_number_that_all_callers_have_counts_by_attempts() {
        let mut excess = Excess::default();
        let mut until = |minutes: u64| {
            (0..1000).find(|n| {
                let is = if n % 2 == 0 { Outcome::Failed(Reason::Carrier) } else { Outcome::Ok };
                excess.apply(&change(n * minutes, 1, None, is));
                excess.enough().is_some()
            })
        };
        assert!(until(5).is_some_and(|n| n < 50));
    }

    #[test]
    fn one_caller_is_one_witness_and_what_is_revised_is_taken_back() {
        let carrier = Outcome::Failed(Reason::Carrier);
        let mut excess = Excess::default();
        for n in 0..20 {
            excess.apply(&change(n, 1, None, carrier));
        }
        assert!(excess.enough().is_none());
        let mut excess = Excess::default();
        for n in 0..8 {
            excess.apply(&change(n, n, None, carrier));
        }
        assert!(excess.enough().is_some_and(|sum| sum.calls() == 8 && sum.failed.len() == 8));
        for n in 0..8 {
            excess.apply(&change(n, n, Some(carrier), Outcome::Ok));
        }
        assert!(excess.enough().is_none() && excess.quick.failed.is_empty());
        // And the other way round.
        for n in 0..8 {
            excess.apply(&change(n, n, Some(Outcome::Ok), carrier));
        }
        assert!(excess.enough().is_some());
        // Who was served before it began was never counted.
        let mut excess = Excess::default();
        excess.apply(&change(0, 0, None, Outcome::Ok));
        excess.apply(&change(1, 1, None, carrier));
        excess.apply(&change(0, 0, Some(Outcome::Ok), carrier));
        assert_eq!((excess.quick.calls(), excess.quick.failing), (2, 2));
    }
}
