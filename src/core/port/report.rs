//! Everything that is known of the ports, for people and programs: the same whether the agent says it or a command that
//! looks by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checklist::{ChannelFacts, Missing, NumberFacts, SETTLING, minute, missing};
use super::ports::{PortEvidence, Ports};
use super::sight::{AccountSight, ApiSight};
use super::status::PortStatus;
use crate::model::counted::amount;
use crate::model::decision::Phase;
use crate::model::id::{AccountSid, Channel, GroupName, NumberId, PortRequestSid};
use crate::model::roster::{NumberIx, Roster};
use crate::model::time::Time;

/// A look of longer ago is told with its time: a port that is due is looked at every minute.
const OLD: Duration = Duration::from_secs(120);

/// Numbers that are spelt out in one line.
const NAMED: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    pub at: Time,
    pub api: ApiSight,
    #[serde(default)]
    pub account: AccountSight,
    /// Nothing is missing, of any number.
    pub may_cancel: bool,
    pub groups: Vec<GroupReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    pub group: GroupName,
    /// When the first of its numbers that are not ported is due.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_due: Option<Time>,
    pub numbers: Vec<NumberReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberReport {
    pub account: AccountSid,
    pub number: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub label: String,
    /// What Twilio says, where it says anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<PortStatus>,
    /// In plain words.
    pub words: String,
    pub evidence: PortEvidence,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due: Option<Time>,
    /// Since when it is shown to be on Twilio.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ported: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<PortRequestSid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticket: Option<u64>,
    pub channels: Vec<ChannelReport>,
    /// Why the old provider is still needed for it.
    pub missing: Vec<Missing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelReport {
    pub channel: Channel,
    /// Absent where no agent has watched yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// When a live caller was first served, and a test of ours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub served: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probed: Option<Time>,
    /// When a caller last came by way of the old provider.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forwarded: Option<Time>,
    pub is_rolled_back: bool,
}

/// What others than the ports' own memory know of the numbers.
pub struct Sight<'a> {
    pub phase: &'a dyn Fn(NumberIx, Channel) -> Option<Phase>,
    pub is_rolled_back: &'a dyn Fn(NumberId, Channel) -> bool,
    pub account: AccountSight,
    /// Means something where `account` is read.
    pub is_in_account: &'a dyn Fn(NumberIx) -> bool,
}

impl PortReport {
    pub fn of(now: Time, roster: &Roster, ports: &Ports, api: &ApiSight, sight: &Sight<'_>) -> PortReport {
        let number = |ix: NumberIx| {
            let n = roster.number(ix);
            let is_in_account = sight.account.is_read().then(|| (sight.is_in_account)(ix));
            let standing = ports.standing(now, n.id, n.port, is_in_account);
            let is_lost = standing.ported.is_some() && is_in_account == Some(false);
            let channels: Vec<ChannelReport> = Channel::ALL
                .into_iter()
                .filter(|c| n.channels[c.index()])
                .map(|channel| {
                    let met = ports.met(n.id, channel);
                    ChannelReport {
                        channel,
                        phase: (sight.phase)(ix, channel),
                        served: met.served,
                        probed: met.probed,
                        forwarded: met.forwarded,
                        is_rolled_back: (sight.is_rolled_back)(n.id, channel),
                    }
                })
                .collect();
            let facts: Vec<ChannelFacts> = channels.iter().map(ChannelReport::facts).collect();
            let state = standing.state.as_ref();
            let missing = missing(
                now,
                &NumberFacts {
                    status: state.map(|s| (s.status, s.cure())),
                    evidence: standing.evidence,
                    is_hosted: state.is_some_and(|s| s.is_hosted),
                    ported: standing.ported,
                    messages_settle: n.messages_settle_within(),
                    is_in_account,
                    was_looked: api.is_conclusive(),
                    channels: &facts,
                },
            );
            NumberReport {
                account: n.id.account,
                number: n.id.e164.to_string(),
                label: n.label.clone(),
                status: state.map(|s| s.status),
                words: standing.text(matches!(api, ApiSight::Read { .. }), is_in_account)
                    + if is_lost { "; it is not among this account's numbers" } else { "" },
                evidence: standing.evidence,
                due: standing.due,
                ported: standing.ported,
                cure: state.and_then(|s| s.cure()).map(str::to_owned),
                request: state.and_then(|s| s.request),
                ticket: state.and_then(|s| s.ticket),
                channels,
                missing,
            }
        };
        let groups: Vec<GroupReport> = roster
            .groups()
            .map(|(_, group)| {
                let numbers: Vec<NumberReport> = group.numbers.iter().map(|ix| number(*ix)).collect();
                let next_due = numbers.iter().filter_map(|n| n.due).min();
                GroupReport { group: group.name.clone(), next_due, numbers }
            })
            .collect();
        let mut numbers = groups.iter().flat_map(|g| &g.numbers).peekable();
        let may_cancel = numbers.peek().is_some() && numbers.all(|n| n.missing.is_empty());
        PortReport { at: now, api: api.clone(), account: sight.account.clone(), may_cancel, groups }
    }

    /// True if some number's port goes on no more without a person.
    pub fn is_trouble(&self) -> bool {
        self.groups.iter().flat_map(|g| &g.numbers).any(|n| n.cure.is_some())
    }

    /// True if Twilio or a date says of some number that its port is still to come.
    pub fn is_open(&self) -> bool {
        let mut numbers = self.groups.iter().flat_map(|g| &g.numbers);
        numbers.any(|n| n.ported.is_none() && n.status.is_some_and(|s| s != PortStatus::PortedOut) || n.due.is_some())
    }

    /// What could not be looked at.
    fn unread(&self) -> impl Iterator<Item = String> {
        let long_ago = match self.api {
            ApiSight::Read { at } if at + OLD < self.at => {
                Some(format!("what the Porting API says is of {}", minute(at)))
            }
            ApiSight::Read { .. } | ApiSight::NotYet | ApiSight::NotForUs { .. } | ApiSight::CouldNotLook { .. } => {
                None
            }
        };
        self.api.text().into_iter().chain(long_ago).chain(self.account.text())
    }

    /// True if what is said of the numbers is so now, as far as Twilio tells.
    pub fn is_conclusive(&self) -> bool {
        self.api.is_conclusive() && self.account.is_read()
    }

    /// One line for all numbers of a group of which the same is so.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for group in &self.groups {
            let due = group.next_due.map_or_else(String::new, |due| format!(", next port {}", countdown(self.at, due)));
            lines.push(format!("{}: {}{due}", group.group, amount(group.numbers.len(), "number")));
            let mut same: Vec<(String, Vec<String>, Vec<Time>)> = Vec::new();
            for number in &group.numbers {
                let words = number.line();
                match same.iter_mut().find(|(text, ..)| *text == words) {
                    Some((_, numbers, due)) => {
                        numbers.push(number.number.clone());
                        due.extend(number.due);
                    }
                    None => same.push((words, vec![number.number.clone()], number.due.into_iter().collect())),
                }
            }
            for (words, numbers, due) in same {
                let due = match (due.iter().min(), due.iter().max()) {
                    (Some(first), Some(last)) if first == last => format!(", due {}", minute(*first)),
                    (Some(first), Some(last)) => format!(", due {} to {}", minute(*first), minute(*last)),
                    (None, _) | (_, None) => String::new(),
                };
                lines.push(format!("  {}: {words}{due}", named(&numbers)));
            }
        }
        lines.extend(self.unread());
        lines.join("\n")
    }

    /// Whether the old provider may be cancelled, in plain words: what is missing, the same together, then the verdict.
    pub fn checklist(&self) -> String {
        let mut lines = Vec::new();
        let (mut of, mut kept) = (0, 0);
        for group in &self.groups {
            let mut same: Vec<(String, Vec<String>, Vec<Time>)> = Vec::new();
            let mut by_probe = 0;
            for number in &group.numbers {
                of += 1;
                by_probe += usize::from(number.missing.is_empty() && number.is_probed_only());
                if number.missing.is_empty() {
                    continue;
                }
                kept += 1;
                // Numbers that port a minute apart wait for the same.
                let text = |m: &Missing| m.until().map_or_else(|| m.text(), |_| SETTLING.to_owned());
                let why = number.missing.iter().map(text).collect::<Vec<_>>().join("; ");
                let until = number.missing.iter().filter_map(Missing::until);
                match same.iter_mut().find(|(text, ..)| *text == why) {
                    Some((_, numbers, times)) => {
                        numbers.push(number.number.clone());
                        times.extend(until);
                    }
                    None => same.push((why, vec![number.number.clone()], until.collect())),
                }
            }
            for (why, numbers, until) in same {
                let span = match (until.iter().min(), until.iter().max()) {
                    (Some(first), Some(last)) if first == last => format!("{SETTLING} until {}", minute(*first)),
                    (Some(first), Some(last)) => format!("{SETTLING} until {} to {}", minute(*first), minute(*last)),
                    (None, _) | (_, None) => String::new(),
                };
                lines.push(format!("{}: {}: {}", group.group, named(&numbers), why.replacen(SETTLING, &span, 1)));
            }
            if by_probe > 0 {
                lines.push(format!(
                    "{}: {}: served in tests alone; no live caller has been served yet",
                    group.group,
                    amount(by_probe, "number")
                ));
            }
        }
        lines.extend(self.unread());
        lines.push(if of == 0 {
            "NO: the configuration names no number".to_owned()
        } else if kept == 0 {
            format!("YES: the old provider may be cancelled; nothing is missing for any of {}", amount(of, "number"))
        } else {
            format!("NO: keep the old provider: something is missing for {kept} of {}", amount(of, "number"))
        });
        lines.join("\n")
    }
}

impl NumberReport {
    /// What was served was so in tests alone, on some channel.
    pub fn is_probed_only(&self) -> bool {
        self.channels.iter().any(|c| c.served.is_none() && c.probed.is_some())
    }

    /// All but the number itself and its date.
    fn line(&self) -> String {
        let mut text = format!("{} (says {})", self.words, self.evidence.text());
        let phases: Vec<String> = self
            .channels
            .iter()
            .filter_map(|c| {
                let back = if c.is_rolled_back { ", rolled back" } else { "" };
                let forwarded = c.forwarded.map_or_else(String::new, |last| {
                    format!(", a caller came by way of the old provider at {}", minute(last))
                });
                let phase = c.phase.map(|phase| format!("{} {}{back}{forwarded}", c.channel, phase.label()));
                phase.or_else(|| c.forwarded.map(|_| format!("{}{forwarded}", c.channel)))
            })
            .collect();
        if !phases.is_empty() {
            text += &format!("; {}", phases.join(", "));
        }
        if let Some(cure) = &self.cure {
            text += &format!("; to do: {cure}");
            if let Some(ticket) = self.ticket {
                text += &format!(" (support ticket {ticket})");
            }
        }
        text
    }
}

impl ChannelReport {
    const fn facts(&self) -> ChannelFacts {
        ChannelFacts {
            channel: self.channel,
            served: self.served,
            probed: self.probed,
            forwarded: self.forwarded,
            is_rolled_back: self.is_rolled_back,
        }
    }
}

/// Some numbers by name, of more the count and the first ones.
pub fn named(numbers: &[String]) -> String {
    if numbers.len() <= NAMED {
        return numbers.join(" ");
    }
    format!("{} ({} …)", amount(numbers.len(), "number"), numbers[..3].join(" "))
}

/// How long until `due`, and when that is.
pub fn countdown(now: Time, due: Time) -> String {
    if due <= now {
        return format!("was due {}", minute(due));
    }
    let minutes = due.since(now).as_secs().div_ceil(60);
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let span = match (days, hours) {
        (0, 0) => format!("{rest} min"),
        (0, _) => format!("{hours} h {rest} min"),
        _ => format!("{days} d {hours} h"),
    };
    format!("in {span} ({})", minute(due))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::id::testing::ours;
    use crate::model::roster::{Number, PortAt};
    use crate::port::news::{Met, PortEntry, PortState};
    use crate::port::rejection::Rejection;

    const HOUR: Duration = Duration::from_secs(3600);

    fn roster() -> Roster {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        for i in 0..3 {
            let (label, timezone) = (String::new(), TimeZone::UTC);
            let id = ours(&format!("+1500555010{i}"));
            let port = PortAt::Unknown;
            roster.add_number(Number { id, label, group, channels: [true, false], timezone, port }).unwrap();
        }
        roster
    }

    fn report(now: Time, roster: &Roster, ports: &Ports, api: &ApiSight, back: bool) -> PortReport {
        let sight = Sight {
            phase: &|_, _| Some(Phase::Passive),
            is_rolled_back: &|_, _| back,
            account: AccountSight::Read,
            is_in_account: &|_| true,
        };
        PortReport::of(now, roster, ports, api, &sight)
    }

    #[test]
    fn what_cannot_be_looked_at_or_was_long_ago_is_said() {
        let start: Time = "2026-11-21T14:00:00Z".parse().unwrap();
        let (roster, ports) = (roster(), Ports::default());
        let said = |after: Duration, account: &AccountSight| {
            let is_in_account = &|_| true;
            let (phase, is_rolled_back) = (&|_, _| None, &|_, _| false);
            let sight = Sight { phase, is_rolled_back, account: account.clone(), is_in_account };
            let report = PortReport::of(start + after, &roster, &ports, &ApiSight::Read { at: start }, &sight);
            (report.is_conclusive(), report.text().lines().skip(2).map(str::to_owned).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(said(Duration::from_secs(60), &AccountSight::Read), (true, String::new()));
        let old = "what the Porting API says is of 2026-11-21 14:00 UTC";
        assert_eq!(said(HOUR, &AccountSight::Read), (true, old.to_owned()));
        let (is_conclusive, text) = said(Duration::ZERO, &AccountSight::Unread { last: Some(start) });
        assert!(!is_conclusive && text.starts_with("the account's numbers cannot be read, read last at"), "{text}");
        assert!(!said(Duration::ZERO, &AccountSight::Untold).0);
    }

    #[test]
    fn the_old_provider_is_cancelled_only_when_nothing_is_missing() {
        let start: Time = "2026-11-21T14:00:00Z".parse().unwrap();
        let (roster, mut ports) = (roster(), Ports::default());
        let ids: Vec<NumberId> = roster.numbers().map(|(_, n)| n.id).collect();
        let group: GroupName = "support".parse().unwrap();
        let read = |at| ApiSight::Read { at };
        let last = |report: &PortReport| report.checklist().lines().last().unwrap().to_owned();
        let bare = report(start, &roster, &ports, &ApiSight::NotYet, false);
        assert_eq!(bare.groups[0].numbers[0].missing[0], Missing::Unread);
        let done = PortState { since: Some(start), ..PortState::of(PortStatus::Completed) };
        let refused = PortState { rejection: Some(Rejection::Pin), ..PortState::of(PortStatus::Rejected) };
        let status = |numbers: &[NumberId], state: &PortState| PortEntry::Status {
            group: group.clone(),
            numbers: numbers.to_vec(),
            state: state.clone(),
        };
        ports.fold(start, &status(&ids[..2], &done));
        ports.fold(start, &status(&ids[2..], &refused));
        let day = report(start + HOUR, &roster, &ports, &read(start + HOUR), false);
        assert_eq!(
            day.checklist(),
            "support: +15005550100 +15005550101: carriers may send callers to the old provider until 2026-11-23 14:00 \
             UTC; no call is known to have been served on Twilio, live or as a test: call it\n\
             support: +15005550102: the old provider has refused the port: get the port-out PIN from the old provider, \
             and submit it again\n\
             NO: keep the old provider: something is missing for 3 of 3 numbers"
        );
        ports.fold(start + HOUR * 30, &status(&ids[2..], &done));
        let met =
            |met, numbers: &[NumberId]| PortEntry::Met { channel: Channel::Voice, met, numbers: numbers.to_vec() };
        ports.fold(start + HOUR, &met(Met::Served, &ids[..2]));
        let early = report(start + HOUR * 50, &roster, &ports, &read(start + HOUR * 50), false);
        assert_eq!(last(&early), "NO: keep the old provider: something is missing for 1 of 3 numbers");
        ports.fold(start + HOUR, &met(Met::Probed, &ids[2..]));
        let swapped = report(start + HOUR * 50, &roster, &ports, &read(start + HOUR * 50), true);
        assert!(!swapped.may_cancel && last(&swapped).starts_with("NO"), "{swapped:?}");
        let settled = report(start + HOUR * 50, &roster, &ports, &read(start + HOUR * 50), false);
        assert!(settled.may_cancel);
        let elsewhere = Sight {
            phase: &|_, _| Some(Phase::Passive),
            is_rolled_back: &|_, _| false,
            account: AccountSight::Read,
            is_in_account: &|ix| ix != NumberIx(2),
        };
        let lost = PortReport::of(start + HOUR * 50, &roster, &ports, &read(start + HOUR * 50), &elsewhere);
        assert_eq!(last(&lost), "NO: keep the old provider: something is missing for 1 of 3 numbers");
        assert!(lost.groups[0].numbers[2].words.ends_with("it is not among this account's numbers"), "{lost:?}");
        assert_eq!(
            settled.checklist(),
            "support: 1 number: served in tests alone; no live caller has been served yet\n\
             YES: the old provider may be cancelled; nothing is missing for any of 3 numbers"
        );
    }

    #[test]
    fn a_completed_port_never_becomes_an_open_one() {
        let start = Time::from_secs(1_000_000);
        let (roster, mut ports) = (roster(), Ports::default());
        let id = ours("+15005550100");
        let found = |status| [crate::port::news::PortFound { number: id.e164, state: PortState::of(status) }];
        let news = ports.news(&roster, id.account, &found(PortStatus::Completed));
        news.iter().for_each(|entry| ports.fold(start, entry));
        for later in [PortStatus::Pending, PortStatus::Rejected, PortStatus::Completed] {
            assert_eq!(ports.news(&roster, id.account, &found(later)), [], "{later:?}");
        }
        let lost = ports.lost(&roster, start, id).unwrap();
        ports.fold(start, &lost);
        assert_eq!(ports.lost(&roster, start, id), None, "said once");
        let standing = ports.standing(start, id, PortAt::Done, Some(true));
        assert_eq!((standing.evidence, standing.ported), (PortEvidence::Debugger, None));
        assert_eq!(ports.news(&roster, id.account, &[]), []);
        let foreign = crate::port::news::PortFound {
            number: "+15005550999".parse().unwrap(),
            state: PortState::of(PortStatus::Rejected),
        };
        assert_eq!(ports.news(&roster, id.account, &[foreign]), [], "none of ours");
    }

    #[test]
    fn what_could_not_be_read_is_not_said_not_to_be_there() {
        let (id, ports) = (ours("+15005550100"), Ports::default());
        let says =
            |are_read, is_in| ports.standing(Time::from_secs(0), id, PortAt::Unknown, is_in).text(are_read, is_in);
        assert_eq!(says(true, Some(false)), "no port request shows it, and it is not in the account");
        let unread = "whether a port request shows it could not be read";
        assert_eq!(says(false, Some(false)), format!("{unread}, and it is not in the account"));
        assert_eq!(says(false, None), format!("{unread}, and whether it is in the account is not known"));
        assert_eq!(says(false, Some(true)), format!("in the account; {unread}, and no call to it is known of"));
    }

    #[test]
    fn what_nobody_shows_is_said_by_its_evidence() {
        let start = Time::from_secs(1_000_000);
        let (id, mut ports) = (ours("+15005550100"), Ports::default());
        let says = |ports: &Ports, port, is_in| {
            let standing = ports.standing(start, id, port, is_in);
            (standing.evidence, standing.ported.is_some(), standing.due.is_some())
        };
        assert_eq!(says(&ports, PortAt::Unknown, Some(false)), (PortEvidence::None, false, false));
        assert_eq!(says(&ports, PortAt::Unknown, Some(true)), (PortEvidence::InAccount, false, false));
        assert_eq!(says(&ports, PortAt::Done, None), (PortEvidence::Configuration, false, false));
        assert_eq!(says(&ports, PortAt::At(start + HOUR), None), (PortEvidence::PortAt, false, true));
        assert_eq!(says(&ports, PortAt::At(start), None), (PortEvidence::PortAt, false, false));
        let arrived = PortEntry::Met { channel: Channel::Messaging, met: Met::Arrived, numbers: vec![id] };
        ports.fold(start, &arrived);
        assert_eq!(says(&ports, PortAt::Unknown, None), (PortEvidence::FirstMessage, true, false));
        ports.ported(start, &[id]);
        assert_eq!(says(&ports, PortAt::Unknown, None), (PortEvidence::Operator, true, false));
        assert_eq!(countdown(start, start + HOUR * 26), "in 1 d 2 h (1970-01-13 15:46 UTC)");
        assert_eq!(countdown(start, start + HOUR + Duration::from_secs(61)), "in 1 h 2 min (1970-01-12 14:47 UTC)");
        assert_eq!(countdown(start, start), "was due 1970-01-12 13:46 UTC");
    }
}
