//! What is kept in the journal about ports.
//!
//! An entry is written when something about a number's port has become otherwise, for all numbers at once of which the
//! same is so. What was met is written once a number and channel: whether the old provider may be cancelled must be
//! known after a restart too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;
use super::status::PortStatus;
use crate::model::foreign::Line;
use crate::model::id::{Channel, E164, GroupName, NumberId, PortRequestSid};
use crate::model::time::Time;

/// What the Porting API says of one number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortState {
    pub status: PortStatus,
    /// When the port is due, once that is confirmed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub date: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rejection: Option<Rejection>,
    /// Twilio's own word, where it is one that nobody knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub word: Option<Line>,
    /// Since when it is so, as far as Twilio says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<PortRequestSid>,
    /// What Twilio's porting team asks for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticket: Option<u64>,
    /// It is an order that moves its messages alone: the calls stay with the old provider.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_hosted: bool,
}

impl PortState {
    /// Of a number of which no more is said.
    pub const fn of(status: PortStatus) -> PortState {
        PortState {
            status,
            date: None,
            rejection: None,
            word: None,
            since: None,
            request: None,
            ticket: None,
            is_hosted: false,
        }
    }

    /// True if it says nothing new: since when is not news.
    pub fn says_the_same(&self, other: &PortState) -> bool {
        PortState { since: None, ..self.clone() } == PortState { since: None, ..other.clone() }
    }

    /// In plain words, with the reason of a refusal.
    pub fn text(&self) -> String {
        let mut text = if self.is_hosted { self.status.hosted_text() } else { self.status.text() }.to_owned();
        if let Some(rejection) = self.rejection {
            text += &format!(": {}", rejection.text());
        }
        if let Some(word) = &self.word {
            text += &format!(": {:?}", word.as_str());
        }
        text
    }

    /// What a person is to do about it.
    pub fn cure(&self) -> Option<&'static str> {
        self.status.cure().map(|cure| self.rejection.map_or(cure, Rejection::cure))
    }
}

/// One number as the Porting API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFound {
    pub number: E164,
    pub state: PortState,
}

/// What a number's channel has met since it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// A live caller, or somebody who writes, came to Twilio.
    Arrived,
    /// One of them was served, by the number's own handler.
    Served,
    /// A test call or message was.
    Probed,
    /// A caller still came to the old provider, which sent the call on to another number of ours.
    Forwarded,
}

impl Met {
    pub const fn text(self) -> &'static str {
        match self {
            Met::Arrived => "the first live callers arrive",
            Met::Served => "the first live callers are served",
            Met::Probed => "the first test is served",
            Met::Forwarded => "a caller came by way of the old provider",
        }
    }
}

/// A caller who came by way of the old provider is written down again after this.
pub const FORWARDED_AGAIN: Duration = Duration::from_secs(3600);

/// What was seen of the numbers of a group on one channel while they were watched closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSeen {
    /// Numbers that are watched as in every other week.
    pub passive: u32,
    /// Of these, the numbers to which too few callers came in all the time.
    pub quiet: u32,
    /// Numbers that still wait for their port.
    pub waiting: u32,
    /// Calls or messages that were served, and that were not.
    pub served: u32,
    pub failed: u32,
}

/// An entry of the journal about ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum PortEntry {
    /// The Porting API, or Twilio's debugger, says this of these numbers.
    Status { group: GroupName, numbers: Vec<NumberId>, state: PortState },
    /// These numbers have met this for the first time; or again, of what matters when it was last.
    Met { channel: Channel, met: Met, numbers: Vec<NumberId> },
    /// The first of the group's ports is due within a day.
    Eve {
        group: GroupName,
        due: Time,
        /// Numbers that wait for their port.
        waiting: Vec<NumberId>,
        /// What stands against it, as far as is known.
        against: Vec<Line>,
    },
    /// No number of the group that was ported is watched closely any longer.
    Passive { group: GroupName, channel: Channel, seen: PortSeen },
}
