//! Was the caller served? From a call with its alerts and child legs, or a message with its
//! alerts, to `ok`, `failed(reason)` or `ignored(why)`.
//!
//! A call's own status does not say it: a caller who hears "an application error has occurred" has
//! an ordinary short `completed` call, and a forward that nobody could take is `completed` too.
//! So alerts on the handler's own URL come first, child legs second, the status last. Busy lines,
//! unanswered phones and callers who hang up are left out: they are people, not faults.
//!
//! This module is one function for calls and one for messages, without state; what they need is
//! gathered by [`super::ledger`]. `None` means: not settled, wait.

use super::observation::{Alert, CallStatus, Direction, Level, MessageStatus};
use crate::core::model::code::{Class, Code};
use crate::core::model::reason::{IgnoreReason, Outcome, Reason};
use crate::core::routing::history::Webhooks;
use crate::core::routing::record::{is_same_webhook, origin};

/// Everything that alerts have said of one call or message so far. A set: the same alert twice, or
/// in another order, is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertFlags {
    set: u16,
    /// The code of the strongest mark, for the evidence; 0 when there is none.
    code: u32,
}

/// What one alert says of the call or message it belongs to, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertEffect {
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
    pub fn add(&mut self, mark: AlertEffect, code: Code) {
        let bit = 1 << mark as u16;
        // The lower code among equals, so that the order of arrival does not show.
        if self.set < bit || (self.set < bit << 1 && code.0 < self.code) {
            self.code = code.0;
        }
        self.set |= bit;
    }

    const fn has(self, mark: AlertEffect) -> bool {
        self.set & (1 << mark as u16) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.set == 0
    }

    pub const fn code(self) -> Option<Code> {
        if self.set == 0 { None } else { Some(Code(self.code)) }
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
    // A trunk's unreachable endpoint is logged as a warning although nobody was served.
    if class == Class::Origination && webhooks.has_trunk {
        return Some(AlertEffect::Trunk);
    }
    if alert.level != Level::Error {
        return None;
    }
    match class {
        Class::Webhook | Class::Content => {
            let url = alert.url.as_deref()?;
            let is = |configured: Option<&str>| configured.is_some_and(|c| is_same_webhook(c, url));
            if is(webhooks.our_fallback) {
                Some(AlertEffect::OurFallback)
            } else if webhooks.primary.iter().any(|p| is_same_webhook(p, url)) {
                Some(if class == Class::Webhook { AlertEffect::PrimaryWebhook } else { AlertEffect::PrimaryContent })
            } else if is(webhooks.own_fallback) {
                Some(AlertEffect::OwnFallback)
            } else if webhooks.status_callback.into_iter().any(is) {
                None
            } else {
                webhooks.primary.iter().any(|p| origin(p) == origin(url)).then_some(AlertEffect::OtherUrl)
            }
        }
        Class::Template => Some(AlertEffect::Template),
        Class::Account => Some(AlertEffect::Account),
        Class::Platform => Some(AlertEffect::Platform),
        // Child legs, message statuses, or nobody at all: said elsewhere or not noticed by a caller.
        Class::Dial
        | Class::Origination
        | Class::Sip
        | Class::Recipient
        | Class::Registration
        | Class::Delivery
        | Class::Request
        | Class::Callback
        | Class::Media
        | Class::Log
        | Class::Unknown => None,
    }
}

/// True if more may come of `alert` once the number is read again: it names a URL that is none of the number's
/// as far as is known, or another one on the handler's host.
pub fn may_be_placed(alert: &Alert, webhooks: Webhooks<'_>, is_read: bool) -> bool {
    match alert.code.class() {
        Class::Webhook | Class::Content => {
            let is_own = |url: &str| webhooks.status_callback.into_iter().flatten().any(|c| is_same_webhook(c, url));
            alert.level == Level::Error
                && alert.url.as_deref().is_some_and(|url| !is_own(url))
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
        | Class::Log
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
}

impl Children {
    pub const fn any(self) -> bool {
        let Children { open, completed, failed, busy, no_answer, canceled } = self;
        open > 0 || completed > 0 || failed > 0 || busy > 0 || no_answer > 0 || canceled > 0
    }

    /// The count that a leg in `status` belongs to.
    pub const fn slot(&mut self, status: CallStatus) -> &mut u8 {
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
    /// The number has its own fallback URL.
    pub has_own_fallback: bool,
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
    served_if_placed(call_as_told(f)?, f.placement)
}

/// Law 4: as long as an alert cannot be told for what it is, nobody is known to have been served.
fn served_if_placed(outcome: Outcome, placement: AlertPlacement) -> Option<Outcome> {
    (outcome != Outcome::Ok || placement != AlertPlacement::Pending).then_some(outcome)
}

fn call_as_told(f: &CallFacts) -> Option<Outcome> {
    if f.is_probe {
        return f.status.is_final().then_some(Outcome::Ignored(IgnoreReason::Probe));
    }
    if let Some(reason) = marked(f.marks, f.has_own_fallback) {
        return Some(Outcome::Failed(reason));
    }
    let c = f.children;
    if c.completed > 0 {
        // Sequential dialling: somebody took the call in the end.
        return Some(Outcome::Ok);
    }
    // While the call is up, the handler may dial somebody else.
    if c.open > 0 || (c.any() && !f.status.is_final()) {
        return None;
    }
    if c.failed > 0 && c.busy == 0 && c.no_answer == 0 && c.canceled == 0 {
        return Some(Outcome::Failed(Reason::Forward));
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
            if f.marks.has(AlertEffect::OtherUrl) && (long || f.is_settled) {
                Some(Outcome::Failed(Reason::OtherUrl))
            } else {
                (long || f.is_settled && f.placement == AlertPlacement::Complete).then_some(Outcome::Ok)
            }
        }
        CallStatus::Failed | CallStatus::Busy | CallStatus::NoAnswer if f.marks.has(AlertEffect::Trunk) => {
            Some(Outcome::Failed(Reason::Trunk))
        }
        CallStatus::Failed if f.has_no_handler => Some(Outcome::Failed(Reason::NoHandler)),
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
            if let Some(reason) = marked(f.marks, f.has_own_fallback) {
                return Some(Outcome::Failed(reason));
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
                    } else if f.marks.has(AlertEffect::OtherUrl) {
                        Some(Outcome::Failed(Reason::OtherUrl))
                    } else {
                        (f.placement == AlertPlacement::Complete).then_some(Outcome::Ok)
                    }
                }
            }
        }
        Direction::Reply | Direction::Outbound => match f.status {
            MessageStatus::Open | MessageStatus::Unknown => None,
            // Final where carriers give no receipt.
            MessageStatus::Sent => f.is_settled.then_some(Outcome::Ok),
            MessageStatus::Received | MessageStatus::Delivered => Some(Outcome::Ok),
            MessageStatus::Canceled => Some(Outcome::Ignored(IgnoreReason::HungUp)),
            MessageStatus::Undelivered | MessageStatus::Failed => Some(match f.error.map(Code::class) {
                Some(Class::Recipient) => Outcome::Ignored(IgnoreReason::Recipient),
                Some(Class::Registration) => Outcome::Failed(Reason::Registration),
                Some(Class::Account) => Outcome::Failed(Reason::Account),
                _ => Outcome::Failed(Reason::Delivery),
            }),
        },
    }
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
