//! What a code means and what a person can do about it: what a page at night should say.

use crate::model::code::{Class, Code};
use crate::model::decision::PageReason;
use crate::model::guard::Guard;
use crate::model::id::Channel;
use crate::model::reason::Reason;

/// What Twilio means by a code, in a few words; the class's words for codes that are not listed.
/// Source: Twilio's error dictionary (<https://www.twilio.com/docs/api/errors>).
pub const fn meaning(code: Code) -> &'static str {
    match code.0 {
        11_200 => "HTTP retrieval failure: the URL answered with an error",
        11_205 => "HTTP connection failure: nobody answers at the URL",
        11_206 => "HTTP protocol violation",
        11_210 => "HTTP bad host name: the URL's name does not resolve",
        11_215 => "HTTP too many redirects",
        11_220 => "TLS handshake failed",
        11_100 => "invalid URL",
        11_235 => "the server's certificate is for another name",
        11_236 => "the server's certificate has expired",
        11_237 => "the server's certificate has no path to one that is trusted",
        11_750 => "the answer is larger than 64 kB",
        12_100 => "the document cannot be parsed as XML",
        12_102 => "the document is no <Response>",
        12_200 => "the TwiML breaks the schema",
        12_300 => "invalid Content-Type",
        12_400 => "internal failure at Twilio",
        13_224 => "<Dial>: the number is not allowed or does not exist",
        13_225 => "<Dial>: the number is blocked",
        13_227 => "<Dial>: no permission for this country",
        10_001 | 20_005 => "the account is not active",
        10_004 => "too many calls at the same time for the account",
        30_001 => "queue overflow",
        30_002 => "the account is suspended",
        30_003 => "the handset cannot be reached",
        30_005 => "the handset is unknown",
        30_006 => "a landline or a carrier that cannot be reached",
        30_007 => "filtered by the carrier or by Twilio",
        30_008 => "unknown error at the carrier",
        30_032 => "the toll-free number is not verified",
        30_034 => "the number is not registered for 10DLC",
        32_011 => "SIP: no answer from the trunk's endpoint",
        _ => match code.class() {
            Class::Webhook => "the webhook could not be fetched",
            Class::Content => "the webhook's answer is not usable TwiML",
            Class::Template => "a TwiML Bin's template is broken",
            Class::Dial => "a verb went wrong: <Dial>, a conference, a queue",
            Class::Origination => "the SIP endpoint behind the trunk could not be reached",
            Class::Sip => "SIP trouble",
            Class::Account => "the account is restricted",
            Class::Platform => "Twilio's own failure",
            Class::Recipient => "the recipient could not be reached",
            Class::Registration => "filtered, or the sender is not registered",
            Class::Delivery => "the message was not delivered",
            Class::Request => "a mistake in a request",
            Class::Callback => "a status callback or a recording failed",
            Class::Media => "a media stream, a virtual agent or a payment failed",
            Class::Function => "a Twilio Function or a Studio flow failed, or wrote to its log",
            Class::Notice => "said for the record",
            Class::Elsewhere => "of another product of Twilio's",
            Class::Unexplained => "Twilio does not say what happened",
            Class::Unknown => "not in Ringback's table: see Twilio's error dictionary",
        },
    }
}

/// What to repair, for a reason that a rollback cures: the handler's own side.
pub const fn repair(reason: Reason) -> &'static str {
    match reason {
        Reason::Webhook => "Repair the server behind the handler's URL",
        Reason::Content => "Repair the TwiML that the handler answers",
        Reason::Rescued => "Repair the handler; its own fallback URL is serving callers",
        Reason::Forward => "Repair what the handler dials",
        Reason::NoHandler => "Configure the number's handler",
        Reason::Trunk => "Repair the SIP endpoint behind the trunk",
        Reason::NothingHeard => "Repair the handler: it answers and says nothing",
        Reason::WrongAnswer => "Repair the handler: what it says is not what it should",
        Reason::Fallback
        | Reason::Template
        | Reason::Carrier
        | Reason::Account
        | Reason::Platform
        | Reason::OtherUrl
        | Reason::Unexplained
        | Reason::NotArriving
        | Reason::Registration
        | Reason::Delivery => "Repair what failed",
    }
}

/// What a person should do where a rollback would not help.
pub const fn instead(reason: PageReason, channel: Channel) -> &'static str {
    match reason {
        PageReason::Failing(reason) => match reason {
            Reason::Webhook
            | Reason::Content
            | Reason::Rescued
            | Reason::Forward
            | Reason::NoHandler
            | Reason::NothingHeard
            | Reason::WrongAnswer
            | Reason::Trunk => {
                "Look at the handler. A rollback would cure this, but one of your rules says to ask you first"
            }
            Reason::Fallback => "Repair the fallback bin. If the old handler works again, restore the numbers",
            Reason::NotArriving => {
                "Call the number from a mobile phone: our test calls do not reach Twilio. If yours does not either, ask \
                 Twilio's porting team and the losing carrier; a rollback changes nothing outside of Twilio"
            }
            Reason::Template => "Repair the TwiML Bin's template in Twilio's Console",
            Reason::Carrier => {
                "Open a ticket with Twilio and with the losing carrier, with the samples: the call breaks before any \
                 TwiML runs, so it does not matter where the number points"
            }
            Reason::Account => {
                "Look at the account's state and balance in Twilio's Console and call Twilio: the fallback lives on \
                 the same account"
            }
            Reason::Platform => "Look at https://status.twilio.com and open a ticket with the samples",
            Reason::OtherUrl => {
                "Repair the URL that the alert names (a <Gather> action, a status callback): the handler itself answers"
            }
            Reason::Unexplained => {
                "Look up the error code at https://www.twilio.com/docs/api/errors and listen to a sample's call: nothing shows \
                 that these callers were served, and nothing that a rollback would help them"
            }
            Reason::Registration => {
                "Check the 10DLC campaign or the toll-free verification in Twilio's Console: the number's routing is not the cause"
            }
            Reason::Delivery => {
                "Look at the messages' error codes in Twilio's Console: the number's routing is not the cause"
            }
        },
        PageReason::Silence => {
            "Call the number from a mobile phone. If it rings elsewhere or not at all, the port is not through: ask \
             Twilio's porting team and the losing carrier. A rollback cannot help calls that do not reach Twilio"
        }
        PageReason::Unreached => {
            "Call the number from a mobile phone, and look at who should pick up: lines are busy, nobody answers, or \
             callers give up or are gone at once. That alone is no fault of the handler's that a rollback would cure"
        }
        PageReason::FewCallers => match channel {
            Channel::Voice => {
                "Call the number from a mobile phone. If it does not serve you either, roll it back by hand: the detector \
                 waits for different callers, and withheld or forwarded calls do not show them"
            }
            Channel::Messaging => {
                "Text the number from a mobile phone. If nothing answers you either, roll it back by hand: the detector \
                 waits for different people who text"
            }
        },
        PageReason::ErrorsBesideService => {
            "Repair what the error code names when there is time: a reply that is no TwiML, an action after the talk. If \
             only test calls fail, call the number yourself, and see what the test meets that callers do not"
        }
        PageReason::OldHandler => {
            "Call the number from a mobile phone. If it fails, see in Twilio's Console where it points: at the fallback, \
             the bin leads back to the old handler (a <Redirect>, a <Dial> of the number itself): repair the bin. At \
             anything else, the swap has no effect there. If the old handler works again, restore the numbers"
        }
        PageReason::Outage => {
            "Look at https://status.twilio.com and open a ticket with the samples: calls on several numbers break \
             before any TwiML runs"
        }
    }
}

/// What a person should do about a guard that blocks a rollback. `None`: there is nothing to do.
pub const fn about(guard: Guard) -> Option<&'static str> {
    match guard {
        Guard::Lease => Some(
            "Check whether another agent leads. If so it acts; if not, this agent does as soon as its lease is renewed",
        ),
        Guard::Mode => None,
        Guard::Hold => Some("If the hold is no longer needed, end it; Ringback then acts by itself"),
        Guard::Phase => Some("If the number is ported, report that to Ringback; it may then act"),
        Guard::Blind => Some("Find out why Twilio's logs cannot be read; Ringback acts as soon as they can"),
        Guard::Storm => Some("Look for a common cause first: a network, a certificate, a deployment"),
        Guard::Fallback => Some("Repair the fallback: Ringback rolls nothing back to it while it is broken"),
        Guard::Cooldown => Some("Ringback tries again by itself; find out why the last try failed"),
        Guard::NotWatched => Some("Watch the number on this channel in the configuration, if it serves it"),
        Guard::OtherWriter => Some(
            "Find out who set the number's handler, and why: they may be repairing it, or it serves its callers while the \
             rest of the group fails. Swap it once you agree",
        ),
        Guard::Cap => None,
        Guard::Veto => None,
        Guard::NoFallback => Some("Name a fallback for this channel in [group.fallback], and restart the agent"),
        Guard::NotInAccount => Some("Find out in Twilio's Console which account has the number"),
        Guard::NotRead => Some("Find out why Ringback cannot read the account's numbers"),
        Guard::OnFallback => Some("The number points at the fallback already, and callers fail there: look at the bin"),
    }
}
