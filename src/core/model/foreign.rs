//! Texts of others' making: Twilio's messages, who its audit log says changed a number, what a program printed, the
//! reason that an operator gave.
//!
//! They end up on terminals, in logs, files and chats, and each of these obeys some characters. A text is therefore
//! made harmless once, where it enters: cut, in one line, without any character that is an order to whoever shows it or
//! that nobody sees. What a channel's own markup makes of `*` or `<` is that channel's business
//! (`notify`).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// What Twilio or a program says is cut after so many characters.
pub const LONGEST: usize = 2000;

/// The name and the reason of an operator, and who changed a number: each a part of a sentence.
pub const LONGEST_PART: usize = 500;

/// One line that may be shown anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Line(String);

impl Line {
    /// `text` in one line, of at most [`LONGEST_PART`] characters.
    pub fn new(text: &str) -> Line {
        Line(line(text, LONGEST_PART))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        Line::new(text)
    }
}

/// Whoever reads one reads what may be shown, whoever wrote it.
impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Line, D::Error> {
        String::deserialize(d).map(|text| Line::new(&text))
    }
}

/// `text` in one line that is an order to nobody, of at most `most` characters.
pub fn line(text: &str, most: usize) -> String {
    let (mut out, mut count, mut is_gap) = (String::new(), 0, false);
    for c in text.chars() {
        let c = match kind(c) {
            Kind::Unseen => continue,
            Kind::Blank => {
                is_gap = !out.is_empty();
                continue;
            }
            Kind::Order => char::REPLACEMENT_CHARACTER,
            Kind::Plain => c,
        };
        if std::mem::take(&mut is_gap) {
            out.push(' ');
            count += 1;
        }
        out.push(c);
        count += 1;
        if count > most {
            return cut(out, most);
        }
    }
    out
}

/// At most `most` characters, the cut shown.
fn cut(mut text: String, most: usize) -> String {
    if text.chars().count() > most
        && let Some((end, _)) = text.char_indices().nth(most.saturating_sub(1))
    {
        text.truncate(end);
        text.push('…');
    }
    text
}

enum Kind {
    Plain,
    /// Space of any width, and the ends of lines.
    Blank,
    /// A control character: the escape that begins an order to a terminal, a bell, a backspace.
    Order,
    /// Nobody sees it: it has no width, or turns the direction of what follows.
    Unseen,
}

fn kind(c: char) -> Kind {
    match c {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Kind::Blank,
        c if c.is_control() => Kind::Order,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => Kind::Unseen,
        // Marks upon a letter: with many of them a line covers others. Nobody's name needs them apart from the letter.
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' => {
            Kind::Unseen
        }
        c if c.is_whitespace() => Kind::Blank,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_others_write_is_an_order_to_whoever_shows_it() {
        for (text, is) in [
            ("user US1 by web", "user US1 by web"),
            ("a\r\nb\u{2028}c\u{2029}d\u{85}e\u{b}f", "a b c d e f"),
            ("  two\u{a0}\u{3000} words ", "two words"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\u{fffd}[31mred\u{fffd}]0;title\u{fffd}"),
            ("c1 \u{9b}31m \u{9d}8;;https://x\u{9c}", "c1 \u{fffd}31m \u{fffd}8;;https://x\u{fffd}"),
            ("\u{202e}gnp.exe\u{202c} \u{2066}a\u{2069}\u{61c}", "gnp.exe a"),
            ("a\u{200b}d\u{200d}m\u{feff}i\u{ad}n\u{e0041}", "admin"),
            ("Z\u{351}\u{30a}\u{36f}a", "Za"),
            ("del\u{7f} nul\0", "del\u{fffd} nul\u{fffd}"),
            (
                "<!channel> *b* [x](https://x) J\u{fc}rgen \u{65e5}\u{672c} \u{1f600}",
                "<!channel> *b* [x](https://x) J\u{fc}rgen \u{65e5}\u{672c} \u{1f600}",
            ),
        ] {
            assert_eq!(line(text, 100), is, "{text:?}");
        }
        assert_eq!(line("abcdef", 6), "abcdef");
        assert_eq!(line("abcdefg", 6), "abcde…");
        assert_eq!(Line::new(&"x".repeat(100_000)).as_str().chars().count(), LONGEST_PART);
        assert_eq!(serde_json::from_str::<Line>(r#""a\u001bb\nc""#).unwrap().as_str(), "a\u{fffd}b c");
    }

    proptest! {
        #[test]
        fn a_line_is_one_and_stays_what_it_is(text in any::<String>(), most in 1usize..50) {
            let once = line(&text, most);
            prop_assert!(once.chars().count() <= most);
            prop_assert!(!once.chars().any(|c| c.is_control() || matches!(kind(c), Kind::Unseen)));
            prop_assert_eq!(line(&once, most), once.clone());
        }
    }
}
