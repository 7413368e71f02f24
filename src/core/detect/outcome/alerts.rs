//! What the debugger's alerts say of the call or message they belong to: whose URL failed, or what else.

use crate::detect::observation::{Alert, Level};
use crate::model::code::{Class, Code};
use crate::model::id::Resource;
use crate::model::time::Time;
use crate::model::value::FieldValue;
use crate::routing::history::Webhooks;
use crate::routing::record::{is_fallback, is_same_webhook};

/// The webhook answered with another content type than TwiML's.
const NOT_TWIML: Code = Code(12_300);

/// The TwiML breaks the schema, and Twilio goes on without the part that does: always a warning.
pub(super) const SCHEMA: Code = Code(12_200);

/// The number that was dialled is on a list of those that are not, the account may not call its country, or the
/// caller's number is none that Twilio, or the carrier, passes on. So it is for whoever dials on, the fallback too.
/// Source: Twilio's error dictionary, 2026-11.
const BARRED: [Code; 5] = [Code(13_225), Code(13_227), Code(13_247), Code(21_215), Code(32_017)];

/// True of an error of a text of ours that did not arrive, and none of the webhook that is told of it.
const fn stops_a_text(code: Code) -> bool {
    matches!(code.class(), Class::Registration | Class::Delivery | Class::Account | Class::Platform)
}

/// Everything that alerts have said of one call or message so far. A set: the same alert twice, or
/// in another order, is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertFlags {
    set: u16,
    /// Twilio refused to dial ([`BARRED`]).
    pub(super) is_barred: bool,
    /// The code of an error with which a text of ours went no further; 0 when there is none.
    stopping: u32,
    /// The code of the strongest mark, for the evidence; 0 when there is none.
    code: u32,
    /// When the handler, or the number's own fallback, was first known to fail, in seconds since the Unix epoch; 0 when
    /// neither is.
    failed_at: u32,
    /// The same of another URL, of our fallback, and of what nothing explains.
    erred_at: u32,
}

const DOUBTS: u16 = AlertEffect::Attribute.bit() | AlertEffect::Doubt.bit();

/// The handler failed, or the number's own fallback.
const HANDLERS: u16 =
    AlertEffect::PrimaryWebhook.bit() | AlertEffect::PrimaryContent.bit() | AlertEffect::OwnFallback.bit();
/// What may be raised of a call when it is over as well.
const ELSEWHERE: u16 = AlertEffect::OtherUrl.bit() | AlertEffect::OurFallback.bit() | AlertEffect::Unexplained.bit();

/// A call's own document is fetched, or found broken, within this of the call's beginning: Twilio waits 15 s, and its
/// clock and its network have some room.
const FETCHED_WITHIN: u32 = 20;

/// What one alert says of the call or message it belongs to, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertEffect {
    /// An attribute was left out: a call that ends at once with it is not known to have been served.
    Attribute,
    /// A warning: nothing by itself, but a short call with it is not known to have been served.
    Doubt,
    /// An error of a leg that was dialled: what came after it may have served the caller.
    Leg,
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

impl AlertEffect {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl AlertFlags {
    /// `at`: when Twilio raised it.
    pub fn add(&mut self, mark: AlertEffect, code: Code, at: Time) {
        let first = if mark.bit() & HANDLERS != 0 {
            Some(&mut self.failed_at)
        } else {
            (mark.bit() & ELSEWHERE != 0).then_some(&mut self.erred_at)
        };
        if let Some(first) = first {
            let at = seconds(at);
            *first = if *first == 0 { at } else { at.min(*first) };
        }
        let bit = mark.bit();
        // The lower code among equals, so that the order of arrival does not show; words without a code come last.
        let rank = |code: u32| if code == Code::UNNAMED.0 { u32::MAX } else { code };
        if self.set < bit || (self.set < bit << 1 && rank(code.0) < rank(self.code)) {
            self.code = code.0;
        }
        self.set |= bit;
        self.is_barred |= BARRED.contains(&code);
        if mark >= AlertEffect::Unexplained && stops_a_text(code) {
            self.stopping = self.stopping.max(code.0);
        }
    }

    /// Without what was raised when a call had ended, beyond the time that the fetch of its document may take: a
    /// callback about it, a recording, a transcript. Whatever URL that was sent to, nobody was on the line any more.
    pub fn of_callers(self, started_at: Time, ended_at: Option<Time>) -> AlertFlags {
        let Some(ended_at) = ended_at else { return self };
        let until = seconds(ended_at).max(seconds(started_at) + FETCHED_WITHIN);
        let mut left = self;
        if self.failed_at > until {
            left.failed_at = 0;
            left.set &= !HANDLERS;
        }
        if self.erred_at > until {
            left.erred_at = 0;
            left.set &= !ELSEWHERE;
        }
        left
    }

    /// How many seconds into a call that began at `started_at` something else first failed.
    pub fn erred_after(self, started_at: Time) -> Option<u32> {
        (self.erred_at > 0).then(|| self.erred_at.saturating_sub(seconds(started_at)))
    }

    pub(super) const fn without_unexplained(mut self) -> AlertFlags {
        self.set &= !AlertEffect::Unexplained.bit();
        self
    }

    /// Whether the handler's failure, of which `after` says how many seconds into the call it was, may have been raised
    /// when the call was over.
    pub(super) fn may_be_of_callback(after: Option<u32>) -> bool {
        after.is_some_and(|s| s > FETCHED_WITHIN)
    }

    /// Beyond what only casts a doubt.
    pub const fn is_error(self) -> bool {
        self.set & !DOUBTS != 0
    }

    /// The handler failed before `talk`, in seconds since the Unix epoch.
    pub(super) const fn has_failed_before(self, talk: u32) -> bool {
        self.failed_at > 0 && self.failed_at <= talk
    }

    /// How many seconds into a call that began at `started_at` the handler first failed.
    pub fn failed_after(self, started_at: Time) -> Option<u32> {
        (self.failed_at > 0).then(|| self.failed_at.saturating_sub(seconds(started_at)))
    }

    /// An error that a failed leg does not explain.
    pub(super) const fn has_own_error(self) -> bool {
        self.set & !(DOUBTS | AlertEffect::Leg.bit()) != 0
    }

    pub(super) const fn has(self, mark: AlertEffect) -> bool {
        self.set & mark.bit() != 0
    }

    pub const fn is_empty(self) -> bool {
        self.set == 0
    }

    /// Why a text of ours went no further, where Twilio's log says so.
    pub(super) const fn stopping(self) -> Option<Code> {
        if self.stopping == 0 { None } else { Some(Code(self.stopping)) }
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
        return if alert.level == Level::Warning { doubt(alert, webhooks) } else { None };
    }
    match class {
        // Who has opted out, or is not there, is nobody's failure, on the text that asked for the answer as well.
        Class::Recipient if is_message => None,
        // The application has the message, and answered with what is no TwiML: it may reply by the API.
        Class::Content if is_message && alert.code == NOT_TWIML => Some(AlertEffect::Unexplained),
        Class::Webhook | Class::Content => {
            let Some(url) = alert.url.as_ref().map(FieldValue::whole) else { return Some(AlertEffect::Unexplained) };
            let is = |configured: Option<&str>| configured.is_some_and(|c| is_same_webhook(c, url));
            let is_primary = webhooks.primary.iter().any(|p| is_same_webhook(p.whole(), url));
            let is_ours = webhooks.our_fallback.is_some_and(|ours| is_fallback(ours, url));
            // One address may be both, by its query alone, which no alert keeps: it is the one that the number has.
            if is_ours && (webhooks.is_on_fallback || !is_primary) {
                Some(AlertEffect::OurFallback)
            } else if is_primary {
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
        Class::Dial | Class::Origination | Class::Sip => Some(AlertEffect::Leg),
        Class::Recipient
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

/// What a warning says: the level is Twilio's judgement of its log, and the code says what happened. One that harms
/// callers casts a doubt on a call which ends at once; a call that went on was not harmed by it.
fn doubt(alert: &Alert, webhooks: Webhooks<'_>) -> Option<AlertEffect> {
    let is_message = matches!(alert.resource, Some(Resource::Message(_)));
    match alert.code.class() {
        Class::Dial if is_of_attribute(alert.code) => Some(AlertEffect::Attribute),
        Class::Webhook | Class::Content if alert.code == SCHEMA => None,
        Class::Webhook | Class::Content => {
            let effect = mark(&Alert { level: Level::Error, ..alert.clone() }, webhooks)?;
            // Of texts, the callbacks of those that are sent are logged so.
            (!is_message || effect != AlertEffect::OtherUrl).then_some(AlertEffect::Doubt)
        }
        Class::Dial
        | Class::Sip
        | Class::Origination
        | Class::Template
        | Class::Account
        | Class::Platform
        | Class::Media
        | Class::Function
        | Class::Unknown => Some(AlertEffect::Doubt),
        Class::Recipient
        | Class::Registration
        | Class::Delivery
        | Class::Request
        | Class::Callback
        | Class::Notice
        | Class::Elsewhere
        | Class::Unexplained => None,
    }
}

/// An attribute of a verb that Twilio does not understand, and goes on without: `<Gather>`, `<Play>`, `<Say>`,
/// `<Record>`, a `<Dial>`'s caller id and a `<Number>`'s method.
const fn is_of_attribute(code: Code) -> bool {
    matches!(code.0, 13_214 | 13_221 | 13_310..=13_349 | 13_410..=13_430 | 13_510..=13_519 | 13_610..=13_629)
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

/// Whole seconds since the Unix epoch, never 0: small, for there are millions of calls.
pub fn seconds(at: Time) -> u32 {
    u32::try_from(at.as_millis() / 1000).unwrap_or(0).max(1)
}
