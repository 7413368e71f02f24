//! What must be true before the port request is made: a list to go through, with what Twilio can tell ticked.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;
use super::report::named;

/// Whether a point is done, as far as Twilio can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tick {
    Done,
    /// Twilio says that it is not.
    Open,
    /// Only a person can tell.
    Yours,
    /// Twilio could not be asked.
    CouldNotLook,
}

impl Tick {
    const fn mark(self) -> &'static str {
        match self {
            Tick::Done => "[x]",
            Tick::Open => "[!]",
            Tick::Yours => "[ ]",
            Tick::CouldNotLook => "[?]",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub tick: Tick,
    pub text: String,
}

impl Point {
    pub fn new(tick: Tick, text: impl Into<String>) -> Point {
        Point { tick, text: text.into() }
    }
}

/// What Twilio says of one number before its port is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portability {
    pub number: String,
    #[serde(flatten)]
    pub answer: PortabilityAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum PortabilityAnswer {
    Portable { number_type: NumberType, needs_pin: Option<bool> },
    NotPortable { number_type: NumberType, reason: Rejection },
    CouldNotLook { why: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    Local,
    Mobile,
    TollFree,
    Unknown,
}

impl NumberType {
    /// Reads Twilio's word, in any writing.
    pub fn read(word: &str) -> NumberType {
        let letters: String =
            word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match letters.as_str() {
            "local" => NumberType::Local,
            "mobile" => NumberType::Mobile,
            "tollfree" => NumberType::TollFree,
            _ => NumberType::Unknown,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            NumberType::Local => "local",
            NumberType::Mobile => "mobile",
            NumberType::TollFree => "toll-free",
            NumberType::Unknown => "of a kind that Twilio does not name",
        }
    }
}

/// The whole list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    pub account: Point,
    pub numbers: Vec<Portability>,
}

/// Steps at platforms from which companies come. Sources: their help pages and Twilio's porting guides, 2026-11.
const PLATFORMS: [&str; 4] = [
    "CallRail: ask its support for the customer service record and, for mobile numbers, the port-out PIN; its account \
     must stay active and paid until the last number is through, and each number must be active there, not \
     \"inactive\"",
    "Google Voice and other services for persons: unlock the number first, in the service's own settings",
    "Mobile carriers: the port-out PIN is made in the carrier's app and lasts some days: make it right before the request",
    "Others: ask for the customer service record (CSR), the account number, the authorised name and whether a port \
     freeze is on",
];

impl Preparation {
    /// True if Twilio says that something would stop the port.
    pub fn is_trouble(&self) -> bool {
        self.account.tick == Tick::Open
            || self
                .numbers
                .iter()
                .any(|n| matches!(&n.answer, PortabilityAnswer::NotPortable { reason, .. } if !is_ours(*reason)))
    }

    /// True if something could not be looked at.
    pub fn is_incomplete(&self) -> bool {
        let is_unread = |n: &Portability| matches!(n.answer, PortabilityAnswer::CouldNotLook { .. });
        self.account.tick == Tick::CouldNotLook || self.numbers.iter().any(is_unread)
    }

    /// Points about the numbers, the same together.
    fn of_numbers(&self) -> Vec<Point> {
        let mut same: Vec<(Tick, String, Vec<String>)> = Vec::new();
        for n in &self.numbers {
            let (tick, text) = match &n.answer {
                PortabilityAnswer::Portable { number_type, needs_pin } => {
                    let pin = match needs_pin {
                        Some(true) => "; the port needs the PIN and the account number of the old provider",
                        Some(false) => "; no PIN is needed",
                        None => "; whether a PIN is needed Twilio does not say",
                    };
                    (Tick::Done, format!("can be ported, {}{pin}", number_type.text()))
                }
                PortabilityAnswer::NotPortable { reason, .. } if is_ours(*reason) => {
                    (Tick::Done, format!("needs no request: {}", reason.text()))
                }
                PortabilityAnswer::NotPortable { number_type, reason } => (
                    Tick::Open,
                    format!("cannot be ported so, {}: {}: {}", number_type.text(), reason.text(), reason.cure()),
                ),
                PortabilityAnswer::CouldNotLook { why } => {
                    (Tick::CouldNotLook, format!("could not be looked at: {why}"))
                }
            };
            match same.iter_mut().find(|(t, words, _)| *t == tick && *words == text) {
                Some((_, _, numbers)) => numbers.push(n.number.clone()),
                None => same.push((tick, text, vec![n.number.clone()])),
            }
        }
        same.into_iter().map(|(tick, text, numbers)| Point::new(tick, format!("{}: {text}", named(&numbers)))).collect()
    }

    /// The list, for people.
    pub fn text(&self) -> String {
        let yours = |text: &str| Point::new(Tick::Yours, text);
        let mut out =
            String::from("Before the port request ([x] Twilio says so, [!] Twilio says no, [ ] yours to tick)\n");
        let mut points = vec![self.account.clone()];
        points.extend(self.of_numbers());
        points.extend([
            yours(
                "the numbers are those of the bill, digit by digit: a typing error ports somebody else's, or nothing",
            ),
            yours("the customer service record (CSR), or the latest bill, is at hand"),
            yours(
                "the letter of authorisation (LOA) can be signed by the authorised representative, and by nobody else",
            ),
            yours("name and address are exactly those of the CSR or the bill, letter for letter"),
            yours("account number and port-out PIN are the old provider's, not the invoice's"),
            yours("the old account is active and paid, without a freeze, and no order on it is open"),
            yours("one request for each old provider, and for each country"),
            yours("the date is at least two weeks ahead, on a working day, and not before a holiday"),
            yours("10DLC campaign, or toll-free verification, is approved before the date: without it no text leaves"),
            yours("the old provider is cancelled after `ringback ports --checklist` says yes, and never before"),
        ]);
        for point in points {
            let _ = writeln!(out, "{} {}", point.tick.mark(), point.text);
        }
        out.push_str("\nBy platform\n");
        for platform in PLATFORMS {
            let _ = writeln!(out, "  * {platform}");
        }
        out.trim_end().to_owned()
    }
}

/// It is at Twilio, or on its way there.
const fn is_ours(reason: Rejection) -> bool {
    matches!(reason, Rejection::AlreadyOurs | Rejection::InProgress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_can_tell_is_ticked() {
        let number = |number: &str, answer| Portability { number: number.to_owned(), answer };
        let local = |needs_pin| PortabilityAnswer::Portable { number_type: NumberType::Local, needs_pin };
        let preparation = Preparation {
            account: Point::new(Tick::Done, "the account is active and no trial"),
            numbers: vec![
                number("+12125550100", local(Some(true))),
                number("+12125550101", local(Some(true))),
                number(
                    "+12125550102",
                    PortabilityAnswer::NotPortable { number_type: NumberType::TollFree, reason: Rejection::ByHand },
                ),
                number(
                    "+12125550103",
                    PortabilityAnswer::NotPortable { number_type: NumberType::Local, reason: Rejection::AlreadyOurs },
                ),
                number("+12125550104", PortabilityAnswer::CouldNotLook { why: "no answer".to_owned() }),
            ],
        };
        let text = preparation.text();
        let begins = |start: &str| text.lines().any(|l| l.starts_with(start));
        assert!(begins("[x] the account is active"), "{text}");
        assert!(begins("[x] +12125550100 +12125550101: can be ported, local; the port needs the PIN"), "{text}");
        assert!(
            begins("[!] +12125550102: cannot be ported so, toll-free: it cannot be ported through the API"),
            "{text}"
        );
        assert!(begins("[x] +12125550103: needs no request"), "{text}");
        assert!(begins("[?] +12125550104: could not be looked at: no answer"), "{text}");
        assert!(begins("[ ] the customer service record") && begins("  * CallRail"), "{text}");
        assert!(preparation.is_trouble());
    }
}
