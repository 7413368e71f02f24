//! The memory of the ports: a fold over the journal, and what of a look at the Porting API is news to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::news::{FORWARDED_AGAIN, Met, PortEntry, PortFound, PortState};
use super::status::{PortStatus, Progress};
use crate::model::decision::Phase;
use crate::model::id::{AccountSid, Channel, GroupName, NumberId};
use crate::model::roster::{PortAt, Roster};
use crate::model::time::Time;

/// A port that is due within this is announced.
pub const EVE: Duration = Duration::from_secs(24 * 3600);

/// By what it is known how far a number's port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortEvidence {
    PortingApi,
    /// An order for a hosted number.
    HostedOrder,
    Debugger,
    Operator,
    FirstCall,
    FirstMessage,
    /// `group.port_at` is an instant.
    PortAt,
    /// `group.port_at` is `"done"`, or not said.
    Configuration,
    InAccount,
    /// Nothing has shown anything.
    None,
}

impl PortEvidence {
    pub const ALL: [PortEvidence; 10] = [
        PortEvidence::PortingApi,
        PortEvidence::HostedOrder,
        PortEvidence::Debugger,
        PortEvidence::Operator,
        PortEvidence::FirstCall,
        PortEvidence::FirstMessage,
        PortEvidence::PortAt,
        PortEvidence::Configuration,
        PortEvidence::InAccount,
        PortEvidence::None,
    ];

    pub const fn text(self) -> &'static str {
        match self {
            PortEvidence::PortingApi => "the Porting API",
            PortEvidence::HostedOrder => "its hosting order",
            PortEvidence::Debugger => "an error of Twilio's debugger",
            PortEvidence::Operator => "an operator's word",
            PortEvidence::FirstCall => "its first live call",
            PortEvidence::FirstMessage => "its first live message",
            PortEvidence::PortAt => "group.port_at",
            PortEvidence::Configuration => "the configuration alone",
            PortEvidence::InAccount => "its place in the account, which is there a day or two before the port",
            PortEvidence::None => "nothing",
        }
    }
}

/// What a channel has met, and when first; of what was forwarded, when last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelMet {
    pub arrived: Option<Time>,
    pub served: Option<Time>,
    pub probed: Option<Time>,
    pub forwarded: Option<Time>,
    pub phase: Option<Phase>,
}

impl ChannelMet {
    const fn of(&self, met: Met) -> Option<Time> {
        match met {
            Met::Arrived => self.arrived,
            Met::Served => self.served,
            Met::Probed => self.probed,
            Met::Forwarded => self.forwarded,
        }
    }
}

/// All that the journal knows of one number's port.
#[derive(Clone, Debug, Default)]
struct Known {
    /// What Twilio says of it, and since when it is so.
    state: Option<(Time, PortState)>,
    by_operator: Option<Time>,
    channels: [ChannelMet; 2],
}

/// How far one number's port is, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStanding {
    /// What Twilio says, where it says anything.
    pub state: Option<PortState>,
    pub evidence: PortEvidence,
    /// Since when the number is on Twilio, if it is shown to be.
    pub ported: Option<Time>,
    /// When it is due, if it is not.
    pub due: Option<Time>,
}

impl PortStanding {
    /// In plain words. `are_requests_read`: all port requests could be read. `is_in_account`: `None` if the account's
    /// numbers could not.
    pub fn text(&self, are_requests_read: bool, is_in_account: Option<bool>) -> String {
        let requests = match are_requests_read {
            true => "no port request shows it",
            false => "whether a port request shows it could not be read",
        };
        if let Some(state) = &self.state {
            return state.text();
        }
        let text = match self.evidence {
            PortEvidence::Operator => "ported, as an operator says",
            PortEvidence::FirstCall => "ported: a live call came to Twilio",
            PortEvidence::FirstMessage => "ported: a live message came to Twilio",
            PortEvidence::PortAt if self.due.is_some() => "waits for the date of group.port_at",
            PortEvidence::PortAt => "its date has passed, and no call to it is known of",
            PortEvidence::Configuration => "on Twilio, as the configuration says; nothing has shown it yet",
            PortEvidence::InAccount => return format!("in the account; {requests}, and no call to it is known of"),
            PortEvidence::PortingApi | PortEvidence::HostedOrder | PortEvidence::Debugger | PortEvidence::None => {
                let account = match is_in_account {
                    Some(true) => "it is in the account",
                    Some(false) => "it is not in the account",
                    None => "whether it is in the account is not known",
                };
                return format!("{requests}, and {account}");
            }
        };
        text.to_owned()
    }
}

/// What the journal knows of the ports.
#[derive(Debug, Default, Clone)]
pub struct Ports {
    numbers: BTreeMap<NumberId, Known>,
    /// The date of each group that was announced last.
    eves: BTreeMap<GroupName, Time>,
    /// Groups of which a number has ported on the channel, and whose passing on was not told yet.
    untold: BTreeSet<(GroupName, Channel)>,
}

impl Ports {
    fn known(&self, number: NumberId) -> Known {
        self.numbers.get(&number).cloned().unwrap_or_default()
    }

    /// What Twilio says of a number, and since when.
    pub fn state(&self, number: NumberId) -> Option<&PortState> {
        self.numbers.get(&number)?.state.as_ref().map(|(_, state)| state)
    }

    /// What Twilio says of each number.
    pub fn states(&self) -> impl Iterator<Item = (NumberId, &PortState)> {
        self.numbers.iter().filter_map(|(id, known)| Some((*id, &known.state.as_ref()?.1)))
    }

    pub fn met(&self, number: NumberId, channel: Channel) -> ChannelMet {
        self.numbers.get(&number).map_or_else(ChannelMet::default, |known| known.channels[channel.index()])
    }

    /// True if a person, or somebody who called or wrote, has shown that the number is on Twilio.
    pub fn is_shown(&self, number: NumberId) -> bool {
        let known = self.numbers.get(&number);
        known.is_some_and(|k| k.by_operator.is_some() || k.channels.iter().any(|c| c.arrived.is_some()))
    }

    /// A person says that these numbers are ported.
    pub fn ported(&mut self, at: Time, numbers: &[NumberId]) {
        for number in numbers {
            self.numbers.entry(*number).or_default().by_operator.get_or_insert(at);
        }
    }

    /// A channel is in another phase. `group`: the number's, if it is still configured.
    pub fn phase(&mut self, number: NumberId, group: Option<&GroupName>, channel: Channel, phase: Phase) {
        self.numbers.entry(number).or_default().channels[channel.index()].phase = Some(phase);
        if let (Phase::Settling, Some(group)) = (phase, group) {
            self.untold.insert((group.clone(), channel));
        }
    }

    /// True if the group has numbers that ported, and it was not told yet that they are watched as usual.
    pub fn is_untold(&self, group: &GroupName, channel: Channel) -> bool {
        self.untold.contains(&(group.clone(), channel))
    }

    /// Takes in an entry that was written at `at`.
    pub fn fold(&mut self, at: Time, entry: &PortEntry) {
        match entry {
            PortEntry::Status { numbers, state, .. } => {
                for number in numbers {
                    let since = state.since.filter(|t| *t <= at).unwrap_or(at);
                    self.numbers.entry(*number).or_default().state = Some((since, state.clone()));
                }
            }
            PortEntry::Met { channel, met, numbers } => {
                for number in numbers {
                    let known = &mut self.numbers.entry(*number).or_default().channels[channel.index()];
                    let first = match met {
                        Met::Arrived => &mut known.arrived,
                        Met::Served => &mut known.served,
                        Met::Probed => &mut known.probed,
                        Met::Forwarded => {
                            known.forwarded = known.forwarded.max(Some(at));
                            continue;
                        }
                    };
                    first.get_or_insert(at);
                }
            }
            PortEntry::Eve { group, due, .. } => {
                self.eves.insert(group.clone(), *due);
            }
            PortEntry::Passive { group, channel, .. } => {
                self.untold.remove(&(group.clone(), *channel));
            }
        }
    }

    /// What of a look at the Porting API is news, for those of our numbers that it shows. A completed port never
    /// becomes an open one: Twilio's lists may be older than its numbers.
    pub fn news(&self, roster: &Roster, account: AccountSid, found: &[PortFound]) -> Vec<PortEntry> {
        let mut latest: BTreeMap<NumberId, &PortState> = BTreeMap::new();
        for PortFound { number, state } in found {
            let id = NumberId::new(account, *number);
            if roster.find(id).is_some() && latest.get(&id).is_none_or(|known| outranks(state, known)) {
                latest.insert(id, state);
            }
        }
        let mut entries: Vec<PortEntry> = Vec::new();
        for (id, state) in latest {
            let Some(ix) = roster.find(id) else { continue };
            let is_news = self.state(id).is_none_or(|known| {
                let is_over = matches!(known.status, PortStatus::Completed | PortStatus::PortedOut);
                !is_over && !known.says_the_same(state)
            });
            if !is_news {
                continue;
            }
            let name = &roster.group_of(ix).name;
            let same = entries.iter_mut().find_map(|entry| match entry {
                PortEntry::Status { group, numbers, state: of } if group == name && of.says_the_same(state) => {
                    Some((numbers, of))
                }
                PortEntry::Status { .. }
                | PortEntry::Met { .. }
                | PortEntry::Eve { .. }
                | PortEntry::Passive { .. } => None,
            });
            match same {
                Some((numbers, of)) => {
                    numbers.push(id);
                    // Those who wait for the latest of them wait for all.
                    of.since = of.since.max(state.since);
                }
                None => {
                    entries.push(PortEntry::Status { group: name.clone(), numbers: vec![id], state: state.clone() });
                }
            }
        }
        entries
    }

    /// Twilio's debugger says that the number is being ported out; `None` if that is known.
    pub fn lost(&self, roster: &Roster, at: Time, number: NumberId) -> Option<PortEntry> {
        let group = roster.group_of(roster.find(number)?).name.clone();
        let is_known = self.state(number).is_some_and(|s| s.status == PortStatus::PortedOut);
        let state = PortState { since: Some(at), ..PortState::of(PortStatus::PortedOut) };
        (!is_known).then(|| PortEntry::Status { group, numbers: vec![number], state })
    }

    /// Which of `numbers` have not met this before, or not lately where it matters when it was last.
    pub fn met_now(&self, now: Time, channel: Channel, met: Met, mut numbers: Vec<NumberId>) -> Option<PortEntry> {
        let is_news = |known: Option<Time>| match met {
            Met::Arrived | Met::Served | Met::Probed => known.is_none(),
            Met::Forwarded => known.is_none_or(|at| at + FORWARDED_AGAIN <= now),
        };
        numbers.retain(|n| is_news(self.met(*n, channel).of(met)));
        numbers.sort_unstable();
        numbers.dedup();
        (!numbers.is_empty()).then_some(PortEntry::Met { channel, met, numbers })
    }

    /// True if the group's first port at `due` is to be announced now.
    pub fn is_eve(&self, now: Time, group: &GroupName, due: Time) -> bool {
        now < due && due <= now + EVE && self.eves.get(group).is_none_or(|told| due > *told + EVE)
    }

    /// How far a number's port is. `is_in_account`: as far as the account's numbers could be read.
    pub fn standing(&self, now: Time, number: NumberId, port: PortAt, is_in_account: Option<bool>) -> PortStanding {
        let Known { state, by_operator, channels } = self.known(number);
        let arrived = |channel: Channel| channels[channel.index()].arrived;
        if let Some((since, state)) = state {
            let is_lost = state.status == PortStatus::PortedOut && state.request.is_none();
            let evidence = match (is_lost, state.is_hosted) {
                (true, _) => PortEvidence::Debugger,
                (false, true) => PortEvidence::HostedOrder,
                (false, false) => PortEvidence::PortingApi,
            };
            let ported = (state.status == PortStatus::Completed).then_some(since);
            let due = state.date.filter(|_| state.status.progress() == Progress::Open);
            return PortStanding { state: Some(state), evidence, ported, due };
        }
        let shown = by_operator
            .map(|at| (PortEvidence::Operator, at))
            .or_else(|| arrived(Channel::Voice).map(|at| (PortEvidence::FirstCall, at)))
            .or_else(|| arrived(Channel::Messaging).map(|at| (PortEvidence::FirstMessage, at)));
        if let Some((evidence, at)) = shown {
            return PortStanding { state: None, evidence, ported: Some(at), due: None };
        }
        let (evidence, due) = match port {
            PortAt::At(at) => (PortEvidence::PortAt, Some(at).filter(|at| *at > now)),
            PortAt::Done => (PortEvidence::Configuration, None),
            PortAt::Unknown if is_in_account == Some(true) => (PortEvidence::InAccount, None),
            PortAt::Unknown => (PortEvidence::None, None),
        };
        PortStanding { state: None, evidence, ported: None, due }
    }
}

/// Of two requests that name the same number: one that is completed tells most, then one that is open, then the later.
fn outranks(state: &PortState, other: &PortState) -> bool {
    let rank = |s: &PortState| {
        let rank = match s.status {
            PortStatus::Completed => 3,
            PortStatus::PortedOut => 4,
            PortStatus::Canceled | PortStatus::Canceling | PortStatus::Expired => 0,
            PortStatus::Rejected => 1,
            PortStatus::InReview
            | PortStatus::AwaitingSignature
            | PortStatus::Submitted
            | PortStatus::Pending
            | PortStatus::DateConfirmed
            | PortStatus::ActionRequired
            | PortStatus::Unknown => 2,
        };
        (rank, s.since)
    };
    rank(state) > rank(other)
}
