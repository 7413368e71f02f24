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

/// The calling code of the number's country.
pub fn calling_code(number: E164) -> String {
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
    // Of `+{{number}}` the sign may be left.
    if !text.contains(char::is_alphanumeric) {
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

/// The one number that text stands for which names a party: one person is one number, in whatever form networks and
/// PBXs write it. Where several readings are numbers, it is the one that is usual in the countries of ours (`codes`);
/// what is not a whole number is none.
pub fn identity(text: &str, codes: &CallingCodes) -> Option<E164> {
    let text = decoded(text);
    let text = text.trim_matches(is_blank);
    // +44 (0)20 …
    let (has_plus, digits) = digits(&text.replace("(0)", ""));
    if digits.len() < SHORTEST {
        return None;
    }
    let number = |digits: &str| format!("+{digits}").parse::<E164>().ok().filter(|n| n.is_complete());
    let is_american = codes.0.contains(AMERICA);
    // 011 begins an area of Britain as well, after which less is left.
    let after_011 = || digits.strip_prefix("011").filter(|rest| is_american && rest.len() >= LONGEST_NATIONAL);
    let abroad = || digits.strip_prefix("00").or_else(after_011).and_then(number);
    if has_plus {
        return if digits.starts_with('0') { abroad() } else { number(&digits) };
    }
    // North America has no 0 before its numbers, and no area that begins with 0 or 1.
    let others_first = || codes.0.iter().filter(|c| *c != AMERICA).chain(codes.0.iter().filter(|c| *c == AMERICA));
    let national = |digits: &str| others_first().find_map(|code| number(&format!("{code}{digits}")));
    let in_america = || {
        let rest = digits.strip_prefix(AMERICA).unwrap_or(&digits);
        let is_one = is_american && rest.len() == LONGEST_NATIONAL && rest.starts_with(|c| matches!(c, '2'..='9'));
        is_one.then(|| number(&format!("{AMERICA}{rest}"))).flatten()
    };
    let is_of = |code: &String| digits.starts_with(code.as_str()) && digits.len() >= code.len() + SHORTEST_NATIONAL;
    let in_full = || if codes.0.iter().any(is_of) { number(&digits) } else { None };
    let is_long = digits.len() > LONGEST_NATIONAL;
    // Of the numbers of a large country these are without their area.
    let is_whole = digits.len() >= SHORTEST_NATIONAL || codes.0.len() == 1;
    abroad()
        .or_else(in_america)
        .or_else(|| digits.strip_prefix('0').and_then(national))
        .or_else(in_full)
        .or_else(|| if is_long { number(&digits) } else { national(&digits).filter(|_| is_whole) })
}

const AMERICA: &str = "1";

/// Shorter ones are extensions, and services.
const SHORTEST: usize = 7;

/// Digits of a number without its country's code: so many at least where a code before them is told by that, so many at
/// the most. Source: ITU-T E.164 and the national plans that it lists, 2026-11.
const SHORTEST_NATIONAL: usize = 8;
const LONGEST_NATIONAL: usize = 10;

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

/// The key of a telephone on which a small letter stands. Source: ITU-T E.161.
pub const fn key(letter: char) -> char {
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
mod tests;
