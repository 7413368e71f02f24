//! Where what the engine knows comes from.

use super::id::Channel;

/// One of Twilio's logs, or our list of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Calls,
    Messages,
    Alerts,
    Numbers,
}

impl Source {
    pub const ALL: [Source; 4] = [Source::Calls, Source::Messages, Source::Alerts, Source::Numbers];

    pub const fn label(self) -> &'static str {
        match self {
            Source::Calls => "calls",
            Source::Messages => "messages",
            Source::Alerts => "alerts",
            Source::Numbers => "numbers",
        }
    }

    pub const fn index(self) -> usize {
        match self {
            Source::Calls => 0,
            Source::Messages => 1,
            Source::Alerts => 2,
            Source::Numbers => 3,
        }
    }
}

/// The logs without which nothing can be said of a channel.
pub const fn needed(channel: Channel) -> [Source; 2] {
    match channel {
        Channel::Voice => [Source::Calls, Source::Alerts],
        Channel::Messaging => [Source::Messages, Source::Alerts],
    }
}
