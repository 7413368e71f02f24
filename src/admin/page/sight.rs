//! What cannot be seen: said on every page that tells of numbers, for nothing else on them says anything of it.

use askama::Template;

use super::words;
use crate::agent::publish::status::{SourceStatus, Status};
use crate::core::model::id::Channel;

/// What cannot be seen.
#[derive(Template)]
#[template(path = "sight.html", config = "src/admin/page/askama.toml")]
pub struct BlindSpots {
    blind: Vec<BlindChannel>,
    sources: Vec<(String, String)>,
}

struct BlindChannel {
    channel: Channel,
    cannot_read: String,
    unread: usize,
}

impl BlindSpots {
    pub fn of(status: &Status) -> BlindSpots {
        let blind = status
            .blindness
            .iter()
            .filter(|b| !b.cannot_read.is_empty() || b.unread > 0)
            .map(|b| BlindChannel { channel: b.channel, cannot_read: b.cannot_read.join(", "), unread: b.unread })
            .collect();
        let why = |s: &SourceStatus| {
            let read = match s.polled_at {
                Some(at) => format!("last read {}", words::moment(at, status.at)),
                None => "never read".to_owned(),
            };
            match &s.failure {
                Some(f) => format!("{read}; since {}: {}. {}", words::moment(f.since, status.at), f.error, f.cure),
                None => read,
            }
        };
        let failed = |s: &&SourceStatus| s.is_needed && (s.is_stale || s.failure.is_some());
        let sources = status.sources.iter().filter(failed).map(|s| (s.source.to_owned(), why(s))).collect();
        BlindSpots { blind, sources }
    }
}

/// Since when nothing is known of a channel, if its logs cannot be read.
pub fn unseen_since(status: &Status, channel: Channel) -> Option<String> {
    let blindness = status.blindness.iter().find(|b| b.channel == channel && !b.cannot_read.is_empty())?;
    let sources = status.sources.iter().filter(|s| blindness.cannot_read.contains(&s.source));
    let read = sources.map(|s| s.polled_at).min().flatten();
    Some(read.map_or_else(|| "the agent's start".to_owned(), |at| words::moment(at, status.at)))
}
