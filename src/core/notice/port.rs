//! Notices of ports: one that goes on no more, one that is due tomorrow, and a group that is watched as usual.

use std::collections::{BTreeMap, BTreeSet};

use super::make::NoticeBuilder;
use super::{Moment, Notice, NoticeKind, NoticeStatus, Severity, Step};
use crate::model::counted::amount;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::time::Time;
use crate::port::news::{PortEntry, PortSeen, PortState};
use crate::port::report::countdown;
use crate::port::status::{PortStatus, Progress};

/// Ports that go on no more without a person, as people were told, by key.
#[derive(Debug, Default)]
pub struct PortTroubles(BTreeMap<String, Trouble>);

#[derive(Debug)]
struct Trouble {
    group: GroupName,
    since: Time,
    state: PortState,
    numbers: BTreeSet<NumberId>,
}

/// One notice goes on for each group, status and reason.
fn key(group: &GroupName, state: &PortState) -> String {
    let reason = state.rejection.map_or_else(String::new, |r| format!("/{}", r.label()));
    format!("port/{group}/{}{reason}", state.status.label())
}

/// How much a status matters; `None`: it goes on by itself.
const fn severity(status: PortStatus) -> Option<Severity> {
    match status {
        PortStatus::InReview
        | PortStatus::Submitted
        | PortStatus::Pending
        | PortStatus::DateConfirmed
        | PortStatus::Completed => None,
        PortStatus::ActionRequired
        | PortStatus::Rejected
        | PortStatus::Canceling
        | PortStatus::Canceled
        | PortStatus::Expired
        | PortStatus::PortedOut => Some(Severity::Critical),
        PortStatus::AwaitingSignature | PortStatus::Unknown => Some(Severity::Warning),
    }
}

impl PortTroubles {
    /// Takes in an entry about ports, and gives the notices that follow.
    pub fn fold(&mut self, at: Time, entry: &PortEntry, builder: &NoticeBuilder) -> Vec<Notice> {
        match entry {
            PortEntry::Status { group, numbers, state } => self.status(at, group, numbers, state, builder),
            PortEntry::Eve { group, due, waiting, against } => {
                let against: Vec<&str> = against.iter().map(|l| l.as_str()).collect();
                vec![builder.port_eve(at, group, *due, waiting, &against)]
            }
            PortEntry::Passive { group, channel, seen } => vec![builder.passive(at, group, *channel, seen)],
            PortEntry::Met { .. } => Vec::new(),
        }
    }

    /// Those that go on no more, as they would be told now.
    pub fn standing(&self, at: Time, builder: &NoticeBuilder) -> Vec<Notice> {
        let one = |(key, trouble): (&String, &Trouble)| {
            let numbers: Vec<NumberId> = trouble.numbers.iter().copied().collect();
            let severity = severity(trouble.state.status).unwrap_or(Severity::Warning);
            builder.port_trouble(at, key, severity, &trouble.group, &trouble.state, trouble.since, &numbers)
        };
        self.0.iter().filter(|(_, trouble)| !trouble.numbers.is_empty()).map(one).collect()
    }

    fn status(
        &mut self,
        at: Time,
        group: &GroupName,
        numbers: &[NumberId],
        state: &PortState,
        builder: &NoticeBuilder,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let key = key(group, state);
        let mut over = Vec::new();
        for (other, trouble) in self.0.iter_mut().filter(|(k, _)| **k != key) {
            let before = trouble.numbers.len();
            trouble.numbers.retain(|n| !numbers.contains(n));
            if before > 0 && trouble.numbers.is_empty() {
                over.push(other.clone());
            }
        }
        for other in over {
            if let Some(trouble) = self.0.remove(&other) {
                notices.push(builder.port_over(
                    at,
                    &other,
                    &trouble.group,
                    &trouble.state,
                    trouble.since,
                    state,
                    numbers,
                ));
            }
        }
        if let Some(severity) = severity(state.status) {
            let trouble = self.0.entry(key.clone()).or_insert_with(|| Trouble {
                group: group.clone(),
                since: at,
                state: state.clone(),
                numbers: BTreeSet::new(),
            });
            trouble.numbers.extend(numbers);
            trouble.state = state.clone();
            let all: Vec<NumberId> = trouble.numbers.iter().copied().collect();
            notices.push(builder.port_trouble(at, &key, severity, group, state, trouble.since, &all));
        }
        notices
    }
}

impl NoticeBuilder {
    fn port_blank(
        &self,
        at: Time,
        (key, kind, severity): (&str, NoticeKind, Severity),
        title: String,
        group: &GroupName,
        numbers: &[NumberId],
    ) -> Notice {
        let mut notice = self.blank(at, key, kind, severity, title);
        notice.group = Some(group.clone());
        notice.numbers = numbers.to_vec();
        notice.at = Moment::new(at, self.zone(numbers));
        notice
    }

    /// The ports of some numbers go on no more without a person.
    #[expect(clippy::too_many_arguments, reason = "what is so, since when, and of whom")]
    pub fn port_trouble(
        &self,
        at: Time,
        key: &str,
        severity: Severity,
        group: &GroupName,
        state: &PortState,
        since: Time,
        numbers: &[NumberId],
    ) -> Notice {
        let title = match state.status {
            PortStatus::PortedOut => {
                format!("{group}: somebody takes {} away from Twilio", amount(numbers.len(), "number"))
            }
            PortStatus::Rejected => format!("{group}: the port of {} was refused", amount(numbers.len(), "number")),
            PortStatus::Unknown => {
                format!("{group}: the port of {} has an unknown status", amount(numbers.len(), "number"))
            }
            PortStatus::Canceling | PortStatus::Canceled => {
                format!("{group}: the port of {} was withdrawn", amount(numbers.len(), "number"))
            }
            PortStatus::InReview
            | PortStatus::AwaitingSignature
            | PortStatus::Submitted
            | PortStatus::Pending
            | PortStatus::DateConfirmed
            | PortStatus::Completed
            | PortStatus::ActionRequired
            | PortStatus::Expired => {
                format!("{group}: the port of {} waits for somebody", amount(numbers.len(), "number"))
            }
        };
        let mut n = self.port_blank(at, (key, NoticeKind::PortTrouble, severity), title, group, numbers);
        n.since = Some(Moment::new(since, self.zone(numbers)));
        let ticket = state.ticket.map_or_else(String::new, |t| format!(" (support ticket {t})"));
        n.cause = Some(format!("{}{ticket}", state.text()));
        n.uncounted = Some("no caller is counted before the port".to_owned());
        n.did = match state.status.progress() {
            Progress::Trouble if state.status == PortStatus::PortedOut => {
                "Ringback cannot keep a number on Twilio, and writes nothing to it".to_owned()
            }
            Progress::Open | Progress::Done | Progress::Trouble | Progress::Untold => {
                "Nothing: the numbers stay with the old provider, and nothing is rolled back before their port"
                    .to_owned()
            }
        };
        if let Some(cure) = state.cure() {
            n.next.push(Step::new(format!("To do: {cure}")));
        }
        n.next.push(Step::new("Keep the old provider: do not cancel anything there"));
        n.next.push(Step::typing("See how far each number is", "ringback ports"));
        n
    }

    /// What was wrong with some ports is so no longer.
    #[expect(clippy::too_many_arguments, reason = "what was, and what is")]
    fn port_over(
        &self,
        at: Time,
        key: &str,
        group: &GroupName,
        was: &PortState,
        since: Time,
        is: &PortState,
        numbers: &[NumberId],
    ) -> Notice {
        let title = format!("{group}: no port is {} any longer", was.status.label().replace('_', " "));
        let severity = severity(was.status).unwrap_or(Severity::Warning);
        let mut n = self.port_blank(at, (key, NoticeKind::PortTrouble, severity), title, group, numbers);
        n.since = Some(Moment::new(since, self.zone(numbers)));
        n.status = NoticeStatus::Resolved;
        n.did = format!("Of the last of them Twilio says now: {}", is.text());
        n
    }

    /// A group's first port is due within a day.
    pub fn port_eve(&self, at: Time, group: &GroupName, due: Time, waiting: &[NumberId], against: &[&str]) -> Notice {
        let severity = if against.is_empty() { Severity::Info } else { Severity::Warning };
        let title = format!(
            "{group}: {} {} {}",
            amount(waiting.len(), "number"),
            if waiting.len() == 1 { "ports" } else { "port" },
            countdown(at, due)
        );
        let key = format!("port/{group}/eve");
        let mut n = self.port_blank(at, (&key, NoticeKind::PortEve, severity), title, group, waiting);
        n.status = NoticeStatus::Event;
        n.cause = Some(if against.is_empty() {
            "a port is due within a day; nothing that is known stands against it".to_owned()
        } else {
            format!("a port is due within a day, and this stands against it: {}", against.join("; "))
        });
        n.did = "Ringback looks at the Porting API more often from now on, and at the logs when the first port is due"
            .to_owned();
        n.next = vec![
            Step::typing("Look once more whether all is ready", "ringback check"),
            Step::typing("See how far each number is", "ringback ports"),
            Step::new("Keep the old provider, whatever happens tomorrow, until `ringback ports --checklist` says yes"),
        ];
        n
    }

    /// No number of a group that was ported is watched closely any longer.
    pub fn passive(&self, at: Time, group: &GroupName, channel: Channel, seen: &PortSeen) -> Notice {
        let numbers: Vec<NumberId> = self.group(group).map_or_else(Vec::new, |g| {
            let watched = g.numbers.iter().map(|ix| self.roster.number(*ix));
            watched.filter(|n| n.channels[channel.index()]).map(|n| n.id).collect()
        });
        let title = format!("{group}: {channel} is watched as usual from now on");
        let key = format!("port/{group}/{channel}/passive");
        let mut n = self.port_blank(at, (&key, NoticeKind::Passive, Severity::Info), title, group, &numbers);
        n.channel = Some(channel);
        n.status = NoticeStatus::Event;
        let what = match channel {
            Channel::Voice => "calls",
            Channel::Messaging => "messages",
        };
        let PortSeen { passive, quiet, waiting, served, failed } = *seen;
        let mut cause = format!(
            "since their ports, {served} {what} to {} were served and {failed} were not",
            amount(passive as usize, "number")
        );
        if quiet > 0 {
            cause += &format!("; to {} too few came in a day to tell much", amount(quiet as usize, "number"));
        }
        if waiting > 0 {
            cause += &format!("; {} still wait for their port", amount(waiting as usize, "number"));
        }
        n.cause = Some(cause);
        n.did = "Polls and test calls are slower; verdicts, decisions, rollbacks and alerts go on".to_owned();
        n.next = vec![Step::typing("See whether the old provider may be cancelled", "ringback ports --checklist")];
        n
    }
}
