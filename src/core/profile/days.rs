//! Whole days of a number: how many calls, whether it was in use, and how much a day says of the usual shape.
//!
//! A campaign brings a number several times its calls for some days, and a holiday a group a third of them. Both are
//! true and neither is usual, so a campaign day counts as a usual one and a holiday not at all. Before its first and
//! after its last call a number was not in use, if it would have rung meanwhile.

use super::calendar::{Calendar, DayClass};

/// Days of one number.
#[derive(Clone, Debug)]
pub struct NumberDays {
    /// Calls of each day, outside holes.
    pub calls: Vec<f64>,
    /// Half-hours of each day outside holes.
    seen: Vec<u32>,
    /// The first and the last day on which it was in use.
    pub first: usize,
    pub last: usize,
}

/// So many calls were due in a time without one in which the number was not in use: one in 400 by chance.
pub const DUE_UNUSED: f64 = 6.0;

/// Fewer half-hours of a day are no whole one.
const WHOLE_DAY: u32 = 40;

/// A campaign's day has more than this, of the usual calls of such days.
const CAMPAIGN: f64 = 1.8;
const CAMPAIGN_LEAST: f64 = 3.0;

/// A holiday has less than this, and all of the group less than [`GROUP_LULL`].
const HOLIDAY: f64 = 0.35;
const HOLIDAY_LEAST: f64 = 10.0;
const GROUP_LULL: f64 = 0.5;

impl NumberDays {
    /// Of the number's calls by half-hour; `holes` are its group's.
    pub fn of(calls: &[u16], holes: &[bool], days: &[usize], calendar: &Calendar) -> NumberDays {
        let mut of = NumberDays {
            calls: vec![0.0; calendar.days],
            seen: vec![0; calendar.days],
            first: 0,
            last: calendar.days - 1,
        };
        for ((n, hole), day) in calls.iter().zip(holes).zip(days) {
            if !hole {
                of.calls[*day] += f64::from(*n);
                of.seen[*day] += 1;
            }
        }
        let rang = |n: &f64| *n > 0.0;
        if let (Some(first), Some(last)) = (of.calls.iter().position(rang), of.calls.iter().rposition(rang)) {
            let a_day = of.calls.iter().sum::<f64>() / (last - first + 1) as f64;
            // The first and the last day are beyond the records.
            if a_day * (first as f64 - 1.0) > DUE_UNUSED {
                of.first = first;
            }
            if a_day * (calendar.days as f64 - 2.0 - last as f64) > DUE_UNUSED {
                of.last = last;
            }
        }
        of
    }

    /// How much each day's calls say of the usual ones, from 0 to 1; `lulls` are its group's.
    pub fn weights(&self, lulls: &[bool], calendar: &Calendar) -> Vec<f64> {
        let in_use = |day: usize| self.seen[day] >= WHOLE_DAY && (self.first..=self.last).contains(&day);
        let usual = medians(&self.calls, in_use, calendar);
        let weight = |day: usize| {
            let (n, usual) = (self.calls[day], usual[calendar.class(day).index()]);
            if usual >= HOLIDAY_LEAST && n < HOLIDAY * usual && lulls[day] {
                return 0.0;
            }
            if usual >= CAMPAIGN_LEAST && n > CAMPAIGN * usual { CAMPAIGN * usual / n } else { 1.0 }
        };
        (0..calendar.days).map(weight).collect()
    }
}

/// Days on which a whole group had less than half of its usual calls, `calls` by day.
pub fn lulls(calls: &[f64], calendar: &Calendar) -> Vec<bool> {
    let usual = medians(calls, |_| true, calendar);
    calls.iter().enumerate().map(|(day, n)| *n < GROUP_LULL * usual[calendar.class(day).index()]).collect()
}

/// The median of the days that count, by class of day.
fn medians(calls: &[f64], counts: impl Fn(usize) -> bool, calendar: &Calendar) -> [f64; 3] {
    DayClass::ALL.map(|class| {
        let of_class = (0..calls.len()).filter(|day| calendar.class(*day) == class && counts(*day));
        let mut sorted: Vec<f64> = of_class.map(|day| calls[day]).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    })
}

/// The sum of several numbers' days.
pub fn sum<'a>(days: impl Iterator<Item = &'a [f64]>, len: usize) -> Vec<f64> {
    let mut sum = vec![0.0; len];
    for of in days {
        for (sum, n) in sum.iter_mut().zip(of) {
            *sum += n;
        }
    }
    sum
}
