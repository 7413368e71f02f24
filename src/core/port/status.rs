//! How far the port of one number is.
//!
//! Twilio writes the same status in several ways: `In Review`, `in_review`, `port_pending`, `PortInPhoneNumberPending`.
//! All of them are read here, and a word that nobody knows is its own status, never health.

use serde::{Deserialize, Serialize};

use crate::model::time::Time;

/// How far the port of one number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortStatus {
    /// Twilio looks at the request.
    InReview,
    /// The letter of authorisation waits to be signed.
    AwaitingSignature,
    /// Sent to the old provider.
    Submitted,
    /// The old provider has agreed, and no date is confirmed yet.
    Pending,
    /// The old provider has agreed to a date.
    DateConfirmed,
    /// The number is on Twilio.
    Completed,
    /// Somebody must do something before the port goes on.
    ActionRequired,
    /// The old provider has refused.
    Rejected,
    /// The request is being withdrawn.
    Canceling,
    Canceled,
    /// The request has waited for too long.
    Expired,
    /// It is being taken away from Twilio, or was.
    PortedOut,
    /// A word that Twilio had not invented when this was written.
    Unknown,
}

/// What a status means for whoever waits for the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on by itself.
    Open,
    Done,
    /// Without a person it goes on no more.
    Trouble,
    /// Nobody can tell.
    Untold,
}

impl PortStatus {
    pub const ALL: [PortStatus; 13] = [
        PortStatus::InReview,
        PortStatus::AwaitingSignature,
        PortStatus::Submitted,
        PortStatus::Pending,
        PortStatus::DateConfirmed,
        PortStatus::Completed,
        PortStatus::ActionRequired,
        PortStatus::Rejected,
        PortStatus::Canceling,
        PortStatus::Canceled,
        PortStatus::Expired,
        PortStatus::PortedOut,
        PortStatus::Unknown,
    ];

    /// Reads Twilio's word for a number's status, or a request's. `date`: when the port is due, which Twilio says once
    /// it is confirmed. Sources: Twilio's API description `numbers_v1`, its page "Porting webhooks", 2026-11.
    pub fn read(word: &str, date: Option<Time>) -> PortStatus {
        match plain(word).as_str() {
            "inreview" => PortStatus::InReview,
            "waitingforsignature" => PortStatus::AwaitingSignature,
            "submitted" | "inprogress" => PortStatus::Submitted,
            "pending" if date.is_some() => PortStatus::DateConfirmed,
            "pending" => PortStatus::Pending,
            "completed" => PortStatus::Completed,
            "actionrequired" => PortStatus::ActionRequired,
            "rejected" => PortStatus::Rejected,
            "canceling" | "cancelling" => PortStatus::Canceling,
            "canceled" | "cancelled" => PortStatus::Canceled,
            "expired" => PortStatus::Expired,
            "portedout" => PortStatus::PortedOut,
            _ => PortStatus::Unknown,
        }
    }

    /// Reads Twilio's word for how far a hosted number's order is. Source: its API description `numbers_v2`, 2026-11.
    pub fn read_hosted(word: &str) -> PortStatus {
        let letters: String =
            word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match letters.as_str() {
            "twilioprocessing" | "received" | "pendingverification" | "verified" => PortStatus::InReview,
            "pendingloa" => PortStatus::AwaitingSignature,
            "carrierprocessing" => PortStatus::Submitted,
            "testing" => PortStatus::Pending,
            "completed" => PortStatus::Completed,
            "failed" | "actionrequired" => PortStatus::ActionRequired,
            _ => PortStatus::Unknown,
        }
    }

    /// What it means of an order that moves a number's messages and leaves its calls where they are.
    pub const fn hosted_text(self) -> &'static str {
        match self {
            PortStatus::InReview => "Twilio is looking at the order to host its messages",
            PortStatus::Submitted => "the order to host its messages is with the carrier",
            PortStatus::Pending | PortStatus::DateConfirmed => "Twilio is testing whether its messages arrive",
            PortStatus::Completed => "its messages are hosted on Twilio; its calls stay with the old provider",
            PortStatus::ActionRequired | PortStatus::Rejected => {
                "the order to host its messages has failed, or waits for somebody"
            }
            PortStatus::AwaitingSignature
            | PortStatus::Canceling
            | PortStatus::Canceled
            | PortStatus::Expired
            | PortStatus::PortedOut
            | PortStatus::Unknown => self.text(),
        }
    }

    /// The same where the request has a say too: what a number's own status leaves open, the request's trouble decides.
    /// A number to which the old provider has agreed is not held up by another one of the request.
    #[must_use]
    pub const fn within(self, request: PortStatus) -> PortStatus {
        match (self, request.progress()) {
            (
                PortStatus::InReview | PortStatus::AwaitingSignature | PortStatus::Submitted | PortStatus::Unknown,
                Progress::Trouble,
            ) => request,
            (own, Progress::Open | Progress::Done | Progress::Trouble | Progress::Untold) => own,
        }
    }

    pub const fn progress(self) -> Progress {
        match self {
            PortStatus::InReview | PortStatus::Submitted | PortStatus::Pending | PortStatus::DateConfirmed => {
                Progress::Open
            }
            PortStatus::Completed => Progress::Done,
            PortStatus::AwaitingSignature
            | PortStatus::ActionRequired
            | PortStatus::Rejected
            | PortStatus::Canceling
            | PortStatus::Canceled
            | PortStatus::Expired
            | PortStatus::PortedOut => Progress::Trouble,
            PortStatus::Unknown => Progress::Untold,
        }
    }

    /// The word of the journal, the API and the metrics.
    pub const fn label(self) -> &'static str {
        match self {
            PortStatus::InReview => "in_review",
            PortStatus::AwaitingSignature => "awaiting_signature",
            PortStatus::Submitted => "submitted",
            PortStatus::Pending => "pending",
            PortStatus::DateConfirmed => "date_confirmed",
            PortStatus::Completed => "completed",
            PortStatus::ActionRequired => "action_required",
            PortStatus::Rejected => "rejected",
            PortStatus::Canceling => "canceling",
            PortStatus::Canceled => "canceled",
            PortStatus::Expired => "expired",
            PortStatus::PortedOut => "ported_out",
            PortStatus::Unknown => "unknown",
        }
    }

    /// In plain words.
    pub const fn text(self) -> &'static str {
        match self {
            PortStatus::InReview => "Twilio is looking at the request",
            PortStatus::AwaitingSignature => "the letter of authorisation waits to be signed",
            PortStatus::Submitted => "the request is with the old provider",
            PortStatus::Pending => "the old provider has agreed, and there is no date yet",
            PortStatus::DateConfirmed => "the old provider has confirmed a date",
            PortStatus::Completed => "the port is completed",
            PortStatus::ActionRequired => "somebody must do something before it goes on",
            PortStatus::Rejected => "the old provider has refused the port",
            PortStatus::Canceling => "the request is being withdrawn",
            PortStatus::Canceled => "the request was withdrawn",
            PortStatus::Expired => "the request has expired",
            PortStatus::PortedOut => "somebody takes the number away from Twilio",
            PortStatus::Unknown => "Twilio names a status that Ringback does not know",
        }
    }

    /// What a person is to do about it; `None`: nothing. Of a refusal its reason says more.
    pub const fn cure(self) -> Option<&'static str> {
        match self {
            PortStatus::InReview
            | PortStatus::Submitted
            | PortStatus::Pending
            | PortStatus::DateConfirmed
            | PortStatus::Completed => None,
            PortStatus::AwaitingSignature => {
                Some("have the letter of authorisation signed: Twilio sent it to the authorised representative")
            }
            PortStatus::ActionRequired => Some("read in Twilio's Console what the request waits for, and answer it"),
            PortStatus::Rejected => {
                Some("read the reason in Twilio's Console, correct it, and submit the number again")
            }
            PortStatus::Canceling | PortStatus::Canceled => Some(
                "if nobody of yours withdrew it, ask Twilio's porting team; the number stays with the old provider",
            ),
            PortStatus::Expired => Some("make a new request: this one has waited for too long"),
            PortStatus::PortedOut => Some(
                "if nobody of yours asked for it, call Twilio's support at once: its callers will soon reach somebody \
                 else",
            ),
            PortStatus::Unknown => Some("look at the request in Twilio's Console"),
        }
    }
}

/// A status without case, blanks, hyphens and what stands before it in some of Twilio's writings.
fn plain(word: &str) -> String {
    let letters: String = word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let short = ["portinphonenumber", "portoutphonenumber", "portin", "port"].into_iter();
    // `portedout` is a word of its own.
    let found = short.filter(|_| letters != "portedout").find_map(|prefix| letters.strip_prefix(prefix));
    found.filter(|rest| !rest.is_empty()).map_or_else(|| letters.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_any_writing() {
        let day = Some(Time::from_secs(1));
        for (words, is) in [
            (&["in_review", "In Review", "IN-REVIEW", " in review "][..], PortStatus::InReview),
            (
                &["waiting_for_signature", "Waiting for Signature", "PortInWaitingForSignature"],
                PortStatus::AwaitingSignature,
            ),
            (&["submitted", "port_submitted", "PortInPhoneNumberSubmitted", "In Progress"], PortStatus::Submitted),
            (&["pending", "Pending", "port_pending"], PortStatus::DateConfirmed),
            (&["completed", "Completed", "PortInPhoneNumberCompleted"], PortStatus::Completed),
            (&["action_required", "Action Required"], PortStatus::ActionRequired),
            (&["rejected", "port_rejected", "Port Rejected"], PortStatus::Rejected),
            (&["canceling", "Cancelling"], PortStatus::Canceling),
            (&["canceled", "Cancelled", "PortInCanceled"], PortStatus::Canceled),
            (&["expired", "Expired"], PortStatus::Expired),
            (&["", "teleported", "port", "portin"], PortStatus::Unknown),
        ] {
            for word in words {
                assert_eq!(PortStatus::read(word, day), is, "{word:?}");
            }
        }
        assert_eq!(PortStatus::read("pending", None), PortStatus::Pending);
        for status in PortStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.label());
            if !matches!(status, PortStatus::AwaitingSignature | PortStatus::DateConfirmed) {
                assert_eq!(PortStatus::read(status.label(), None), status, "its own word");
            }
            let needs_somebody = matches!(status.progress(), Progress::Trouble | Progress::Untold);
            assert_eq!(status.cure().is_some(), needs_somebody, "{status:?}");
        }
    }

    #[test]
    fn a_requests_trouble_is_that_of_numbers_which_nobody_has_agreed_to() {
        let trouble = PortStatus::ActionRequired;
        assert_eq!(PortStatus::InReview.within(trouble), trouble);
        assert_eq!(PortStatus::Unknown.within(PortStatus::Expired), PortStatus::Expired);
        for own in [PortStatus::DateConfirmed, PortStatus::Completed, PortStatus::Rejected] {
            assert_eq!(own.within(trouble), own);
        }
        assert_eq!(PortStatus::InReview.within(PortStatus::Completed), PortStatus::InReview);
    }
}
