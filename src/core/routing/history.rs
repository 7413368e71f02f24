//! What each number points at, as last read, and what it has pointed at before.
//!
//! The past matters because an alert can be older than the swap that changed the URL: a failure of
//! yesterday's primary is still a failure of the primary.

use serde::Serialize;

use super::record::{Handler, NumberRecord, is_fallback, is_same_fallback};
use crate::model::id::Channel;
use crate::model::roster::{NumberIx, Roster};
use crate::model::value::FieldValue;

/// The webhooks of one channel of one number, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Webhooks<'a> {
    /// URLs that have been the primary; several, since an alert may be older than a swap.
    pub primary: &'a [FieldValue],
    /// The number's own fallback URL.
    pub own_fallback: Option<&'a str>,
    /// What a rollback swaps to.
    pub our_fallback: Option<&'a str>,
    /// The number points there now.
    pub is_on_fallback: bool,
    /// Told of what became of a call, by the number and by its application: no caller hears of them.
    pub status_callback: [Option<&'a str>; 2],
    pub has_trunk: bool,
}

/// What is known of who answers a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingState {
    /// Somebody's handler.
    Handled,
    /// The number is not in the account, or not yet.
    NotInAccount,
    /// Nobody could read it.
    Unread,
    /// Nobody: calls fail at once, messages are lost.
    Nobody,
    /// What it points at is not there: an application, a trunk or a Messaging Service of which Twilio has nothing.
    Gone,
    /// Twilio's demo, which a new number points at until somebody sets another handler.
    Demo,
    /// The number does not have the channel at Twilio.
    Lacking,
    /// A fax machine: `voice_receive_mode` is `fax`, and whoever calls hears it.
    Fax,
    /// Another region processes the calls, and they are in no log that is read here.
    Elsewhere,
}

impl RoutingState {
    pub const ALL: [RoutingState; 9] = [
        RoutingState::Handled,
        RoutingState::NotInAccount,
        RoutingState::Unread,
        RoutingState::Nobody,
        RoutingState::Gone,
        RoutingState::Demo,
        RoutingState::Lacking,
        RoutingState::Fax,
        RoutingState::Elsewhere,
    ];

    /// What a number's record says of a channel.
    pub fn of(record: &NumberRecord, channel: Channel) -> RoutingState {
        match record.handler(channel) {
            Handler::Lacking => RoutingState::Lacking,
            Handler::Region(_) => RoutingState::Elsewhere,
            _ if record.unread[channel.index()] => RoutingState::Unread,
            Handler::Nobody => RoutingState::Nobody,
            Handler::Trunk(_) | Handler::Application(_) | Handler::Service(_) if record.gone[channel.index()] => {
                RoutingState::Gone
            }
            Handler::Url(_) | Handler::Application(_) | Handler::Service(_) if record.is_demo(channel) => {
                RoutingState::Demo
            }
            Handler::Fax => RoutingState::Fax,
            Handler::Application(_) | Handler::Service(_) if record.has_empty_handler(channel) => RoutingState::Nobody,
            Handler::Trunk(_) | Handler::Application(_) | Handler::Url(_) | Handler::Service(_) => {
                RoutingState::Handled
            }
        }
    }

    /// True if that alone explains what fails: a call that failed had nobody to take it, and a message is lost without
    /// a sign. A message to what is not there is not known to be: Twilio says nothing of it, and a service may have
    /// been deleted a moment ago, after which the number's own handler answers.
    pub fn has_no_handler(self, channel: Channel) -> bool {
        match self {
            RoutingState::Nobody => true,
            RoutingState::Gone => channel == Channel::Voice,
            RoutingState::Handled
            | RoutingState::NotInAccount
            | RoutingState::Unread
            | RoutingState::Demo
            | RoutingState::Lacking
            | RoutingState::Fax
            | RoutingState::Elsewhere => false,
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            RoutingState::Handled => "handled",
            RoutingState::NotInAccount => "not_in_account",
            RoutingState::Unread => "unread",
            RoutingState::Nobody => "nobody",
            RoutingState::Gone => "gone",
            RoutingState::Demo => "demo",
            RoutingState::Lacking => "lacking",
            RoutingState::Fax => "fax",
            RoutingState::Elsewhere => "elsewhere",
        }
    }

    /// What keeps callers from being served, or from being watched, and what to do; `None` if nothing does.
    pub const fn trouble(self) -> Option<&'static str> {
        match self {
            RoutingState::Handled | RoutingState::NotInAccount => None,
            RoutingState::Unread => Some("it cannot be read who answers; the agent's log says why"),
            RoutingState::Nobody => {
                Some("nobody answers, unless Conversations takes the texts of its Messaging Service; set a handler")
            }
            RoutingState::Gone => {
                Some("nobody answers: what it points at is not there, or leads nowhere; set a handler")
            }
            RoutingState::Demo => Some("Twilio's demo answers; set a handler"),
            RoutingState::Lacking => {
                Some("the number does not have this channel at Twilio; take it out of its channels")
            }
            RoutingState::Fax => {
                Some("a fax machine answers calls; set voice_receive_mode to voice, or take voice out of its channels")
            }
            RoutingState::Elsewhere => Some(
                "another region processes this channel, and nothing of it is seen here; move it to this one (Routes API, \
                 voiceRegion or messagingRegion), or watch the number with an agent whose twilio.region is that one",
            ),
        }
    }
}

/// How many past primary URLs of a channel are remembered.
const REMEMBERED: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct RoutingHistory {
    numbers: Vec<Known>,
    /// What every call asks, apart from what few ask: of the record, [`RoutingState::Unread`] without one.
    states: Vec<[RoutingState; 2]>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    record: Option<NumberRecord>,
    primary: [Vec<FieldValue>; 2],
}

impl RoutingHistory {
    pub fn new(roster: &Roster) -> RoutingHistory {
        RoutingHistory {
            numbers: vec![Known::default(); roster.len()],
            states: vec![[RoutingState::Unread; 2]; roster.len()],
        }
    }

    /// Takes in a number's record as just read. False if it is as it was.
    pub fn learn(&mut self, roster: &Roster, ix: NumberIx, record: &NumberRecord) -> bool {
        let known = &mut self.numbers[ix.0 as usize];
        let mut record = record.clone();
        if let Some(earlier) = &known.record {
            record.keep_of(earlier);
        }
        if known.record.as_ref() == Some(&record) {
            return false;
        }
        for channel in Channel::ALL {
            let ours = roster.group_of(ix).fallback(channel);
            let primary = &mut known.primary[channel.index()];
            let [url, _] = record.webhooks(channel);
            if let Some(url) = url
                && !ours.is_some_and(|ours| is_same_fallback(ours, url))
                && !primary.iter().any(|p| p == url)
            {
                if primary.len() == REMEMBERED {
                    primary.remove(0);
                }
                primary.push(url.into());
            }
        }
        self.states[ix.0 as usize] = Channel::ALL.map(|channel| RoutingState::of(&record, channel));
        known.record = Some(record);
        true
    }

    /// The number is in the account no more. False if it was not known to be in it.
    pub fn forget(&mut self, ix: NumberIx) -> bool {
        self.states[ix.0 as usize] = [RoutingState::Unread; 2];
        self.numbers[ix.0 as usize].record.take().is_some()
    }

    pub fn record(&self, ix: NumberIx) -> Option<&NumberRecord> {
        self.numbers[ix.0 as usize].record.as_ref()
    }

    /// True if it is known who answers a channel.
    pub fn is_read(&self, ix: NumberIx, channel: Channel) -> bool {
        self.states[ix.0 as usize][channel.index()] != RoutingState::Unread
    }

    /// Who answers a channel, `None` while that has not been read.
    pub fn handler(&self, ix: NumberIx, channel: Channel) -> Option<Handler> {
        self.record(ix).filter(|_| self.is_read(ix, channel)).map(|r| r.handler(channel))
    }

    /// True if the number is known to point at nothing, or at what is not there.
    pub fn has_no_handler(&self, ix: NumberIx, channel: Channel) -> bool {
        self.states[ix.0 as usize][channel.index()].has_no_handler(channel)
    }

    /// True if the number is known to point at nothing.
    pub fn is_nobodys(&self, ix: NumberIx, channel: Channel) -> bool {
        self.states[ix.0 as usize][channel.index()] == RoutingState::Nobody
    }

    /// True if the number is known to point at Twilio's demo.
    pub fn is_demo(&self, ix: NumberIx, channel: Channel) -> bool {
        self.states[ix.0 as usize][channel.index()] == RoutingState::Demo
    }

    /// True if a fax machine takes its calls, whatever it points at.
    pub fn is_fax(&self, ix: NumberIx, channel: Channel) -> bool {
        self.states[ix.0 as usize][channel.index()] == RoutingState::Fax
    }

    /// What is known of who answers a channel. `is_listed`: a list that was read to its end has all numbers there are.
    pub fn state(&self, ix: NumberIx, channel: Channel, is_listed: bool) -> RoutingState {
        if is_listed && self.record(ix).is_none() {
            return RoutingState::NotInAccount;
        }
        self.states[ix.0 as usize][channel.index()]
    }

    /// True if the number has a fallback URL of its own, other than ours.
    pub fn has_own_fallback(&self, roster: &Roster, ix: NumberIx, channel: Channel) -> bool {
        let w = self.webhooks(roster, ix, channel);
        w.own_fallback.is_some()
    }

    /// The URLs by which an alert is told to be this channel's own.
    pub fn webhooks<'a>(&'a self, roster: &'a Roster, ix: NumberIx, channel: Channel) -> Webhooks<'a> {
        let known = &self.numbers[ix.0 as usize];
        let our_fallback = roster.group_of(ix).fallback(channel);
        let own_fallback = known
            .record
            .as_ref()
            .and_then(|r| r.webhooks(channel)[1])
            .filter(|own| !our_fallback.is_some_and(|ours| is_fallback(ours, own)));
        Webhooks {
            primary: &known.primary[channel.index()],
            own_fallback,
            our_fallback,
            is_on_fallback: our_fallback
                .is_some_and(|ours| known.record.as_ref().is_some_and(|r| r.leads_to(channel, ours))),
            status_callback: known.record.as_ref().map_or([None; 2], |r| r.status_callbacks(channel)),
            has_trunk: channel == Channel::Voice && known.record.as_ref().is_some_and(|r| r.trunk.is_some()),
        }
    }
}
