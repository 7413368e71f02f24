//! Dates as Twilio writes them, and as clients ask for them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::core::model::time::Time;

/// The 2010 API's: `Fri, 18 Oct 2019 17:00:00 +0000`.
#[derive(Clone, Copy)]
pub struct Rfc2822(pub Time);

/// The later APIs': `2015-07-30T20:00:00Z`.
#[derive(Clone, Copy)]
pub struct Iso(pub Time);

fn parts(t: Time) -> jiff::civil::DateTime {
    t.to_timestamp().to_zoned(jiff::tz::TimeZone::UTC).datetime()
}

fn names(d: &jiff::civil::DateTime) -> (&'static str, &'static str) {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (DAYS[d.weekday().to_monday_zero_offset() as usize % 7], MONTHS[(d.month() - 1) as usize % 12])
}

impl fmt::Display for Rfc2822 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = parts(self.0);
        let (day, month) = names(&d);
        let (hour, minute, second) = (d.hour(), d.minute(), d.second());
        write!(f, "{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} +0000", d.day(), d.year())
    }
}

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0.floor_to_second().to_timestamp())
    }
}

impl Serialize for Rfc2822 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// HTTP's own: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(t: Time) -> String {
    Rfc2822(t).to_string().replace("+0000", "GMT")
}

/// An instant or a day that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateAsked {
    Day(Time),
    Instant(Time),
}

pub const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

impl DateAsked {
    /// Reads the forms that clients use. Twilio ignores what it cannot read, and so do we.
    pub fn parse(text: &str) -> Option<DateAsked> {
        let text = text.trim();
        let utc =
            |d: jiff::civil::DateTime| d.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| Time::from(z.timestamp()));
        if text.len() == 10 {
            let date: jiff::civil::Date = text.parse().ok()?;
            return utc(date.at(0, 0, 0, 0)).map(DateAsked::Day);
        }
        let with_zone = || text.parse::<jiff::Timestamp>().ok();
        let rfc2822 = || jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp());
        let without = || text.parse::<jiff::civil::DateTime>().ok().and_then(utc);
        with_zone().or_else(rfc2822).map(Time::from).or_else(without).map(DateAsked::Instant)
    }

    /// Midnight, UTC, at which this day begins.
    pub fn day(self) -> Time {
        let (DateAsked::Day(t) | DateAsked::Instant(t)) = self;
        Time::from_millis(t.as_millis().div_euclid(86_400_000) * 86_400_000)
    }

    pub fn instant(self) -> Time {
        let (DateAsked::Day(t) | DateAsked::Instant(t)) = self;
        t
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_twilio_writes_them() {
        let t: Time = "2026-03-01T09:05:07.999Z".parse().unwrap();
        assert_eq!(Rfc2822(t).to_string(), "Sun, 01 Mar 2026 09:05:07 +0000");
        assert_eq!(Iso(t).to_string(), "2026-03-01T09:05:07Z");
        assert_eq!(http_date(t), "Sun, 01 Mar 2026 09:05:07 GMT");
    }

    #[test]
    fn the_forms_that_clients_send_are_understood() {
        let t = "2019-06-11T22:05:25Z".parse().unwrap();
        for text in [
            "2019-06-11T22:05:25Z",
            "2019-06-11T17:05:25-05:00",
            "2019-06-11 22:05:25.000",
            "Tue, 11 Jun 2019 22:05:25 -0000",
        ] {
            assert_eq!(DateAsked::parse(text), Some(DateAsked::Instant(t)), "{text}");
        }
        let day = "2019-06-11T00:00:00Z".parse().unwrap();
        assert_eq!(DateAsked::parse("2019-06-11"), Some(DateAsked::Day(day)));
        assert_eq!(DateAsked::Instant(t).day(), day);
        assert_eq!(DateAsked::parse("06/11/2019 22:05:25 MST"), None);
    }
}
