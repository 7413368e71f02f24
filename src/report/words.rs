//! Instants, spans and counts in the words of a report.

use std::time::Duration;

use crate::core::model::counted::some_of;
use crate::core::model::id::NumberId;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;

/// Numbers that are spelt out in one line.
const NAMED: usize = 6;

/// `2026-11-21 10:07:31 UTC`.
pub fn instant(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `10:07:31`.
pub fn clock(at: Time) -> String {
    at.to_timestamp().strftime("%H:%M:%S").to_string()
}

/// `2026-11-21 10:07:31`, for tables whose head names the zone.
pub fn day_and_clock(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `3 h 5 min`, `4 min 12 s`, `1.2 s`.
pub fn span(d: Duration) -> String {
    let seconds = d.as_secs();
    match seconds {
        0..10 if d.subsec_millis() >= 50 => format!("{:.1} s", d.as_secs_f64()),
        0..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 caller`, `3 callers`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Numbers by name, as many as fit in a line.
pub fn numbers(numbers: &[NumberId], roster: &Roster) -> String {
    some_of(numbers, NAMED, |n| roster.name(*n).to_string())
}

/// The first letter as a sentence begins.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

/// Text that is an order to no browser, between tags and in quotes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_the_words_of_people() {
        for (ms, text) in [
            (0, "0 s"),
            (1_240, "1.2 s"),
            (59_000, "59 s"),
            (60_000, "1 min"),
            (252_000, "4 min 12 s"),
            (3_600_000, "1 h"),
            (11_100_000, "3 h 5 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!(count(1, "call", "calls") + &count(2, "call", "calls"), "1 call2 calls");
        assert_eq!(sentence("twilio"), "Twilio");
    }
}
