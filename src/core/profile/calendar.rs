//! Which half-hour of the week, and which day, each half-hour of the records was where a number's callers live.
//!
//! Instants are counted in UTC, and weeks are lived on local clocks: when daylight saving begins between history and
//! port day, the same half-hour of the week is another one of UTC.

use jiff::tz::TimeZone;

use super::{SLOT_SECONDS, Slot};
use crate::model::time::Time;

/// Half-hours of a day.
pub const OF_A_DAY: usize = 48;

/// Days that are alike: people call by them, and a week of records holds five of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayClass {
    Workday,
    Saturday,
    Sunday,
}

impl DayClass {
    pub const ALL: [DayClass; 3] = [DayClass::Workday, DayClass::Saturday, DayClass::Sunday];

    /// Of a day of the week, Monday 0.
    pub const fn of(weekday: usize) -> DayClass {
        match weekday {
            5 => DayClass::Saturday,
            6 => DayClass::Sunday,
            _ => DayClass::Workday,
        }
    }

    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The records' time on one zone's clocks.
#[derive(Clone, Debug)]
pub struct LocalTime {
    /// By half-hour of the records.
    pub slots: Vec<Slot>,
    /// The day, by half-hour of the records, counted from the calendar's first.
    pub days: Vec<usize>,
}

/// The same for all numbers.
#[derive(Clone, Debug)]
pub struct Calendar {
    zones: Vec<LocalTime>,
    /// By number, positions in `zones`.
    of_number: Vec<usize>,
    /// Days, of which the first and the last are beyond the records in the first number's zone: elsewhere they may not
    /// be.
    pub days: usize,
    /// The first day, counted from the epoch.
    base: i64,
}

impl Calendar {
    /// For numbers in these zones, and so many half-hours from the one that is `first` since the epoch.
    pub fn new(zones: &[TimeZone], first: i64, half_hours: usize) -> Calendar {
        let mut distinct: Vec<&TimeZone> = Vec::new();
        let mut of_number = Vec::with_capacity(zones.len());
        for zone in zones {
            let at = distinct.iter().position(|z| *z == zone).unwrap_or_else(|| {
                distinct.push(zone);
                distinct.len() - 1
            });
            of_number.push(at);
        }
        let local = |zone: &TimeZone| -> Vec<i64> {
            let seconds = (0..half_hours as i64).map(|k| (first + k) * SLOT_SECONDS);
            let offset = |s: i64| i64::from(zone.to_offset(Time::from_secs(s).to_timestamp()).seconds());
            seconds.map(|s| s + offset(s)).collect()
        };
        let locals: Vec<Vec<i64>> = distinct.into_iter().map(local).collect();
        let day = |seconds: i64| seconds.div_euclid(86_400);
        let ends = locals.first().and_then(|l| Some((day(*l.first()?), day(*l.last()?)))).unwrap_or((0, 0));
        let (base, days) = (ends.0 - 1, usize::try_from(ends.1 - ends.0).unwrap_or(0) + 3);
        let of_day = |seconds: i64| usize::try_from(day(seconds) - base).unwrap_or(0).min(days - 1);
        let zone = |local: Vec<i64>| LocalTime {
            slots: local.iter().map(|s| Slot::of_local(*s)).collect(),
            days: local.iter().map(|s| of_day(*s)).collect(),
        };
        Calendar { zones: locals.into_iter().map(zone).collect(), of_number, days, base }
    }

    /// Time where this number's callers live.
    pub fn of_number(&self, number: usize) -> &LocalTime {
        &self.zones[self.of_number[number]]
    }

    pub fn class(&self, day: usize) -> DayClass {
        // 1970-01-01 was a Thursday.
        let weekday = (self.base + day as i64 + 3).rem_euclid(7);
        DayClass::of(usize::try_from(weekday).unwrap_or(0))
    }
}

/// Position of a half-hour of the week among those of the classes of days, of which there are [`CLASS_SLOTS`].
pub fn class_slot(slot: Slot) -> usize {
    let (weekday, half_hour) = (slot.index() / OF_A_DAY, slot.index() % OF_A_DAY);
    DayClass::of(weekday).index() * OF_A_DAY + half_hour
}

/// Half-hours of one day of each class.
pub const CLASS_SLOTS: usize = 3 * OF_A_DAY;
