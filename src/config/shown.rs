//! What a fault may show of the file.
//!
//! Anything may stand anywhere: a webhook's address with its password where a name should be, the secret itself where
//! the name of its file or variable should be. A fault goes to terminals and logs, so whatever is said of the file goes
//! through here: one line, URLs without what may be secret in them, and nothing that looks like a key.

use crate::core::model::foreign;
use crate::core::model::redact::{secrets, without_secrets};

/// A shorter word is none that a machine made.
const LONG: usize = 20;

/// What is shown of a user in an address, and what stands for it while the rest is looked at: a part of the host's
/// name.
const HIDDEN_USER: &str = "://…@";
const STANDS_IN: &str = "://user-not-shown.";

/// A fault's text as it may be told.
pub fn told(text: &str) -> String {
    let text = foreign::line(text, foreign::LONGEST);
    // That there is a user is told where somebody has hidden it already: it is what is wrong.
    let text = without_secrets(&text.replace(HIDDEN_USER, STANDS_IN)).replace(STANDS_IN, HIDDEN_USER);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=' | '-');
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(at) = rest.find(is_part) {
        let (before, word) = rest.split_at(at);
        let (word, after) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
        out.push_str(before);
        out.push_str(if is_made(word) { "…" } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The name of a variable, or that it looks like none and is not shown.
pub fn variable(name: &str) -> String {
    let is_name = name.len() <= 64 && name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
    or_hidden(name, is_name && name.starts_with(|c: char| !c.is_ascii_digit()), "the name of a variable")
}

/// The name of a file that cannot be read, or that it looks like none and is not shown.
pub fn file(name: &str) -> String {
    let is_path =
        name.contains(['/', '\\', '.']) || name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_' || c == b'-');
    or_hidden(name, is_path, "the path of a file")
}

fn or_hidden(name: &str, is_one: bool, what: &str) -> String {
    if is_one {
        format!("{name:?}")
    } else {
        format!("({} characters, not shown: it does not look like {what})", name.chars().count())
    }
}

/// True of what a machine makes by chance: keys and tokens. SIDs are none, also with an error of writing in them.
fn is_made(word: &str) -> bool {
    let is_sid = (30..=38).contains(&word.len())
        && word.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric());
    let has_both = word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic());
    word.len() >= LONG && has_both && !is_sid && !secrets::is_told(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_a_secret_is_told() {
        for (text, is) in [
            (
                "group.fallback.voice_url = \"htps://u5er:p4ss@h.example/v?t=qu3ry\": not",
                "group.fallback.voice_url = \"htps://h.example/v?…\": not",
            ),
            ("twilio.edge = \"0123456789abcdef0123456789abcdef\": must be", "twilio.edge = \"…\": must be"),
            ("x = \"T024BE7LD/B01/x9Zq81kLmNopQrStUvWx\": no", "x = \"T024BE7LD/B01/…\": no"),
            ("a\u{1b}[31m\nb", "a\u{fffd}[31m b"),
            (
                "twilio.account_sid = \"AC0123456789abcdef0123456789abcdeg\": not",
                "twilio.account_sid = \"AC0123456789abcdef0123456789abcdeg\": not",
            ),
            (
                "\"+15005550100\": use America/Argentina/ComodRivadavia",
                "\"+15005550100\": use America/Argentina/ComodRivadavia",
            ),
            (
                "agent.state = \"sqlite:/var/lib/ringback/ringback.db\"",
                "agent.state = \"sqlite:/var/lib/ringback/ringback.db\"",
            ),
        ] {
            assert_eq!(told(text), is);
        }
        assert_eq!(variable("SLACK_URL"), "\"SLACK_URL\"");
        assert_eq!(variable("hunter2"), "(7 characters, not shown: it does not look like the name of a variable)");
        assert_eq!(file("agent.token"), "\"agent.token\"");
        assert_eq!(file("Tr0ub4dor"), "(9 characters, not shown: it does not look like the path of a file)");
    }
}
