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

mod alerts;

use super::observation::{CallStatus, Direction, MessageStatus};
use crate::model::code::{Class, Code};
use crate::model::reason::{IgnoreReason, Outcome, Reason};
use crate::model::time::Time;
use alerts::SCHEMA;
pub(super) use alerts::seconds;
pub use alerts::{AlertEffect, AlertFlags, AlertPlacement, mark, may_be_placed};

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
    /// Legs that talked.
    pub talks: u8,
}

impl Children {
    pub const fn any(self) -> bool {
        let Children { open, completed, failed, busy, no_answer, canceled, .. } = self;
        open > 0 || completed > 0 || failed > 0 || busy > 0 || no_answer > 0 || canceled > 0
    }

    /// Takes in a leg, as it is now. `duration`: in whole seconds; one that is not known was a talk, and one that was
    /// over at once was none. True if it was.
    pub fn add(&mut self, status: CallStatus, began: Time, ended_at: Option<Time>, duration: Option<u32>) -> bool {
        let slot = self.slot(status);
        *slot = slot.saturating_add(1);
        if status.is_final() {
            self.ended_at = self.ended_at.max(ended_at.map_or(0, seconds));
        }
        let has_talked = status == CallStatus::Completed && duration.is_none_or(|s| s > BRIEF_SECONDS);
        if has_talked {
            let from = seconds(began);
            self.talk_from = if self.talk_from == 0 { from } else { self.talk_from.min(from) };
            self.talks = self.talks.saturating_add(1);
        }
        has_talked
    }

    /// What was taken for a leg's talk was an announcement: the leg has an error of its own.
    pub const fn take_back_talk(&mut self) {
        self.talks = self.talks.saturating_sub(1);
        if self.talks == 0 {
            self.talk_from = 0;
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
    /// It is the number itself that does, and not what it names that is not there.
    pub is_nobodys: bool,
    /// A fax machine takes the number's calls, whatever it points at. It may be meant to: whether a swap would cure it
    /// or end a fax line only a person knows.
    pub is_fax: bool,
    /// The number points at Twilio's demo, which answers every call and serves nobody.
    pub is_demo: bool,
    /// The number has its own fallback URL.
    pub has_own_fallback: bool,
    /// How many seconds the call went on after its last leg had ended, where that is known.
    pub after_legs: Option<u32>,
    /// How many seconds into the call the handler first failed, where it did.
    pub failed_after: Option<u32>,
    /// The same of another URL, or what nothing explains.
    pub erred_after: Option<u32>,
    /// How many seconds there were between the call's beginning and its end, where that says more than `duration`.
    pub lasted: Option<u32>,
    /// The number's handler is known to dial out.
    pub forwards: bool,
    /// The caller is our own prober.
    pub is_probe: bool,
    pub placement: AlertPlacement,
}

/// A completed call this long was not an error announcement: the longest one lasts a 15 s webhook
/// timeout plus up to 7 s of speech. Taking 20 s cost false rollbacks when measured.
pub const SERVED_AFTER_SECONDS: u32 = 25;

/// A call over a trunk with an error of the trunk's is not known to have been taken before it lasted so long: somebody
/// says a name, and is asked something. One in twenty honest calls is shorter.
const TAKEN_AFTER_SECONDS: u32 = 5;

/// A completed call this short says nothing: somebody dialled wrong, or nothing was said to them.
const BRIEF_SECONDS: u32 = 2;

/// A handler that first fails so late in a call has held it for a minute: a queue, a conference, a voicemail whose last
/// action fails. A menu is left by then.
const LATE_SECONDS: u32 = 60;

/// Who stays so long after the handler has failed was served by what came next: an error's announcement lasts seconds.
const STAYED_SECONDS: u32 = 60;

/// Twilio's announcement that an error has occurred takes some seconds: whose call is over within one has not heard it.
const LAST_SECOND: u32 = 1;

/// What a caller met after the handler had failed.
enum AfterFailure {
    /// The announcement of it, and the end; or the number's own fallback.
    Nothing,
    /// The call goes on: its end will tell.
    Unknown,
    /// More than an announcement. Whether it served the caller is not known, nor that a swap would.
    Something,
    Service,
}

impl CallFacts {
    /// What follows a failure of the handler's own speaks too. Without a fallback of the number's Twilio says that an
    /// error has occurred and hangs up, within seconds; a caller who is still there was held by something else: a
    /// `<Gather>` or a `waitUrl` at the handler's URL has failed, or the next try got through.
    fn after_failure(&self, reason: Reason) -> AfterFailure {
        if !matches!(reason, Reason::Webhook | Reason::Content | Reason::Rescued) {
            return AfterFailure::Nothing;
        }
        let is_rescued = reason == Reason::Rescued;
        let is_over = self.status.is_final() || self.status == CallStatus::Unknown && self.is_settled;
        if !is_over {
            let is_plain = is_rescued && !AlertFlags::may_be_of_callback(self.failed_after);
            return if is_plain { AfterFailure::Nothing } else { AfterFailure::Unknown };
        }
        let (Some(failed), Some(lasted)) = (self.failed_after, self.lasted.max(self.duration)) else {
            return AfterFailure::Nothing;
        };
        // What fails in the last second of a call that was no announcement met nobody: it was asked for because the
        // caller had gone, as a callback is, and the action of what they had been doing.
        let after_caller = failed >= SERVED_AFTER_SECONDS && lasted <= failed + LAST_SECOND;
        let stayed = if is_rescued { 0 } else { lasted.saturating_sub(failed) };
        let has_held = failed.min(lasted) >= LATE_SECONDS || stayed >= STAYED_SECONDS;
        if has_held && !self.children.any() {
            AfterFailure::Service
        } else if stayed >= SERVED_AFTER_SECONDS || after_caller {
            AfterFailure::Something
        } else {
            AfterFailure::Nothing
        }
    }
}

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
        match f.after_failure(reason) {
            AfterFailure::Nothing => return Some(Outcome::Failed(reason)),
            AfterFailure::Unknown => return None,
            AfterFailure::Something => return Some(Outcome::Failed(Reason::Unexplained)),
            AfterFailure::Service => {}
        }
    }
    // What it was connected to, or a function, failed after a minute with the caller: a talk that ends so was one.
    let has_talked = f.erred_after.is_some_and(|s| s >= LATE_SECONDS) && !c.any();
    let f = &CallFacts { marks: if has_talked { f.marks.without_unexplained() } else { f.marks }, ..*f };
    // While the call is up, the handler may dial somebody else.
    if c.open > 0 || (c.any() && !f.status.is_final()) {
        return None;
    }
    if c.failed > 0 && c.busy == 0 && c.no_answer == 0 && c.canceled == 0 && c.completed == 0 {
        // A voicemail of the number's own takes longer than an announcement that nobody is there.
        let is_kept = f.after_legs.is_some_and(|s| s >= SERVED_AFTER_SECONDS) && !f.marks.has_own_error();
        // What the account may not dial is no fault of the handler's, and another one would not be let either.
        let reason = if f.marks.is_barred { Reason::Unexplained } else { Reason::Forward };
        return Some(if is_kept { Outcome::Ok } else { Outcome::Failed(reason) });
    }
    // People were not there; an error that the caller met then is another matter.
    if (c.busy > 0 || c.no_answer > 0 || c.canceled > 0) && f.marks.has_own_error() {
        return Some(Outcome::Failed(unexplained(f.marks, Length::AtOnce).unwrap_or(Reason::Unexplained)));
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
        CallStatus::Queued | CallStatus::Ringing | CallStatus::InProgress => None,
        // Twilio says that it is over, and nobody here knows how.
        CallStatus::Unknown => {
            f.is_settled.then(|| Outcome::Failed(unexplained(f.marks, Length::AtOnce).unwrap_or(Reason::Unexplained)))
        }
        CallStatus::Completed => {
            let long = f.duration.is_some_and(|d| d >= SERVED_AFTER_SECONDS) && !f.forwards;
            if f.is_fax {
                return Some(Outcome::Failed(Reason::Unexplained));
            }
            if f.is_demo || f.is_nobodys && !long {
                return Some(Outcome::Failed(Reason::NoHandler));
            }
            // Nobody talked. A longer call may have been taken by the trunk's next URL, or its recovery; a shorter one
            // may have been, and its caller have hung up.
            match f.duration.filter(|_| f.marks.has(AlertEffect::Trunk)) {
                Some(0) => return Some(Outcome::Failed(Reason::Trunk)),
                Some(1..TAKEN_AFTER_SECONDS) => {
                    return f.is_settled.then_some(Outcome::Failed(Reason::Unexplained));
                }
                Some(_) | None => {}
            }
            let length = match f.duration {
                _ if long => Length::Long,
                Some(TAKEN_AFTER_SECONDS..) => Length::Short,
                Some(_) | None => Length::AtOnce,
            };
            match unexplained(f.marks, length) {
                Some(reason) => (long || f.is_settled).then_some(Outcome::Failed(reason)),
                // Somebody kept the caller, and it is not known who.
                None if f.is_nobodys => f.is_settled.then_some(Outcome::Failed(Reason::Unexplained)),
                // However long it was: the alerts of a long call come no sooner.
                None if !f.is_settled || f.placement != AlertPlacement::Complete => None,
                None if is_brief(f) => Some(Outcome::Ignored(IgnoreReason::Brief)),
                None => Some(Outcome::Ok),
            }
        }
        CallStatus::Failed if f.marks.has(AlertEffect::Trunk) => Some(Outcome::Failed(Reason::Trunk)),
        // An endpoint that answers that it is busy, or rings out, was reached (law 3): a swap would take the lines that
        // are free, and the phones that are picked up, too.
        CallStatus::Busy | CallStatus::NoAnswer if f.marks.has(AlertEffect::Trunk) => {
            f.is_settled.then_some(Outcome::Failed(Reason::Unexplained))
        }
        CallStatus::Failed if f.has_no_handler => Some(Outcome::Failed(Reason::NoHandler)),
        CallStatus::Failed | CallStatus::Busy | CallStatus::NoAnswer | CallStatus::Canceled if f.marks.is_error() => {
            f.is_settled.then_some(Outcome::Failed(unexplained(f.marks, Length::AtOnce).unwrap_or(Reason::Unexplained)))
        }
        // An alert may still say that it was the webhook after all.
        CallStatus::Failed => f.is_settled.then_some(Outcome::Failed(Reason::Carrier)),
        CallStatus::Busy => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::Busy)),
        CallStatus::NoAnswer => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::NoAnswer)),
        CallStatus::Canceled => f.is_settled.then_some(Outcome::Ignored(IgnoreReason::HungUp)),
    }
}

/// Nothing says that anybody was served, nor that anything failed: hardly a second, or a leg that was hung up as it was
/// taken, and no voicemail after it.
fn is_brief(f: &CallFacts) -> bool {
    let is_kept = f.after_legs.is_some_and(|s| s >= SERVED_AFTER_SECONDS);
    f.duration.is_none_or(|s| s <= BRIEF_SECONDS) || f.children.any() && !is_kept
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
    /// Twilio's demo answers.
    pub has_no_handler: bool,
    /// The number, or its Messaging Service, names no webhook. Something may take the texts all the same, which nothing
    /// in the API says: Conversations, or people who answer in their own time.
    pub names_nobody: bool,
    /// Twilio itself answers it: it says what its sender wants, and needs no handler.
    pub is_keyword: bool,
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
                MessageStatus::Open | MessageStatus::Scheduled => None,
                MessageStatus::Unknown
                | MessageStatus::Received
                | MessageStatus::Sent
                | MessageStatus::Delivered
                | MessageStatus::Undelivered
                | MessageStatus::Failed
                | MessageStatus::Canceled => {
                    if !f.is_settled {
                        None
                    } else if f.is_keyword && (f.names_nobody || f.has_no_handler) {
                        Some(Outcome::Ignored(IgnoreReason::Recipient))
                    } else if f.names_nobody || f.has_no_handler && f.may_be_answered {
                        // Something may take texts here without a webhook. A last word of thanks needs no answer; and
                        // if it takes none any more, no swap mends it.
                        Some(Outcome::Failed(Reason::Unexplained))
                    } else if f.has_no_handler {
                        Some(Outcome::Failed(Reason::NoHandler))
                    } else if let Some(reason) = unexplained(f.marks, Length::AtOnce) {
                        if_placed(Outcome::Failed(reason), f.placement)
                    } else if is_harm(f.error) || f.status.has_failed() || f.status == MessageStatus::Unknown {
                        Some(Outcome::Failed(Reason::Unexplained))
                    } else {
                        (f.placement == AlertPlacement::Complete).then_some(Outcome::Ok)
                    }
                }
            }
        }
        Direction::Reply | Direction::Outbound => match f.status {
            MessageStatus::Open | MessageStatus::Scheduled => None,
            // Nobody here knows what became of it: not that it arrived.
            MessageStatus::Unknown => f.is_settled.then_some(refused(f.error)),
            MessageStatus::Sent if is_harm(f.error) => f.is_settled.then_some(refused(f.error)),
            // Twilio's log says that it went no further, and names it.
            MessageStatus::Sent if f.marks.stopping().is_some() => f.is_settled.then_some(refused(f.marks.stopping())),
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

/// How long a call was, for what only casts a doubt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// It ended at once.
    AtOnce,
    Short,
    /// Longer than an announcement of an error.
    Long,
}

/// What an error leaves without evidence of service. One that only casts a doubt does so on a short call.
fn unexplained(m: AlertFlags, length: Length) -> Option<Reason> {
    let is_doubted = m.has(AlertEffect::Doubt) && length != Length::Long
        || m.has(AlertEffect::Attribute) && length == Length::AtOnce;
    if m.has(AlertEffect::OtherUrl) {
        Some(Reason::OtherUrl)
    } else if m.has(AlertEffect::Unexplained) || m.has(AlertEffect::Leg) || is_doubted {
        Some(Reason::Unexplained)
    } else {
        None
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
