//! Why a port was refused, and what cures it.
//!
//! Twilio has a code for each reason, a word for each, and now and then the old provider's own words. Those words may
//! hold what only the two providers should know, so that of them only the reason is kept.

use serde::{Deserialize, Serialize};

/// Why a port was refused, or a number may not be ported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    Unsupported,
    AlreadyOurs,
    OtherOwner,
    ByHand,
    NotJudged,
    InProgress,
    Support,
    Restricted,
    Inactive,
    Name,
    Address,
    Pin,
    AccountNumber,
    Subscription,
    Date,
    Service,
    Form,
    PortedOut,
    Other,
}

impl Rejection {
    pub const ALL: [Rejection; 19] = [
        Rejection::Unsupported,
        Rejection::AlreadyOurs,
        Rejection::OtherOwner,
        Rejection::ByHand,
        Rejection::NotJudged,
        Rejection::InProgress,
        Rejection::Support,
        Rejection::Restricted,
        Rejection::Inactive,
        Rejection::Name,
        Rejection::Address,
        Rejection::Pin,
        Rejection::AccountNumber,
        Rejection::Subscription,
        Rejection::Date,
        Rejection::Service,
        Rejection::Form,
        Rejection::PortedOut,
        Rejection::Other,
    ];

    /// Reads Twilio's code, or the reason in words where there is none that is known; `None` where neither says
    /// anything. Source: Twilio's error dictionary and its API description `numbers_v1`, 2026-11.
    pub fn read(code: Option<u32>, words: Option<&str>) -> Option<Rejection> {
        let by_code = code.map(|code| match code {
            22_130 => Rejection::Unsupported,
            22_131 | 22_136 => Rejection::AlreadyOurs,
            22_132 => Rejection::OtherOwner,
            22_133 => Rejection::ByHand,
            22_135 => Rejection::NotJudged,
            22_137 => Rejection::InProgress,
            22_150 => Rejection::Support,
            22_151 => Rejection::Restricted,
            22_152 => Rejection::Inactive,
            22_153 => Rejection::Name,
            22_154 | 22_173 => Rejection::Address,
            22_155 => Rejection::Pin,
            22_156 => Rejection::AccountNumber,
            22_157 => Rejection::Subscription,
            22_158 => Rejection::Date,
            22_159 => Rejection::Service,
            22_170..=22_172 => Rejection::Form,
            22_350 => Rejection::PortedOut,
            _ => Rejection::Other,
        });
        let words = words.map(str::trim).filter(|w| !w.is_empty());
        match (by_code, words) {
            (None | Some(Rejection::Other), Some(words)) => Some(by_words(words)),
            (by_code, _) => by_code,
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Rejection::Unsupported => "unsupported",
            Rejection::AlreadyOurs => "already_ours",
            Rejection::OtherOwner => "other_owner",
            Rejection::ByHand => "by_hand",
            Rejection::NotJudged => "not_judged",
            Rejection::InProgress => "in_progress",
            Rejection::Support => "support",
            Rejection::Restricted => "restricted",
            Rejection::Inactive => "inactive",
            Rejection::Name => "name",
            Rejection::Address => "address",
            Rejection::Pin => "pin",
            Rejection::AccountNumber => "account_number",
            Rejection::Subscription => "subscription",
            Rejection::Date => "date",
            Rejection::Service => "service",
            Rejection::Form => "form",
            Rejection::PortedOut => "ported_out",
            Rejection::Other => "other",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Rejection::Unsupported => "its country or area is not supported",
            Rejection::AlreadyOurs => "it is in one of your accounts, or on its way there",
            Rejection::OtherOwner => "it is at Twilio with another owner",
            Rejection::ByHand => "it cannot be ported through the API",
            Rejection::NotJudged => "Twilio could not tell whether it can be ported",
            Rejection::InProgress => "a port of it is in progress in your accounts",
            Rejection::Support => "Twilio's support must look at it",
            Rejection::Restricted => "the old provider holds it back: a freeze, or an unpaid bill",
            Rejection::Inactive => "it is inactive or disconnected at the old provider",
            Rejection::Name => "the authorised representative is not on the old provider's record",
            Rejection::Address => "the address is not the old provider's",
            Rejection::Pin => "the PIN is missing or wrong",
            Rejection::AccountNumber => "the account number is wrong",
            Rejection::Subscription => "the right to the subscription is not shown",
            Rejection::Date => "the date was refused",
            Rejection::Service => "a service on the line forbids it",
            Rejection::Form => "the request has missing or contradicting fields",
            Rejection::PortedOut => "it is being ported away from Twilio",
            Rejection::Other => "the reason is not one that Ringback knows",
        }
    }

    /// What to do, to a person.
    pub const fn cure(self) -> &'static str {
        match self {
            Rejection::Unsupported => "leave it where it is, and forward it to a Twilio number",
            Rejection::AlreadyOurs => "look which of your accounts has it",
            Rejection::OtherOwner => "have it moved from account to account by Twilio's support; that is no port",
            Rejection::ByHand => "make the request in Twilio's Console; Ringback then goes by other evidence",
            Rejection::NotJudged => "ask again later",
            Rejection::InProgress => "look for that request in Twilio's Console",
            Rejection::Support => "write to Twilio's porting team, with the number of the support ticket",
            Rejection::Restricted => "have the freeze lifted or the bill paid at the old provider, and submit it again",
            Rejection::Inactive => {
                "have the old provider reactivate the number, and submit it again: somebody cancelled too early"
            }
            Rejection::Name => "put the name that is on the customer service record, and submit it again",
            Rejection::Address => {
                "copy the address from the customer service record, letter for letter, and submit it again"
            }
            Rejection::Pin => "get the port-out PIN from the old provider, and submit it again",
            Rejection::AccountNumber => {
                "take the account number from the customer service record, not from the invoice, and submit it again"
            }
            Rejection::Subscription => "see Twilio's documentation on Japanese numbers, 22157",
            Rejection::Date => "choose another date: at least seven days ahead and no holiday",
            Rejection::Service => "have the service removed from the line at the old provider, and submit it again",
            Rejection::Form => "complete the request; numbers of several countries need one request each",
            Rejection::PortedOut => "if nobody of yours asked for it, call Twilio's support at once",
            Rejection::Other => "read the reason in Twilio's Console, correct it, and submit the number again",
        }
    }
}

/// The reason that these words give: Twilio's, or the old provider's.
fn by_words(words: &str) -> Rejection {
    let words = words.to_ascii_lowercase().replace(['_', '-'], " ");
    let has = |any: &[&str]| any.iter().any(|w| words.contains(w));
    let has_word = |word: &str| words.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == word);
    if has(&["inactive", "disconnected", "not active", "account closed", "closed account"]) {
        Rejection::Inactive
    } else if has_word("pin") || has(&["passcode"]) {
        Rejection::Pin
    } else if has(&["account number"]) {
        Rejection::AccountNumber
    } else if has(&["address", "zip"]) {
        Rejection::Address
    } else if has(&["end user name", "authorized", "authorised", "name mismatch", "customer name", "business name"]) {
        Rejection::Name
    } else if has(&["restriction", "freeze", "frozen", "unpaid", "balance", "port away fee"]) {
        Rejection::Restricted
    } else if has(&["contact support"]) {
        Rejection::Support
    } else {
        Rejection::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_by_its_code_or_its_words() {
        for (code, words, is) in [
            (Some(22_155), None, Some(Rejection::Pin)),
            (Some(22_152), Some("whatever"), Some(Rejection::Inactive)),
            (Some(99_999), Some("INVALID_ADDRESS"), Some(Rejection::Address)),
            (None, Some("PHONE_NUMBER_WITH_CARRIER_RESTRICTION"), Some(Rejection::Restricted)),
            (None, Some("PHONE_NUMBER_INACTIVE_OR_DISCONNECTED"), Some(Rejection::Inactive)),
            (None, Some("INVALID_END_USER_NAME"), Some(Rejection::Name)),
            (None, Some("INVALID_ACCOUNT_NUMBER"), Some(Rejection::AccountNumber)),
            (None, Some("CONTACT_SUPPORT_REQUIRED"), Some(Rejection::Support)),
            (None, Some("Account closed"), Some(Rejection::Inactive)),
            (None, Some("Unpaid balance or port-away fee"), Some(Rejection::Restricted)),
            (None, Some("the PIN 4711 is not ours"), Some(Rejection::Pin)),
            (None, Some("shipping"), Some(Rejection::Other)),
            (Some(99_999), None, Some(Rejection::Other)),
            (None, Some("  "), None),
            (None, None, None),
        ] {
            assert_eq!(Rejection::read(code, words), is, "{code:?} {words:?}");
        }
        for reason in Rejection::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.label());
            assert!(!reason.text().is_empty() && !reason.cure().is_empty());
        }
    }
}
