//! The other party as Twilio writes it: a number, a SIP URI, or a word or stand-in number for one that is withheld.
//!
//! One person is one identity, in whatever form it is written. All who withhold theirs are one identity too, which
//! says nothing of how many they are.

use super::id::E164;

/// What networks send instead of a number that is withheld. Twilio sends the words as they are, in any case, or
/// spelt on a telephone's keys: `+266696687` is "anonymous". Source: Twilio, "Why am I getting calls from these
/// strange numbers?", 2026-11.
const WITHHELD: [&str; 8] =
    ["anonymous", "restricted", "unavailable", "unknown", "blocked", "private", "withheld", "payphone"];

/// A word on a telephone's keys.
fn on_keys(word: &str) -> impl Iterator<Item = u8> {
    word.bytes().map(|c| match c {
        b'a'..=b'c' => b'2',
        b'd'..=b'f' => b'3',
        b'g'..=b'i' => b'4',
        b'j'..=b'l' => b'5',
        b'm'..=b'o' => b'6',
        b'p'..=b's' => b'7',
        b't'..=b'v' => b'8',
        _ => b'9',
    })
}

/// The user part of a `sip:`, `sips:` or `tel:` URI, without its parameters; other text as it is.
fn user(text: &str) -> &str {
    let text = text.trim();
    let scheme = ["sip:", "sips:", "tel:"]
        .into_iter()
        .find(|s| text.get(..s.len()).is_some_and(|start| start.eq_ignore_ascii_case(s)));
    let Some(scheme) = scheme else { return text };
    let user = text[scheme.len()..].split(['@', ';', '?']).next().unwrap_or_default();
    user.trim()
}

/// The number in `text`, if there is one in E.164, alone or in a URI.
pub fn number(text: &str) -> Option<E164> {
    let user = user(text);
    user.parse().ok().or_else(|| {
        let digits = user.strip_prefix("%2B").or_else(|| user.strip_prefix("%2b"))?;
        format!("+{digits}").parse().ok()
    })
}

/// True if `text` is what stands for a number that is withheld.
pub fn is_withheld(text: &str) -> bool {
    let user = user(text);
    let digits = user.strip_prefix('+').unwrap_or(user);
    user.is_empty() || WITHHELD.iter().any(|w| user.eq_ignore_ascii_case(w) || on_keys(w).eq(digits.bytes()))
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
        }
        for text in ["+15005550100", "client:anonymously", "sip:alice@example.com", "+26669668", "+2666966870"] {
            assert!(!is_withheld(text), "{text:?}");
        }
    }

    #[test]
    fn a_number_is_read_in_a_uri_as_well() {
        let want = "+15005550100".parse().ok();
        for text in [
            "+15005550100",
            " +15005550100 ",
            "sip:+15005550100@example.com",
            "SIPS:+15005550100@h;user=phone",
            "tel:+15005550100;phone-context=x",
            "sip:%2B15005550100@h",
            "sip:+15005550100;npdi=yes@h",
        ] {
            assert_eq!(number(text), want, "{text:?}");
        }
        for text in ["", "sip:alice@example.com", "15005550100", "client:bob", "sip:"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
