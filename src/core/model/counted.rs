//! Amounts in words, and whom or what the figures of a decision count: the one place that knows them.

use serde::{Deserialize, Serialize};

use super::id::Channel;

/// `1 number`, `2 numbers`.
pub fn amount(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// How many of `all` are shown where `most` have room. To count a single one that is left takes as much room as to show
/// it, and tells less: it is shown.
pub const fn cut_at(all: usize, most: usize) -> usize {
    if all <= most.saturating_add(1) { all } else { most }
}

/// The first of them in a line, as many as have room, and how many more there are.
pub fn some_of<T>(all: &[T], most: usize, text: impl Fn(&T) -> String) -> String {
    let (first, more) = all.split_at(cut_at(all.len(), most));
    let first = first.iter().map(text).collect::<Vec<_>>().join(", ");
    match (first.is_empty(), more.len()) {
        (_, 0) => first,
        (true, more) => more.to_string(),
        (false, more) => format!("{first} and {more} more"),
    }
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

    /// All lists that are cut are cut by this one function.
    #[test]
    fn no_list_counts_a_single_one_that_it_could_show() {
        assert_eq!([0, 1, 3, 4, 5, 9].map(|all| cut_at(all, 3)), [0, 1, 3, 4, 3, 3]);
        assert_eq!(cut_at(7, usize::MAX), 7);
        let told = |n: usize, most| some_of(&(1..=n).collect::<Vec<_>>(), most, ToString::to_string);
        assert_eq!([told(0, 2), told(2, 2), told(3, 2), told(4, 2)], ["", "1, 2", "1, 2, 3", "1, 2 and 2 more"]);
        assert_eq!([told(1, 0), told(2, 0)], ["1", "2"]);
    }

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
