//! What became of the latest calls and messages: by the minute for each group, and one by one for each number; what the
//! latest tests of ours heard; and how the evidence has grown.
//!
//! Of the time before this agent began nothing is known here, and that is not the same as no calls: whoever shows it
//! asks since when it is counted. An outcome that changes is moved from one count to the other. How much is kept is
//! bounded, by time for groups and by count for numbers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::curves::{CurvePoint, Curves};
use super::status::Status;
use crate::core::detect::ledger::OutcomeChange;
use crate::core::model::code::Code;
use crate::core::model::id::{Channel, GroupName, NumberId, Resource};
use crate::core::model::reason::Outcome;
use crate::core::model::roster::{GroupIx, NumberIx, Roster};
use crate::core::model::time::Time;
use crate::core::probe::{ProbeAttempt, ProbeFinding};

/// Minutes that are kept of a group: three hours.
pub const MINUTES: usize = 180;

/// Calls that are kept of a number's channel.
const CALLS: usize = 20;

/// Tests of ours that are kept of a number's channel.
const PROBES: usize = 10;

/// Calls or messages of one minute whose outcome is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinuteCount {
    pub served: u32,
    pub failed: u32,
}

/// One call or message, without who it was: `party` only tells one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentCall {
    pub entry: Resource,
    pub party: u64,
    pub is_inbound: bool,
    pub started_at: Time,
    pub outcome: Outcome,
    pub code: Option<Code>,
}

/// One test call or message of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentProbe {
    pub started_at: Time,
    pub kind: &'static str,
    /// Whence it came.
    pub origin: &'static str,
    pub found: ProbeFinding,
    /// What was heard, or why nothing could be.
    pub detail: String,
}

/// What is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recent {
    since: Time,
    groups_of: Arc<[GroupIx]>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    groups: Vec<[Minutes; 2]>,
    numbers: Vec<[VecDeque<RecentCall>; 2]>,
    probes: Vec<[VecDeque<RecentProbe>; 2]>,
    curves: Curves,
}

/// Counts up to the minute `last`, the oldest first.
#[derive(Debug, Default)]
struct Minutes {
    last: i64,
    counts: VecDeque<MinuteCount>,
}

const fn minute(at: Time) -> i64 {
    at.as_millis().div_euclid(60_000)
}

impl Minutes {
    /// The count of a minute, if it is still kept.
    fn at(&mut self, minute: i64) -> Option<&mut MinuteCount> {
        if self.counts.is_empty() {
            self.last = minute;
            self.counts.push_back(MinuteCount::default());
        }
        let ahead = usize::try_from(minute - self.last).unwrap_or(0);
        if ahead > 0 {
            if ahead >= MINUTES {
                self.counts.clear();
            }
            self.counts.extend(std::iter::repeat_n(MinuteCount::default(), ahead.min(MINUTES)));
            self.last = minute;
            self.counts.drain(..self.counts.len().saturating_sub(MINUTES));
        }
        let behind = usize::try_from(self.last - minute).ok()?;
        while self.counts.len() <= behind && self.counts.len() < MINUTES {
            self.counts.push_front(MinuteCount::default());
        }
        let place = self.counts.len().checked_sub(behind + 1)?;
        self.counts.get_mut(place)
    }

    fn until(&self, now: i64) -> Vec<MinuteCount> {
        let of = |minute: i64| {
            let behind = usize::try_from(self.last - minute).ok()?;
            self.counts.get(self.counts.len().checked_sub(behind + 1)?).copied()
        };
        let all = now - i64::try_from(MINUTES).unwrap_or(0) + 1..=now;
        all.map(|minute| of(minute).unwrap_or_default()).collect()
    }
}

impl MinuteCount {
    fn place(&mut self, outcome: Outcome) -> Option<&mut u32> {
        match outcome {
            Outcome::Ok => Some(&mut self.served),
            Outcome::Failed(_) => Some(&mut self.failed),
            // It says nothing of the handler.
            Outcome::Ignored(_) => None,
        }
    }
}

impl Recent {
    /// Nothing yet: it is counted from `since` on.
    pub fn new(roster: &Roster, since: Time) -> Recent {
        let groups = roster.groups().map(|_| Default::default()).collect();
        let numbers = roster.numbers().map(|_| Default::default()).collect();
        let probes = roster.numbers().map(|_| Default::default()).collect();
        let groups_of = roster.numbers().map(|(_, n)| n.group).collect();
        Recent {
            since,
            groups_of,
            kept: Arc::new(Mutex::new(Kept { groups, numbers, probes, curves: Curves::default() })),
        }
    }

    /// Since when it is counted.
    pub const fn since(&self) -> Time {
        self.since
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Plain data, valid after any panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what became of a call or message.
    pub fn settled(&self, change: &OutcomeChange) {
        let OutcomeChange { entry, number, channel, party, is_inbound, started_at, was, is, code, at: _ } = *change;
        let mut kept = self.lock();
        let calls = &mut kept.numbers[number.0 as usize][channel.index()];
        let call = RecentCall { entry, party: party.hash, is_inbound, started_at, outcome: is, code };
        match calls.iter_mut().find(|c| c.entry == entry) {
            Some(known) => *known = call,
            None => {
                // Outcomes come in the order in which they are known.
                let place = calls.partition_point(|c| c.started_at <= started_at);
                calls.insert(place, call);
                calls.drain(..calls.len().saturating_sub(CALLS));
            }
        }
        if !is_inbound {
            return;
        }
        let group = self.groups_of[number.0 as usize];
        let Some(count) = kept.groups[group.0 as usize][channel.index()].at(minute(started_at)) else { return };
        if let Some(n) = was.and_then(|was| count.place(was)) {
            *n = n.saturating_sub(1);
        }
        if let Some(n) = count.place(is) {
            *n += 1;
        }
    }

    /// Takes in a test of ours.
    pub fn probed(&self, number: NumberIx, channel: Channel, attempt: &ProbeAttempt) {
        let probe = RecentProbe {
            started_at: attempt.started_at,
            kind: attempt.kind.label(),
            origin: attempt.origin.label(),
            found: attempt.found,
            detail: attempt.detail.clone(),
        };
        let mut kept = self.lock();
        let probes = &mut kept.probes[number.0 as usize][channel.index()];
        probes.push_back(probe);
        probes.drain(..probes.len().saturating_sub(PROBES));
    }

    /// Takes in how much is said against whom.
    pub fn weighed(&self, status: &Status) {
        self.lock().curves.take(status);
    }

    /// How a number's evidence has grown, the oldest first.
    pub fn number_curve(&self, number: NumberId, channel: Channel) -> Vec<CurvePoint> {
        self.lock().curves.number(number, channel)
    }

    /// How a group's evidence has grown, the oldest first.
    pub fn group_curve(&self, group: &GroupName, channel: Channel) -> Vec<CurvePoint> {
        self.lock().curves.group(group, channel)
    }

    /// The latest [`MINUTES`] of a group's channel up to `now`, the oldest first.
    pub fn minutes(&self, group: GroupIx, channel: Channel, now: Time) -> Vec<MinuteCount> {
        self.lock().groups[group.0 as usize][channel.index()].until(minute(now))
    }

    /// A number's latest tests, the newest first.
    pub fn probes(&self, number: NumberIx, channel: Channel) -> Vec<RecentProbe> {
        self.lock().probes[number.0 as usize][channel.index()].iter().rev().cloned().collect()
    }

    /// A number's latest calls or messages, the newest first.
    pub fn calls(&self, number: NumberIx, channel: Channel) -> Vec<RecentCall> {
        self.lock().numbers[number.0 as usize][channel.index()].iter().rev().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(served: u32, failed: u32) -> MinuteCount {
        MinuteCount { served, failed }
    }

    #[test]
    fn minutes_are_kept_for_a_while_and_in_any_order() {
        let mut minutes = Minutes::default();
        for (at, served) in [(1000, 1), (1002, 2), (999, 3), (1001, 4)] {
            minutes.at(at).unwrap().served = served;
        }
        let seen = minutes.until(1003);
        assert_eq!(seen.len(), MINUTES);
        assert_eq!(seen[MINUTES - 5..], [count(3, 0), count(1, 0), count(4, 0), count(2, 0), count(0, 0)]);
        minutes.at(1002 + 179).unwrap().failed = 1;
        assert_eq!(minutes.counts.len(), MINUTES);
        assert!(minutes.at(1001).is_none(), "too old to be kept");
        assert_eq!(minutes.until(1002 + 179)[0], count(2, 0));
        minutes.at(5000).unwrap().failed = 7;
        assert_eq!(minutes.until(5000).iter().map(|c| c.failed + c.served).sum::<u32>(), 7, "after a long silence");
        assert!(minutes.until(4000).iter().all(|c| *c == count(0, 0)));
    }
}
