//! What was found of a group's fallback: journaled when it is news, logged when it changes.

use super::{Controller, READ_WITHIN};
use crate::agent::poll::fallback;
use crate::caller::CallerKey;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::FallbackState;
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::fallbacks::FallbackFound;
use crate::core::routing::record::bare;

impl Controller {
    /// A fallback was looked at.
    pub async fn fallback(&mut self, now: Time, looked: fallback::FallbackChecked) {
        let fallback::FallbackChecked { group, channel, url, looks } = looked;
        // Whatever is secret in it stays in the configuration; that it is the same one is told all the same.
        let url = format!("{}#{:x}", bare(&url), CallerKey::public().hash(&url));
        let before = self.orders().fallback_found(&group, channel);
        let name = |number: NumberId| self.shared.roster.name(number).to_string();
        let mut found = FallbackFound::after(before, &url, &looks, name);
        if found.state != FallbackState::Broken && self.is_what_they_point_at(now, &group, channel) {
            found.state = FallbackState::Broken;
            found.broken_for.clear();
            found.detail = "its numbers point at it already: a swap would change nothing".to_owned();
        }
        let broken = match found.state {
            FallbackState::Broken => looks.len(),
            FallbackState::Unchecked | FallbackState::Good => found.broken_for.len(),
        };
        self.shared.metrics.fallback(&group, channel, found.state, broken);
        let told = (found.state, found.broken_for.clone());
        let detail = &found.detail;
        if self.reported.get(&(group.clone(), channel)) != Some(&told) {
            match found.state {
                FallbackState::Broken => tracing::error!(
                    %group, %channel, "the fallback is broken, and nothing is swapped to it: {detail}"
                ),
                FallbackState::Unchecked | FallbackState::Good if found.is_broken() => tracing::error!(
                    %group, %channel, numbers = broken, "the fallback is broken for some numbers, which are not swapped to it: {detail}"
                ),
                FallbackState::Good => tracing::info!(%group, %channel, "the fallback works: {detail}"),
                FallbackState::Unchecked => tracing::warn!(%group, %channel, "the fallback is unchecked: {detail}"),
            }
            self.reported.insert((group.clone(), channel), told);
        }
        // Another cause is told again; why something is well is not.
        let is_news = self.orders().fallback_found(&group, channel).is_none_or(|known| {
            let is_same = (&known.url, known.state, &known.broken_for) == (&found.url, found.state, &found.broken_for);
            !is_same || found.is_broken() && known.detail != found.detail
        });
        if is_news {
            let FallbackFound { url, state, broken_for, detail } = found;
            let entry = Entry::Fallback { group, channel, url, state, broken_for, detail };
            if let Err(error) = self.commit(vec![entry]).await {
                tracing::error!(%error, cure = error.cure, "what was found of a fallback is not in the journal");
            }
        }
    }

    /// True if a group's numbers are all on their fallback, and we did not put them there.
    fn is_what_they_point_at(&self, now: Time, group: &GroupName, channel: Channel) -> bool {
        let engine = self.control.engine();
        let roster = engine.roster();
        let Some((_, group)) = roster.groups().find(|(_, g)| g.name == *group) else { return false };
        let Some(fallback) = group.fallback(channel) else { return false };
        let mut records = group
            .numbers
            .iter()
            .filter(|ix| {
                // What we have just put back may not have been read since.
                let saga = self.orders().saga(roster.number(**ix).id, channel);
                saga.is_none_or(|s| s.state.swap().is_none() && s.since.is_none_or(|t| t + READ_WITHIN <= now))
            })
            .filter_map(|ix| engine.record(*ix))
            .peekable();
        records.peek().is_some() && records.all(|record| record.leads_to(channel, fallback))
    }
}
