//! A telephone number as people and templates write it where something is to be dialled: which numbers it may mean.
//!
//! `<Dial>` takes `+1 415 555 1212`, `(415) 555-1212` and `011 44 20 …` alike. Which country a number without one
//! belongs to is not written in it; it is read in each country that numbers of ours are in, and whoever compares it
//! with ours takes any reading that is one. That a foreign number looks like one of ours is rare, and is cured by
//! writing it in full; a call that comes round in a loop is not.

use std::collections::BTreeSet;

use super::id::E164;

/// Countries, by calling code: those of our numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallingCodes(BTreeSet<String>);

impl CallingCodes {
    /// A number of ours is in this number's country.
    pub fn add(&mut self, number: E164) {
        self.0.insert(calling_code(number));
    }
}

/// Calling codes of two digits; those of one are 1 and 7, all others have three (ITU-T E.164, list of 2016-11).
const OF_TWO: &[&str] = &[
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];

fn calling_code(number: E164) -> String {
    let digits = number.as_u64().to_string();
    let length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        _ if OF_TWO.iter().any(|code| digits.starts_with(code)) => 2,
        _ => 3,
    };
    digits[..length].to_owned()
}

/// What is dialled before a number of another country: in most of the world, North America, Australia, Japan, Russia,
/// and in parts of Asia.
const INTERNATIONAL: [&str; 7] = ["00", "011", "0011", "010", "810", "001", "002"];

/// What is dialled before a national number: in most of the world, North America, Russia, Hungary, Mexico.
const TRUNK: [&str; 5] = ["0", "1", "8", "06", "01"];

/// What text that is dialled comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialled {
    /// Nothing is there: a template has rendered nothing.
    Nothing,
    /// Something that is no telephone number, or too short for one: what it reaches cannot be told.
    NoNumber,
    /// The numbers that it may mean.
    Numbers(Vec<E164>),
    /// The same, where so few digits make a number in few countries: elsewhere it reaches nobody.
    Short(Vec<E164>),
}

/// Reads what is dialled, where national writing is that of one of `codes`.
pub fn read(text: &str, codes: &CallingCodes) -> Dialled {
    let text = decoded(text);
    let text = text.trim_matches(is_blank);
    if text.is_empty() {
        return Dialled::Nothing;
    }
    let (has_plus, digits) = digits(text);
    // Shorter ones are extensions and emergency calls.
    if digits.len() < 4 {
        return Dialled::NoNumber;
    }
    let mut found = Vec::new();
    let mut take = |digits: &str| {
        if let Ok(number) = format!("+{digits}").parse::<E164>()
            && !found.contains(&number)
        {
            found.push(number);
        }
    };
    let mut full = vec![digits.as_str()];
    if !has_plus || digits.starts_with('0') {
        full.extend(INTERNATIONAL.iter().filter_map(|p| digits.strip_prefix(p)));
    }
    for digits in full {
        take(digits);
        // +44 (0)20 … is written, and dialled, by people who mean +44 20 ….
        for code in &codes.0 {
            if let Some(rest) = digits.strip_prefix(code.as_str()).and_then(|rest| rest.strip_prefix('0')) {
                take(&format!("{code}{rest}"));
            }
        }
    }
    if !has_plus {
        for code in &codes.0 {
            take(&format!("{code}{digits}"));
            for national in TRUNK.iter().filter_map(|p| digits.strip_prefix(p)) {
                take(&format!("{code}{national}"));
            }
        }
    }
    match found.is_empty() {
        true => Dialled::NoNumber,
        false if has_plus || digits.len() >= 9 => Dialled::Numbers(found),
        false => Dialled::Short(found),
    }
}

/// Space, and what is not seen.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}')
}

/// The text without `tel:`, and with what is percent-encoded as it is.
fn decoded(text: &str) -> String {
    let text = text.trim_matches(is_blank);
    let is_tel = text.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("tel:"));
    let text = if is_tel { &text[4..] } else { text };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out += before;
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        match byte {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out + rest
}

/// Whether a `+` stands before all digits, and the digits: letters are those of a telephone's keys. What follows the
/// number, an extension or keys to press, is left out.
fn digits(text: &str) -> (bool, String) {
    let (mut has_plus, mut digits) = (false, String::new());
    let lower = text.to_lowercase();
    let end = [";", ",", "#", "*", " x", " ext", " wait", "x"].iter().filter_map(|end| {
        let at = lower.find(end)?;
        // Letters may be the number itself: only what follows a whole number and is digits ends it.
        let is_word = end.ends_with(|c: char| c.is_alphabetic());
        let after =
            lower[at..].trim_start_matches(|c: char| c.is_alphabetic() || c.is_whitespace() || ".:".contains(c));
        let is_extension = count(&lower[..at]) >= 7 && after.chars().all(|c| c.is_ascii_digit());
        (!is_word || is_extension).then_some(at)
    });
    let end = end.min().unwrap_or(lower.len());
    let starts_with_letters = lower.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(char::is_alphabetic);
    for c in lower[..end].chars() {
        match c {
            '+' | '\u{ff0b}' => has_plus |= digits.is_empty(),
            '0'..='9' => digits.push(c),
            // Full width.
            '\u{ff10}'..='\u{ff19}' => digits.extend(char::from_digit(u32::from(c) - 0xff10, 10)),
            'a'..='z' if !starts_with_letters => digits.push(key(c)),
            _ => {}
        }
    }
    (has_plus, digits)
}

fn count(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// The key of a telephone on which a letter stands.
const fn key(letter: char) -> char {
    match letter {
        'a'..='c' => '2',
        'd'..='f' => '3',
        'g'..='i' => '4',
        'j'..='l' => '5',
        'm'..='o' => '6',
        'p'..='s' => '7',
        't'..='v' => '8',
        _ => '9',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn e164(s: &str) -> E164 {
        s.parse().unwrap()
    }

    fn codes(ours: &str) -> CallingCodes {
        let mut codes = CallingCodes::default();
        codes.add(e164(ours));
        codes
    }

    fn may_mean(text: &str, ours: &str) -> bool {
        match read(text, &codes(ours)) {
            Dialled::Numbers(numbers) | Dialled::Short(numbers) => numbers.contains(&e164(ours)),
            Dialled::Nothing | Dialled::NoNumber => false,
        }
    }

    #[test]
    fn a_number_is_itself_in_all_its_writings() {
        for text in [
            "+14155551212",
            "14155551212",
            "4155551212",
            "415-555-1212",
            "(415) 555-1212",
            "1-415-555-1212",
            "+1 415 555 1212",
            " +1 (415) 555.1212 ",
            "011 1 415 555 1212",
            "0014155551212",
            "tel:+14155551212",
            "TEL:415-555-1212;ext=12",
            "%2B1%20415%20555%201212",
            "415\u{2011}555\u{2011}1212",
            "+1\u{a0}415\u{a0}555\u{a0}1212",
            "\u{ff0b}\u{ff11}4155551212",
            "415-555-1212 x12",
            "415-555-1212 ext. 12",
            "415-555-1212,,12#",
        ] {
            assert!(may_mean(text, "+14155551212"), "{text:?}");
        }
        assert!(may_mean("1-800-FLOWERS", "+18003569377"));
        for text in
            ["020 7946 0000", "+44 (0)20 7946 0000", "0044 20 7946 0000", "00 44 (0) 20 7946 0000", "2079460000"]
        {
            assert!(may_mean(text, "+442079460000"), "{text:?}");
        }
        assert!(may_mean("8 495 555 12 12", "+74955551212"));
        assert!(may_mean("06 1 555 1212", "+3615551212"));
        assert!(may_mean("06 5551 2121", "+390655512121"), "Italy keeps its zero");
    }

    #[test]
    fn another_number_is_another() {
        for text in ["+14155551213", "+442079460000", "415-555-1213", "+494155551212", "+11 4155551212"] {
            assert!(!may_mean(text, "+14155551212"), "{text:?}");
        }
        let none = CallingCodes::default();
        for text in ["", "  ", "\u{200b}", "tel:"] {
            assert_eq!(read(text, &none), Dialled::Nothing, "{text:?}");
        }
        for text in ["911", "100", "the desk", "{{To}}", "+12"] {
            assert_eq!(read(text, &none), Dialled::NoNumber, "{text:?}");
        }
        assert!(matches!(read("555-0100", &none), Dialled::Short(_)));
        assert!(may_mean("555 0100", "+3545550100"), "Iceland's have seven digits");
    }

    /// One of our numbers: a calling code, and what follows it.
    fn number() -> impl Strategy<Value = (&'static str, String)> {
        let code = select(vec!["1", "7", "44", "49", "61", "81", "353", "358", "852"]);
        (code, "[2-9][0-9]{7,9}")
    }

    /// Between two digits.
    fn separator() -> impl Strategy<Value = &'static str> {
        select(vec!["", "", "", " ", "-", ".", "/", ") ", " (", "\u{a0}", "\u{2010}", "\u{2013}", "\u{200b}"])
    }

    proptest! {
        #[test]
        fn any_writing_of_our_number_is_found(
            (code, national) in number(),
            style in 0..9usize,
            separators in proptest::collection::vec(separator(), 24),
            tail in select(vec!["", " ", ",,1234", ";ext=7", " x7", "\n"]),
        ) {
            let trunk = match code { "1" => "1", "7" => "8", _ => "0" };
            let (start, digits) = match style {
                0 => ("+", format!("{code}{national}")),
                1 => ("", format!("{code}{national}")),
                2 => ("", format!("00{code}{national}")),
                3 => ("", format!("011{code}{national}")),
                4 => ("", national.clone()),
                5 => ("", format!("{trunk}{national}")),
                6 => ("tel:+", format!("{code}{national}")),
                7 => ("%2B", format!("{code}{national}")),
                _ => ("+", format!("{code}0{national}")),
            };
            let spelt: String = digits.chars().zip(&separators).map(|(c, s)| format!("{c}{s}")).collect();
            let text = format!("{start}{spelt}{tail}");
            prop_assert!(may_mean(&text, &format!("+{code}{national}")), "{:?}", text);
        }

        #[test]
        fn no_text_does_harm(text in ".{0,60}", ours in "\\+[1-9][0-9]{6,14}") {
            read(&text, &codes(&ours));
        }

        /// In full, a number means itself and, without a superfluous zero, nothing else.
        #[test]
        fn a_number_in_full_is_no_other((code, national) in number(), (other, rest) in number()) {
            prop_assume!((code, &national) != (other, &rest));
            let (text, ours) = (format!("+{code}{national}"), format!("+{other}{rest}"));
            prop_assert!(!may_mean(&text, &ours), "{} is not {}", text, ours);
        }
    }
}
