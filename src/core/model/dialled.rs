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

    /// The number that these digits are, in each of the countries.
    pub fn numbers_of(&self, national: &str) -> impl Iterator<Item = E164> {
        self.0.iter().filter_map(move |code| format!("+{code}{national}").parse().ok())
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
    /// The numbers that it may mean. Whether Twilio would dial it says [`is_formed`].
    Numbers(Vec<E164>),
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
    if found.is_empty() { Dialled::NoNumber } else { Dialled::Numbers(found) }
}

/// True if Twilio says that it dials text of this form: E.164, or a number of North America as it is written there,
/// with or without its 1. Everything else (letters, two numbers in one text, an extension, the dialling habits of
/// other countries) may be refused with a warning, 13223 or 13224, and the caller reaches nobody. Sources: Twilio,
/// TwiML `<Number>` ("will also accept unformatted US numbers, e.g., (415) 555-1212 or 415-555-1212"); its error
/// dictionary, 13223 and 13224, 2026-11. On letters they say nothing.
pub fn is_formed(text: &str) -> bool {
    let text = text.trim_matches(is_blank);
    let (has_plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    if !rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')')) || rest.contains("(0)") {
        return false;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    if has_plus {
        return format!("+{digits}").parse::<E164>().is_ok_and(E164::is_complete);
    }
    let national = digits.strip_prefix('1').unwrap_or(&digits).as_bytes();
    // Neither an area code nor an exchange begins with 0 or 1.
    national.len() == 10 && [national[0], national[3]].iter().all(|d| (b'2'..=b'9').contains(d))
}

/// As many digits as the longest number has, with what is dialled before it.
const LONGEST: usize = 20;

/// All numbers that any part of a text may mean: of one that is no number alone, who knows what is dialled.
pub fn within(text: &str, codes: &CallingCodes) -> BTreeSet<E164> {
    let text = decoded(text);
    let mut found = BTreeSet::new();
    let mut take = |part: &str| match read(part, codes) {
        Dialled::Numbers(numbers) => found.extend(numbers),
        Dialled::Nothing | Dialled::NoNumber => {}
    };
    take(&text);
    // Neighbouring words, where letters are those of keys, and neighbouring digits, whatever stands between them.
    let words = text.split(|c| is_blank(c) || matches!(c, ',' | ';' | '|')).filter(|w| !w.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    for parts in [words, runs(&text)] {
        for from in 0..parts.len() {
            let mut part = String::new();
            for next in &parts[from..] {
                if part.chars().filter(|c| c.is_alphanumeric()).count() > LONGEST || part.len() > 10 * LONGEST {
                    break;
                }
                part += next;
                take(&part);
            }
        }
    }
    found
}

/// The digits of a text as they stand together, with the `+` before them.
fn runs(text: &str) -> Vec<String> {
    let (mut runs, mut is_within) = (Vec::<String>::new(), false);
    let mut has_plus = false;
    for c in text.chars() {
        let digit = match c {
            '0'..='9' => Some(c),
            '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
            _ => None,
        };
        match (digit, is_within) {
            (Some(digit), true) => runs.last_mut().into_iter().for_each(|run| run.push(digit)),
            (Some(digit), false) => runs.push(if has_plus { format!("+{digit}") } else { digit.to_string() }),
            (None, _) => {}
        }
        is_within = digit.is_some();
        has_plus = matches!(c, '+' | '\u{ff0b}') || has_plus && !is_within && is_blank(c);
    }
    runs
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
            Dialled::Numbers(numbers) => numbers.contains(&e164(ours)),
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
        assert!(may_mean("555 0100", "+3545550100"), "Iceland's have seven digits");
    }

    #[test]
    fn what_twilio_says_that_it_dials() {
        for text in [
            "+14155551212",
            " +14155551212\n",
            "+1 (415) 555-1212",
            "+442079460000",
            "+44 20 7946 0000",
            "(415) 555-1212",
            "415-555-1212",
            "4155551212",
            "1-415-555-1212",
        ] {
            assert!(is_formed(text), "{text:?}");
        }
        for text in [
            "",
            "+",
            "front desk 415-555-1212",
            "+14155551212, +14155551213",
            "+14155551212 +14155551213",
            "4155551212 4155551213",
            "1-800-FLOWERS",
            "415-555-1212 x12",
            "415-555-1212,,12#",
            "+1415555121",
            "+141555512123",
            "415-555-121",
            "115-555-1212",
            "415-155-1212",
            "555-1212",
            "011 44 20 7946 0000",
            "020 7946 0000",
            "+44 (0)20 7946 0000",
            "442079460000",
            "tel:+14155551212",
            "sip:+14155551212@example.com",
            "%2B14155551212",
            "++14155551212",
            "1+4155551212",
        ] {
            assert!(!is_formed(text), "{text:?}");
        }
    }

    #[test]
    fn a_number_is_found_wherever_it_stands_in_a_text() {
        for text in [
            "front desk 415-555-1212",
            "415-555-1212 front desk",
            "+14155551213, +14155551212",
            "+14155551213,+14155551212",
            "+14155551212;+14155551213",
            "4155551213 4155551212",
            "41555512134155551212 or 415 555 1212",
            "+14155551213+14155551212",
            "2 desks: 4155551212",
            "desk2:+1-415-555-1212",
            "415a555b1212",
            "call 415 call 555 call 1212",
            "<+14155551212>",
            "\"Desk\" <sip:+14155551212@example.com>",
            "x\u{ff0b}\u{ff11}4155551212",
        ] {
            assert!(within(text, &codes("+14155551212")).contains(&e164("+14155551212")), "{text:?}");
        }
        for text in ["please dial 1-800-FLOWERS now", "1-800-FLOWERS", "or (800) FLOWERS, please"] {
            assert!(within(text, &codes("+18003569377")).contains(&e164("+18003569377")), "{text:?}");
        }
        for text in ["front desk", "", "415-555-1213, 415-555-1214", "the 4155th of 551212"] {
            assert!(!within(text, &codes("+18003569377")).contains(&e164("+18003569377")), "{text:?}");
        }
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
            is_formed(&text);
            within(&text, &codes(&ours));
        }

        /// Whatever words and other numbers it stands among.
        #[test]
        fn our_number_among_others_is_found(
            before in "([a-z]{1,8} |\\+[1-9][0-9]{9,12}[ ,;])?",
            plus in select(vec!["+1", "1", ""]),
            after in "([ ,;][a-z]{1,8}|[ ,;]\\+[1-9][0-9]{9,12})?",
        ) {
            let text = format!("{before}{plus}4155551212{after}");
            prop_assert!(within(&text, &codes("+14155551212")).contains(&e164("+14155551212")), "{:?}", text);
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
