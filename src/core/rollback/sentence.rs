//! An entry of the journal in words: who did what, to which numbers, and what more is known of it.
//!
//! The terminal, the page and the report tell the same entry in the same words: they choose what they show of a
//! [`Sentence`], and how it is laid out.

use std::fmt;

use super::entry::Entry;
use crate::model::counted;
use crate::model::decision::{Action, Decision, DecisionId};
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AdoptedBy, Author, By, FallbackState, Operation, Order, OrderResult};
use crate::model::roster::Roster;
use crate::model::time::Time;
use crate::port::news::{Met, PortEntry};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// An operator, by name.
    Person(String),
    /// For what the evidence led to.
    Detector,
    /// For what follows from a decision or a command.
    Ringback,
    /// As far as its own records say.
    Twilio,
    /// Whoever else writes to the account's numbers; by name where that is known.
    Other(Option<String>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Actor::Person(name) | Actor::Other(Some(name)) => name,
            Actor::Detector => "detector",
            Actor::Ringback => "ringback",
            Actor::Twilio => "Twilio",
            Actor::Other(None) => "somebody else",
        })
    }
}

/// What a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Port,
    Decision,
    Guard,
    Write,
    Proof,
    Person,
    Change,
    Fallback,
    Agent,
}

/// Good or bad news for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    /// Neither, or not known yet.
    Neutral,
}

/// In how short a list a sentence belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SentenceWeight {
    /// One step of one number on the way to a result.
    Step,
    /// Somebody did something, or something followed.
    Act,
    /// The day cannot be told without it.
    Key,
}

/// An entry in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    pub who: Actor,
    /// What happened, without the names of its numbers.
    pub text: String,
    /// A person's reason, or what was seen.
    pub more: Option<String>,
    pub decision: Option<DecisionId>,
    /// The numbers that it is about.
    pub numbers: Vec<NumberId>,
    pub group: Option<GroupName>,
    pub channel: Option<Channel>,
    pub topic: Topic,
    pub tone: Tone,
    pub weight: SentenceWeight,
}

impl Sentence {
    fn new(topic: Topic, weight: SentenceWeight, text: impl Into<String>) -> Sentence {
        Sentence {
            who: Actor::Ringback,
            text: text.into(),
            more: None,
            decision: None,
            numbers: Vec::new(),
            group: None,
            channel: None,
            topic,
            tone: Tone::Neutral,
            weight,
        }
    }

    fn of(self, numbers: &[NumberId], channel: Option<Channel>) -> Sentence {
        Sentence { numbers: numbers.to_vec(), channel, ..self }
    }

    fn by(self, who: Actor) -> Sentence {
        Sentence { who, ..self }
    }

    fn by_person(self, author: &Author) -> Sentence {
        Sentence { who: Actor::Person(author.name.to_string()), more: Some(author.reason.to_string()), ..self }
    }

    fn with(self, more: impl Into<String>) -> Sentence {
        let more = more.into();
        Sentence { more: (!more.is_empty()).then_some(more), ..self }
    }

    fn toned(self, tone: Tone) -> Sentence {
        Sentence { tone, ..self }
    }

    /// The whole of it in one line, with as many of its numbers by name.
    pub fn line(&self, named: usize, roster: &Roster) -> String {
        let mut line = self.text.clone();
        if !self.numbers.is_empty() {
            line += &format!(": {}", some_of(&self.numbers, named, roster));
        }
        if let Some(more) = &self.more {
            line += &format!(": {more}");
        }
        line
    }
}

/// The first `named` numbers by name, and how many more there are.
pub fn some_of(numbers: &[NumberId], named: usize, roster: &Roster) -> String {
    let text = counted::some_of(numbers, named, |n| roster.name(*n).to_string());
    if named == 0 && numbers.len() > 1 { format!("{text} numbers") } else { text }
}

/// What a decision comes to.
pub fn verdict(decision: &Decision) -> String {
    match decision.action {
        Action::Rollback => "rollback".to_owned(),
        Action::Withheld { guard } => format!("no rollback, though the evidence calls for one: {}", guard.text()),
        Action::Page { reason } => format!("a person is needed: {}", reason.text()),
    }
}

/// A decision: whose callers, what follows, and what was seen.
pub fn decided(d: &Decision) -> String {
    let mut seen = d.evidence.text(d.channel).unwrap_or_else(|| d.rule.clone());
    if let Some(reason) = d.evidence.reasons.first() {
        seen += &format!("; {}", reason.reason.text());
        if let Some(code) = reason.code.and_then(|c| c.named()) {
            seen += &format!(" (Twilio error {code})");
        }
    }
    format!("{}, {}: {}; {seen}", d.group, d.channel, verdict(d))
}

/// An order, as somebody asks for it.
pub fn ordered(order: &Order) -> String {
    let how = match (order.staged, order.force) {
        (true, true) => ", a canary first, over others' changes",
        (true, false) => ", a canary first",
        (false, true) => ", over others' changes",
        (false, false) => "",
    };
    format!("{} of {}, {}{how}", order.operation.text(), order.group, order.channel)
}

impl Entry {
    /// This entry in words, written at `at`. `operation`: of its order, where that is known: what a result means
    /// depends on what was asked for.
    pub fn sentence(&self, at: Time, operation: Option<Operation>, roster: &Roster) -> Sentence {
        use SentenceWeight::{Act, Key, Step};
        use Topic as T;
        let new = |topic, weight, text: &str| Sentence::new(topic, weight, text);
        let one = std::slice::from_ref;
        let told = match self {
            Entry::Decision(d) => {
                new(T::Decision, Key, &decided(d)).by(Actor::Detector).toned(Tone::Bad).of(&d.numbers, Some(d.channel))
            }
            Entry::Order(order) => {
                let told = |topic, weight| new(topic, weight, &ordered(order)).of(&order.numbers, Some(order.channel));
                match &order.by {
                    By::Detector => told(T::Write, Act),
                    By::Operator(author) => told(T::Person, Key).by_person(author),
                }
            }
            Entry::Stage { numbers, channel, .. } => {
                new(T::Write, Act, "the restore's next stage").of(numbers, Some(*channel))
            }
            Entry::Refused { numbers, channel, guard, .. } => {
                let text = format!("not rolled back, because {}", guard.text());
                new(T::Guard, Key, &text).toned(Tone::Bad).of(numbers, Some(*channel))
            }
            Entry::Asked { numbers, channel, guard: Guard::Veto, until: end, .. } => {
                let text = format!("rolled back at {} unless somebody holds it", end.told(at));
                new(T::Guard, Key, &text).of(numbers, Some(*channel))
            }
            Entry::Asked { numbers, channel, guard, until: end, .. } => {
                let text = format!("needs approval until {}, because {}", end.told(at), guard.text());
                new(T::Guard, Key, &text).of(numbers, Some(*channel))
            }
            Entry::Approved { by, .. } => new(T::Person, Key, "approved").toned(Tone::Good).by_person(by),
            Entry::Closed { numbers, channel, why, .. } => {
                new(T::Guard, Key, &format!("no longer stands: {}", why.text())).of(numbers, Some(*channel))
            }
            Entry::Recovered { channel, numbers } => {
                new(T::Decision, Key, "callers are served again").toned(Tone::Good).of(numbers, Some(*channel))
            }
            Entry::Snapshot { number, channel, sha256, .. } => {
                let digest = sha256.get(..12).unwrap_or(sha256);
                let told = new(T::Write, Step, "the number's whole record is kept").of(one(number), Some(*channel));
                told.with(format!("SHA-256 {digest}…"))
            }
            Entry::Checked { number, channel, fallback, .. } => {
                let text = format!("the fallback was looked at and is {}", fallback.label());
                new(T::Write, Step, &text).of(one(number), Some(*channel))
            }
            Entry::Intent { number, channel, operation, update, .. } => {
                let fields: Vec<String> = update.iter().map(|(field, value)| format!("{field}={value}")).collect();
                let told = new(T::Write, Step, &format!("about to write ({})", operation.label()));
                told.of(one(number), Some(*channel)).with(fields.join(", "))
            }
            Entry::Written { number, channel, .. } => {
                new(T::Write, Step, "Twilio took the write").of(one(number), Some(*channel))
            }
            Entry::Result { number, channel, result, detail, .. } => {
                let topic = if *result == OrderResult::Proven { T::Proof } else { T::Write };
                let told = new(topic, Key, result.text(operation)).of(one(number), Some(*channel));
                told.toned(tone(*result)).with(detail.as_str())
            }
            Entry::Lost { number, channel, until: end, .. } => {
                let text = format!("the answer to a write was lost: it may land until {}", end.told(at));
                new(T::Write, Step, &text).of(one(number), Some(*channel))
            }
            Entry::Landed { number, channel, on, update, .. } => {
                let fields: Vec<String> = update.iter().map(|(field, value)| format!("{field}={value}")).collect();
                let told = new(T::Change, Key, &format!("a write of ours has landed late: {}", on.text()));
                told.toned(Tone::Bad).of(one(number), Some(*channel)).with(fields.join(", "))
            }
            Entry::Phase { channel, number, phase } => {
                new(T::Port, Step, &format!("{channel}: {}", phase.label())).of(one(number), Some(*channel))
            }
            Entry::Hold(hold) => {
                let text = format!("holds {} until {}", hold.scope.text(roster), hold.until.told(at));
                new(T::Person, Key, &text).by_person(&hold.by)
            }
            Entry::Release { scope, by } => {
                new(T::Person, Key, &format!("releases {}", scope.text(roster))).by_person(by)
            }
            Entry::Mode { mode, by } => {
                new(T::Person, Key, &format!("sets the mode to {}", mode.label())).by_person(by)
            }
            Entry::Ported { numbers, by } => new(T::Person, Key, "says: ported").of(numbers, None).by_person(by),
            Entry::Port(entry) => port(entry),
            Entry::Drift { number, channel, differences, actor } => {
                let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
                let told = new(T::Change, Key, &format!("changed {channel}: {}", what.join("; ")));
                let who = Actor::Other(actor.as_ref().map(ToString::to_string));
                told.by(who).toned(Tone::Bad).of(one(number), Some(*channel))
            }
            Entry::Adopted { number, channel, by, .. } => {
                let told = new(T::Person, Key, &format!("{channel}: the handler that it has is the right one"));
                let told = match by {
                    AdoptedBy::Operator(author) => told.by_person(author),
                    AdoptedBy::Owner(owner) => told
                        .by(Actor::Other(Some(owner.to_string())))
                        .with("the configuration expects this application to set it"),
                };
                told.of(one(number), Some(*channel))
            }
            Entry::Started { version, rules } => {
                let rules = if rules.is_some() { ", with other rules than before" } else { "" };
                new(T::Agent, Act, &format!("an agent began to watch, version {version}{rules}"))
            }
            Entry::Reloaded { by, changed } => {
                let text = format!("has the configuration read again ({})", changed.join(", "));
                new(T::Person, Key, &text).by_person(by)
            }
            Entry::Fallback { group, channel, state, detail, broken_for, .. } => {
                let is_bad = *state == FallbackState::Broken || !broken_for.is_empty();
                let (weight, tone) = if is_bad { (Key, Tone::Bad) } else { (Act, Tone::Neutral) };
                let told =
                    new(T::Fallback, weight, &format!("the fallback of {group}, {channel}, is {}", state.label()));
                told.toned(tone).of(broken_for, Some(*channel)).with(detail.as_str())
            }
        };
        let group = if let Entry::Fallback { group, .. } | Entry::Port(PortEntry::Passive { group, .. }) = self {
            Some(group.clone())
        } else {
            told.numbers.first().and_then(|n| roster.find(*n)).map(|ix| roster.group_of(ix).name.clone())
        };
        Sentence { decision: self.decision(), group, ..told }
    }
}

const fn tone(result: OrderResult) -> Tone {
    match result {
        OrderResult::Proven | OrderResult::Restored => Tone::Good,
        // It is not known to serve callers.
        OrderResult::Written => Tone::Neutral,
        OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => Tone::Bad,
    }
}

fn port(entry: &PortEntry) -> Sentence {
    let new = |weight, text: String| Sentence::new(Topic::Port, weight, text);
    match entry {
        PortEntry::Status { group, numbers, state } => {
            new(SentenceWeight::Key, format!("the port of {group}: {}", state.text()))
                .by(Actor::Twilio)
                .of(numbers, None)
        }
        PortEntry::Met { channel, met, numbers } => {
            let weight =
                if matches!(met, Met::Arrived | Met::Forwarded) { SentenceWeight::Key } else { SentenceWeight::Act };
            new(weight, format!("{channel}: {}", met.text())).of(numbers, Some(*channel))
        }
        PortEntry::Eve { group, due, waiting, .. } => {
            let due = due.to_timestamp().strftime("%Y-%m-%d %H:%M UTC");
            new(SentenceWeight::Key, format!("the port of {group} is due at {due}")).by(Actor::Twilio).of(waiting, None)
        }
        PortEntry::Passive { group, channel, .. } => {
            let told =
                new(SentenceWeight::Act, format!("{group}, {channel}: watched as in every other week from now on"));
            told.of(&[], Some(*channel))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::testing::ours;

    #[test]
    fn a_veto_says_what_silence_does_and_an_approval_what_it_does_not() {
        let roster = Roster::default();
        let at: Time = "2026-11-21T23:50:00Z".parse().unwrap();
        let asked = |guard| {
            let until = at + std::time::Duration::from_secs(1200);
            let asked =
                Entry::Asked { decision: DecisionId(4), channel: Channel::Voice, numbers: Vec::new(), guard, until };
            asked.sentence(at, None, &roster).line(3, &roster)
        };
        assert_eq!(asked(Guard::Veto), "rolled back at 2026-11-22 00:10:00 UTC unless somebody holds it");
        let cap = asked(Guard::Cap);
        assert!(cap.starts_with("needs approval until 2026-11-22 00:10:00 UTC, because more of the group"), "{cap}");
    }

    #[test]
    fn so_many_numbers_are_named_and_of_more_it_is_said_how_many() {
        let told = |count: usize| {
            let numbers = (0..count).map(|i| ours(&format!("+1500555010{i}"))).collect();
            let roster = Roster::default();
            Entry::Recovered { channel: Channel::Voice, numbers }.sentence(Time::EPOCH, None, &roster).line(3, &roster)
        };
        assert!(told(2).starts_with("callers are served again: ") && told(2).ends_with("+15005550101"), "{}", told(2));
        assert!(told(3).ends_with("+15005550102"), "{}", told(3));
        assert!(told(5).ends_with("+15005550102 and 2 more"), "{}", told(5));
    }

    #[test]
    fn what_a_write_came_to_depends_on_what_was_asked_for() {
        let of = |operation| OrderResult::Written.text(operation);
        assert!(of(Some(Operation::Rollback)).contains("no test call has heard it"));
        for other in [Some(Operation::Apply), Some(Operation::Undo), None] {
            assert!(!of(other).contains("test call"), "{}", of(other));
        }
    }
}
