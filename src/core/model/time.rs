//! Instants. The core never reads a clock: every function that needs the time takes a [`Time`].
//!
//! A `Time` is whole milliseconds since the Unix epoch, UTC: eight bytes, total order, exact
//! arithmetic. Twilio's own dates have one second of resolution; when we *saw* an entry has one
//! millisecond. Text is RFC 3339 with milliseconds, always in UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// The beginning of time as far as this program is concerned: before any Twilio entry.
    pub const EPOCH: Time = Time(0);

    /// Later than anything that is waited for, and still early enough to be reckoned with.
    pub const NEVER: Time = Time(i64::MAX / 2);

    pub const fn from_millis(ms: i64) -> Time {
        Time(ms)
    }

    pub const fn from_secs(s: i64) -> Time {
        Time(s.saturating_mul(1000))
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, as Prometheus wants timestamps.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same instant with the part below a second cut off, as Twilio stores it.
    pub const fn floor_to_second(self) -> Time {
        Time(self.0.div_euclid(1000) * 1000)
    }

    /// For people, at `now`: `10:07:31 UTC`, with its day if that is not today.
    pub fn told(self, now: Time) -> String {
        let day = |t: Time| t.to_timestamp().strftime("%Y-%m-%d").to_string();
        let form = if day(self) == day(now) { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
        self.to_timestamp().strftime(form).to_string()
    }

    /// This instant as the calendar library knows it; instants outside its range are clamped.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(t: jiff::Timestamp) -> Time {
        Time(t.as_millisecond())
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(millis(d)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(millis(d)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_timestamp())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not an RFC 3339 instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 instant such as 2026-11-21T09:00:00Z")]
pub struct BadTime(pub String);

impl FromStr for Time {
    type Err = BadTime;
    fn from_str(s: &str) -> Result<Time, BadTime> {
        s.parse::<jiff::Timestamp>().map(Time::from).map_err(|_| BadTime(s.to_owned()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Time, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rfc_3339_in_milliseconds_and_reads_back() {
        let t = Time::from_millis(1_795_165_203_120);
        assert_eq!(t.to_string(), "2026-11-20T09:00:03.120Z");
        assert_eq!(t.to_string().parse(), Ok(t));
        assert_eq!("2026-11-20T10:00:03.12+01:00".parse(), Ok(t));
        assert_eq!("yesterday".parse::<Time>(), Err(BadTime("yesterday".into())));
    }

    #[test]
    fn spans_never_go_below_zero() {
        let a = Time::from_secs(10);
        assert_eq!((a + Duration::from_secs(5)).since(a), Duration::from_secs(5));
        assert_eq!(a.since(a + Duration::from_secs(5)), Duration::ZERO);
    }
}
