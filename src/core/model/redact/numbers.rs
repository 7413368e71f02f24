//! Where in a text telephone numbers may stand, whosever they are.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Fewer digits are no telephone number that could be called.
const FEWEST: usize = 7;

/// The most that E.164 allows.
const LONGEST: usize = 15;

/// A group of so many digits is a number by itself, and its neighbours are others.
const WHOLE: usize = 10;

/// Separators between two groups of one number.
const WIDEST_GAP: usize = 4;

/// `text` with what `by` makes of the digits of each number that is to go.
pub(super) fn replaced<'a>(
    text: &'a str,
    is_to_go: impl Fn(&str) -> bool,
    by: impl Fn(&str) -> String,
) -> Cow<'a, str> {
    // Most texts have too few digits for one, in any writing but Base64, which is looked for in URLs.
    if text.is_ascii() && !text.contains("://") && text.bytes().filter(u8::is_ascii_digit).count() < FEWEST {
        return Cow::Borrowed(text);
    }
    let (mut out, mut at) = (String::new(), 0);
    for number in numbers(text).iter().filter(|n| is_to_go(&n.digits)) {
        out.push_str(&text[at..number.from]);
        out.push_str(&by(&number.digits));
        at = number.to;
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// Ends a URL in a sentence.
pub(super) fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// What may be a telephone number: where it stands, and its digits.
pub(super) struct NumberSpan {
    pub from: usize,
    pub to: usize,
    pub digits: String,
}

/// A character as it is meant, and the bytes that spell it.
#[derive(Clone, Copy)]
pub(super) struct Letter {
    pub c: char,
    from: usize,
    to: usize,
}

impl Letter {
    /// In any script.
    fn is_digit(self) -> bool {
        self.c.is_ascii_digit() || !self.c.is_ascii() && self.c.is_numeric()
    }

    /// Separates groups of a number.
    fn is_gap(self) -> bool {
        match self.c {
            '\n' | '\r' => false,
            // A browser takes a backslash for a slash, and so does whoever shows a URL.
            '-' | '.' | '(' | ')' | '/' | '\\' | '+' | '_' | '~' => true,
            // Hyphens and dashes, the minus, the middle dot, and marks without width that are copied along.
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{b7}' | '\u{ad}' => true,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
            c => c.is_whitespace(),
        }
    }

    /// The same in a URL, where nothing else is written with these. In a sentence they part one number from another.
    fn is_gap_of_url(self) -> bool {
        self.is_gap() || matches!(self.c, ',' | ':' | ';' | '=' | '*' | '!' | '|' | '$')
    }
}

/// How programs write Base64 into URLs: in either alphabet, once the two are made one, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 of seven digits has so many characters.
const FEWEST_BASE64: usize = 10;

/// And of what an application may write beside a number; more is no reference to a caller.
const LONGEST_BASE64: usize = 512;

/// The characters of a text, with escapes read as what they stand for.
pub(super) fn letters(text: &str) -> Vec<Letter> {
    let mut letters = Vec::with_capacity(text.len());
    let mut from = 0;
    while let Some(plain) = text[from..].chars().next() {
        let rest = &text[from..];
        let (c, length) = match plain {
            '%' => percent(rest),
            '&' => entity(rest),
            // As some write JSON.
            '\\' if rest.starts_with("\\/") => Some(('/', 2)),
            '\\' => rest.strip_prefix("\\u").and_then(|r| hex(r.get(..4)?)).and_then(char::from_u32).map(|c| (c, 6)),
            _ => None,
        }
        .unwrap_or((plain, plain.len_utf8()));
        letters.push(Letter { c, from, to: from + length });
        from += length;
    }
    letters
}

fn hex(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// One byte that is percent-encoded, once or several times over, and how long its code is.
fn percent_byte(text: &str) -> Option<(u8, usize)> {
    let code = |at: usize| u8::try_from(hex(text.get(at..at + 2)?)?).ok();
    let mut byte = code(1).filter(|_| text.starts_with('%'))?;
    let mut length = 3;
    while let (b'%', Some(inner)) = (byte, code(length)) {
        (byte, length) = (inner, length + 2);
    }
    Some((byte, length))
}

fn percent(text: &str) -> Option<(char, usize)> {
    let (first, mut length) = percent_byte(text)?;
    let mut bytes = vec![first];
    // The first byte of UTF-8 says how many there are.
    for _ in 1..first.leading_ones().min(4) {
        let (byte, more) = percent_byte(&text[length..])?;
        bytes.push(byte);
        length += more;
    }
    Some((std::str::from_utf8(&bytes).ok()?.chars().next()?, length))
}

fn entity(text: &str) -> Option<(char, usize)> {
    let (name, _) = text.strip_prefix('&')?.split_once(';').filter(|(name, _)| name.len() <= 8)?;
    let code = match (name, name.strip_prefix("#x").or_else(|| name.strip_prefix("#X"))) {
        ("nbsp", _) => 0xa0,
        ("plus", _) => u32::from('+'),
        (_, Some(digits)) => hex(digits)?,
        (_, None) => name.strip_prefix('#')?.parse().ok()?,
    };
    Some((char::from_u32(code)?, name.len() + 2))
}

/// Everything in `text` that may be a telephone number, in order.
pub(super) fn numbers(text: &str) -> Vec<NumberSpan> {
    let letters = Letters(letters(text));
    let (mut found, mut url, mut i) = (Vec::new(), Url::default(), 0);
    while i < letters.0.len() {
        if letters.spells(i, "://") {
            url = letters.url(i + 3);
        }
        if let Some(end) = letters.other(i, &url.host) {
            i = end;
        } else if let Some(end) = url.rest.contains(&i).then(|| letters.base64(i, &mut found)).flatten() {
            i = end;
        } else if letters.is_digit(i) {
            let groups = letters.groups(i, &url);
            i = groups.last().map_or(i + 1, |g| g.end);
            letters.tell(&groups, &mut found);
        } else {
            i += 1;
        }
    }
    found
}

/// Where a URL stands.
#[derive(Default)]
struct Url {
    host: Range<usize>,
    /// Its path, query and fragment.
    rest: Range<usize>,
}

struct Letters(Vec<Letter>);

impl Letters {
    fn at(&self, i: usize) -> Option<char> {
        self.0.get(i).map(|l| l.c)
    }

    fn before(&self, i: usize) -> Option<char> {
        self.at(i.checked_sub(1)?)
    }

    fn is_digit(&self, i: usize) -> bool {
        self.0.get(i).is_some_and(|l| l.is_digit())
    }

    fn spells(&self, i: usize, word: &str) -> bool {
        word.chars().enumerate().all(|(n, c)| self.at(i + n) == Some(c))
    }

    /// The digits that begin at `i`.
    fn group(&self, i: usize) -> Range<usize> {
        let length = self.0.get(i..).unwrap_or_default().iter().take_while(|l| l.is_digit()).count();
        i..i + length
    }

    /// `count` digits and no more, as a number below a hundred million.
    fn value(&self, i: usize, count: usize) -> Option<u32> {
        let group = Some(self.group(i)).filter(|g| g.len() == count && (1..9).contains(&count))?;
        self.0[group].iter().try_fold(0, |n, l| Some(n * 10 + l.c.to_digit(10)?))
    }

    /// A URL whose scheme ends before `i`.
    fn url(&self, i: usize) -> Url {
        let rest = self.0.get(i..).unwrap_or_default();
        let length = rest.iter().take_while(|l| !ends_url(l.c)).count();
        let host = rest[..length].iter().take_while(|l| !matches!(l.c, '/' | '?' | '#')).count();
        let user = rest[..host].iter().rposition(|l| l.c == '@').map_or(0, |at| at + 1);
        Url { host: i + user..i + host, rest: i + host..i + length }
    }

    /// Where a word ends that begins at `i` and is Base64 of a text with a number in it; the number is told.
    fn base64(&self, i: usize, found: &mut Vec<NumberSpan>) -> Option<usize> {
        let is_of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.before(i).is_some_and(is_of) {
            return None;
        }
        let word = self.0.get(i..)?.iter().take(LONGEST_BASE64).take_while(|l| is_of(l.c));
        let word: String = word.map(|l| l.c).collect();
        let bytes = Some(&word).filter(|word| word.len() >= FEWEST_BASE64).and_then(|word| BASE64.decode(word).ok())?;
        let inner = String::from_utf8(bytes).ok().filter(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b)))?;
        // Several of them are none of ours.
        let digits: String = numbers(&inner).into_iter().map(|n| n.digits).collect();
        if digits.is_empty() {
            return None;
        }
        let end = i + word.len();
        found.push(NumberSpan { from: self.0[i].from, to: self.0[end - 1].to, digits });
        Some(end)
    }

    /// Where that ends which begins at `i` and has many digits, and is no telephone number by its shape.
    fn other(&self, i: usize, host: &Range<usize>) -> Option<usize> {
        let is_within_word = self.before(i).is_some_and(char::is_alphanumeric);
        if is_within_word || !self.at(i)?.is_ascii_alphanumeric() {
            return None;
        }
        self.id(i)
            .or_else(|| self.date(i))
            .or_else(|| self.time(i))
            .or_else(|| self.address(i, host))
            .or_else(|| self.port(i, host))
    }

    fn hexadecimal(&self, i: usize, count: usize) -> Option<usize> {
        let are_all = (i..i + count).all(|n| self.at(n).is_some_and(|c| c.is_ascii_hexdigit()));
        are_all.then_some(i + count)
    }

    /// A SID, two letters and 32 hexadecimal digits; or a UUID.
    fn id(&self, i: usize) -> Option<usize> {
        let is_letter = |n: usize| self.at(n).is_some_and(|c| c.is_ascii_alphabetic());
        let sid = if is_letter(i) && is_letter(i + 1) { self.hexadecimal(i + 2, 32) } else { None };
        let uuid = || {
            let mut end = self.hexadecimal(i, 8)?;
            for count in [4, 4, 4, 12] {
                end = self.hexadecimal(end + 1, count).filter(|_| self.at(end) == Some('-'))?;
            }
            Some(end)
        };
        sid.or_else(uuid).filter(|end| !self.at(*end).is_some_and(char::is_alphanumeric))
    }

    /// `2026-11-28` or `2026/11/28`.
    fn date(&self, i: usize) -> Option<usize> {
        let sign = self.at(i + 4).filter(|c| matches!(c, '-' | '/'))?;
        self.value(i, 4).filter(|year| (1900..2100).contains(year))?;
        self.value(i + 5, 2).filter(|month| (1..=12).contains(month) && self.at(i + 7) == Some(sign))?;
        self.value(i + 8, 2).filter(|day| (1..=31).contains(day))?;
        let is_more = matches!(self.before(i), Some('-' | '.' | '(' | ')' | '+'))
            || matches!(self.at(i + 10), Some('-' | '.')) && self.is_digit(i + 11);
        (!is_more).then_some(i + 10)
    }

    /// `06:01`, `06:01:02`, `06:01:02.123`, and its offset from UTC.
    fn time(&self, i: usize) -> Option<usize> {
        self.value(i, 2).filter(|hour| *hour < 24)?;
        self.value(i + 3, 2).filter(|minute| *minute < 60 && self.at(i + 2) == Some(':'))?;
        let mut end = i + 5;
        if self.at(end) == Some(':') && self.value(end + 1, 2).is_some_and(|second| second <= 60) {
            end += 3;
            let fraction = self.group(end + 1);
            if matches!(self.at(end), Some('.' | ',')) && (1..FEWEST).contains(&fraction.len()) {
                end = fraction.end;
            }
        }
        let sign = end + usize::from(self.at(end) == Some(' '));
        if matches!(self.at(sign), Some('+' | '-')) {
            let hours_and_minutes = self.value(sign + 1, 4).map(|_| sign + 5);
            let apart = || self.value(sign + 1, 2).and(self.value(sign + 4, 2)).map(|_| sign + 6);
            end = hours_and_minutes.or_else(|| apart().filter(|_| self.at(sign + 3) == Some(':'))).unwrap_or(end);
        }
        (!self.is_digit(end)).then_some(end)
    }

    /// An IPv4 address where hosts stand, also with hyphens as in the names of cloud machines.
    fn address(&self, i: usize, host: &Range<usize>) -> Option<usize> {
        let sign = self.at(self.group(i).end).filter(|c| matches!(c, '.' | '-'))?;
        let mut end = i;
        for n in 0..4 {
            let start = if n == 0 { i } else { end + 1 };
            let group = self.group(start);
            let is_joined = n == 0 || self.at(end) == Some(sign);
            let is_plain = group.len() == 1 || self.at(start) != Some('0');
            self.value(start, group.len()).filter(|octet| is_joined && is_plain && *octet < 256)?;
            end = group.end;
        }
        let is_host = host.contains(&i)
            || sign == '.' && (self.before(i) == Some('@') || self.at(end) == Some(':') && self.is_digit(end + 1));
        // `ec2-203-0-113-205`: a digit that ends a word is not a group.
        let gap = self.0[..i].iter().rev().take_while(|l| l.is_gap() && !l.c.is_whitespace()).count();
        let is_word = |n: usize| self.before(n).is_some_and(char::is_alphabetic);
        let follows = gap > 0 && gap < i && self.is_digit(i - gap - 1) && !is_word(i - gap - 1);
        let goes_on = |l: &Letter| l.is_gap() && l.c != '/' && !l.c.is_whitespace();
        let is_more =
            follows || self.before(i) == Some('+') || self.0.get(end).is_some_and(goes_on) && self.is_digit(end + 1);
        (is_host && !is_more).then_some(end)
    }

    /// A host's port.
    fn port(&self, i: usize, host: &Range<usize>) -> Option<usize> {
        let end = self.group(i).end;
        (host.contains(&i) && end == host.end && self.before(i) == Some(':') && end - i <= 5).then_some(end)
    }

    /// The groups of digits, from the one at `i`, that people may mean as one.
    fn groups(&self, i: usize, url: &Url) -> Vec<Range<usize>> {
        let mut groups = vec![self.group(i)];
        let mut is_open = self.opening(i) < self.plus(i);
        let is_gap =
            |i: usize, letter: Letter| if url.rest.contains(&i) { letter.is_gap_of_url() } else { letter.is_gap() };
        while let Some(next) = self.next_group(groups[groups.len() - 1].end, is_gap, &mut is_open)
            && self.other(next, &url.host).is_none()
        {
            groups.push(self.group(next));
        }
        groups
    }

    /// Where the next group of the same number begins, after one that ends at `end`.
    fn next_group(&self, end: usize, is_gap: impl Fn(usize, Letter) -> bool, is_open: &mut bool) -> Option<usize> {
        for i in end..=end + WIDEST_GAP {
            let letter = *self.0.get(i)?;
            if letter.is_digit() {
                return Some(i);
            }
            if !is_gap(i, letter) {
                return None;
            }
            match letter.c {
                // An area code; anything else in brackets is an aside.
                '(' => {
                    let code = self.group(i + 1);
                    if !(1..FEWEST).contains(&code.len()) || self.at(code.end) != Some(')') {
                        return None;
                    }
                    *is_open = true;
                }
                ')' if !*is_open => return None,
                ')' => *is_open = false,
                // After a blank it begins a number; elsewhere it stands for a blank.
                '+' if self.before(i).is_some_and(|c| c == '(' || c.is_whitespace()) => return None,
                _ => {}
            }
        }
        None
    }

    /// Where a number begins whose digits do at `i`: at its plus.
    fn plus(&self, i: usize) -> usize {
        if self.before(i) == Some('+') { i - 1 } else { i }
    }

    /// The same, at the bracket before that.
    fn opening(&self, i: usize) -> usize {
        let plus = self.plus(i);
        if self.before(plus) == Some('(') { plus - 1 } else { plus }
    }

    fn count(groups: &[Range<usize>]) -> usize {
        groups.iter().map(Range::len).sum()
    }

    /// Tells which of these groups make up numbers.
    fn tell(&self, groups: &[Range<usize>], found: &mut Vec<NumberSpan>) {
        let is_whole = |n: usize| groups[n].len() >= WHOLE;
        let is_part = |n: usize| (groups[n - 1].end..groups[n].start).any(|i| self.at(i) == Some('/'));
        let mut start = 0;
        for n in 1..groups.len() {
            let before = &groups[start..n];
            let is_short = Letters::count(before) < FEWEST;
            // A country's code, or an area's with the digit that goes before it.
            let is_code =
                self.at(groups[start].start) == Some('0') || self.plus(groups[start].start) < groups[start].start;
            let until = (n + 1..groups.len()).find(|m| is_part(*m) || is_whole(*m)).unwrap_or(groups.len());
            // In a path each part may be a number by itself.
            let [one, two] = [before, &groups[n..until]].map(Letters::count);
            let are_two = is_part(n) && (one.min(two) >= FEWEST || one + two > LONGEST);
            if is_whole(n - 1) || is_whole(n) && !(is_code && is_short) || are_two {
                self.push(before, found);
                start = n;
            }
        }
        self.push(&groups[start..], found);
    }

    fn push(&self, groups: &[Range<usize>], found: &mut Vec<NumberSpan>) {
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return };
        if Letters::count(groups) < FEWEST {
            return;
        }
        let is_closed = (first.end..last.start).any(|i| self.at(i) == Some(')'));
        let start = if is_closed { self.opening(first.start) } else { self.plus(first.start) };
        let letters = groups.iter().flat_map(|g| &self.0[g.clone()]);
        // What is not written in our digits is none of ours.
        let digits = letters.map(|l| if l.c.is_ascii() { l.c } else { '?' });
        found.push(NumberSpan { from: self.0[start].from, to: self.0[last.end - 1].to, digits: digits.collect() });
    }
}
