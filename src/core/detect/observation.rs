//! What came in, in our own types: calls, messages, alerts, and numbers as last read.
//!
//! These are the only inputs from the outside that the core knows. They hold what a decision may
//! need and nothing more: above all not the other party's number, of which a keyed hash and the
//! last two digits remain (law 11). A URL that an alert names has been through [`crate::model::redact`], for
//! the number may stand in any part of it. Texts for people, such as an alert's or a resource's name, are not read.
//!
//! A telephone number in them is as Twilio wrote it. Whose log it was in is known to whoever read it, and is handed
//! on and stored beside it, once for all that a poll brought: entries are held by the million.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::code::Code;
use crate::model::id::{AlertSid, CallSid, Channel, E164, MessageSid, NumberSid, Resource, ServiceSid};
use crate::model::reason::Reason;
use crate::model::time::Time;
use crate::model::value::FieldValue;
use crate::profile::CarrierIx;
use crate::routing::record::NumberRecord;

/// One entry of one of Twilio's logs, as it stood when we saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    Call(Call),
    Message(Message),
    Alert(Alert),
    Probe(Probe),
    Number(Box<NumberRecord>),
    /// The account's list, read to its end, does not have this number of ours, again and again.
    Absent {
        number: E164,
    },
    /// A row of the call log that is of none of our numbers has become visible: the log goes on.
    OthersCall,
}

/// The other party of a call or message: enough to tell callers apart, too little to call them.
///
/// Withheld numbers all have the same hash: many anonymous callers are one witness, which errs
/// towards not acting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteParty {
    /// Keyed hash of the number.
    pub hash: u64,
    /// The number's last two digits, absent when it was withheld.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_two: Option<u8>,
    /// It is the number that our own test calls and messages come from.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_prober: bool,
    /// Whose customer it is, by the profile of the weeks before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carrier: Option<CarrierIx>,
}

/// One leg of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    pub sid: CallSid,
    pub leg: Leg,
    pub status: CallStatus,
    /// When it started; when it was created if Twilio does not say. One second of resolution.
    pub started_at: Time,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Time>,
    /// Whole seconds, absent while the call is up and for calls that were not answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration: Option<u32>,
    /// What the row itself says went wrong; [`Code::UNNAMED`] where it says so in words alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Code>,
    /// The number of ours that was called, where somebody forwarded the call from there to this one. Of others'
    /// numbers, from which people forward what they do not answer, nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forwarded_from: Option<E164>,
}

/// Which leg of a call this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// A caller reached one of our numbers: `inbound`, or `trunking-originating` on a trunk.
    Inbound { number: E164, caller: RemoteParty },
    /// A leg that the handler dialled for the call `parent`: `outbound-dial`.
    Child { parent: CallSid },
}

/// Twilio's eight call statuses, and whatever it may invent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
    /// A status that Twilio had not invented when this was written. Taken for unfinished.
    Unknown,
}

impl CallStatus {
    pub const ALL: [CallStatus; 9] = [
        CallStatus::Queued,
        CallStatus::Ringing,
        CallStatus::InProgress,
        CallStatus::Completed,
        CallStatus::Busy,
        CallStatus::Failed,
        CallStatus::NoAnswer,
        CallStatus::Canceled,
        CallStatus::Unknown,
    ];

    /// Reads Twilio's word, in whatever case; a word we do not know is [`CallStatus::Unknown`].
    pub fn from_wire(s: &str) -> CallStatus {
        match &*lower(s) {
            "queued" => CallStatus::Queued,
            "ringing" => CallStatus::Ringing,
            "in-progress" => CallStatus::InProgress,
            "completed" => CallStatus::Completed,
            "busy" => CallStatus::Busy,
            "failed" => CallStatus::Failed,
            "no-answer" => CallStatus::NoAnswer,
            "canceled" => CallStatus::Canceled,
            _ => CallStatus::Unknown,
        }
    }

    /// True once the call is over: the status will not become an unfinished one again.
    pub const fn is_final(self) -> bool {
        match self {
            CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress | CallStatus::Unknown => false,
            CallStatus::Completed
            | CallStatus::Busy
            | CallStatus::Failed
            | CallStatus::NoAnswer
            | CallStatus::Canceled => true,
        }
    }
}

/// A text message of one of our numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub sid: MessageSid,
    /// Ours. Of what another sender of a Messaging Service sent, that one: [`E164::NONE`] where it is no telephone
    /// number, and [`E164::UNASSIGNED`] where the service has chosen none.
    pub number: E164,
    pub party: RemoteParty,
    pub direction: Direction,
    pub status: MessageStatus,
    /// When it was sent or received; when it was created if Twilio does not say.
    pub sent_at: Time,
    /// What the row itself says went wrong; [`Code::UNNAMED`] where it says so in words alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<ServiceSid>,
    /// Its text is a word that Twilio itself answers, such as STOP.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_keyword: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    /// `outbound-reply`: the answer that the webhook gave to a message.
    Reply,
    /// `outbound-api` and `outbound-call`.
    Outbound,
}

/// Twilio's message statuses, as far as they differ for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// `receiving`, `queued`, `accepted`, `sending`: not over.
    Open,
    /// `scheduled`: for a time of the sender's choice, perhaps in weeks.
    Scheduled,
    Received,
    /// `sent`: final where carriers give no receipt.
    Sent,
    /// `delivered`, `read`, `partially_delivered`.
    Delivered,
    Undelivered,
    Failed,
    Canceled,
    /// A word that Twilio had not invented when this was written. Taken for unfinished.
    Unknown,
}

impl MessageStatus {
    /// Reads Twilio's word, in whatever case: Event Streams has them in capitals.
    pub fn from_wire(s: &str) -> MessageStatus {
        match &*lower(s) {
            "receiving" | "queued" | "accepted" | "sending" => MessageStatus::Open,
            "scheduled" => MessageStatus::Scheduled,
            "received" => MessageStatus::Received,
            "sent" => MessageStatus::Sent,
            "delivered" | "read" | "partially_delivered" => MessageStatus::Delivered,
            "undelivered" => MessageStatus::Undelivered,
            "failed" => MessageStatus::Failed,
            "canceled" => MessageStatus::Canceled,
            _ => MessageStatus::Unknown,
        }
    }

    /// It did not arrive where it was meant to.
    pub const fn has_failed(self) -> bool {
        match self {
            MessageStatus::Undelivered | MessageStatus::Failed | MessageStatus::Canceled => true,
            MessageStatus::Open
            | MessageStatus::Scheduled
            | MessageStatus::Received
            | MessageStatus::Sent
            | MessageStatus::Delivered
            | MessageStatus::Unknown => false,
        }
    }

    /// True once nothing more is to be expected. `sent` may still become `delivered`.
    pub const fn is_final(self) -> bool {
        match self {
            MessageStatus::Open | MessageStatus::Scheduled | MessageStatus::Unknown | MessageStatus::Sent => false,
            MessageStatus::Received
            | MessageStatus::Delivered
            | MessageStatus::Undelivered
            | MessageStatus::Failed
            | MessageStatus::Canceled => true,
        }
    }
}

/// A test call or message of ours to one of our numbers, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probe {
    pub number: E164,
    pub channel: Channel,
    pub started_at: Time,
    /// Hash of whence it came: one origin is one witness that things are well.
    pub origin: u64,
    /// The leg or message that arrived at the number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<Resource>,
    pub result: ProbeResult,
    /// Seconds that outcomes wait for their alerts from now on, as far as probes have measured them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grace: Option<u16>,
    /// Seconds for which a caller's call may have been made and not be seen, from now on, measured likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unseen: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeResult {
    /// The right thing answered.
    Success,
    /// A caller would not have been served.
    Failure(Reason),
    /// It could not be measured: our own trouble, which says nothing of the number.
    Error,
}

/// An entry of Twilio's debugger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alert {
    pub sid: AlertSid,
    /// The call or message it belongs to, if it names one that we can tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<Resource>,
    /// The number that it is about, where it is about no call or message but about a number itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<NumberSid>,
    pub code: Code,
    pub level: Level,
    /// Where Twilio's request went, as [`crate::routing::record::kept`] keeps it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<FieldValue>,
    /// What answered there, where Twilio says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    pub at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Error,
    Warning,
    /// `notice`, `info`, `debug`.
    Notice,
}

impl Level {
    /// Reads Twilio's word, in whatever case. A word that Twilio had not invented when this was written is no harmless
    /// one: it is taken for an error, and so is none at all.
    pub fn from_wire(s: &str) -> Level {
        match &*lower(s) {
            "warning" | "warn" => Level::Warning,
            "notice" | "info" | "debug" => Level::Notice,
            _ => Level::Error,
        }
    }
}

/// A word as Twilio's API writes it. Few are in another case, and nothing is copied for the others.
pub fn lower(word: &str) -> Cow<'_, str> {
    let word = word.trim();
    if word.bytes().any(|c| c.is_ascii_uppercase()) { word.to_ascii_lowercase().into() } else { word.into() }
}
