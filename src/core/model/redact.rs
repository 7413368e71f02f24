//! What Twilio writes freely, a URL or a sentence, without the other party's telephone number (law 11).
//!
//! A caller's number can stand in every part of a URL, for applications put it into paths and host names as well as
//! into queries; and Twilio's messages name the numbers that they are about. So nothing that may be one is kept or
//! told: seven digits and more, in whatever writing, separated as people separate them, percent-encoded, escaped as
//! in JSON or XML. Only the numbers of the roster stay, in any writing of theirs.
//!
//! What else has many digits is told by its shape and stays: SIDs and UUIDs, dates and times, a host's address and
//! port. The rest that looks like a number and is none, such as a large count, is left out with them.
//!
//! What our own numbers point at is another matter. A snapshot has it to the byte, or it could not be put back
//! (laws 1 and 7); it is the company's own configuration, which no caller writes. It is compared with what an alert
//! names by [`is_kept_of`], and people are shown it without numbers and secrets ([`secrets`]).

mod numbers;
pub mod own;
pub mod secrets;

use std::borrow::Cow;

use super::foreign;
use super::roster::Roster;
use numbers::{numbers, replaced};

/// `text` for the store: of each number that is not ours, its last two digits.
pub fn kept<'a>(text: &'a str, ours: &Roster) -> Cow<'a, str> {
    replaced(text, |digits| !ours.has_written(digits), mark)
}

/// `text` for logs and for people: one line of bounded length that is an order to nobody, with no digit of a number
/// that is not ours, and nothing of a URL that may be secret.
pub fn told(text: &str, ours: &Roster) -> String {
    let text = foreign::line(text, foreign::LONGEST);
    secrets::without(&replaced(&text, |digits| !ours.has_written(digits), |_| secrets::NUMBER.to_owned())).into_owned()
}

/// `text` in which nobody's number stands, or any may: without what in it may be a secret.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    secrets::without(text)
}

/// True if [`kept`] made `kept` of `text`, whichever numbers were ours.
pub fn is_kept_of(kept: &str, text: &str) -> bool {
    if !kept.contains("(…") {
        return kept == text;
    }
    let (mut rest, mut at) = (kept, 0);
    for number in numbers(text) {
        let Some(after) = rest.strip_prefix(&text[at..number.from]) else { return false };
        let Some(after) =
            after.strip_prefix(&mark(&number.digits)).or_else(|| after.strip_prefix(&text[number.from..number.to]))
        else {
            return false;
        };
        (rest, at) = (after, number.to);
    }
    rest == &text[at..]
}

/// What stands in a stored text for a number.
fn mark(digits: &str) -> String {
    format!("(…{})", digits.get(digits.len().saturating_sub(2)..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
