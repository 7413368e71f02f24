//! The closed lists of what can become of a call or message, and why.

use serde::{Deserialize, Serialize};

/// What became of one call or message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Failed(Reason),
    Ignored(IgnoreReason),
}

/// Why somebody was not served. A closed list: each is a metric label, and says whether pointing
/// the number at a bin on Twilio would have served the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The handler's URL could not be fetched.
    Webhook,
    /// The handler's URL answered with something that is not usable TwiML.
    Content,
    /// The handler failed and the number's own fallback URL served the caller.
    Rescued,
    /// Every leg that the handler dialled failed.
    Forward,
    /// The number points at nothing.
    NoHandler,
    /// The SIP endpoint behind the number's trunk could not be reached.
    Trunk,
    /// The fallback that we swapped to failed.
    Fallback,
    /// A TwiML Bin's template is broken.
    Template,
    /// Broke before any TwiML ran, without an alert: carrier or Twilio.
    Carrier,
    /// The account is suspended, out of concurrency, or without voice.
    Account,
    /// Twilio's own fault.
    Platform,
    /// Another URL than the handler's own failed: a `<Gather>` action perhaps, or the application behind a flow.
    OtherUrl,
    /// An error of the caller's own call or message that nothing here explains, and no sign that anybody was served.
    Unexplained,
    /// The sender is not registered, or its messages are filtered.
    Registration,
    /// A message could not be delivered for another cause than the recipient's phone.
    Delivery,
    /// Only a test call or message can tell: it never reached the number at Twilio.
    NotArriving,
    /// Only a test call can tell: answered, and nobody said anything.
    NothingHeard,
    /// Only a test call or message can tell: something else than the expected handler answered.
    WrongAnswer,
}

impl Reason {
    pub const ALL: [Reason; 18] = [
        Reason::Webhook,
        Reason::Content,
        Reason::Rescued,
        Reason::Forward,
        Reason::NoHandler,
        Reason::Trunk,
        Reason::Fallback,
        Reason::Template,
        Reason::Carrier,
        Reason::Account,
        Reason::Platform,
        Reason::OtherUrl,
        Reason::Unexplained,
        Reason::Registration,
        Reason::Delivery,
        Reason::NotArriving,
        Reason::NothingHeard,
        Reason::WrongAnswer,
    ];

    /// True if no log tells it, but only a test call or message of ours.
    pub const fn is_probes_alone(self) -> bool {
        matches!(self, Reason::NotArriving | Reason::NothingHeard | Reason::WrongAnswer)
    }

    /// True if what Twilio logged names the number's own handler, whichever answers by now.
    pub const fn is_at_handler(self) -> bool {
        matches!(self, Reason::Webhook | Reason::Content | Reason::Rescued | Reason::Trunk)
    }

    /// Law 3: would pointing the number at a bin on Twilio have served the caller?
    pub const fn is_curable(self) -> bool {
        match self {
            Reason::Webhook
            | Reason::Content
            | Reason::Rescued
            | Reason::Forward
            | Reason::NoHandler
            | Reason::Trunk
            | Reason::NothingHeard
            | Reason::WrongAnswer => true,
            // The bin lives on the same account and platform, is itself what broke, or has no part in it.
            Reason::Fallback
            | Reason::Template
            | Reason::Carrier
            | Reason::Account
            | Reason::Platform
            | Reason::OtherUrl
            | Reason::Unexplained
            | Reason::Registration
            | Reason::Delivery
            | Reason::NotArriving => false,
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Reason::Webhook => "webhook",
            Reason::Content => "content",
            Reason::Rescued => "rescued",
            Reason::Forward => "forward",
            Reason::NoHandler => "no_handler",
            Reason::Trunk => "trunk",
            Reason::Fallback => "fallback",
            Reason::Template => "template",
            Reason::Carrier => "carrier",
            Reason::Account => "account",
            Reason::Platform => "platform",
            Reason::OtherUrl => "other_url",
            Reason::Unexplained => "unexplained",
            Reason::Registration => "registration",
            Reason::Delivery => "delivery",
            Reason::NotArriving => "not_arriving",
            Reason::NothingHeard => "nothing_heard",
            Reason::WrongAnswer => "wrong_answer",
        }
    }

    /// The reason in words that fit "the caller was not served: …".
    pub const fn text(self) -> &'static str {
        match self {
            Reason::Webhook => "the handler's URL could not be fetched",
            Reason::Content => "the handler's answer is not usable TwiML",
            Reason::Rescued => "the handler failed, and the number's own fallback URL served the caller",
            Reason::Forward => "every leg that the handler dialled failed",
            Reason::NoHandler => "the number points at nothing, or at Twilio's demo",
            Reason::Trunk => "the SIP endpoint behind the trunk could not be reached",
            Reason::Fallback => "the fallback itself fails its callers",
            Reason::Template => "a TwiML Bin's template is broken",
            Reason::Carrier => "the call broke before any TwiML ran",
            Reason::Account => "the Twilio account is restricted",
            Reason::Platform => "Twilio failed internally",
            Reason::OtherUrl => "another URL than the handler's own failed",
            Reason::Unexplained => {
                "nothing shows that the call or message was served, and no known fault of the handler's explains it"
            }
            Reason::Registration => "messages are filtered or the sender is not registered",
            Reason::Delivery => "a message could not be delivered",
            Reason::NotArriving => {
                "test calls never reach the number at Twilio: the port or the carrier has not moved it"
            }
            Reason::NothingHeard => "the handler answers, but nothing is heard",
            Reason::WrongAnswer => "something other than the expected handler answers",
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = String;

    fn from_str(label: &str) -> Result<Reason, String> {
        Reason::ALL
            .into_iter()
            .find(|r| r.label() == label)
            .ok_or_else(|| format!("{label:?} is no reason; use {}", Reason::ALL.map(Reason::label).join(", ")))
    }
}

/// Why an entry says nothing about the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreReason {
    /// The line was busy: a person, or an honest `<Reject>`.
    Busy,
    /// Nobody picked up.
    NoAnswer,
    /// The caller hung up before anybody answered.
    HungUp,
    /// Answered, and over within two seconds, or as the dialled leg was taken: whether anybody was served cannot be
    /// told.
    Brief,
    /// Our own test call or message.
    Probe,
    /// The recipient, not us: a phone that is off, unknown or a landline, or somebody who has opted out.
    Recipient,
}

impl IgnoreReason {
    pub const ALL: [IgnoreReason; 6] = [
        IgnoreReason::Busy,
        IgnoreReason::NoAnswer,
        IgnoreReason::HungUp,
        IgnoreReason::Brief,
        IgnoreReason::Probe,
        IgnoreReason::Recipient,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            IgnoreReason::Busy => "busy",
            IgnoreReason::NoAnswer => "no_answer",
            IgnoreReason::HungUp => "hung_up",
            IgnoreReason::Brief => "brief",
            IgnoreReason::Probe => "probe",
            IgnoreReason::Recipient => "recipient",
        }
    }
}

impl Outcome {
    /// Metric label `outcome`.
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed(_) => "failed",
            Outcome::Ignored(_) => "ignored",
        }
    }

    /// Metric label `reason`, empty for `ok`.
    pub const fn reason_label(self) -> &'static str {
        match self {
            Outcome::Ok => "",
            Outcome::Failed(reason) => reason.label(),
            Outcome::Ignored(why) => why.label(),
        }
    }

    pub const fn is_curable_failure(self) -> bool {
        match self {
            Outcome::Failed(reason) => reason.is_curable(),
            Outcome::Ok | Outcome::Ignored(_) => false,
        }
    }

    /// Every value, for tables that start at zero.
    pub fn all() -> impl Iterator<Item = Outcome> {
        std::iter::once(Outcome::Ok)
            .chain(Reason::ALL.into_iter().map(Outcome::Failed))
            .chain(IgnoreReason::ALL.into_iter().map(Outcome::Ignored))
    }
}
