//! More failures that no swap cures than honest days bring: a cumulative sum of each number's outcomes.
//!
//! The rules that look at minutes ask for half of all callers, and a run ends with the first who is served. A number
//! that loses a third of its callers all day meets neither. Each caller who fails weighs for a share of
//! [`BROKEN`] and against one of [`HONEST`], each call that is served the other way round; the sum never falls below
//! nothing, so that a good morning does not pay for a bad noon. Source: Page's cumulative sum test (Biometrika 41,
//! 1954): with honest outcomes it takes at least exp([`ENOUGH`]) calls, a million, until it errs.

use std::time::Duration;

use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::code::Code;
use crate::core::model::id::Resource;
use crate::core::model::reason::{Outcome, Reason};
use crate::core::model::time::Time;

/// Of so many callers the call fails on honest days, for reasons that are nobody's handler's: carriers, filters.
const HONEST: f64 = 0.05;

/// The share that is looked for. Smaller ones take longer, down to one in seven.
const BROKEN: f64 = 0.3;

/// Log-likelihood that suffices.
const ENOUGH: f64 = 13.8;

/// What began longer ago says nothing of today. A number with a call every four hours needs days.
pub const WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// So many failures are kept for what is told; more need not be told one by one.
const KEPT: usize = 64;

/// A caller who failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    caller: u64,
    pub resource: Resource,
    pub why: (Reason, Option<Code>),
}

/// What one number's outcomes have added up to.
#[derive(Clone, Debug, Default)]
pub struct Excess {
    sum: f64,
    /// When what added up to it began.
    pub since: Option<Time>,
    /// Calls since then.
    pub calls: u32,
    /// Those that failed, a caller once.
    pub failed: Vec<Failed>,
}

fn of_failed() -> f64 {
    (BROKEN / HONEST).ln()
}

fn of_served() -> f64 {
    ((1.0 - BROKEN) / (1.0 - HONEST)).ln()
}

const fn reason(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Failed(reason) if !reason.is_curable() => Some(reason),
        Outcome::Failed(_) | Outcome::Ok | Outcome::Ignored(_) => None,
    }
}

impl Excess {
    /// Takes in an outcome that is new or has changed. What a swap would cure is the detector's.
    pub fn apply(&mut self, change: &OutcomeChange) {
        if self.since.is_some_and(|since| since + WITHIN < change.at) {
            *self = Excess::default();
        }
        self.take_back(change);
        match (reason(change.is), change.is) {
            (Some(reason), _) => {
                let caller = change.party.hash;
                if self.failed.len() < KEPT && !self.failed.iter().any(|f| f.caller == caller) {
                    let why = (reason, change.code);
                    self.failed.push(Failed { caller, resource: change.entry, why });
                    self.sum += of_failed();
                    self.calls = self.calls.saturating_add(1);
                    self.since = Some(self.since.map_or(change.started_at, |at| at.min(change.started_at)));
                }
            }
            (None, Outcome::Ok) if self.since.is_some() => {
                self.sum += of_served();
                self.calls = self.calls.saturating_add(1);
            }
            (None, Outcome::Ok | Outcome::Failed(_) | Outcome::Ignored(_)) => {}
        }
        if self.sum <= 0.0 {
            *self = Excess::default();
        }
    }

    /// What a call was said to be before.
    fn take_back(&mut self, change: &OutcomeChange) {
        if self.since.is_none() {
            return;
        }
        if let Some(i) = self.failed.iter().position(|f| f.resource == change.entry) {
            self.failed.swap_remove(i);
            self.sum -= of_failed();
            self.calls = self.calls.saturating_sub(1);
        } else if change.was == Some(Outcome::Ok) {
            self.sum -= of_served();
            self.calls = self.calls.saturating_sub(1);
        }
    }

    pub fn is_enough(&self) -> bool {
        self.sum >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::detect::observation::RemoteParty;
    use crate::core::model::id::{CallSid, Channel};
    use crate::core::model::reason::IgnoreReason;
    use crate::core::model::roster::NumberIx;

    fn change(n: u64, caller: u64, was: Option<Outcome>, is: Outcome) -> OutcomeChange {
        let at = Time::from_secs(1_000_000 + i64::try_from(n).unwrap() * 60);
        OutcomeChange {
            entry: Resource::Call(CallSid::from_u128(u128::from(n))),
            number: NumberIx(0),
            channel: Channel::Voice,
            party: RemoteParty { hash: caller, last_two: None, is_prober: false },
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
            excess.is_enough()
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
        assert_eq!(until(1, Outcome::Failed(Reason::Webhook)), None, "that is the detector's");
        assert_eq!(until(1, Outcome::Ignored(IgnoreReason::Busy)), None);
    }

    #[test]
    fn one_caller_is_one_witness_and_what_is_revised_is_taken_back() {
        let carrier = Outcome::Failed(Reason::Carrier);
        let mut excess = Excess::default();
        for n in 0..500 {
            excess.apply(&change(n, 1, None, carrier));
        }
        assert!(!excess.is_enough());
        let mut excess = Excess::default();
        for n in 0..8 {
            excess.apply(&change(n, n, None, carrier));
        }
        assert!(excess.is_enough() && excess.calls == 8 && excess.failed.len() == 8);
        for n in 0..8 {
            excess.apply(&change(n, n, Some(carrier), Outcome::Ok));
        }
        assert!(!excess.is_enough() && excess.failed.is_empty());
        // And the other way round.
        for n in 0..8 {
            excess.apply(&change(n, n, Some(Outcome::Ok), carrier));
        }
        assert!(excess.is_enough());
    }
}
