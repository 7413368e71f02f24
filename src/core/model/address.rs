//! The other party as Twilio writes it: a number, a SIP URI, or a word or stand-in number for one that is withheld.
//!
//! One person is one identity, in whatever form it is written. All who withhold theirs are one identity too, which
//! says nothing of how many they are.

use super::dialled::{self, CallingCodes, Dialled};
use super::id::E164;

/// What networks send instead of a number that is withheld. Twilio sends the words as they are, in any case, or
/// spelt on a telephone's keys: `+266696687` is "anonymous". Source: Twilio, "Why am I getting calls from these
/// strange numbers?", 2026-11.
const WITHHELD: [&str; 8] =
    ["anonymous", "restricted", "unavailable", "unknown", "blocked", "private", "withheld", "payphone"];

/// The telephone's key that has a letter.
const fn key(letter: u8) -> u8 {
    match letter {
        b'a'..=b'c' => b'2',
        b'd'..=b'f' => b'3',
        b'g'..=b'i' => b'4',
        b'j'..=b'l' => b'5',
        b'm'..=b'o' => b'6',
        b'p'..=b's' => b'7',
        b't'..=b'v' => b'8',
        _ => b'9',
    }
}

/// The same words as numbers.
const WITHHELD_NUMBERS: [u64; WITHHELD.len()] = {
    let mut numbers = [0; WITHHELD.len()];
    let mut i = 0;
    while i < numbers.len() {
        let mut word = WITHHELD[i].as_bytes();
        while let [letter, rest @ ..] = word {
            numbers[i] = numbers[i] * 10 + (key(*letter) - b'0') as u64;
            word = rest;
        }
        i += 1;
    }
    numbers
};

/// True of a number that stands for one that is withheld: [`is_withheld`] of its text, without reading that.
pub fn stands_for_withheld(number: E164) -> bool {
    WITHHELD_NUMBERS.contains(&number.as_u64())
}

/// The user part of a `sip:`, `sips:` or `tel:` URI, without its parameters and its password (`user:password@host`);
/// of `user@host` without a scheme likewise. Other text as it is.
fn user(text: &str) -> &str {
    let text = text.trim();
    // A name may stand before a URI in angle brackets.
    let text = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>')).trim();
    let scheme = ["sip:", "sips:", "tel:"]
        .into_iter()
        .find(|s| text.get(..s.len()).is_some_and(|start| start.eq_ignore_ascii_case(s)));
    let (rest, ends): (_, &[char]) = match scheme {
        Some(scheme) => (&text[scheme.len()..], &['@', ';', '?', ':']),
        None if text.contains('@') => (text, &['@', ';', ':']),
        None => return text,
    };
    rest.split(ends).next().unwrap_or_default().trim()
}

/// The number of the party that `text` names, in any of the forms in which [`reach`] finds one of ours; `None` if it
/// names none. Where it may be several, it is the one that `is_known` knows.
pub fn party(text: &str, codes: &CallingCodes, is_known: impl Fn(E164) -> bool) -> Option<E164> {
    let text = text.trim();
    let scheme = OTHER_SCHEMES.iter().find(|s| text.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)));
    let user = user(&text[scheme.map_or(0, |s| s.len())..]);
    let known = match dialled::read(user, codes) {
        Dialled::Numbers(numbers) => numbers.into_iter().find(|n| is_known(*n)),
        Dialled::Nothing | Dialled::NoNumber => None,
    };
    known.or_else(|| dialled::identity(user, codes))
}

/// Where a call or message went, as the row says that a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To this number of ours.
    Number(E164),
    /// To nobody of ours.
    Elsewhere,
    /// Perhaps to one of ours, and it cannot be told which; the words say why.
    Unclear(&'static str),
}

/// Schemes of what is no telephone number, whatever digits are in it. Source: Twilio, Call resource, `to`; Message
/// resource, channel addresses, 2026-11.
const OTHER_SCHEMES: [&str; 6] = ["client:", "whatsapp:", "messenger:", "rcs:", "conference:", "queue:"];

/// So many digits make a subscriber's number without its area.
const FEWEST: u32 = 7;

fn digits(number: E164) -> u32 {
    number.as_u64().checked_ilog10().map_or(1, |n| n + 1)
}

/// True if `number` ends with the digits of `end`, and has more.
pub fn ends_with(number: E164, end: E164) -> bool {
    number != end && number.as_u64() % 10u64.pow(digits(end)) == end.as_u64()
}

/// Tells which number of ours `text` is, in any of the forms in which rows have it: alone, with or without `+`, in a
/// `sip:`, `sips:` or `tel:` URI with parameters, in national writing of a country of ours (`codes`).
/// `is_end_of_ours` says whether one of ours ends with such digits; it is asked of what is nothing else.
pub fn reach(
    text: &str,
    codes: &CallingCodes,
    is_ours: impl Fn(E164) -> bool,
    is_end_of_ours: impl Fn(E164) -> bool,
) -> Reach {
    let lower = text.trim().to_ascii_lowercase();
    if OTHER_SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) {
        return Reach::Elsewhere;
    }
    let user = user(text);
    match dialled::read(user, codes) {
        Dialled::Nothing => Reach::Unclear("is empty: whose call or message it is cannot be told"),
        Dialled::NoNumber => Reach::Elsewhere,
        Dialled::Numbers(numbers) => {
            let mut these = numbers.iter().filter(|number| is_ours(**number));
            let is_whole = user.starts_with('+') || user.to_ascii_lowercase().starts_with("%2b");
            let is_end = || numbers.iter().any(|end| digits(*end) >= FEWEST && is_end_of_ours(*end));
            match (these.next(), these.next()) {
                (Some(number), None) => Reach::Number(*number),
                (Some(_), Some(_)) => Reach::Unclear("is written so that it may be several of our numbers"),
                (None, _) if !is_whole && is_end() => {
                    Reach::Unclear("is the end of one of our numbers, without its beginning")
                }
                (None, _) => Reach::Elsewhere,
            }
        }
    }
}

/// True if `text` is what stands for a number that is withheld.
pub fn is_withheld(text: &str) -> bool {
    let user = user(text);
    let digits = user.strip_prefix('+').unwrap_or(user);
    user.is_empty() || WITHHELD.iter().any(|w| user.eq_ignore_ascii_case(w) || w.bytes().map(key).eq(digits.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_withheld_are_one() {
        for text in [
            "",
            " ",
            "anonymous",
            "Anonymous",
            "Restricted",
            "Unavailable",
            "Unknown",
            "+266696687",
            "+7378742833",
            "+86282452253",
            "+2562533",
            "266696687",
            "sip:anonymous@anonymous.invalid",
            "SIP:Anonymous@example.com;x=1",
        ] {
            assert!(is_withheld(text), "{text:?}");
            assert!(text.parse().is_ok_and(stands_for_withheld) == text.starts_with('+'), "{text:?}");
        }
        assert!(
            WITHHELD.iter().zip(WITHHELD_NUMBERS).all(|(word, n)| is_withheld(word) && is_withheld(&n.to_string()))
        );
        for text in ["+15005550100", "client:anonymously", "sip:alice@example.com", "+26669668", "+2666966870"] {
            assert!(!is_withheld(text) && !text.parse().is_ok_and(stands_for_withheld), "{text:?}");
        }
    }

    fn reached(text: &str) -> Reach {
        let ours: Vec<E164> = ["+15005550100", "+442079460100", "+15005550199"].map(|n| n.parse().unwrap()).into();
        let mut codes = CallingCodes::default();
        ours.iter().for_each(|n| codes.add(*n));
        reach(text, &codes, |n| ours.contains(&n), |end| ours.iter().any(|n| ends_with(*n, end)))
    }

    #[test]
    fn a_row_names_our_number_in_many_forms() {
        let ours = Reach::Number("+15005550100".parse().unwrap());
        for text in [
            "+15005550100",
            "15005550100",
            "5005550100",
            "sip:+15005550100@trunk.pstn.twilio.com",
            "sip:15005550100@trunk.pstn.twilio.com;transport=udp",
            "SIP:+15005550100@10.0.0.1:5060;region=us1;edge=ashburn",
            "sips:5005550100;npdi=yes@example.com",
            "tel:+1-500-555-0100;phone-context=example.com",
            "sip:%2B15005550100@example.com",
            "<sip:+15005550100@example.com>",
            "sip:+15005550100:secret@example.com",
            "+15005550100@example.com",
            "5005550100@10.0.0.1:5060",
            "\"Desk\" <sip:+15005550100@example.com;user=phone>",
            " +15005550100 ",
        ] {
            assert_eq!(reached(text), ours, "{text:?}");
        }
        assert_eq!(reached("sip:02079460100@example.com"), Reach::Number("+442079460100".parse().unwrap()));
        for text in [
            "sip:alice@example.com",
            "client:+15005550100",
            "whatsapp:+15005550100",
            "+15005550101",
            "sip:+15005550101@example.com",
            "sip:+5550100@example.com",
            "RINGBACK",
            "88811",
            "sip:4155550123@15005550100.example.com",
        ] {
            assert_eq!(reached(text), Reach::Elsewhere, "{text:?}");
        }
        for text in ["", "sip:@example.com", "sip:5550100@example.com", "555-0199"] {
            assert!(matches!(reached(text), Reach::Unclear(_)), "{text:?}: {:?}", reached(text));
        }
    }

    /// A party in each of the forms in which a row may have a number of ours.
    #[test]
    fn a_party_is_one_in_every_form() {
        let mut codes = CallingCodes::default();
        codes.add("+15005550100".parse().unwrap());
        let party = |text: &str| party(text, &codes, |n| n.to_string() == "+442079460100").map(|n| n.to_string());
        for text in [
            "+19175550100",
            "19175550100",
            "9175550100",
            "(917) 555-0100",
            "0019175550100",
            "01119175550100",
            " +19175550100 ",
            "sip:9175550100@pbx.example.com",
            "sip:+19175550100@example.com",
            "SIPS:+19175550100:pw@h;user=phone",
            "+19175550100@10.0.0.1",
            "9175550100@10.0.0.1:5060",
            "tel:+1-917-555-0100;phone-context=x",
            "sip:%2B19175550100@h",
            "sip:+19175550100;npdi=yes@h",
            "\"Joe\" <sip:19175550100@h>",
            "whatsapp:+19175550100",
        ] {
            assert_eq!(party(text).as_deref(), Some("+19175550100"), "{text:?}");
        }
        assert_eq!(party("sip:+44 (0)20 7946 0100@h").as_deref(), Some("+442079460100"));
        for text in ["", "sip:alice@example.com", "client:bob", "sip:", "sip:1001@pbx", "Out of Area", "ACME"] {
            assert_eq!(party(text), None, "{text:?}");
        }
    }
}
