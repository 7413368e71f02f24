//! From rows of call records to counts: what is no caller is taken out.
//!
//! Records hold more than callers. The same row stands in them twice; somebody tests all numbers every week; a robot
//! rings a few of them every day; a caller who is not answered rings again. None of these would ring on the port day as
//! they did, or each would stand for several callers, so none is counted. A caller who withholds the number cannot be
//! told from another one who does: such calls are neither tests nor redials.
//!
//! Rows are kept as [`PastCall`]s of 24 bytes, sorted once by caller, and gone through once: then duplicates are
//! neighbours, and so are a caller's redials and all numbers that a caller has rung. Nothing else grows with the rows.

use super::{CarrierIx, SLOT_SECONDS};
use crate::model::time::Time;

/// An inbound call of the records, to a number of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastCall {
    /// Stands for the caller, whose number is not kept; [`WITHHELD`] if nobody knows it.
    pub caller: u64,
    /// Position of the number that was called.
    pub number: u32,
    /// When, in seconds since the epoch.
    pub at: u32,
    /// How long it lasted, in seconds; 0 if it was not answered.
    pub talk: u32,
    pub carrier: Option<CarrierIx>,
}

/// The caller who withheld the number.
pub const WITHHELD: u64 = 0;

/// Calls of one caller to one number that follow each other within so many seconds are one: who is not served tries
/// again.
const REDIAL_SECONDS: u32 = 3600;

/// Who rings so many of the numbers tests them, and does not call them: three, or this share of them.
const TESTED: usize = 3;
const TESTED_SHARE: f64 = 0.4;

/// Who rings two numbers and so often a day is a robot.
const ROBOT_A_DAY: f64 = 3.0;

/// Older rows say little of the port day, and would make the counts large.
const MOST_SECONDS: u32 = 26 * 7 * 86_400;

/// A row so far from most others has a wrong date. One of them must not decide what the last 26 weeks are.
const FAR_SECONDS: u32 = 366 * 86_400;

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanTally {
    /// Rows left out because of their date: more than 26 weeks before the last, or a year from most.
    pub old: u64,
    pub duplicates: u64,
    /// Rows of tests and robots, and how many callers these are.
    pub tests: u64,
    pub testers: u64,
    pub redials: u64,
    /// Those that count.
    pub used: u64,
}

/// Callers' calls by number and half-hour.
#[derive(Clone, Debug, PartialEq)]
pub struct CallCounts {
    /// The first half-hour, counted from the epoch.
    pub first: i64,
    /// How many half-hours.
    pub half_hours: usize,
    /// The first and the last row's instant.
    pub from: Time,
    pub to: Time,
    /// Seconds that a call lasts on average, one that was not answered none.
    pub mean_talk: f64,
    pub numbers: Vec<NumberCounts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberCounts {
    /// By half-hour.
    pub calls: Vec<u16>,
    pub total: u64,
    pub by_carrier: Vec<u64>,
    /// Its rows, what was left out included.
    pub rows: u64,
    pub span: Option<(Time, Time)>,
}

/// Cleans and counts calls to `numbers` numbers from `carriers` carriers; `None` if there is none to count.
pub fn clean(mut calls: Vec<PastCall>, numbers: usize, carriers: usize) -> Option<(CallCounts, CleanTally)> {
    let mut tally = CleanTally::default();
    drop_old(&mut calls, &mut tally);
    calls.sort_unstable();
    let rows = calls.len();
    calls.dedup();
    tally.duplicates = (rows - calls.len()) as u64;
    let from = calls.iter().map(|c| c.at).min()?;
    let to = calls.iter().map(|c| c.at).max()?;
    let days = (f64::from(to - from) / 86_400.0).max(1.0);
    let first = i64::from(from) / SLOT_SECONDS;
    let half_hours = usize::try_from(i64::from(to) / SLOT_SECONDS - first + 1).unwrap_or(1);
    let talk: u64 = calls.iter().map(|c| u64::from(c.talk)).sum();
    let one = NumberCounts { calls: vec![0; half_hours], by_carrier: vec![0; carriers], ..NumberCounts::default() };
    let mut counts = CallCounts {
        first,
        half_hours,
        from: Time::from_secs(from.into()),
        to: Time::from_secs(to.into()),
        mean_talk: talk as f64 / calls.len() as f64,
        numbers: vec![one; numbers],
    };
    for of_caller in calls.chunk_by(|a, b| a.caller == b.caller) {
        for call in of_caller {
            counts.numbers[call.number as usize].rows += 1;
        }
        if is_tester(of_caller, numbers, days) {
            tally.tests += of_caller.len() as u64;
            tally.testers += 1;
            continue;
        }
        let mut last: Option<&PastCall> = None;
        for call in of_caller {
            let before = last.replace(call).filter(|b| b.number == call.number && b.caller != WITHHELD);
            if before.is_some_and(|b| call.at - b.at < REDIAL_SECONDS) {
                tally.redials += 1;
            } else {
                tally.used += 1;
                counts.count(call);
            }
        }
    }
    Some((counts, tally))
}

impl CallCounts {
    fn count(&mut self, call: &PastCall) {
        let at = Time::from_secs(call.at.into());
        let slot = usize::try_from(i64::from(call.at) / SLOT_SECONDS - self.first).unwrap_or(0);
        let number = &mut self.numbers[call.number as usize];
        number.calls[slot] = number.calls[slot].saturating_add(1);
        number.total += 1;
        if let Some(CarrierIx(carrier)) = call.carrier {
            number.by_carrier[usize::from(carrier)] += 1;
        }
        number.span = Some(number.span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
    }
}

fn drop_old(calls: &mut Vec<PastCall>, tally: &mut CleanTally) {
    if calls.is_empty() {
        return;
    }
    let middle = calls.len() / 2;
    let median = calls.select_nth_unstable_by_key(middle, |c| c.at).1.at;
    let is_near = |c: &PastCall| c.at.abs_diff(median) <= FAR_SECONDS;
    let last = calls.iter().filter(|c| is_near(c)).map(|c| c.at).max().unwrap_or(median);
    let rows = calls.len();
    calls.retain(|c| is_near(c) && last - c.at <= MOST_SECONDS);
    tally.old = (rows - calls.len()) as u64;
}

/// True of one caller's calls, sorted by number, if they are no caller's.
fn is_tester(calls: &[PastCall], numbers: usize, days: f64) -> bool {
    if calls.first().is_none_or(|c| c.caller == WITHHELD) {
        return false;
    }
    let rung = calls.chunk_by(|a, b| a.number == b.number).count();
    let many = (TESTED as f64).max(TESTED_SHARE * numbers as f64);
    rung >= 2 && (rung as f64 >= many || calls.len() as f64 > ROBOT_A_DAY * days)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;
    const START: u32 = 1_790_000_000;

    fn call(caller: u64, number: u32, at: u32) -> PastCall {
        PastCall { caller, number, at: START + at, talk: 60, carrier: None }
    }

    fn cleaned(calls: &[PastCall]) -> (CallCounts, CleanTally) {
        clean(calls.to_vec(), 10, 0).unwrap()
    }

    #[test]
    fn a_row_twice_is_one_and_a_redial_is_none() {
        let calls =
            [call(7, 0, 0), call(7, 0, 0), call(7, 0, 3599), call(7, 0, 7198), call(7, 0, 10_798), call(8, 1, 0)];
        let (counts, tally) = cleaned(&calls);
        assert_eq!((tally.duplicates, tally.redials, tally.used), (1, 2, 3));
        assert_eq!((counts.numbers[0].total, counts.numbers[0].rows, counts.numbers[1].total), (2, 4, 1));
        let mut newest_first = calls;
        newest_first.reverse();
        assert_eq!(cleaned(&newest_first), (counts, tally), "order says nothing");
    }

    #[test]
    fn a_sweep_and_a_robot_are_no_callers_and_a_customer_of_two_numbers_is_one() {
        let sweep = (0..4).map(|n| call(7, n, 60 * n));
        let robot = (0..64).map(|i| call(8, i % 2, i * DAY / 4));
        let customer = (0..20).map(|i| call(9, i % 2, i * DAY / 2 + 7));
        let all: Vec<PastCall> = sweep.chain(robot).chain(customer).collect();
        let (counts, tally) = cleaned(&all);
        assert_eq!((tally.testers, tally.tests, tally.used), (2, 68, 20));
        assert_eq!(counts.numbers[2].total, 0);
        assert_eq!(counts.numbers[2].rows, 1, "it has records, though no caller");
    }

    #[test]
    fn who_withholds_the_number_is_many_callers() {
        let calls: Vec<PastCall> = (0..8).map(|n| call(WITHHELD, n % 4, 60 * n)).collect();
        let (_, tally) = cleaned(&calls);
        assert_eq!((tally.tests, tally.redials, tally.used), (0, 0, 8));
    }

    #[test]
    fn a_wrong_date_moves_nothing_and_old_rows_are_left_out() {
        let mut calls: Vec<PastCall> = (0..300).map(|day| call(u64::from(day) + 1, 0, day * DAY)).collect();
        calls.push(PastCall { caller: 900, number: 0, at: 0, talk: 0, carrier: None });
        calls.push(PastCall { caller: 901, number: 0, at: u32::MAX, talk: 0, carrier: None });
        let (counts, tally) = cleaned(&calls);
        assert_eq!((tally.old, tally.used), (117 + 2, 183));
        assert_eq!(counts.to, Time::from_secs(i64::from(START + 299 * DAY)));
        assert_eq!(counts.half_hours, 182 * 48 + 1);
        assert!(clean(Vec::new(), 10, 0).is_none());
    }
}
