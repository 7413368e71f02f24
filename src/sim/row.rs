//! What the logs are made of: calls, messages, alerts and audit events, and how each looks at a time.
//!
//! A row is written once, when the call begins, with everything that will ever be known of it; what is
//! *shown* depends on when one looks. Twilio itself knows a state from the instant it is reached
//! (`known_at`); the lists show it later (`listed_at`).

use std::sync::Arc;
use std::time::Duration;

use super::log::SimRow;
use crate::core::model::id::{AlertSid, CallSid, MessageSid, NumberSid};
use crate::core::model::time::Time;

/// What stands for a number that is withheld, by what the simulator has instead of its digits.
pub const WITHHELD: [&str; 9] = [
    "anonymous",
    "Anonymous",
    "+266696687",
    "Restricted",
    "Unavailable",
    "+86282452253",
    "+7378742833",
    "Unknown",
    "+2562533",
];

/// Milliseconds after a row's own beginning. Four bytes: there may be millions of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct After(u32);

impl After {
    pub const NEVER: After = After(u32::MAX);

    pub fn ms(ms: f64) -> After {
        After(ms.clamp(0.0, f64::from(u32::MAX - 1)) as u32)
    }

    pub fn secs(s: f64) -> After {
        After::ms(s * 1000.0)
    }

    pub fn plus(self, s: f64) -> After {
        After::ms(f64::from(self.0) + s * 1000.0)
    }

    /// Rounded down, as Twilio counts.
    pub fn whole_secs(self) -> u32 {
        self.0 / 1000
    }

    pub fn secs_since(self, earlier: After) -> f64 {
        match self {
            After::NEVER => 0.0,
            After(ms) => f64::from(ms.saturating_sub(earlier.0)) / 1000.0,
        }
    }

    pub fn from(self, start: Time) -> Time {
        match self {
            After::NEVER => Time::from_millis(i64::MAX),
            After(ms) => start + Duration::from_millis(u64::from(ms)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimCallStatus {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

impl SimCallStatus {
    pub const fn label(self) -> &'static str {
        match self {
            SimCallStatus::Queued => "queued",
            SimCallStatus::Ringing => "ringing",
            SimCallStatus::InProgress => "in-progress",
            SimCallStatus::Completed => "completed",
            SimCallStatus::Busy => "busy",
            SimCallStatus::Failed => "failed",
            SimCallStatus::NoAnswer => "no-answer",
            SimCallStatus::Canceled => "canceled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallDirection {
    Inbound,
    OutboundDial,
    /// Made by a request.
    OutboundApi,
    TrunkingOriginating,
}

impl CallDirection {
    pub const fn label(self) -> &'static str {
        match self {
            CallDirection::Inbound => "inbound",
            CallDirection::OutboundDial => "outbound-dial",
            CallDirection::OutboundApi => "outbound-api",
            CallDirection::TrunkingOriginating => "trunking-originating",
        }
    }
}

/// One leg of a call.
#[derive(Clone, Debug)]
pub struct SimCall {
    pub sid: CallSid,
    /// The leg that dialled this one; all zeroes if none did.
    parent: CallSid,
    /// Digits; 0 for a caller who withholds the number.
    pub from: u64,
    pub to: u64,
    pub start: Time,
    /// Index of our number.
    pub number: u32,
    /// Index of the trunk that carried it.
    pub trunk: Option<u16>,
    pub direction: CallDirection,
    pub status: SimCallStatus,
    /// Whole seconds of talk.
    pub duration: u32,
    /// Queued until then.
    pub dialled: After,
    /// It rings until then.
    pub answered: After,
    pub ended: After,
    /// Listed while it lasts, from then on.
    pub early: After,
    pub listed: After,
    pub priced: After,
    /// Until then its final status is given wrongly, as `wrong`.
    pub corrected: After,
    pub wrong: SimCallStatus,
}

impl SimCall {
    /// A leg that ends as `status`, `ended` after `start`; listed at once.
    pub fn new(sid: u128, start: Time, number: u32, status: SimCallStatus, ended: After) -> SimCall {
        SimCall {
            sid: CallSid::from_u128(sid),
            parent: CallSid::from_u128(0),
            from: 0,
            to: 0,
            start,
            number,
            trunk: None,
            direction: CallDirection::Inbound,
            status,
            duration: if status == SimCallStatus::Completed { ended.whole_secs() } else { 0 },
            dialled: After::ms(0.0),
            answered: if status == SimCallStatus::Completed { After::ms(0.0) } else { After::NEVER },
            ended,
            early: After::NEVER,
            listed: ended,
            priced: if status == SimCallStatus::Completed { ended } else { After::NEVER },
            corrected: After::ms(0.0),
            wrong: status,
        }
    }

    pub fn dialled_by(self, parent: CallSid) -> SimCall {
        SimCall { parent, direction: CallDirection::OutboundDial, ..self }
    }

    pub fn parent(&self) -> Option<CallSid> {
        (self.parent.as_u128() != 0).then_some(self.parent)
    }

    /// A call that waited for its turn has had it: how it goes, counted from that turn, and how many
    /// seconds after its end the lists show it.
    pub fn finish(&mut self, status: SimCallStatus, answered: After, ended: After, shown_after: f64) {
        let since_turn = |at: After| if at == After::NEVER { at } else { self.dialled.plus(at.secs_since(After(0))) };
        (self.answered, self.ended) = (since_turn(answered), since_turn(ended));
        (self.status, self.wrong) = (status, status);
        self.listed = self.ended.plus(shown_after);
        if status == SimCallStatus::Completed {
            self.duration = self.ended.secs_since(self.answered) as u32;
            self.priced = self.listed;
        }
    }

    /// The call is cut off, `at` after it began, unless it is over by then.
    pub fn cut(&mut self, at: After) {
        if self.ended <= at {
            return;
        }
        let shown_after = self.listed.secs_since(self.ended);
        let is_answered = self.answered <= at;
        self.status = if is_answered { SimCallStatus::Completed } else { SimCallStatus::Canceled };
        self.wrong = self.status;
        self.duration = if is_answered { at.secs_since(self.answered) as u32 } else { 0 };
        self.ended = at;
        self.listed = at.plus(shown_after);
        self.priced = if is_answered { self.listed } else { After::NEVER };
    }

    pub fn end(&self) -> Time {
        self.ended.from(self.start)
    }

    pub fn known_at(&self, t: Time) -> Option<CallState> {
        if t < self.start {
            return None;
        }
        let over = t >= self.end();
        let status = match over {
            false if t < self.dialled.from(self.start) => SimCallStatus::Queued,
            false if t >= self.answered.from(self.start) => SimCallStatus::InProgress,
            false => SimCallStatus::Ringing,
            true if t < self.corrected.from(self.start) => self.wrong,
            true => self.status,
        };
        Some(CallState { status, over, priced: over && t >= self.priced.from(self.start) })
    }

    pub fn listed_at(&self, t: Time) -> Option<CallState> {
        if t >= self.listed.from(self.start) {
            return self.known_at(t);
        }
        let early = t >= self.early.from(self.start);
        early.then_some(CallState { status: SimCallStatus::InProgress, over: false, priced: false })
    }
}

/// A leg as one sees it at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallState {
    pub status: SimCallStatus,
    pub over: bool,
    pub priced: bool,
}

impl SimRow for SimCall {
    fn at(&self) -> Time {
        self.start
    }
    fn digits(&self) -> u128 {
        self.sid.as_u128()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimMessageStatus {
    Receiving,
    Received,
    /// Taken, and not sent yet.
    Queued,
    Sent,
    Delivered,
    Undelivered,
    Failed,
}

impl SimMessageStatus {
    pub const fn label(self) -> &'static str {
        match self {
            SimMessageStatus::Receiving => "receiving",
            SimMessageStatus::Received => "received",
            SimMessageStatus::Queued => "queued",
            SimMessageStatus::Sent => "sent",
            SimMessageStatus::Delivered => "delivered",
            SimMessageStatus::Undelivered => "undelivered",
            SimMessageStatus::Failed => "failed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageDirection {
    Inbound,
    Reply,
    /// Sent by a request.
    Api,
}

impl MessageDirection {
    pub const fn label(self) -> &'static str {
        match self {
            MessageDirection::Inbound => "inbound",
            MessageDirection::Reply => "outbound-reply",
            MessageDirection::Api => "outbound-api",
        }
    }
}

/// A message, in or out.
#[derive(Clone, Debug)]
pub struct SimMessage {
    pub sid: MessageSid,
    pub from: u64,
    pub to: u64,
    /// Index of the Messaging Service that handled it.
    pub service: Option<u16>,
    pub at: Time,
    pub direction: MessageDirection,
    /// What it says, where somebody wrote it on purpose.
    pub body: Option<Arc<str>>,
    /// In the end.
    pub status: SimMessageStatus,
    /// Before the end.
    pub before: SimMessageStatus,
    pub error: Option<u32>,
    pub listed: After,
    /// The end.
    pub done: After,
    pub priced: After,
}

impl SimMessage {
    pub fn known_at(&self, t: Time) -> Option<MessageState> {
        (t >= self.at).then(|| {
            let done = t >= self.done.from(self.at);
            MessageState {
                status: if done { self.status } else { self.before },
                done,
                priced: t >= self.priced.from(self.at),
            }
        })
    }

    pub fn listed_at(&self, t: Time) -> Option<MessageState> {
        if t < self.listed.from(self.at) {
            return None;
        }
        self.known_at(t)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    pub status: SimMessageStatus,
    pub done: bool,
    pub priced: bool,
}

impl SimRow for SimMessage {
    fn at(&self) -> Time {
        self.at
    }
    fn digits(&self) -> u128 {
        self.sid.as_u128()
    }
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimSubject {
    Call(CallSid),
    Message(MessageSid),
    /// A number of the account.
    Number(NumberSid),
    /// A request of ours that Twilio refused.
    Request,
    /// A Function of the account.
    Function,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimLevel {
    Error,
    Warning,
}

impl SimLevel {
    /// What Twilio's dictionary says of this code.
    pub fn of(code: u32) -> SimLevel {
        match code {
            12200
            | 13201..=13246
            | 13248..=13299
            | 14101..=14106
            | 14108..=14110
            | 15003
            | 16101
            | 16102
            | 32009
            | 32011
            | 32014
            | 32016
            | 32017
            | 32021
            | 82004 => SimLevel::Warning,
            _ => SimLevel::Error,
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            SimLevel::Error => "error",
            SimLevel::Warning => "warning",
        }
    }

    /// As the older notifications put it.
    pub const fn digit(self) -> &'static str {
        match self {
            SimLevel::Error => "0",
            SimLevel::Warning => "1",
        }
    }
}

/// A line of the account's debugger.
#[derive(Clone, Debug)]
pub struct SimAlert {
    pub sid: AlertSid,
    pub code: u32,
    pub subject: SimSubject,
    pub generated: Time,
    pub created: Time,
    pub listed: Time,
    /// What was asked, and what it answered.
    pub url: Arc<str>,
    pub http: Option<u16>,
    /// Our number and the other party's, where there is one.
    pub to: u64,
    pub from: u64,
}

impl SimRow for SimAlert {
    fn at(&self) -> Time {
        self.created
    }
    fn digits(&self) -> u128 {
        self.sid.as_u128()
    }
}

/// A change of a number, as the account's audit trail has it.
#[derive(Clone, Debug)]
pub struct Audit {
    pub sid: u128,
    pub at: Time,
    pub number: u32,
    /// Name of the property, what it was, what it became.
    pub changes: Vec<(&'static str, String, String)>,
    pub by: AuditActor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditActor {
    /// By the API, with the account's credentials.
    Api,
    /// A person in the Console.
    Person,
}

impl SimRow for Audit {
    fn at(&self) -> Time {
        self.at
    }
    fn digits(&self) -> u128 {
        self.sid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_is_known_before_it_is_listed_and_changes_afterwards() {
        let t = |s| Time::from_secs(s);
        let call = SimCall {
            early: After::secs(5.0),
            listed: After::secs(40.0),
            priced: After::secs(90.0),
            corrected: After::secs(60.0),
            wrong: SimCallStatus::Busy,
            ..SimCall::new(1, t(100), 0, SimCallStatus::Completed, After::secs(30.0))
        };
        assert_eq!(call.known_at(t(99)), None);
        assert_eq!(call.known_at(t(101)).unwrap().status, SimCallStatus::InProgress);
        assert_eq!(call.known_at(t(131)).unwrap().status, SimCallStatus::Busy);
        let listed = |s| call.listed_at(t(s)).map(|s| (s.status.label(), s.over, s.priced));
        assert_eq!(listed(104), None);
        assert_eq!(listed(105), Some(("in-progress", false, false)));
        assert_eq!(listed(139), Some(("in-progress", false, false)));
        assert_eq!(listed(140), Some(("busy", true, false)));
        assert_eq!(listed(160), Some(("completed", true, false)));
        assert_eq!(listed(190), Some(("completed", true, true)));
        assert_eq!(call.duration, 30);
    }
}
