//! What pages say in words: times, evidence, and the journal's entries.

use super::Moment;
use crate::core::model::decision::{Action, Decision, DecisionId};
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::{By, Operation, Order, OrderResult};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::model::verdict::Evidence;
use crate::core::notice::advice;
use crate::core::port::news::PortEntry;
use crate::core::rollback::entry::Entry;

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

/// `7 of 9 callers fail`.
pub fn callers(evidence: &Evidence, channel: Channel) -> String {
    let words = evidence.counted.words(channel);
    let mut text = format!("{} of {} failed", evidence.failing, words.count(evidence.callers));
    if evidence.probes > 0 {
        let tests = if evidence.probes == 1 { "test" } else { "tests" };
        text += &format!("; {} of {} {tests} of ours", evidence.failing_probes, evidence.probes);
    }
    text
}

/// Why callers fail, most of them first.
pub fn reasons(evidence: &Evidence) -> Vec<String> {
    let one = |r: &crate::core::model::verdict::ReasonCount| {
        let code = r.code.map(|code| format!(" (code {code}: {})", advice::meaning(code))).unwrap_or_default();
        format!("{}{code}: {}", r.reason.text(), r.callers)
    };
    evidence.reasons.iter().map(one).collect()
}

/// How likely what was seen would be by luck, in words; `None` where no statistic decided.
pub fn likelihood(evidence: &Evidence) -> Option<String> {
    let score = evidence.score?;
    let times = score.statistic.exp();
    let factor = match times {
        t if t < 1.5 => "hardly likelier".to_owned(),
        t if t < 1000.0 => format!("{t:.0} times likelier"),
        t if t < 1e6 => format!("{:.0} thousand times likelier", t / 1e3),
        t if t < 1e9 => format!("{:.0} million times likelier", t / 1e6),
        _ => "more than a billion times likelier".to_owned(),
    };
    Some(format!("What was seen is {factor} under a fault than on a usual day."))
}

/// A few numbers by name, and how many more.
pub fn numbers(numbers: &[NumberId], roster: &Roster) -> String {
    let named: Vec<String> = numbers.iter().take(NAMED).map(|n| roster.name(*n).to_string()).collect();
    match numbers.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What a decision comes to.
pub fn decided(decision: &Decision) -> String {
    match decision.action {
        Action::Rollback => "roll back to the fallback".to_owned(),
        Action::Withheld { guard } => format!("no rollback, though the evidence calls for one: {}", guard.text()),
        Action::Page { reason } => format!("page a person: {}", reason.text()),
    }
}

/// How one number's part of an order ended.
pub const fn result(result: OrderResult) -> &'static str {
    match result {
        OrderResult::Written => "written and read back; no test call has heard it",
        OrderResult::Proven => "proven: a test call was answered by the fallback",
        OrderResult::Unproven => "not proven",
        OrderResult::Failed => "not written",
        OrderResult::Refused => "refused",
        OrderResult::Superseded => "somebody else has changed it",
        OrderResult::Restored => "restored and read back",
    }
}

/// An order, as somebody asks for it.
pub fn ordered(order: &Order, roster: &Roster) -> String {
    let what = match order.operation {
        Operation::Rollback => "rollback to the fallback",
        Operation::Restore => "restore",
        Operation::Apply => "apply of the configured handler",
        Operation::Undo => "undo of the latest apply",
    };
    let how = match (order.staged, order.force) {
        (true, true) => ", a canary first, over others' changes",
        (true, false) => ", a canary first",
        (false, true) => ", over others' changes",
        (false, false) => "",
    };
    format!("{what} of {}, {}{how}", numbers(&order.numbers, roster), order.channel)
}

/// A line of a timeline.
pub struct Line {
    pub moment: Moment,
    pub text: String,
    /// Who, where it was a person.
    pub author: Option<String>,
    pub reason: Option<String>,
    pub decision: Option<DecisionId>,
    /// How it is shown: `bad`, `good`, or nothing.
    pub tone: &'static str,
}

impl Line {
    pub fn of(at: Time, entry: &Entry, now: Time, roster: &Roster) -> Line {
        let (text, tone) = told(entry, roster, now);
        let by = author(entry);
        Line {
            moment: Moment::of(at, now),
            text,
            author: by.map(|by| by.name.to_string()),
            reason: by.map(|by| by.reason.to_string()),
            decision: entry.decision(),
            tone,
        }
    }
}

/// Who is behind an entry.
fn author(entry: &Entry) -> Option<&crate::core::model::order::Author> {
    match entry {
        Entry::Order(Order { by: By::Operator(by), .. })
        | Entry::Approved { by, .. }
        | Entry::Release { by, .. }
        | Entry::Mode { by, .. }
        | Entry::Ported { by, .. } => Some(by),
        Entry::Hold(hold) => Some(&hold.by),
        Entry::Adopted { by: crate::core::model::order::AdoptedBy::Operator(by), .. } => Some(by),
        Entry::Adopted { .. }
        | Entry::Decision(_)
        | Entry::Order(_)
        | Entry::Stage { .. }
        | Entry::Refused { .. }
        | Entry::Asked { .. }
        | Entry::Closed { .. }
        | Entry::Recovered { .. }
        | Entry::Snapshot { .. }
        | Entry::Checked { .. }
        | Entry::Intent { .. }
        | Entry::Written { .. }
        | Entry::Result { .. }
        | Entry::Phase { .. }
        | Entry::Port(_)
        | Entry::Drift { .. }
        | Entry::Started { .. }
        | Entry::Fallback { .. } => None,
    }
}

/// An entry in words, and how it is shown.
fn told(entry: &Entry, roster: &Roster, now: Time) -> (String, &'static str) {
    let named = |all: &[NumberId]| numbers(all, roster);
    let one = |number: NumberId| roster.name(number).to_string();
    match entry {
        Entry::Decision(d) => {
            let of = format!("{}, {}", named(&d.numbers), d.channel);
            (format!("decided: {} ({of}); {}", decided(d), callers(&d.evidence, d.channel)), "bad")
        }
        Entry::Order(order) => (format!("ordered: {}", ordered(order, roster)), ""),
        Entry::Stage { numbers, channel, .. } => (format!("next stage: {}, {channel}", named(numbers)), ""),
        Entry::Refused { numbers, guard, .. } => (format!("refused for {}: {}", named(numbers), guard.text()), "bad"),
        Entry::Asked { numbers, guard, until, .. } => {
            let until = moment(*until, now);
            (format!("waits until {until} for {}: {}", named(numbers), guard.text()), "")
        }
        Entry::Approved { .. } => ("approved".to_owned(), "good"),
        Entry::Closed { numbers, why, .. } => (format!("closed for {}: {}", named(numbers), why.text()), ""),
        Entry::Recovered { numbers, channel } => {
            (format!("callers of {} are served again, {channel}", named(numbers)), "good")
        }
        Entry::Snapshot { number, .. } => (format!("kept what {} points at", one(*number)), ""),
        Entry::Checked { number, fallback, .. } => {
            (format!("the fallback was looked at for {}: {}", one(*number), fallback.label()), "")
        }
        Entry::Intent { number, operation, update, .. } => {
            let fields: Vec<String> = update.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            (format!("about to write ({}) {}: {}", operation.label(), one(*number), fields.join(", ")), "")
        }
        Entry::Written { number, .. } => (format!("Twilio took the write of {}", one(*number)), ""),
        Entry::Result { number, result: end, detail, .. } => {
            let tone = match end {
                OrderResult::Proven | OrderResult::Restored => "good",
                // It is not known to serve callers.
                OrderResult::Written => "",
                OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => "bad",
            };
            let detail = if detail.is_empty() { String::new() } else { format!(" – {detail}") };
            (format!("{}: {}{detail}", one(*number), result(*end)), tone)
        }
        Entry::Phase { number, channel, phase } => (format!("{}, {channel}: now {}", one(*number), phase.label()), ""),
        Entry::Hold(hold) => (format!("held: {}, until {}", hold.scope.text(roster), moment(hold.until, now)), ""),
        Entry::Release { scope, .. } => (format!("released: {}", scope.text(roster)), ""),
        Entry::Mode { mode, .. } => (format!("mode {}", mode.label()), ""),
        Entry::Ported { numbers, .. } => (format!("said to be ported: {}", named(numbers)), ""),
        Entry::Port(port) => ported(port, roster),
        Entry::Drift { number, channel, differences, actor } => {
            let who = actor.as_ref().map_or_else(|| "somebody".to_owned(), ToString::to_string);
            (format!("{who} changed {}, {channel}, in {} fields", one(*number), differences.len()), "bad")
        }
        Entry::Adopted { number, channel, by, .. } => {
            (format!("adopted what {} has, {channel} (by {by})", one(*number)), "")
        }
        Entry::Started { version, rules } => {
            let rules = if rules.is_some() { ", with other rules than before" } else { "" };
            (format!("agent {version} began to watch{rules}"), "")
        }
        Entry::Fallback { group, channel, state, detail, .. } => {
            (format!("fallback of {group}, {channel}: {} {detail}", state.label()), "")
        }
    }
}

fn ported(entry: &PortEntry, roster: &Roster) -> (String, &'static str) {
    let named = |all: &[NumberId]| numbers(all, roster);
    let text = match entry {
        PortEntry::Status { numbers, state, .. } => format!("port of {}: {}", named(numbers), state.text()),
        PortEntry::Met { channel, met, numbers } => {
            let met = match met {
                crate::core::port::news::Met::Arrived => "the first caller came",
                crate::core::port::news::Met::Served => "the first caller was served",
                crate::core::port::news::Met::Forwarded => "a caller still came by way of the old provider",
                crate::core::port::news::Met::Probed => "a test was served",
            };
            format!("{met}: {}, {channel}", named(numbers))
        }
        PortEntry::Eve { group, waiting, .. } => format!("the port of {group} is near; {} numbers wait", waiting.len()),
        PortEntry::Passive { group, channel, .. } => format!("{group}, {channel}: watched as in every other week"),
    };
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::verdict::Score;

    #[test]
    fn a_moment_has_its_day_unless_it_is_today() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let now = at("2026-11-21T10:07:31Z");
        assert_eq!(moment(at("2026-11-21T00:00:01.999Z"), now), "00:00:01");
        assert_eq!(moment(at("2026-11-20T23:59:59Z"), now), "2026-11-20 23:59:59");
    }

    #[test]
    fn a_likelihood_is_in_words_and_none_where_nothing_was_weighed() {
        let of = |statistic: f64| {
            let score = Some(Score { statistic, threshold: 12.0 });
            likelihood(&Evidence { score, ..Evidence::default() }).unwrap()
        };
        assert!(of(0.0).contains("hardly"));
        assert!(of(5.0).contains("148 times"), "{}", of(5.0));
        assert!(of(12.0).contains("163 thousand"), "{}", of(12.0));
        assert!(of(90.0).contains("billion"));
        assert_eq!(likelihood(&Evidence::default()), None);
    }
}
