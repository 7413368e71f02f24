//! What is counted a number: outcomes, revisions, test calls, alerts; and drift, which is no count.
//!
//! A plain table by position, since a number's forty counters under ten thousand numbers are looked
//! up for every call and read as a whole by every scrape. A group's counts are the sums of its
//! numbers', made when they are read, so they rise as those do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::bounds;
use crate::core::model::code::Code;
use crate::core::model::id::Channel;
use crate::core::model::reason::{IgnoreReason, Outcome, Reason};
use crate::core::model::roster::{NumberIx, Roster};

const OUTCOMES: usize = 1 + Reason::ALL.len() + IgnoreReason::ALL.len();

/// How a test call or message ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeEnd {
    Success,
    Failure,
    /// It could not be measured.
    Error,
}

impl ProbeEnd {
    pub const ALL: [ProbeEnd; 3] = [ProbeEnd::Success, ProbeEnd::Failure, ProbeEnd::Error];

    pub const fn label(self) -> &'static str {
        match self {
            ProbeEnd::Success => "success",
            ProbeEnd::Failure => "failure",
            ProbeEnd::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Counts {
    settled: [AtomicU64; OUTCOMES],
    revised: [AtomicU64; OUTCOMES],
    probes: [AtomicU64; 3],
    drifted: AtomicBool,
}

impl Default for Counts {
    fn default() -> Counts {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Counts { settled: zeros(), revised: zeros(), probes: Default::default(), drifted: AtomicBool::new(false) }
    }
}

/// Counts of every number's channels. Written by the agent's tasks, read by scrapes, without locks
/// but for the alerts' codes, of which nobody knows the list.
#[derive(Debug)]
pub struct Tally {
    numbers: Vec<[Counts; 2]>,
    alerts: Mutex<Alerts>,
}

/// Alerts by number and code; `None` counts those beyond the bounds.
#[derive(Debug, Default)]
struct Alerts {
    counts: BTreeMap<(NumberIx, Option<Code>), u64>,
    codes: BTreeSet<Code>,
}

impl Alerts {
    fn count(&mut self, number: NumberIx, code: Code) {
        let is_named = self.counts.contains_key(&(number, Some(code)));
        let has_room = (self.codes.contains(&code) || self.codes.len() < bounds::ALERT_CODES)
            && self.counts.len() < bounds::ALERT_SERIES;
        let label = (is_named || has_room).then_some(code);
        self.codes.extend(label);
        *self.counts.entry((number, label)).or_default() += 1;
    }
}

impl Tally {
    pub fn new(roster: &Roster) -> Tally {
        Tally { numbers: roster.numbers().map(|_| Default::default()).collect(), alerts: Mutex::default() }
    }

    fn counts(&self, number: NumberIx, channel: Channel) -> &Counts {
        &self.numbers[number.0 as usize][channel.index()]
    }

    /// Counts a settled outcome, once a SID; later ones as revisions.
    pub fn settled(&self, change: &OutcomeChange) {
        let counts = self.counts(change.number, change.channel);
        // The same with its code is no other outcome.
        if change.was == Some(change.is) {
            return;
        }
        let of = if change.was.is_none() { &counts.settled } else { &counts.revised };
        of[index(change.is)].fetch_add(1, Relaxed);
    }

    pub fn alert(&self, number: NumberIx, code: Code) {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).count(number, code);
    }

    pub fn probed(&self, number: NumberIx, channel: Channel, end: ProbeEnd) {
        self.counts(number, channel).probes[end as usize].fetch_add(1, Relaxed);
    }

    pub fn drifted(&self, number: NumberIx, channel: Channel, on: bool) {
        self.counts(number, channel).drifted.store(on, Relaxed);
    }

    pub fn is_drifted(&self, number: NumberIx, channel: Channel) -> bool {
        self.counts(number, channel).drifted.load(Relaxed)
    }

    /// Every outcome that the channel can have, and whatever else was counted.
    pub fn outcomes(&self, number: NumberIx, channel: Channel) -> impl Iterator<Item = (Outcome, u64)> {
        read(&self.counts(number, channel).settled).filter(move |(o, n)| *n > 0 || is_known(channel, *o))
    }

    /// Revisions that happened.
    pub fn revisions(&self, number: NumberIx, channel: Channel) -> impl Iterator<Item = (Outcome, u64)> {
        read(&self.counts(number, channel).revised).filter(|(_, n)| *n > 0)
    }

    pub fn probes(&self, number: NumberIx, channel: Channel) -> impl Iterator<Item = (ProbeEnd, u64)> {
        ProbeEnd::ALL.into_iter().zip(self.counts(number, channel).probes.iter().map(|n| n.load(Relaxed)))
    }

    /// Outcomes of several numbers together.
    pub fn group_outcomes(&self, numbers: &[NumberIx], channel: Channel) -> impl Iterator<Item = (Outcome, u64)> {
        let mut sums = [0; OUTCOMES];
        for number in numbers {
            for (sum, n) in sums.iter_mut().zip(&self.counts(*number, channel).settled) {
                *sum += n.load(Relaxed);
            }
        }
        Outcome::all().zip(sums).filter(move |(o, n)| *n > 0 || is_known(channel, *o))
    }

    /// Test calls or messages of several numbers together.
    pub fn group_probes(&self, numbers: &[NumberIx], channel: Channel) -> impl Iterator<Item = (ProbeEnd, u64)> {
        let mut sums = [0; 3];
        for number in numbers {
            for (end, n) in self.probes(*number, channel) {
                sums[end as usize] += n;
            }
        }
        ProbeEnd::ALL.into_iter().zip(sums)
    }

    /// Alerts by number and code; `None` if there are too many codes for this one to be counted by itself.
    pub fn alerts(&self) -> BTreeMap<(NumberIx, Option<Code>), u64> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }
}

/// The outcome's own place.
const fn index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Failed(reason) => 1 + reason as usize,
        Outcome::Ignored(why) => 1 + Reason::ALL.len() + why as usize,
    }
}

fn read(counts: &[AtomicU64; OUTCOMES]) -> impl Iterator<Item = (Outcome, u64)> {
    // Not every outcome is a call's or a message's: some only a test call can tell.
    Outcome::all().map(|outcome| (outcome, counts[index(outcome)].load(Relaxed)))
}

/// False for what cannot happen on the channel: a label set that is never used would only be paid for.
const fn is_known(channel: Channel, outcome: Outcome) -> bool {
    if let Outcome::Failed(reason) = outcome
        && reason.is_probes_alone()
    {
        return false;
    }
    let of_messages = matches!(
        outcome,
        Outcome::Failed(Reason::Registration | Reason::Delivery) | Outcome::Ignored(IgnoreReason::Recipient)
    );
    let of_calls = matches!(
        outcome,
        Outcome::Failed(Reason::Forward | Reason::Trunk)
            | Outcome::Ignored(IgnoreReason::Busy | IgnoreReason::NoAnswer | IgnoreReason::Brief)
    );
    match channel {
        Channel::Voice => !of_messages,
        Channel::Messaging => !of_calls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_counter_of_its_own() {
        let places: BTreeSet<usize> = Outcome::all().map(index).collect();
        assert_eq!(places.len(), Outcome::all().count());
        assert!(places.iter().all(|i| *i < OUTCOMES));
        for (i, end) in ProbeEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, i);
        }
    }

    #[test]
    fn codes_beyond_the_bounds_are_counted_together() {
        let tally = Tally::new(&Roster::default());
        for code in 0..60_000 {
            tally.alert(NumberIx(code % 7), Code(code));
        }
        let alerts = tally.alerts();
        assert_eq!(alerts.values().sum::<u64>(), 60_000, "none is lost");
        assert_eq!(alerts.keys().filter_map(|(_, code)| *code).count(), bounds::ALERT_CODES);
        assert_eq!(alerts.len(), bounds::ALERT_CODES + 7);
        for number in 0..10_000 {
            tally.alert(NumberIx(number), Code(0));
        }
        let named = tally.alerts().into_keys().filter(|(_, code)| code.is_some()).count();
        assert!(named <= bounds::ALERT_SERIES, "{named}");
        tally.alert(NumberIx(0), Code(0));
        assert_eq!(tally.alerts()[&(NumberIx(0), Some(Code(0)))], 3, "what has a series keeps it");
    }
}
