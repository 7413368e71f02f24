//! An entry of the journal in a sentence: who did what.

use super::entry::Entry;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::NumberId;
use crate::core::model::order::{AdoptedBy, By};
use crate::core::model::roster::Roster;
use crate::core::port::news::{Met, PortEntry};

/// Numbers that are spelt out; of more the count is said.
const NUMBERS: usize = 3;

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A person's name, `detector` for what the evidence led to, `ringback` for what follows from either.
    pub who: String,
    pub what: String,
    /// The numbers that it is about.
    pub numbers: Vec<NumberId>,
    /// Somebody did or decided something: the steps between are left out of a short list.
    pub is_act: bool,
}

fn counted(numbers: &[NumberId], roster: &Roster) -> String {
    match numbers.len() {
        n if n > NUMBERS => format!("{n} numbers"),
        _ => numbers.iter().map(|n| roster.name(*n).to_string()).collect::<Vec<_>>().join(", "),
    }
}

fn decided(decision: &Decision, roster: &Roster) -> String {
    let whose = format!("{} {}, {}", decision.group, decision.channel, counted(&decision.numbers, roster));
    let id = decision.id;
    match decision.action {
        Action::Rollback => format!("{id}: wants a rollback of {whose}: {}", decision.rule),
        Action::Withheld { guard } => format!("{id}: would roll back {whose}, but {}", guard.text()),
        Action::Page { reason } => format!("{id}: reports {whose}: {}", reason.text()),
    }
}

impl Entry {
    /// This entry in a sentence.
    pub fn told(&self, roster: &Roster) -> Told {
        let by = |who: &str, what: String, numbers: &[NumberId], is_act: bool| Told {
            who: who.to_owned(),
            what,
            numbers: numbers.to_vec(),
            is_act,
        };
        let ours = |what: String, numbers: &[NumberId]| by("ringback", what, numbers, true);
        let step = |what: String, number: &NumberId| by("ringback", what, std::slice::from_ref(number), false);
        let name = |number: &NumberId| roster.name(*number).to_string();
        match self {
            Entry::Decision(d) => by("detector", decided(d, roster), &d.numbers, true),
            Entry::Order(order) => {
                let what = format!(
                    "{}: {} of {} {}, {}",
                    order.id,
                    order.operation.label(),
                    order.group,
                    order.channel,
                    counted(&order.numbers, roster)
                );
                match &order.by {
                    By::Operator(author) => {
                        by(author.name.as_str(), format!("{what}: {}", author.reason), &order.numbers, true)
                    }
                    By::Detector => ours(what, &order.numbers),
                }
            }
            Entry::Stage { decision, numbers, .. } => {
                ours(format!("{decision}: the next stage: {}", counted(numbers, roster)), numbers)
            }
            Entry::Refused { decision, numbers, guard, .. } => {
                let what = format!("{decision}: not rolled back: {}: {}", counted(numbers, roster), guard.text());
                ours(what, numbers)
            }
            Entry::Asked { decision, numbers, guard, until, .. } => {
                let until = until.to_timestamp().strftime("%H:%M:%S UTC");
                let what = format!("{decision}: asks until {until}: {}: {}", counted(numbers, roster), guard.text());
                ours(what, numbers)
            }
            Entry::Approved { decision, by: author } => {
                by(author.name.as_str(), format!("{decision}: approved: {}", author.reason), &[], true)
            }
            Entry::Closed { decision, numbers, why, .. } => {
                ours(format!("{decision}: closed: {}: {}", counted(numbers, roster), why.text()), numbers)
            }
            Entry::Recovered { channel, numbers } => {
                ours(format!("{channel} of {} is healthy again", counted(numbers, roster)), numbers)
            }
            Entry::Snapshot { decision, number, sha256, .. } => {
                let digest = sha256.get(..12).unwrap_or(sha256);
                step(format!("{decision}: {}: its whole record is kept, SHA-256 {digest}…", name(number)), number)
            }
            Entry::Checked { decision, number, fallback, .. } => {
                step(format!("{decision}: {}: the fallback is {}", name(number), fallback.label()), number)
            }
            Entry::Intent { decision, number, operation, update, .. } => {
                let fields: Vec<String> = update.iter().map(|(field, value)| format!("{field}={value}")).collect();
                let what = format!("{decision}: {}: {}: writes {}", name(number), operation.label(), fields.join(", "));
                step(what, number)
            }
            Entry::Written { decision, number, .. } => {
                step(format!("{decision}: {}: Twilio took the write", name(number)), number)
            }
            Entry::Result { decision, number, result, detail, .. } => {
                ours(format!("{decision}: {}: {}: {detail}", name(number), result.label()), &[*number])
            }
            Entry::Phase { channel, number, phase } => {
                step(format!("{} {channel}: {}", name(number), phase.label()), number)
            }
            Entry::Hold(hold) => {
                let until = hold.until.to_timestamp().strftime("%Y-%m-%d %H:%M:%S UTC");
                let what = format!("holds {} until {until}: {}", hold.scope.text(roster), hold.by.reason);
                by(hold.by.name.as_str(), what, &[], true)
            }
            Entry::Release { scope, by: author } => {
                by(author.name.as_str(), format!("releases {}: {}", scope.text(roster), author.reason), &[], true)
            }
            Entry::Mode { mode, by: author } => {
                by(author.name.as_str(), format!("sets the mode to {}: {}", mode.label(), author.reason), &[], true)
            }
            Entry::Ported { numbers, by: author } => {
                let what = format!("says that {} are ported: {}", counted(numbers, roster), author.reason);
                by(author.name.as_str(), what, numbers, true)
            }
            Entry::Port(entry) => port(entry, roster),
            Entry::Drift { number, channel, differences, actor } => {
                let what: Vec<String> = differences.iter().map(ToString::to_string).collect();
                let who = actor.as_ref().map_or("somebody else", |a| a.as_str());
                by(who, format!("changed {} {channel}: {}", name(number), what.join("; ")), &[*number], true)
            }
            Entry::Adopted { number, channel, by: whose, .. } => {
                let (who, why) = match whose {
                    AdoptedBy::Operator(author) => (author.name.as_str(), author.reason.as_str()),
                    AdoptedBy::Owner(owner) => (owner.as_str(), "as the configuration expects"),
                };
                by(who, format!("the handler of {} {channel} is adopted: {why}", name(number)), &[*number], true)
            }
            Entry::Started { version, .. } => ours(format!("an agent began to watch, version {version}"), &[]),
            Entry::Fallback { group, channel, state, detail, .. } => {
                ours(format!("the fallback of {group} {channel} is {}: {detail}", state.label()), &[])
            }
        }
    }
}

fn port(entry: &PortEntry, roster: &Roster) -> Told {
    let (what, numbers) = match entry {
        PortEntry::Status { group, numbers, state } => {
            (format!("the port of {group}, {}: {}", counted(numbers, roster), state.text()), numbers.clone())
        }
        PortEntry::Met { channel, met, numbers } => {
            let what = match met {
                Met::Arrived => "met its first caller",
                Met::Served => "served its first caller",
                Met::Probed => "served its first test",
                Met::Forwarded => "met a caller whom the old provider forwards",
            };
            (format!("{channel} of {} {what}", counted(numbers, roster)), numbers.clone())
        }
        PortEntry::Eve { group, waiting, .. } => {
            (format!("a port of {group} is due within a day: {}", counted(waiting, roster)), waiting.clone())
        }
        PortEntry::Passive { group, channel, .. } => {
            (format!("{channel} of {group} is watched as usual from now on"), Vec::new())
        }
    };
    Told { who: "ringback".to_owned(), what, numbers, is_act: true }
}
