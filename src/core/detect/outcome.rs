//! Was the caller served? From a call with its alerts and child legs, or a message with its
//! alerts, to `ok`, `failed(reason)` or `ignored(why)`.
//!
//! A call's own status does not say it: a caller who hears "an application error has occurred" has
//! an ordinary short `completed` call, and a forward that nobody could take is `completed` too.
//! So evidence of service comes first: a leg that talked, a reply that arrived. Without it an error of the call's own
//! is a failure, whatever it names; child legs come next, the status last. Busy lines, unanswered phones and callers
//! who hang up are left out: they are people, not faults. An error beside evidence of service is nobody's failure:
//! the outcome is `ok`, and the code goes along as a warning.
//!
//! This module is one function for calls and one for messages, without state; what they need is
//! gathered by [`super::ledger`]. `None` means: not settled, wait.

use super::observation::{Alert, CallStatus, Direction, Level, MessageStatus};
use crate::core::model::code::{Class, Code};
use crate::core::model::id::Resource;
use crate::core::model::reason::{IgnoreReason, Outcome, Reason};
use crate::core::model::time::Time;
use crate::core::model::value::FieldValue;
use crate::core::routing::history::Webhooks;
use crate::core::routing::record::{is_fallback, is_same_webhook};

/// The webhook answered with another content type than TwiML's.
const NOT_TWIML: Code = Code(12_300);

/// The number that was dialled is on a list of those that are not, or the account may not call its country. So it is
/// for whoever dials it, the fallback too. Source: Twilio's error dictionary, 13225 and 13227, 2026-11.
const BARRED: [Code; 2] = [Code(13_225), Code(13_227)];

/// The TwiML breaks the schema, and Twilio goes on without the part that does: always a warning.
const SCHEMA: Code = Code(12_200);

/// Everything that alerts have said of one call or message so far. A set: the same alert twice, or
/// in another order, is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertFlags {
    set: u16,
    /// Twilio refused to dial ([`BARRED`]).
    is_barred: bool,
    /// The code of the strongest mark, for the evidence; 0 when there is none.
    code: u32,
    /// When the handler was first known to fail, in seconds since the Unix epoch; 0 when it is not.
    failed_at: u32,
}

/// What one alert says of the call or message it belongs to, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertEffect {
    /// A warning: nothing by itself, but a short call with it is not known to have been served.
    Doubt,
    Unexplained,
    OtherUrl,
    Trunk,
    Platform,
    Account,
    Template,
    OwnFallback,
    OurFallback,
    PrimaryContent,
    PrimaryWebhook,
}

impl AlertFlags {
    /// `at`: when Twilio raised it.
    pub fn add(&mut self, mark: AlertEffect, code: Code, at: Time) {
        if matches!(mark, AlertEffect::PrimaryWebhook | AlertEffect::PrimaryContent) {
            let at = seconds(at);
            self.failed_at = if self.failed_at == 0 { at } else { self.failed_at.min(at) };
        }
        let bit = 1 << mark as u16;
        // The lower code among equals, so that the order of arrival does not show; words without a code come last.
        let rank = |code: u32| if code == Code::UNNAMED.0 { u32::MAX } else { code };
        if self.set < bit || (self.set < bit << 1 && rank(code.0) < rank(self.code)) {
            self.code = code.0;
        }
        self.set |= bit;
        self.is_barred |= BARRED.contains(&code);
    }

    /// Beyond what only casts a doubt.
    pub const fn is_error(self) -> bool {
        self.set & !(1 << AlertEffect::Doubt as u16) != 0
    }

    /// The handler failed before `talk`, in seconds since the Unix epoch.
    const fn has_failed_before(self, talk: u32) -> bool {
        self.failed_at > 0 && self.failed_at <= talk
    }

    const fn has(self, mark: AlertEffect) -> bool {
        self.set & (1 << mark as u16) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.set == 0
    }

    pub const fn code(self) -> Option<Code> {
        if self.set == 0 || self.code == Code::UNNAMED.0 { None } else { Some(Code(self.code)) }
    }
}

/// Whether alerts can be told for what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AlertPlacement {
    /// All of them.
    #[default]
    Complete,
    /// Nobody has read yet what the number points at: those that have come are placed later.
    Unread,
    /// One names a URL that the routing does not, as last read, and was raised too lately for that to be its last
    /// word.
    Pending,
}

/// What `alert` says of the entry it belongs to; `None` if the caller noticed nothing of it.
pub fn mark(alert: &Alert, webhooks: Webhooks<'_>) -> Option<AlertEffect> {
    let class = alert.code.class();
    let is_message = matches!(alert.resource, Some(Resource::Message(_)));
    // A trunk's unreachable endpoint is logged as a warning although nobody was served.
    if class == Class::Origination && webhooks.has_trunk {
        return Some(AlertEffect::Trunk);
    }
    if alert.level != Level::Error {
        let is_doubt = alert.level == Level::Warning && matches!(class, Class::Dial | Class::Sip | Class::Origination);
        return is_doubt.then_some(AlertEffect::Doubt);
    }
    match class {
        // Who has opted out, or is not there, is nobody's failure, on the text that asked for the answer as well.
        Class::Recipient if is_message => None,
        // The application has the message, and answered with what is no TwiML: it may reply by the API.
        Class::Content if is_message && alert.code == NOT_TWIML => Some(AlertEffect::Unexplained),
        Class::Webhook | Class::Content => {
            let Some(url) = alert.url.as_ref().map(FieldValue::whole) else { return Some(AlertEffect::Unexplained) };
            let is = |configured: Option<&str>| configured.is_some_and(|c| is_same_webhook(c, url));
            if webhooks.our_fallback.is_some_and(|ours| is_fallback(ours, url)) {
                Some(AlertEffect::OurFallback)
            } else if webhooks.primary.iter().any(|p| is_same_webhook(p.whole(), url)) {
                Some(if class == Class::Webhook { AlertEffect::PrimaryWebhook } else { AlertEffect::PrimaryContent })
            } else if is(webhooks.own_fallback) {
                Some(AlertEffect::OwnFallback)
            } else if webhooks.status_callback.into_iter().any(is) {
                None
            } else {
                Some(AlertEffect::OtherUrl)
            }
        }
        Class::Template => Some(AlertEffect::Template),
        Class::Account => Some(AlertEffect::Account),
        Class::Platform => Some(AlertEffect::Platform),
        // Told of what became of a call, or for the record: no caller hears of it.
        Class::Callback | Class::Notice => None,
        Class::Dial
        | Class::Origination
        | Class::Sip
        | Class::Recipient
        | Class::Registration
        | Class::Delivery
        | Class::Request
        | Class::Media
        | Class::Function
        | Class::Elsewhere
        | Class::Unexplained
        | Class::Unknown => Some(AlertEffect::Unexplained),
    }
}

/// True if more may come of `alert` once the number is read again: it names a URL that is none of the number's
/// as far as is known, or another one on the handler's host.
pub fn may_be_placed(alert: &Alert, webhooks: Webhooks<'_>, is_read: bool) -> bool {
    match alert.code.class() {
        Class::Webhook | Class::Content => {
            let is_own = |url: &str| webhooks.status_callback.into_iter().flatten().any(|c| is_same_webhook(c, url));
            alert.level == Level::Error
                && alert.url.as_ref().is_some_and(|url| !is_own(url.whole()))
                && matches!(mark(alert, webhooks), None | Some(AlertEffect::OtherUrl))
        }
        // A dialled SIP address raises it too, at numbers without a trunk: as read, that is the last word.
        Class::Origination => !is_read && !webhooks.has_trunk,
        Class::Template
        | Class::Account
        | Class::Platform
        | Class::Dial
        | Class::Sip
        | Class::Recipient
        | Class::Registration
        | Class::Delivery
        | Class::Request
        | Class::Callback
        | Class::Media
        | Class::Function
        | Class::Notice
        | Class::Elsewhere
        | Class::Unexplained
        | Class::Unknown => false,
    }
}

/// How many child legs of a call stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Children {
    pub open: u8,
    pub completed: u8,
    pub failed: u8,
    pub busy: u8,
    pub no_answer: u8,
    pub canceled: u8,
    /// When the first leg that talked began, and when the last leg ended, in seconds since the Unix epoch; 0 when
    /// there is none, or Twilio does not say.
    pub talk_from: u32,
    pub ended_at: u32,
}

impl Children {
    pub const fn any(self) -> bool {
        let Children { open, completed, failed, busy, no_answer, canceled, talk_from: _, ended_at: _ } = self;
        open > 0 || completed > 0 || failed > 0 || busy > 0 || no_answer > 0 || canceled > 0
    }

    /// Takes in a leg, as it is now. `duration`: in whole seconds; one that is not known was a talk.
    pub fn add(&mut self, status: CallStatus, began: Time, ended_at: Option<Time>, duration: Option<u32>) {
        let slot = self.slot(status);
        *slot = slot.saturating_add(1);
        if status.is_final() {
            self.ended_at = self.ended_at.max(ended_at.map_or(0, seconds));
        }
        if status == CallStatus::Completed && duration != Some(0) {
            let from = seconds(began);
            self.talk_from = if self.talk_from == 0 { from } else { self.talk_from.min(from) };
        }
    }

    /// How many seconds a call that ended at `ended_at` went on after its last leg.
    pub fn until(self, ended_at: Option<Time>) -> Option<u32> {
        let ended_at = ended_at.filter(|_| self.ended_at > 0).map(seconds)?;
        Some(ended_at.saturating_sub(self.ended_at))
    }

    /// Takes out a leg that was in `status`, which it is no more.
    pub const fn remove(&mut self, status: CallStatus) {
        let slot = self.slot(status);
        *slot = slot.saturating_sub(1);
    }

    /// The count that a leg in `status` belongs to.
    const fn slot(&mut self, status: CallStatus) -> &mut u8 {
        match status {
            CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress | CallStatus::Unknown => &mut self.open,
            CallStatus::Completed => &mut self.completed,
            CallStatus::Failed => &mut self.failed,
            CallStatus::Busy => &mut self.busy,
            CallStatus::NoAnswer => &mut self.no_answer,
            CallStatus::Canceled => &mut self.canceled,
        }
    }
}

/// All that is known of an inbound call.
#[derive(Clone, Copy, Debug)]
pub struct CallFacts {
    pub status: CallStatus,
    pub duration: Option<u32>,
    pub children: Children,
    pub marks: AlertFlags,
    /// Alerts and child legs have had time to arrive since the call was seen to have ended.
    pub is_settled: bool,
    /// The number points at nothing.
    pub has_no_handler: bool,
    /// The number points at Twilio's demo, which answers every call and serves nobody.
    pub is_demo: bool,
    /// The number has its own fallback URL.
    pub has_own_fallback: bool,
    /// How many seconds the call went on after its last leg had ended, where that is known.
    pub after_legs: Option<u32>,
    /// The number's handler is known to dial out.
    pub forwards: bool,
    /// The caller is our own prober.
    pub is_probe: bool,
    pub placement: AlertPlacement,
}

/// A completed call this long was not an error announcement: the longest one lasts a 15 s webhook
/// timeout plus up to 7 s of speech. Taking 20 s cost false rollbacks when measured.
pub const SERVED_AFTER_SECONDS: u32 = 25;

/// Settles a call, or `None` while it may still become something else.
pub fn judge_call(f: &CallFacts) -> Option<Outcome> {
    if_placed(call_as_told(f)?, f.placement)
}

/// Law 4: as long as an alert cannot be told for what it is, nobody is known to have been served, nor is it known for
/// another URL's.
fn if_placed(outcome: Outcome, placement: AlertPlacement) -> Option<Outcome> {
    let is_placed = match outcome {
        Outcome::Ok => placement != AlertPlacement::Pending,
        Outcome::Failed(Reason::OtherUrl) => placement == AlertPlacement::Complete,
        Outcome::Failed(_) | Outcome::Ignored(_) => true,
    };
    is_placed.then_some(outcome)
}

fn call_as_told(f: &CallFacts) -> Option<Outcome> {
    if f.is_probe {
        return f.status.is_final().then_some(Outcome::Ignored(IgnoreReason::Probe));
    }
    let c = f.children;
    if c.talk_from > 0 {
        // Somebody took the call. What failed before it and was made good is named; what failed after it, the
        // `<Dial>`'s action perhaps, is not the caller's.
        let is_rescued = f.has_own_fallback && f.marks.has_failed_before(c.talk_from);
        return Some(if is_rescued { Outcome::Failed(Reason::Rescued) } else { Outcome::Ok });
    }
    if let Some(reason) = marked(f.marks, f.has_own_fallback) {
        return Some(Outcome::Failed(reason));
    }
    // While the call is up, the handler may dial somebody else.
    if c.open > 0 || (c.any() && !f.status.is_final()) {
        return None;
    }
    if c.failed > 0 && c.busy == 0 && c.no_answer == 0 && c.canceled == 0 && c.completed == 0 {
        // A voicemail of the number's own takes longer than an announcement that nobody is there.
        let is_kept = f.after_legs.is_some_and(|s| s >= SERVED_AFTER_SECONDS) && !f.marks.has(AlertEffect::OtherUrl);
        // What the account may not dial is no fault of the handler's, and another one would not be let either.
        let reason = if f.marks.is_barred { Reason::Unexplained } else { Reason::Forward };
        return Some(if is_kept { Outcome::Ok } else { Outcome::Failed(reason) });
    }
    if c.busy > 0 {
        return Some(Outcome::Ignored(IgnoreReason::Busy));
    }
    if c.no_answer > 0 {
        return Some(Outcome::Ignored(IgnoreReason::NoAnswer));
    }
    if c.canceled > 0 {
        return Some(Outcome::Ignored(IgnoreReason::HungUp));
    }
    match f.status {
        CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress | CallStatus::Unknown => None,
        CallStatus::Completed => {
            let long = f.duration.is_some_and(|d| d >= SERVED_AFTER_SECONDS) && !f.forwards;
            if f.is_demo {
                return Some(Outcome::Failed(Reason::NoHandler));
            }
            // Nobody talked. A longer call may have been taken by the trunk's next URL, or its recovery.
            if f.marks.has(AlertEffect::Trunk) && f.duration == Some(0) {
                return Some(Outcome::Failed(Reason::Trunk));
            }
            match unexplained(f.marks, long) {
                Some(reason) => (long || f.is_settled).then_some(Outcome::Failed(reason)),
                None => (long || f.is_settled && f.placement == AlertPlacement::Complete).then_some(Outcome::Ok),
            }
        }
        CallStatus::Failed | CallStatus::Busy | CallStatus::NoAnswer if f.marks.has(AlertEffect::Trunk) => {
            Some(Outcome::Failed(Reason::Trunk))
        }
        CallStatus::Failed if f.has_no_handler => Some(Outcome::Failed(Reason::NoHandler)),
        CallStatus::Failed | CallStatus::Busy | CallStatus::NoAnswer if f.marks.is_error() => {
            f.is_settled.then_some(Outcome::Failed(unexplained(f.marks, false).unwrap_or(Reason::Unexplained)))
        }
        // An alert may still say that it was the webhook after all.
        CallStatus::Failed => f.is_settled.then_some(Outcome::Failed(Reason::Carrier)),
        CallStatus::Busy => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::Busy)),
        CallStatus::NoAnswer => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::NoAnswer)),
        CallStatus::Canceled => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::HungUp)),
    }
}

/// All that is known of a message.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts {
    pub direction: Direction,
    pub status: MessageStatus,
    pub error: Option<Code>,
    pub marks: AlertFlags,
    /// Alerts have had time to arrive since the message was seen.
    pub is_settled: bool,
    pub has_no_handler: bool,
    pub has_own_fallback: bool,
    /// The sender was sent a message afterwards, which arrived.
    pub is_answered: bool,
    /// The number's application is known to answer by the API, which takes its time.
    pub may_be_answered: bool,
    pub is_probe: bool,
    pub placement: AlertPlacement,
}

/// Settles a message, or `None` while it may still become something else.
pub fn judge_message(f: &MessageFacts) -> Option<Outcome> {
    if f.is_probe {
        return (f.status.is_final() || f.is_settled).then_some(Outcome::Ignored(IgnoreReason::Probe));
    }
    match f.direction {
        Direction::Inbound => {
            if f.is_answered {
                return Some(Outcome::Ok);
            }
            if let Some(reason) = marked(f.marks, f.has_own_fallback) {
                return (f.is_settled || !f.may_be_answered).then_some(Outcome::Failed(reason));
            }
            match f.status {
                MessageStatus::Open | MessageStatus::Unknown => None,
                MessageStatus::Received
                | MessageStatus::Sent
                | MessageStatus::Delivered
                | MessageStatus::Undelivered
                | MessageStatus::Failed
                | MessageStatus::Canceled => {
                    if !f.is_settled {
                        None
                    } else if f.has_no_handler {
                        Some(Outcome::Failed(Reason::NoHandler))
                    } else if let Some(reason) = unexplained(f.marks, false) {
                        if_placed(Outcome::Failed(reason), f.placement)
                    } else if is_harm(f.error) {
                        Some(Outcome::Failed(Reason::Unexplained))
                    } else {
                        (f.placement == AlertPlacement::Complete).then_some(Outcome::Ok)
                    }
                }
            }
        }
        Direction::Reply | Direction::Outbound => match f.status {
            MessageStatus::Open | MessageStatus::Unknown => None,
            MessageStatus::Sent if is_harm(f.error) => f.is_settled.then_some(refused(f.error)),
            // Final where carriers give no receipt.
            MessageStatus::Sent => f.is_settled.then_some(Outcome::Ok),
            MessageStatus::Received | MessageStatus::Delivered => Some(Outcome::Ok),
            MessageStatus::Canceled => Some(Outcome::Ignored(IgnoreReason::HungUp)),
            MessageStatus::Undelivered | MessageStatus::Failed => Some(refused(f.error)),
        },
    }
}

/// What a message of ours that failed is, by its code. What is not known to be the recipient's is ours to look at.
fn refused(error: Option<Code>) -> Outcome {
    let Some(code) = error else { return Outcome::Failed(Reason::Delivery) };
    match code.class() {
        Class::Recipient => Outcome::Ignored(IgnoreReason::Recipient),
        Class::Registration => Outcome::Failed(Reason::Registration),
        Class::Account => Outcome::Failed(Reason::Account),
        Class::Platform => Outcome::Failed(Reason::Platform),
        Class::Webhook
        | Class::Content
        | Class::Template
        | Class::Dial
        | Class::Origination
        | Class::Sip
        | Class::Delivery
        | Class::Request
        | Class::Callback
        | Class::Media
        | Class::Function
        | Class::Notice
        | Class::Elsewhere
        | Class::Unexplained
        | Class::Unknown => Outcome::Failed(Reason::Delivery),
    }
}

/// A code in the row of a call or message. The row names no URL and no level: whose it was is not known, but that it
/// met an error is, unless it can only have been a warning.
pub fn is_harm(error: Option<Code>) -> bool {
    let is_mild = |code: Code| matches!(code.class(), Class::Callback | Class::Notice | Class::Request);
    error.is_some_and(|code| code != SCHEMA && !is_mild(code))
}

/// What an error leaves without evidence of service. One that only casts a doubt does so on a short call.
fn unexplained(m: AlertFlags, is_long: bool) -> Option<Reason> {
    if m.has(AlertEffect::OtherUrl) {
        Some(Reason::OtherUrl)
    } else if m.has(AlertEffect::Unexplained) || m.has(AlertEffect::Doubt) && !is_long {
        Some(Reason::Unexplained)
    } else {
        None
    }
}

/// Whole seconds since the Unix epoch, never 0: small, for there are millions of calls.
pub(super) fn seconds(at: Time) -> u32 {
    u32::try_from(at.as_millis() / 1000).unwrap_or(0).max(1)
}

/// The failure that alerts alone establish, whatever the status says.
fn marked(m: AlertFlags, has_own_fallback: bool) -> Option<Reason> {
    if m.has(AlertEffect::OurFallback) {
        Some(Reason::Fallback)
    } else if m.has(AlertEffect::PrimaryWebhook)
        || m.has(AlertEffect::PrimaryContent)
        || m.has(AlertEffect::OwnFallback)
    {
        Some(if has_own_fallback && !m.has(AlertEffect::OwnFallback) {
            Reason::Rescued
        } else if m.has(AlertEffect::PrimaryContent) && !m.has(AlertEffect::PrimaryWebhook) {
            Reason::Content
        } else {
            Reason::Webhook
        })
    } else if m.has(AlertEffect::Template) {
        Some(Reason::Template)
    } else if m.has(AlertEffect::Account) {
        Some(Reason::Account)
    } else if m.has(AlertEffect::Platform) {
        Some(Reason::Platform)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
