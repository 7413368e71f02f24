//! When a call began, in the forms in which exports write it.
//!
//! An instant has its offset in the value (`2026-03-01T09:12:33-05:00`); or it is a wall clock's time, whose zone the
//! heading names (`Start Time (UTC)`, `Start Time (America/Chicago)`), or the configuration does. A wall clock's hour
//! that comes twice when daylight saving ends is taken for the first of the two, and one that is left out when it
//! begins for the one after it.

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A call's beginning as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenStart {
    /// Seconds since the epoch.
    Instant(i64),
    /// The same on a clock in a zone that is not written here.
    Wall(i64),
}

/// Which of two numbers is the day in `03/04/2026`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DayOrder {
    #[default]
    MonthFirst,
    DayFirst,
}

pub const NOT_A_TIME: &str = "no time that is understood: write it as 2026-03-01 09:12:33, with its offset (-05:00) or \
                              with the time zone in the heading, such as \"Start Time (America/Chicago)\"";

/// Reads beginnings; remembers the last day, which most often is the next one's too.
#[derive(Debug, Default)]
pub struct StartReader {
    order: DayOrder,
    last: Option<([u32; 3], i64)>,
}

impl StartReader {
    pub const fn new(order: DayOrder) -> StartReader {
        StartReader { order, last: None }
    }

    pub fn read(&mut self, text: &str) -> Option<WrittenStart> {
        let (date, rest) = self.date(text.trim())?;
        let (seconds, rest) = clock(rest)?;
        let wall = self.days(date)? * 86_400 + seconds;
        match rest.trim() {
            "" => Some(WrittenStart::Wall(wall)),
            "Z" | "z" | "UTC" | "GMT" => Some(WrittenStart::Instant(wall)),
            offset => Some(WrittenStart::Instant(wall - offset_seconds(offset)?)),
        }
    }

    /// Year, month and day.
    fn date<'a>(&self, text: &'a str) -> Option<([u32; 3], &'a str)> {
        let (first, rest) = number(text)?;
        let mark = rest.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
        let (second, rest) = number(&rest[1..])?;
        let (third, rest) = number(rest.strip_prefix(mark)?)?;
        let date = match (first > 31, self.order) {
            (true, _) => [first, second, third],
            (false, DayOrder::MonthFirst) => [third, first, second],
            (false, DayOrder::DayFirst) => [third, second, first],
        };
        Some((date, rest.strip_prefix(['T', 't', ' ']).or(rest.strip_prefix(", "))?))
    }

    /// Since the epoch.
    fn days(&mut self, date: [u32; 3]) -> Option<i64> {
        if let Some((last, days)) = self.last.filter(|(last, _)| *last == date) {
            debug_assert_eq!(last, date, "the same day");
            return Some(days);
        }
        let [year, month, day] = date;
        let year = if year < 100 { year + 2000 } else { year };
        let civil = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let days = i64::from(Date::constant(1970, 1, 1).until(civil).ok()?.get_days());
        self.last = Some((date, days));
        Some(days)
    }
}

/// True if `text` can only be a date with its day first.
pub fn is_day_first(text: &str) -> bool {
    let two = |text: &str| {
        let (first, rest) = number(text)?;
        let (second, _) = number(rest.strip_prefix(['/', '.', '-'])?)?;
        Some((first, second))
    };
    two(text.trim()).is_some_and(|(first, second)| (13..=31).contains(&first) && (1..=12).contains(&second))
}

fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=4).contains(&digits).then(|| Some((text[..digits].parse().ok()?, &text[digits..])))?
}

/// Seconds of the day: `9:12`, `09:12:33.120`, `9:12 PM`.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hour, rest) = number(text.trim_start())?;
    let (minute, mut rest) = number(rest.strip_prefix(':')?)?;
    let mut second = 0;
    if let Some(seconds) = rest.strip_prefix(':') {
        (second, rest) = number(seconds)?;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }
    let half = rest.trim_start();
    let is = |word: &str| half.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    let (hour, rest) = match (is("am"), is("pm"), hour) {
        (true, _, 12) => (0, &half[2..]),
        (true, _, 1..12) => (hour, &half[2..]),
        (_, true, 12) => (12, &half[2..]),
        (_, true, 1..12) => (hour + 12, &half[2..]),
        (false, false, _) => (hour, rest),
        (true, _, _) | (_, true, _) => return None,
    };
    let is_clock = hour < 24 && minute < 60 && second <= 60;
    is_clock.then(|| (i64::from(hour * 3600 + minute * 60 + second.min(59)), rest))
}

/// Of `-05:00`, `+0530` or `-05`.
fn offset_seconds(text: &str) -> Option<i64> {
    let text = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-" | "\u{2212}", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i64>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse::<i64>().ok()?),
        _ => return None,
    };
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A zone's clock; remembers the last hour's offset.
#[derive(Debug)]
pub struct WallClock {
    pub zone: TimeZone,
    last: Option<(i64, i64)>,
}

impl WallClock {
    pub const fn new(zone: TimeZone) -> WallClock {
        WallClock { zone, last: None }
    }

    /// Seconds since the epoch when this clock shows so many.
    pub fn instant(&mut self, wall: i64) -> Option<i64> {
        // No clock is set within a quarter of an hour.
        let quarter = wall.div_euclid(900);
        if let Some((_, offset)) = self.last.filter(|(of, _)| *of == quarter) {
            return Some(wall - offset);
        }
        let civil = TimeZone::UTC.to_datetime(jiff::Timestamp::from_second(wall).ok()?);
        let instant = self.zone.to_ambiguous_timestamp(civil).compatible().ok()?.as_second();
        self.last = Some((quarter, wall - instant));
        Some(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<WrittenStart> {
        StartReader::default().read(text)
    }

    fn instant(text: &str) -> WrittenStart {
        WrittenStart::Instant(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    #[test]
    fn times_are_read_in_every_writing() {
        let want = instant("2026-03-01T14:12:33Z");
        for text in [
            "2026-03-01T09:12:33-05:00",
            "2026-03-01 09:12:33 -0500",
            "2026-03-01T09:12:33.120-05:00",
            "2026-03-01T14:12:33Z",
            "2026-03-01 14:12:33 UTC",
            "3/1/2026 2:12:33 PM UTC",
            "03/01/26 14:12:33 GMT",
        ] {
            assert_eq!(read(text), Some(want), "{text}");
        }
        let WrittenStart::Instant(seconds) = want else { panic!() };
        for text in ["2026-03-01 14:12:33", "3/1/2026, 2:12:33 pm", "2026/03/01 14:12:33"] {
            assert_eq!(read(text), Some(WrittenStart::Wall(seconds)), "{text}");
        }
        let mut day_first = StartReader::new(DayOrder::DayFirst);
        assert_eq!(day_first.read("01.03.2026 14:12:33"), Some(WrittenStart::Wall(seconds)));
        assert_eq!(read("3/1/2026 12:00 AM"), Some(WrittenStart::Wall(seconds - 14 * 3600 - 753)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "yesterday", "2026-03-01", "2026-02-30 09:12:33", "2026-03-01 25:12:33", "13:00 PM", "45000.3"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("2026-03-01 09:12:33 Eastern"), None);
        assert!(is_day_first("25/03/2026 09:00") && !is_day_first("3/25/2026 09:00") && !is_day_first("2026-03-01"));
    }

    #[test]
    fn a_wall_clock_knows_daylight_saving() {
        let mut clock = WallClock::new(TimeZone::get("America/Chicago").unwrap());
        let mut at = |text: &str| {
            let Some(WrittenStart::Wall(wall)) = read(text) else { panic!("{text}") };
            WrittenStart::Instant(clock.instant(wall).unwrap())
        };
        assert_eq!(at("2026-03-08 01:30:00"), instant("2026-03-08T07:30:00Z"));
        assert_eq!(at("2026-03-08 03:30:00"), instant("2026-03-08T08:30:00Z"));
        assert_eq!(at("2026-03-08 02:30:00"), instant("2026-03-08T08:30:00Z"), "there is none");
        assert_eq!(at("2026-11-01 01:30:00"), instant("2026-11-01T06:30:00Z"), "the first of two");
        assert_eq!(at("2026-11-01 02:30:00"), instant("2026-11-01T08:30:00Z"));
    }
}
