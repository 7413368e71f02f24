//! Which half-hour of its local week each number is in, when its day begins, and which days are holidays.
//!
//! A profile has local half-hours, so that daylight saving moves no rush hour. Numbers share few time zones: the zones
//! are asked, once a step, and never the numbers.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::model::time::Time;
use crate::profile::{SLOT_SECONDS, Slot};

/// The hour of the local night at which one day's calls say nothing of the next day's any more: fewest calls come.
const DAY_BEGINS: i64 = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct TrafficCalendar {
    zones: Vec<TimeZone>,
    /// Half-hours of the interval that was last asked for, and the share of each that lies in it, by zone.
    parts: Vec<Vec<(Slot, f64)>>,
}

impl TrafficCalendar {
    /// The position of a zone, which is added if it is new.
    pub fn add(&mut self, zone: &TimeZone) -> usize {
        self.zones.iter().position(|z| z == zone).unwrap_or_else(|| {
            self.zones.push(zone.clone());
            self.parts.push(Vec::new());
            self.zones.len() - 1
        })
    }

    /// Turns to the interval; [`TrafficCalendar::parts`] are of it from now on.
    pub fn turn_to(&mut self, from: Time, to: Time) {
        for (zone, parts) in self.zones.iter().zip(&mut self.parts) {
            parts.clear();
            let mut at = from.as_millis();
            while at < to.as_millis() {
                let begun = Time::from_millis(at);
                let local = local_seconds(begun, zone);
                let left = (SLOT_SECONDS - local.rem_euclid(SLOT_SECONDS)) * 1000 - at.rem_euclid(1000);
                let end = (at + left.max(1)).min(to.as_millis());
                parts.push((Slot::at(begun, zone), (end - at) as f64 / (SLOT_SECONDS * 1000) as f64));
                at = end;
            }
        }
    }

    /// Half-hours of the interval, and the share of each that lies in it.
    pub fn parts(&self, zone: usize) -> &[(Slot, f64)] {
        &self.parts[zone]
    }

    /// The half-hour that each of these instants is in, by zone.
    pub fn slots(&self, at: &[Time]) -> Vec<Vec<Slot>> {
        self.zones.iter().map(|zone| at.iter().map(|at| Slot::at(*at, zone)).collect()).collect()
    }

    /// The day that an instant belongs to, as a number; days follow one another.
    pub fn day(&self, zone: usize, at: Time) -> i64 {
        (local_seconds(at, &self.zones[zone]) - DAY_BEGINS * 3600).div_euclid(86_400)
    }

    /// When the day began that an instant belongs to, but for a change of the clocks within it.
    pub fn day_began(&self, zone: usize, at: Time) -> Time {
        let into = (local_seconds(at, &self.zones[zone]) - DAY_BEGINS * 3600).rem_euclid(86_400);
        Time::from_secs(at.as_millis().div_euclid(1000) - into)
    }

    /// A day on which offices in the United States are closed.
    pub fn is_holiday(&self, zone: usize, at: Time) -> bool {
        is_public_holiday(at.to_timestamp().to_zoned(self.zones[zone].clone()).date())
    }
}

fn local_seconds(at: Time, zone: &TimeZone) -> i64 {
    at.as_millis().div_euclid(1000) + i64::from(zone.to_offset(at.to_timestamp()).seconds())
}

/// Federal holidays of the United States, each also on the working day beside it when it falls on a weekend
/// (5 U.S.C. 6103).
fn is_public_holiday(day: Date) -> bool {
    const FIXED: [(i8, i8); 5] = [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)];
    let is_fixed = |d: Option<Date>| d.is_some_and(|d| FIXED.contains(&(d.month(), d.day())));
    let week = (day.day() - 1) / 7 + 1;
    let is_last = day.month() == 5 && day.day() > 24;
    is_fixed(Some(day))
        || day.weekday() == Weekday::Friday && is_fixed(day.tomorrow().ok())
        || day.weekday() == Weekday::Monday && is_fixed(day.yesterday().ok())
        || day.weekday() == Weekday::Monday && (is_last || matches!((day.month(), week), (1 | 2, 3) | (9, 1) | (10, 2)))
        || day.weekday() == Weekday::Thursday && (day.month(), week) == (11, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn an_interval_is_cut_at_local_half_hours() {
        let mut calendar = TrafficCalendar::default();
        let chicago = calendar.add(&TimeZone::get("America/Chicago").unwrap());
        let kolkata = calendar.add(&TimeZone::get("Asia/Kolkata").unwrap());
        let nepal = calendar.add(&TimeZone::get("Asia/Kathmandu").unwrap());
        assert_eq!(calendar.add(&TimeZone::get("Asia/Kolkata").unwrap()), kolkata);
        // A Monday, 09:29 in Chicago and 20:14 in Kathmandu.
        calendar.turn_to(at("2026-11-30T15:29:00Z"), at("2026-11-30T15:31:00Z"));
        let parts = |zone| calendar.parts(zone).iter().map(|(s, share)| (s.index(), *share * 30.0)).collect::<Vec<_>>();
        let near = |parts: Vec<(usize, f64)>, want: &[(usize, f64)]| {
            assert_eq!(parts.len(), want.len(), "{parts:?}");
            parts.iter().zip(want).for_each(|(p, w)| assert!(p.0 == w.0 && (p.1 - w.1).abs() < 1e-9, "{parts:?}"));
        };
        near(parts(chicago), &[(18, 1.0), (19, 1.0)]);
        near(parts(kolkata), &[(41, 1.0), (42, 1.0)]);
        near(parts(nepal), &[(42, 2.0)]);
    }

    #[test]
    fn a_day_begins_in_the_local_night() {
        let mut calendar = TrafficCalendar::default();
        let zone = calendar.add(&TimeZone::get("America/New_York").unwrap());
        let [evening, night, morning] =
            ["2026-12-01T03:00:00Z", "2026-12-01T08:59:00Z", "2026-12-01T09:01:00Z"].map(at);
        assert_eq!(calendar.day(zone, evening), calendar.day(zone, night));
        assert_eq!(calendar.day(zone, night) + 1, calendar.day(zone, morning));
        assert_eq!(calendar.day_began(zone, evening), at("2026-11-30T09:00:00Z"));
        assert_eq!(calendar.day_began(zone, morning), at("2026-12-01T09:00:00Z"));
    }

    #[test]
    fn public_holidays_are_known_and_other_days_are_none() {
        let is = |text: &str| is_public_holiday(text.parse().unwrap());
        for day in ["2026-11-26", "2026-12-25", "2026-07-03", "2027-07-05", "2026-05-25", "2026-01-19", "2026-10-12"] {
            assert!(is(day), "{day}");
        }
        for day in ["2026-11-27", "2026-12-24", "2026-07-06", "2026-05-18", "2026-11-30", "2026-09-14"] {
            assert!(!is(day), "{day}");
        }
    }
}
