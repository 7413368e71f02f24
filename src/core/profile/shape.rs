//! The shape of a number's week: when its calls come, whatever their level.
//!
//! Most numbers ring too seldom to show their own week: a half-hour of five workdays in six weeks holds a handful of
//! calls. So a number's rates are drawn, three times, towards something that rests on more, by as many calls as it is
//! sure of: its half-hours by class of day towards a mixture of the shapes that the account's numbers have
//! ([`super::mixture`]) and their neighbours in time; the parts of each weekday towards the class of days, which finds
//! the afternoon on which a shop is closed; and each weekday's half-hours towards those.

use super::calendar::{CLASS_SLOTS, Calendar, LocalTime, OF_A_DAY, class_slot};
use super::clean::CallCounts;
use super::days::NumberDays;
use super::{SLOTS, Slot};

/// As many calls does the shared shape weigh in a half-hour of a class of days.
const SHARED_CALLS: f64 = 6.0;

/// What a shape has at least: nobody's night is proven to be silent.
const SHAPE_LEAST: f64 = 1e-3;

/// How much of the prior the half-hours beside it are.
const NEIGHBOURS: f64 = 0.2;

/// As many calls does the class of days weigh in a part of one weekday, and in one of its half-hours.
const BLOCK_CALLS: f64 = 5.0;
const WEEKDAY_CALLS: f64 = 25.0;

/// In which part of the day an hour lies: night, early, late morning, noon, afternoon, evening, late.
const BLOCKS: [usize; 24] = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6];
const BLOCKS_OF_A_DAY: usize = 7;

/// What one number's records say of its week: calls, and the half-hours in which they were looked for.
#[derive(Clone, Debug)]
pub struct OwnShape {
    /// By class of day and half-hour; calls of campaigns count less.
    pub calls: Vec<f64>,
    pub seen: Vec<f64>,
    week_calls: Vec<f64>,
    week_seen: Vec<f64>,
}

impl OwnShape {
    /// Of the number at `ix`; `holes` are its group's, `weights` its days'.
    pub fn of(
        counts: &CallCounts,
        ix: usize,
        holes: &[bool],
        days: &NumberDays,
        weights: &[f64],
        calendar: &Calendar,
    ) -> OwnShape {
        let mut own = OwnShape {
            calls: vec![0.0; CLASS_SLOTS],
            seen: vec![0.0; CLASS_SLOTS],
            week_calls: vec![0.0; SLOTS],
            week_seen: vec![0.0; SLOTS],
        };
        let LocalTime { slots, days: day_of } = calendar.of_number(ix);
        for (k, n) in counts.numbers[ix].calls.iter().enumerate() {
            let (slot, day) = (slots[k], day_of[k]);
            let weight = weights[day];
            if holes[k] || weight == 0.0 || !(days.first..=days.last).contains(&day) {
                continue;
            }
            let calls = f64::from(*n) * weight;
            let class = class_slot(slot);
            own.calls[class] += calls;
            own.seen[class] += 1.0;
            own.week_calls[slot.index()] += calls;
            own.week_seen[slot.index()] += 1.0;
        }
        own
    }

    pub fn total(&self) -> f64 {
        self.calls.iter().sum()
    }

    /// Calls a half-hour.
    pub fn mean(&self) -> f64 {
        (self.total() + 0.5) / (self.seen.iter().sum::<f64>() + 1.0)
    }

    /// Calls by half-hour of the week; `shared` is the shape that the account's numbers lend, with a mean of about 1.
    pub fn week(&self, shared: &[f64]) -> Vec<f64> {
        let by_class = self.by_class(shared);
        let class_rate = |q: usize| by_class[class_slot(Slot(q as u16))];
        let block = |q: usize| q / OF_A_DAY * BLOCKS_OF_A_DAY + BLOCKS[q % OF_A_DAY / 2];
        let (mut calls, mut due) = ([0.0; 7 * BLOCKS_OF_A_DAY], [0.0; 7 * BLOCKS_OF_A_DAY]);
        for q in 0..SLOTS {
            calls[block(q)] += self.week_calls[q];
            due[block(q)] += self.week_seen[q] * class_rate(q);
        }
        let rate = |q: usize| {
            let of_block = (calls[block(q)] + BLOCK_CALLS) / (due[block(q)] + BLOCK_CALLS);
            let prior = class_rate(q) * of_block;
            let worth = WEEKDAY_CALLS / prior.max(1e-6);
            (self.week_calls[q] + worth * prior) / (self.week_seen[q] + worth)
        };
        (0..SLOTS).map(rate).collect()
    }

    fn by_class(&self, shared: &[f64]) -> Vec<f64> {
        let mean = self.mean();
        let rate = |q: usize| {
            let day = q - q % OF_A_DAY;
            let (before, after) = (day + (q + OF_A_DAY - 1) % OF_A_DAY, day + (q + 1) % OF_A_DAY);
            let shape = shared[q].max(SHAPE_LEAST) * mean;
            let beside =
                (self.calls[before] + self.calls[after] + shape) / (self.seen[before] + self.seen[after] + 1.0);
            let prior = (1.0 - NEIGHBOURS) * shape + NEIGHBOURS * beside;
            // Half-hours that are worth so many calls; no more at night than forty mean ones.
            let worth = (SHARED_CALLS / prior.max(1e-6)).min(SHARED_CALLS * 40.0 / mean.max(1e-6));
            (self.calls[q] + worth * prior) / (self.seen[q] + worth)
        };
        (0..CLASS_SLOTS).map(rate).collect()
    }
}
