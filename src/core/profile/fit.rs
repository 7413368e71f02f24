//! From counts to a profile: one pass over the parts, in the order in which each needs the other.
//!
//! Holes first, for they falsify everything; then days, shapes and levels of numbers; then how far days stray, of
//! numbers, groups and the account. Nothing is tuned to a customer: where a constant was chosen, its place says why.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::calendar::Calendar;
use super::clean::{CallCounts, NumberCounts};
use super::days::{NumberDays, lulls, sum};
use super::holes::holes;
use super::level::NumberLevel;
use super::mixture::shared_shapes;
use super::shape::OwnShape;
use super::spread::{ACCOUNT, DaySums, GROUP, Moments, due_beside, number, pooled};
use super::{
    CarrierProfile, DaySpread, GroupProfile, NumberProfile, Prefixes, Profile, ProfileSource, SLOT_SECONDS, SLOTS, Week,
};
use crate::model::id::{E164, GroupName};
use crate::model::time::Time;

/// A number that calls were counted for.
#[derive(Clone, Debug)]
pub struct FitNumber {
    pub number: E164,
    /// Position of its group.
    pub group: usize,
    pub timezone: TimeZone,
}

/// Whose records these are, and what the profile says of itself.
#[derive(Clone, Debug, Default)]
pub struct FitContext {
    pub made_at: Time,
    pub sources: Vec<ProfileSource>,
    /// By position in the counts.
    pub numbers: Vec<FitNumber>,
    pub groups: Vec<GroupName>,
    pub carriers: Vec<String>,
    pub prefixes: Prefixes,
}

/// A time without records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Of a group by position, or of the account.
    pub group: Option<usize>,
    pub from: Time,
    pub to: Time,
}

/// As many calls of the account say what a number's carriers are as so many of its own.
const CARRIER_CALLS: f64 = 30.0;

/// A group's day with more calls due than this can be told to be a lull, and is one with less than this share of them.
const FULL_DAY: f64 = 8.0;
const LULL: f64 = 0.35;

/// Fits a profile. Numbers without any row are left out of it: of them nothing is known.
pub fn fit(counts: &CallCounts, context: FitContext) -> (Profile, Vec<Hole>) {
    let fit = Fit::of(counts, &context);
    let (profiles, spreads) = fit.numbers(counts, &context);
    let members = |group: usize| context.numbers.iter().enumerate().filter(move |(_, n)| n.group == group);
    let of_group = |group: usize| -> DaySums<'_> { fit.groups[group].sums() };
    let mut groups = BTreeMap::new();
    for (group, name) in context.groups.iter().enumerate() {
        if members(group).next().is_some() {
            groups.insert(name.clone(), group_profile(of_group(group)));
        }
    }
    let account = fit.account.sums();
    let shares = account_shares(counts, context.carriers.len());
    let carriers =
        context.carriers.iter().zip(&shares).map(|(name, share)| CarrierProfile { name: name.clone(), share: *share });
    let profile = Profile {
        made_at: context.made_at,
        from: counts.from,
        to: counts.to,
        sources: context.sources.clone(),
        mean_call: Duration::from_secs_f64(counts.mean_talk),
        carriers: carriers.collect(),
        prefixes: context.prefixes.clone(),
        account: Moments::of(account.calls, account.due).spread(ACCOUNT),
        groups,
        numbers: context
            .numbers
            .iter()
            .zip(profiles)
            .zip(spreads)
            .zip(&counts.numbers)
            .filter(|(_, counts)| counts.rows > 0)
            .map(|(((n, profile), spread), counts)| {
                (n.number, NumberProfile { spread, carriers: number_shares(counts, &shares), ..profile })
            })
            .collect(),
    };
    (profile, fit.holes)
}

/// Days of a number, a group or the account.
struct DayTotals {
    calls: Vec<f64>,
    due: Vec<f64>,
}

impl DayTotals {
    fn sums(&self) -> DaySums<'_> {
        DaySums { calls: &self.calls, due: &self.due }
    }

    fn total<'a>(of: impl Iterator<Item = &'a DayTotals> + Clone, days: usize) -> DayTotals {
        let calls = sum(of.clone().map(|t| t.calls.as_slice()), days);
        DayTotals { calls, due: sum(of.map(|t| t.due.as_slice()), days) }
    }
}

struct Fit {
    holes: Vec<Hole>,
    days: Vec<NumberDays>,
    /// At level 1.
    weeks: Vec<Vec<f64>>,
    numbers: Vec<DayTotals>,
    groups: Vec<DayTotals>,
    account: DayTotals,
}

impl Fit {
    fn of(counts: &CallCounts, context: &FitContext) -> Fit {
        let zones: Vec<TimeZone> = context.numbers.iter().map(|n| n.timezone.clone()).collect();
        let calendar = Calendar::new(&zones, counts.first, counts.half_hours);
        let (missing, holes) = missing(counts, context, &calendar);
        let holes_of = |ix: usize| &missing[context.numbers[ix].group];
        let all = 0..context.numbers.len();
        let members = |group: usize| all.clone().filter(move |ix| context.numbers[*ix].group == group);
        let days_of = |ix: usize| {
            NumberDays::of(&counts.numbers[ix].calls, holes_of(ix), &calendar.of_number(ix).days, &calendar)
        };
        let days: Vec<NumberDays> = all.clone().map(days_of).collect();
        let group_lulls =
            |group| lulls(&sum(members(group).map(|ix| days[ix].calls.as_slice()), calendar.days), &calendar);
        let lulls: Vec<Vec<bool>> = (0..context.groups.len()).map(group_lulls).collect();
        let own_shape = |ix: usize| {
            let weights = days[ix].weights(&lulls[context.numbers[ix].group], &calendar);
            OwnShape::of(counts, ix, holes_of(ix), &days[ix], &weights, &calendar)
        };
        let own: Vec<OwnShape> = all.clone().map(own_shape).collect();
        let weeks: Vec<Vec<f64>> = own.iter().zip(shared_shapes(&own)).map(|(own, shared)| own.week(&shared)).collect();
        let totals =
            |ix: usize| DayTotals { calls: days[ix].calls.clone(), due: due(&weeks[ix], holes_of(ix), ix, &calendar) };
        let numbers: Vec<DayTotals> = all.clone().map(totals).collect();
        let groups: Vec<DayTotals> = (0..context.groups.len())
            .map(|group| {
                let of_group: Vec<usize> = members(group).collect();
                DayTotals::total(of_group.iter().map(|ix| &numbers[*ix]), calendar.days)
            })
            .collect();
        let account = DayTotals::total(groups.iter(), calendar.days);
        Fit { holes, days, weeks, numbers, groups, account }
    }

    /// What is known of each number but its spread and its carriers, and its spread.
    fn numbers(&self, counts: &CallCounts, context: &FitContext) -> (Vec<NumberProfile>, Vec<DaySpread>) {
        let beside = |(ix, n): (usize, &FitNumber)| {
            let totals = &self.numbers[ix];
            let due = due_beside(totals.sums(), self.groups[n.group].sums(), self.account.sums());
            Moments::of(&totals.calls, &due)
        };
        let moments: Vec<Moments> = context.numbers.iter().enumerate().map(beside).collect();
        let pool = pooled(&moments);
        let spreads = moments.into_iter().map(|m| m.spread(number(pool))).collect();
        let profile = |(ix, n): (usize, &FitNumber)| {
            let (totals, days) = (&self.numbers[ix], &self.days[ix]);
            let level = NumberLevel::of(&totals.calls, &totals.due, days.first, days.last);
            NumberProfile {
                timezone: n.timezone.clone(),
                calls: counts.numbers[ix].total,
                span: counts.numbers[ix].span,
                level: level.of_mean,
                rests_on: level.rests_on,
                newness: level.newness,
                spread: pool,
                week: Week::from_fn(|q| self.weeks[ix][q] * level.of_mean),
                carriers: Vec::new(),
                standing: level.standing,
            }
        };
        (context.numbers.iter().enumerate().map(profile).collect(), spreads)
    }
}

/// By group, which half-hours the records lack, and the times that these are.
fn missing(counts: &CallCounts, context: &FitContext, calendar: &Calendar) -> (Vec<Vec<bool>>, Vec<Hole>) {
    let of = |numbers: &mut dyn Iterator<Item = usize>| {
        let numbers: Vec<usize> = numbers.collect();
        let mut calls = vec![0u64; counts.half_hours];
        for ix in &numbers {
            for (sum, n) in calls.iter_mut().zip(&counts.numbers[*ix].calls) {
                *sum += u64::from(*n);
            }
        }
        let first = numbers.first().map(|ix| calendar.of_number(*ix));
        first.map_or_else(|| vec![false; counts.half_hours], |local| holes(&calls, &local.slots))
    };
    let account = of(&mut (0..context.numbers.len()));
    let mut told = spans(&account, counts, None);
    let mut missing = Vec::with_capacity(context.groups.len());
    for group in 0..context.groups.len() {
        let mut own = of(&mut (0..context.numbers.len()).filter(|ix| context.numbers[*ix].group == group));
        let alone: Vec<bool> = own.iter().zip(&account).map(|(own, account)| *own && !account).collect();
        told.extend(spans(&alone, counts, Some(group)));
        own.iter_mut().zip(&account).for_each(|(own, account)| *own |= account);
        missing.push(own);
    }
    (missing, told)
}

fn spans(holes: &[bool], counts: &CallCounts, group: Option<usize>) -> Vec<Hole> {
    let at = |k: usize| Time::from_secs((counts.first + k as i64) * SLOT_SECONDS);
    let mut spans = Vec::new();
    let mut k = 0;
    for run in holes.chunk_by(|a, b| a == b) {
        if run.first() == Some(&true) {
            spans.push(Hole { group, from: at(k), to: at(k + run.len()) });
        }
        k += run.len();
    }
    spans
}

/// Calls of each day that a week of these rates has, outside holes.
fn due(week: &[f64], holes: &[bool], ix: usize, calendar: &Calendar) -> Vec<f64> {
    debug_assert_eq!(week.len(), SLOTS, "a rate for each half-hour");
    let local = calendar.of_number(ix);
    let mut due = vec![0.0; calendar.days];
    for (k, hole) in holes.iter().enumerate() {
        if !hole {
            due[local.days[k]] += week[local.slots[k].index()];
        }
    }
    due
}

fn group_profile(days: DaySums<'_>) -> GroupProfile {
    let full = || days.calls.iter().zip(days.due).filter(|(_, due)| **due > FULL_DAY);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    GroupProfile {
        spread: Moments::of(days.calls, days.due).spread(GROUP),
        lulls: count(full().filter(|(n, due)| **n < LULL * **due).count()),
        full_days: count(full().count()),
    }
}

fn account_shares(counts: &CallCounts, carriers: usize) -> Vec<f64> {
    let of = |k: usize| counts.numbers.iter().map(|n| n.by_carrier[k]).sum::<u64>() as f64;
    let sums: Vec<f64> = (0..carriers).map(of).collect();
    let all = sums.iter().sum::<f64>().max(1.0) + 0.5 * carriers as f64;
    sums.into_iter().map(|n| (n + 0.5) / all).collect()
}

fn number_shares(counts: &NumberCounts, account: &[f64]) -> Vec<f64> {
    let all = counts.by_carrier.iter().sum::<u64>() as f64 + CARRIER_CALLS;
    counts.by_carrier.iter().zip(account).map(|(n, share)| (*n as f64 + CARRIER_CALLS * share) / all).collect()
}
