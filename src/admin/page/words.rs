//! What pages say in words: times, evidence, and the journal's entries.

use std::collections::HashMap;

use super::Moment;
use crate::core::model::decision::DecisionId;
use crate::core::model::id::NumberId;
use crate::core::model::order::Operation;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::model::verdict::Evidence;
use crate::core::notice::advice;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::sentence::{Actor, Sentence, Tone, some_of};

/// Numbers that are spelt out in one line.
const NAMED: usize = 4;

/// `10:07:31`, in UTC as everything here.
pub fn time_of_day(at: Time) -> String {
    at.to_timestamp().strftime("%H:%M:%S").to_string()
}

/// The same with its day, if that is not today's.
pub fn moment(at: Time, now: Time) -> String {
    let day = |at: Time| at.to_timestamp().strftime("%Y-%m-%d").to_string();
    if day(at) == day(now) { time_of_day(at) } else { at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string() }
}

/// Why callers fail, most of them first.
pub fn reasons(evidence: &Evidence) -> Vec<String> {
    let one = |r: &crate::core::model::verdict::ReasonCount| {
        let code = r.code.map(|code| format!(" (code {code}: {})", advice::meaning(code))).unwrap_or_default();
        format!("{}{code}: {}", r.reason.text(), r.callers)
    };
    evidence.reasons.iter().map(one).collect()
}

/// A few numbers by name, and how many more.
pub fn numbers(numbers: &[NumberId], roster: &Roster) -> String {
    some_of(numbers, NAMED, roster)
}

/// A line of a timeline.
pub struct TimelineRow {
    pub moment: Moment,
    pub text: String,
    /// Who, where it was not Ringback.
    pub author: Option<String>,
    pub reason: Option<String>,
    pub decision: Option<DecisionId>,
    /// How it is shown: `bad`, `good`, or nothing.
    pub tone: &'static str,
}

impl TimelineRow {
    /// `operation`: of the entry's order, where it is known.
    pub fn of(at: Time, entry: &Entry, operation: Option<Operation>, now: Time, roster: &Roster) -> TimelineRow {
        let told = entry.sentence(at, operation, roster);
        let (author, reason) = match (&told.who, told.more.clone()) {
            (Actor::Person(name), reason) => (Some(name.clone()), reason),
            (Actor::Other(_), reason) => (Some(told.who.to_string()), reason),
            (Actor::Detector | Actor::Ringback | Actor::Twilio, _) => (None, None),
        };
        let shown = Sentence { more: if author.is_some() { None } else { told.more.clone() }, ..told.clone() };
        TimelineRow {
            moment: Moment::of(at, now),
            text: shown.line(NAMED, roster),
            author,
            reason,
            decision: told.decision,
            tone: match told.tone {
                Tone::Good => "good",
                Tone::Bad => "bad",
                Tone::Neutral => "",
            },
        }
    }
}

/// The operation of each order among the entries.
pub fn operations<'a>(entries: impl Iterator<Item = &'a Entry>) -> HashMap<DecisionId, Operation> {
    let of = |e: &Entry| if let Entry::Order(order) = e { Some((order.id, order.operation)) } else { None };
    entries.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_day_unless_it_is_today() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let now = at("2026-11-21T10:07:31Z");
        assert_eq!(moment(at("2026-11-21T00:00:01.999Z"), now), "00:00:01");
        assert_eq!(moment(at("2026-11-20T23:59:59Z"), now), "2026-11-20 23:59:59");
    }
}
