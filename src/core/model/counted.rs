//! Amounts in words, and whom or what the figures of a decision count: the one place that knows them.

use serde::{Deserialize, Serialize};

use super::id::Channel;

/// `1 number`, `2 numbers`.
pub fn amount(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// What evidence counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Different people who call or write.
    #[default]
    People,
    /// Calls, or messages that come in, whoever they are from.
    Attempts,
    /// Different people to whom a message of ours was sent.
    Recipients,
    /// Messages of ours, whomever they are for.
    Sent,
}

/// What is counted, as notices and decisions call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedWords {
    pub one: &'static str,
    pub many: &'static str,
    /// The name of a notice's line.
    pub label: &'static str,
    /// How a title begins.
    pub fail: &'static str,
}

impl Counted {
    pub const ALL: [Counted; 4] = [Counted::People, Counted::Attempts, Counted::Recipients, Counted::Sent];

    pub const fn words(self, channel: Channel) -> CountedWords {
        let (one, many, label, fail) = match (self, channel) {
            (Counted::People, Channel::Voice) => ("caller", "callers", "Callers", "Callers fail"),
            (Counted::Attempts, Channel::Voice) => ("call", "calls", "Calls", "Calls fail"),
            (Counted::People, Channel::Messaging) => {
                ("person who texts", "people who text", "People", "Texts are not answered")
            }
            (Counted::Attempts, Channel::Messaging) => ("text", "texts", "Texts", "Texts are not answered"),
            (Counted::Recipients, _) => ("recipient", "recipients", "Sent to", "Messages do not arrive"),
            (Counted::Sent, _) => ("message", "messages", "Sent", "Messages do not arrive"),
        };
        CountedWords { one, many, label, fail }
    }

    /// Says whether it is the default, which is not written down.
    pub const fn is_people(&self) -> bool {
        matches!(self, Counted::People)
    }
}

impl CountedWords {
    /// `1 caller`, `3 callers`.
    pub fn count(&self, n: u32) -> String {
        format!("{n} {}", if n == 1 { self.one } else { self.many })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_a_caller_who_texts_or_is_sent_a_message() {
        for counted in Counted::ALL {
            let words = counted.words(Channel::Messaging);
            let all = [words.one, words.many, words.label, words.fail];
            assert!(all.iter().all(|w| !w.to_lowercase().contains("call")), "{words:?}");
        }
        assert_eq!(Counted::People.words(Channel::Voice).count(1), "1 caller");
        assert_eq!(Counted::Recipients.words(Channel::Messaging).count(3), "3 recipients");
    }
}
