//! How the handlers of whom numbers are handed over to are told from another's.

use super::record::{Handler, NumberRecord, address};
use crate::model::handler::Owner;
use crate::model::id::Channel;

impl Owner {
    /// True if `url` is below one of theirs. Scheme and host compare without case, and what theirs begin with ends
    /// where a part of the path does: another host that begins alike is another host.
    pub fn has(&self, url: &str) -> bool {
        let url = address(url);
        self.urls.iter().any(|own| {
            let own = address(own.whole());
            let own = own.trim_end_matches('/');
            // A path that climbs may end anywhere.
            let climbs = |rest: &str| rest.contains("..") || rest.to_ascii_lowercase().contains("%2e");
            let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/') && !climbs(rest);
            url.strip_prefix(own).is_some_and(is_below)
        })
    }

    /// True if one of theirs answers `channel` of this number, as far as it could be read who does.
    pub fn answers(&self, record: &NumberRecord, channel: Channel) -> bool {
        let has_sid = |sid: String| self.sids.contains(&sid);
        let is_theirs = || match record.handler(channel) {
            Handler::Trunk(sid) => has_sid(sid.to_string()),
            Handler::Application(sid) => has_sid(sid.to_string()),
            Handler::Service(sid) => has_sid(sid.to_string()),
            Handler::Url(_) | Handler::Region(_) | Handler::Fax | Handler::Lacking | Handler::Nobody => false,
        };
        let by_url = || record.answering_url(channel).is_some_and(|url| self.has(url));
        !record.unread[channel.index()] && (is_theirs() || by_url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_what_is_below_its_urls_and_nothing_that_only_begins_alike() {
        let urls = ["https://Calls.example.net/twilio/", "https://other.example.net"];
        let theirs = Owner { name: "x".into(), urls: urls.map(Into::into).to_vec(), sids: Vec::new() };
        for url in [
            "https://calls.example.net/twilio",
            "https://calls.example.net:443/twilio/answer?token=x#rc=1",
            "https://user:pw@calls.example.net/twilio/answer",
            "https://OTHER.example.net/x",
            "https://other.example.net?x=1",
        ] {
            assert!(theirs.has(url), "{url}");
        }
        for url in [
            "https://calls.example.net/twilio-old",
            "https://calls.example.net/twilio/../old",
            "https://calls.example.net/twilio/%2E%2e/old",
            "https://calls.example.net/",
            "http://calls.example.net/twilio",
            "https://other.example.net.evil.example/x",
            "https://other.example.net@evil.example/x",
            "https://other.example.net:443@evil.example/x",
            "https://other.example.net\\.evil.example/x",
            "https://evil@example.org/https://other.example.net",
            "",
        ] {
            assert!(!theirs.has(url), "{url}");
        }
    }
}
