//! May the old provider be cancelled? Yes only if nothing is missing, of any number.
//!
//! Whoever cancels too early takes the numbers away from callers whose carriers still route to the old provider, and
//! from ports that are not through: a number that is disconnected there can no longer be ported.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ports::PortEvidence;
use super::status::PortStatus;
use crate::model::facts::PORT_SETTLES;
use crate::model::id::Channel;
use crate::model::time::Time;

/// What keeps the old provider needed for one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "missing", rename_all = "snake_case")]
pub enum Missing {
    /// The port is not completed.
    Port { status: PortStatus, cure: Option<String> },
    /// Nothing shows that it is on Twilio.
    Unshown,
    /// It is said to have come, and the account's list of numbers does not have it.
    NotInAccount,
    /// Whether it is in the account could not be read.
    AccountUnread,
    /// Its messages alone have moved.
    Hosted,
    /// The Porting API could not be read, and has never said anything of it.
    Unread,
    /// No live caller was served, and no test of ours.
    Unserved { channel: Channel },
    /// It is on its fallback, or on its way.
    Rollback { channel: Channel },
    /// Carriers may still send callers to the old provider.
    Settling { until: Time },
    /// They do: it has sent a caller on to another number of ours.
    Forwarded { last: Time },
}

/// What is so while a port settles.
pub const SETTLING: &str = "carriers may send callers to the old provider";

impl Missing {
    /// Until when it is so, where time ends it.
    pub const fn until(&self) -> Option<Time> {
        match self {
            Missing::Settling { until } => Some(*until),
            Missing::Port { .. }
            | Missing::Unshown
            | Missing::NotInAccount
            | Missing::AccountUnread
            | Missing::Hosted
            | Missing::Unread
            | Missing::Unserved { .. }
            | Missing::Rollback { .. }
            | Missing::Forwarded { .. } => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Missing::Port { status, cure: None } => status.text().to_owned(),
            Missing::Port { status, cure: Some(cure) } => format!("{}: {cure}", status.text()),
            Missing::Unshown => "nothing shows that it is on Twilio: call it".to_owned(),
            Missing::NotInAccount => "it is not among this account's numbers, ported or not: look for it in Twilio's \
                                      console, in the parent account and in subaccounts"
                .to_owned(),
            Missing::AccountUnread => "whether it is among this account's numbers could not be read".to_owned(),
            Missing::Hosted => {
                "it is hosted: its messages alone are on Twilio, and its calls stay with the old provider".to_owned()
            }
            Missing::Unread => "the Porting API could not be read, and nothing else shows how far it is".to_owned(),
            Missing::Unserved { channel: Channel::Voice } => {
                "no call is known to have been served on Twilio, live or as a test: call it".to_owned()
            }
            Missing::Unserved { channel: Channel::Messaging } => {
                "no message is known to have been served on Twilio, live or as a test: text it".to_owned()
            }
            Missing::Rollback { channel } => {
                format!("{channel} is rolled back, or being swapped: restore it first")
            }
            Missing::Settling { until } => {
                format!("{SETTLING} until {}", minute(*until))
            }
            Missing::Forwarded { last } => format!(
                "a caller still came by way of the old provider, which forwards them, at {}: see which carrier sends them \
                 there",
                minute(*last)
            ),
        }
    }
}

/// An instant to the minute, for people.
pub fn minute(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// What is known of one channel of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelFacts {
    pub channel: Channel,
    pub served: Option<Time>,
    pub probed: Option<Time>,
    /// When a caller last came by way of the old provider.
    pub forwarded: Option<Time>,
    pub is_rolled_back: bool,
}

/// What is known of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberFacts<'a> {
    /// What Twilio says of its port, if anything, and what cures that.
    pub status: Option<(PortStatus, Option<&'static str>)>,
    pub evidence: PortEvidence,
    pub is_hosted: bool,
    /// Since when it is shown to be on Twilio.
    pub ported: Option<Time>,
    /// For how long its messages may go elsewhere after that.
    pub messages_settle: Duration,
    /// As far as the account's numbers could be read.
    pub is_in_account: Option<bool>,
    /// The Porting API was read, or is not there for this account.
    pub was_looked: bool,
    pub channels: &'a [ChannelFacts],
}

/// What is missing for one number at `now`; nothing: it needs the old provider no more.
pub fn missing(now: Time, facts: &NumberFacts<'_>) -> Vec<Missing> {
    let mut missing = Vec::new();
    match (facts.status, facts.ported) {
        (Some((status, cure)), _) if status != PortStatus::Completed => {
            missing.push(Missing::Port { status, cure: cure.map(str::to_owned) });
        }
        (None, _) if !facts.was_looked => missing.push(Missing::Unread),
        (_, None) => missing.push(Missing::Unshown),
        (_, Some(at)) => {
            let has_messages = facts.channels.iter().any(|c| c.channel == Channel::Messaging);
            let settles = if has_messages { PORT_SETTLES.max(facts.messages_settle) } else { PORT_SETTLES };
            if at + settles > now {
                missing.push(Missing::Settling { until: at + settles });
            }
        }
    }
    if facts.ported.is_some() && facts.is_in_account == Some(false) {
        missing.push(Missing::NotInAccount);
    }
    if facts.ported.is_some() && facts.is_in_account.is_none() {
        missing.push(Missing::AccountUnread);
    }
    if facts.is_hosted {
        missing.push(Missing::Hosted);
    }
    for c in facts.channels {
        if let Some(last) = c.forwarded.filter(|last| *last + PORT_SETTLES > now) {
            missing.push(Missing::Forwarded { last });
        }
        if c.is_rolled_back {
            missing.push(Missing::Rollback { channel: c.channel });
        }
        // Of what is not on Twilio nothing is served there.
        let is_there = facts.ported.is_some();
        if is_there && c.served.is_none() && c.probed.is_none() {
            missing.push(Missing::Unserved { channel: c.channel });
        }
    }
    missing
}
