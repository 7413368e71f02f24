//! Where what the engine knows comes from: the logs say what callers met, the lists say who was to answer them.

use std::time::Duration;

use super::id::Channel;

/// One of Twilio's logs, or a list that says who answers our numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Calls,
    Messages,
    Alerts,
    /// Our numbers, and the applications that answer them.
    Numbers,
    /// The Messaging Services that our numbers are in.
    Services,
}

impl Source {
    pub const ALL: [Source; 5] = [Source::Calls, Source::Messages, Source::Alerts, Source::Numbers, Source::Services];

    pub const fn label(self) -> &'static str {
        match self {
            Source::Calls => "calls",
            Source::Messages => "messages",
            Source::Alerts => "alerts",
            Source::Numbers => "numbers",
            Source::Services => "services",
        }
    }

    pub const fn index(self) -> usize {
        match self {
            Source::Calls => 0,
            Source::Messages => 1,
            Source::Alerts => 2,
            Source::Numbers => 3,
            Source::Services => 4,
        }
    }

    /// Not read for so long it is stale, where logs are after `blind_after`. Numbers are read once a minute and
    /// Messaging Services every five: three times in a row neither could be.
    pub fn stale_after(self, blind_after: Duration) -> Duration {
        match self {
            Source::Calls | Source::Messages | Source::Alerts => blind_after,
            Source::Numbers => blind_after.max(Duration::from_secs(3 * 60)),
            Source::Services => blind_after.max(Duration::from_secs(15 * 60)),
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

/// The lists that say who answers a channel. What was once read of a number stands while they cannot be read; of a
/// number that was never read nothing can be said.
pub const fn routing(channel: Channel) -> &'static [Source] {
    match channel {
        Channel::Voice => &[Source::Numbers],
        Channel::Messaging => &[Source::Numbers, Source::Services],
    }
}
