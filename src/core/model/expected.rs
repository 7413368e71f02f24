//! Calls that should have come, by the weeks before, and did not: what a page about silence rests on.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::time::Time;

/// How many calls were expected in a stretch without any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedCalls {
    #[serde(flatten)]
    pub of: ExpectedOf,
    /// When it begins, and what that was.
    pub since: Time,
    pub from: ExpectedSince,
    pub until: Time,
    /// Nine days in ten bring so many in that stretch.
    pub least: u32,
    pub most: u32,
}

/// What a stretch without calls begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedSince {
    LastCall,
    Port,
    /// Nobody watched before.
    Watch,
}

/// Whose calls they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum ExpectedOf {
    Number,
    Group,
    Account,
    /// To these numbers, from callers of one carrier.
    Carrier {
        name: String,
    },
}

impl ExpectedCalls {
    /// For people, with the time of day in the numbers' zone: `by 09:40 this number should have had 11 to 24 calls
    /// since the port; it had 0`.
    pub fn text(&self, zone: &TimeZone) -> String {
        let local = |at: Time| at.to_timestamp().to_zoned(zone.clone());
        let day = local(self.until).date();
        let clock = |at: Time| {
            let form = if local(at).date() == day { "%H:%M" } else { "%H:%M on %Y-%m-%d" };
            local(at).strftime(form).to_string()
        };
        let (by, range) = (clock(self.until), count_text(self.least, self.most));
        let since = match self.from {
            ExpectedSince::LastCall => format!("since the last, at {}", clock(self.since)),
            ExpectedSince::Port => "since the port".to_owned(),
            ExpectedSince::Watch => format!("since {}", clock(self.since)),
        };
        match &self.of {
            ExpectedOf::Number => format!("by {by} this number should have had {range} {since}; it had 0"),
            ExpectedOf::Group => {
                format!("by {by} this group's numbers should have had {range} {since}; they had 0")
            }
            ExpectedOf::Account => {
                format!("by {by} all numbers together should have had {range} {since}; they had 0")
            }
            ExpectedOf::Carrier { name } => format!(
                "by {by} callers of {name} should have made {range} {since}; they made 0, and everybody else's calls \
                 come: stale routing there, nothing to swap"
            ),
        }
    }
}

/// `11 to 24 calls`.
fn count_text(least: u32, most: u32) -> String {
    match (least, most) {
        (1, 1) => "1 call".to_owned(),
        (least, most) if least == most => format!("{least} calls"),
        (least, most) => format!("{least} to {most} calls"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_the_time_of_the_number() {
        let zone = TimeZone::get("America/Chicago").unwrap();
        let [since, until] = ["2026-11-30T14:00:00Z", "2026-11-30T15:40:00Z"].map(|t| t.parse().unwrap());
        let calls = |of, from| ExpectedCalls { of, from, since, until, least: 11, most: 24 };
        assert_eq!(
            calls(ExpectedOf::Number, ExpectedSince::Port).text(&zone),
            "by 09:40 this number should have had 11 to 24 calls since the port; it had 0"
        );
        let text = calls(ExpectedOf::Carrier { name: "Alpha".to_owned() }, ExpectedSince::LastCall).text(&zone);
        assert!(text.starts_with("by 09:40 callers of Alpha should have made 11 to 24 calls since the last, at 08:00"));
        assert_eq!([count_text(1, 1), count_text(2, 2), count_text(0, 3)], ["1 call", "2 calls", "0 to 3 calls"]);
    }
}
