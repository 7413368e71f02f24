//! Calls that break before any TwiML runs, on several numbers at once: Twilio or the carriers.
//!
//! The fallback bins live on the same platform, so a swap would cure nothing.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::rate::ArrivalRate;
use crate::model::id::Resource;
use crate::model::roster::NumberIx;
use crate::model::time::Time;

const WITHIN: Duration = Duration::from_secs(300);
const LEAST_NUMBERS: usize = 4;
const LEAST_CALLS: usize = 5;

/// Share of the account's calls that must break: one in six hundred does so honestly, and a large
/// account has thousands in five minutes.
const LEAST_SHARE: f64 = 0.1;

/// It is told again only after this long.
const TELL_EVERY: Duration = Duration::from_secs(1800);

#[derive(Debug, Default)]
pub struct Platform {
    broken: VecDeque<(Time, NumberIx, Resource)>,
    told_at: Option<Time>,
    /// All calls lately.
    calls: ArrivalRate,
}

impl Platform {
    /// A person has been told lately.
    pub fn is_told(&self, now: Time) -> bool {
        self.told_at.is_some_and(|at| at + TELL_EVERY >= now)
    }

    /// A call became visible, of whatever outcome.
    pub fn heard(&mut self, now: Time) {
        self.calls.add(now, WITHIN);
    }

    /// Takes in a call that broke before any TwiML ran. The numbers concerned, if a person should be
    /// told.
    pub fn add(&mut self, now: Time, number: NumberIx, call: Resource) -> Option<Vec<NumberIx>> {
        self.broken.push_back((now, number, call));
        while self.broken.front().is_some_and(|(at, ..)| *at < now - WITHIN) {
            self.broken.pop_front();
        }
        let numbers: BTreeSet<NumberIx> = self.broken.iter().map(|(_, n, _)| *n).collect();
        let is_share = self.broken.len() as f64 >= LEAST_SHARE * self.calls.count(now, WITHIN);
        if numbers.len() < LEAST_NUMBERS || self.broken.len() < LEAST_CALLS || !is_share || self.is_told(now) {
            return None;
        }
        self.told_at = Some(now);
        Some(numbers.into_iter().collect())
    }

    /// A call broke for another reason, or not at all, as has come out since.
    pub fn take_back(&mut self, call: Resource) {
        self.broken.retain(|(_, _, broken)| *broken != call);
    }
}
