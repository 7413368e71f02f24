//! What each number points at, as last read, and what it has pointed at before.
//!
//! The past matters because an alert can be older than the swap that changed the URL: a failure of
//! yesterday's primary is still a failure of the primary.

use super::record::{Handler, NumberRecord, is_same_webhook};
use crate::core::model::id::Channel;
use crate::core::model::roster::{NumberIx, Roster};

/// The webhooks of one channel of one number, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Webhooks<'a> {
    /// URLs that have been the primary; several, since an alert may be older than a swap.
    pub primary: &'a [String],
    /// The number's own fallback URL.
    pub own_fallback: Option<&'a str>,
    /// What a rollback swaps to.
    pub our_fallback: Option<&'a str>,
    /// Told of what became of a call, by the number and by its application: no caller hears of them.
    pub status_callback: [Option<&'a str>; 2],
    pub has_trunk: bool,
}

/// How many past primary URLs of a channel are remembered.
const REMEMBERED: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct RoutingHistory {
    numbers: Vec<Known>,
    /// What every call asks, apart from what few ask.
    brief: Vec<Brief>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Brief {
    is_read: bool,
    /// The channel points at nothing.
    unhandled: [bool; 2],
    /// It points at Twilio's demo.
    is_demo: [bool; 2],
}

#[derive(Clone, Debug, Default)]
struct Known {
    record: Option<NumberRecord>,
    primary: [Vec<String>; 2],
}

impl RoutingHistory {
    pub fn new(roster: &Roster) -> RoutingHistory {
        RoutingHistory { numbers: vec![Known::default(); roster.len()], brief: vec![Brief::default(); roster.len()] }
    }

    /// Takes in a number's record as just read. False if it is as it was.
    pub fn learn(&mut self, roster: &Roster, ix: NumberIx, record: &NumberRecord) -> bool {
        let known = &mut self.numbers[ix.0 as usize];
        if known.record.as_ref() == Some(record) {
            return false;
        }
        for channel in Channel::ALL {
            let ours = roster.group_of(ix).fallback(channel);
            let primary = &mut known.primary[channel.index()];
            let [url, _] = record.webhooks(channel);
            if let Some(url) = url
                && !ours.is_some_and(|ours| is_same_webhook(ours, url))
                && !primary.iter().any(|p| p == url)
            {
                if primary.len() == REMEMBERED {
                    primary.remove(0);
                }
                primary.push(url.to_owned());
            }
        }
        let unhandled = Channel::ALL.map(|c| record.handler(c) == Handler::Nobody);
        let is_demo = Channel::ALL.map(|c| record.is_demo(c));
        self.brief[ix.0 as usize] = Brief { is_read: true, unhandled, is_demo };
        known.record = Some(record.clone());
        true
    }

    pub fn record(&self, ix: NumberIx) -> Option<&NumberRecord> {
        self.numbers[ix.0 as usize].record.as_ref()
    }

    pub fn is_read(&self, ix: NumberIx) -> bool {
        self.brief[ix.0 as usize].is_read
    }

    /// Who answers a channel, `None` while the number has not been read.
    pub fn handler(&self, ix: NumberIx, channel: Channel) -> Option<Handler> {
        self.record(ix).map(|r| r.handler(channel))
    }

    /// True if the number is known to point at nothing.
    pub fn has_no_handler(&self, ix: NumberIx, channel: Channel) -> bool {
        self.brief[ix.0 as usize].unhandled[channel.index()]
    }

    /// True if the number is known to point at Twilio's demo.
    pub fn is_demo(&self, ix: NumberIx, channel: Channel) -> bool {
        self.brief[ix.0 as usize].is_demo[channel.index()]
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
            .filter(|own| !our_fallback.is_some_and(|ours| is_same_webhook(ours, own)));
        Webhooks {
            primary: &known.primary[channel.index()],
            own_fallback,
            our_fallback,
            status_callback: known.record.as_ref().map_or([None; 2], |r| r.status_callbacks(channel)),
            has_trunk: channel == Channel::Voice && known.record.as_ref().is_some_and(|r| r.trunk.is_some()),
        }
    }
}
