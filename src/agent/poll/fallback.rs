//! Looks whether the fallbacks work, before they are needed and ever again.
//!
//! Each is asked for its TwiML as Twilio would ask for a call, or a message, to each number of its group ([`mod@ask`]):
//! what a template makes of one number it need not make of another. What answers and would not serve a caller is
//! broken at once; what does not answer is broken after three looks, since one lost request must not take the fallback
//! away from a failing number. What a look without an answer leaves of what was known says
//! [`crate::core::rollback::fallbacks`]. Where nothing can be signed, it is unchecked, and that is said.
//!
//! A group of thousands is asked about at a bounded rate. A bin can do no more with the number that is called than
//! write it into its text: if the text is the same to the byte for the first [`MANY`] numbers, the number is not in it,
//! and the answer is that of all the others. Any other webhook may look a number up, and is asked for each.

pub mod ask;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::ask::{Asking, FallbackSeen, ask};
use crate::agent::{ControlMessage, Shared};
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::FallbackState;
use crate::core::model::redact::told;
use crate::core::model::roster::{Group, GroupIx, NumberIx};
use crate::core::model::time::Time;
use crate::core::rollback::fallbacks::FallbackLook;

/// Between looks at one fallback.
const EVERY: Duration = Duration::from_secs(300);

/// Between looks at one that did not answer.
const AGAIN: Duration = Duration::from_secs(20);

/// Looks without an answer after which a fallback is called broken.
const SILENT: u32 = 3;

/// Numbers that are asked for at once, and how long these take at least: twenty a second at the most.
const AT_ONCE: usize = 10;
const PACE: Duration = Duration::from_millis(500);

/// Numbers of a group that are asked for whatever comes back.
const MANY: usize = 50;

/// What was found of one fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackChecked {
    pub group: GroupName,
    pub channel: Channel,
    pub url: String,
    /// For each number that is watched on the channel.
    pub looks: Vec<(NumberId, FallbackLook)>,
}

/// Looks at the fallbacks, and remembers which did not answer.
struct Looker {
    shared: Shared,
    stop: CancellationToken,
    /// How often in a row there was no answer for a number.
    silent: HashMap<(NumberIx, Channel), u32>,
    due: HashMap<(GroupIx, Channel), Time>,
    /// Those that lead to other addresses.
    leads: HashSet<(GroupIx, Channel)>,
    /// Numbers of a group that are asked for in one look.
    most: usize,
}

pub async fn run(shared: Shared, stop: CancellationToken) {
    let clock = shared.clock.clone();
    let mut looker = Looker::new(shared.clone(), stop.clone(), usize::MAX);
    let mut handlers = shared.handlers.subscribe();
    while !stop.is_cancelled() {
        handlers.mark_unchanged();
        let next = looker.round().await;
        // Where a fallback leads elsewhere, whether that is back follows from what was read of the numbers.
        let event = async {
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = handlers.changed() => looker.due.retain(|of, _| !looker.leads.contains(of)),
            }
        };
        clock.wait(Some(next), event).await;
    }
}

/// Looks at every fallback once: for who acts at once and does not stay, and should not wait for thousands of numbers.
pub async fn once(shared: &Shared) {
    let mut looker = Looker::new(shared.clone(), CancellationToken::new(), MANY);
    looker.round().await;
    if looker.leads.is_empty() {
        return;
    }
    // Whether where it leads is back, the numbers say, which nobody else reads here.
    match shared.reader().read_all(&shared.roster, shared.clock.now()).await {
        Ok(all) => {
            all.numbers.iter().for_each(|n| shared.set_handlers(&n.record));
            looker.due.retain(|of, _| !looker.leads.contains(of));
            looker.round().await;
        }
        Err(error) => tracing::warn!(%error, "cannot tell whether a fallback leads back to a handler"),
    }
}

/// Asks a group's fallback for one of its numbers, with what the agent knows of them.
async fn ask_for(shared: &Shared, url: &str, channel: Channel, number: NumberIx) -> FallbackSeen {
    let group = shared.roster.number(number).group;
    let handler_of = |url: &str| shared.handler_of(group, channel, url);
    let by_get = shared.is_asked_by_get(number, channel);
    let handler_beside = |url: &str| shared.handler_beside(group, channel, url);
    let (client, roster) = (&shared.client, &shared.roster);
    let asking = Asking { client, roster, by_get, handler_of: &handler_of, handler_beside: &handler_beside };
    ask(&asking, url, channel, number).await
}

impl Looker {
    fn new(shared: Shared, stop: CancellationToken, most: usize) -> Looker {
        Looker { shared, stop, silent: HashMap::new(), due: HashMap::new(), leads: HashSet::new(), most }
    }

    /// Looks at every fallback whose time has come and reports to the control task. Gives when the next one's comes.
    async fn round(&mut self) -> Time {
        let clock = self.shared.clock.clone();
        let roster = self.shared.roster.clone();
        let mut groups: Vec<(GroupIx, &Group)> = roster.groups().collect();
        // Nobody waits for a large group longer than it takes.
        groups.sort_by_key(|(_, group)| group.numbers.len());
        for (ix, group) in groups {
            for channel in Channel::ALL {
                let Some(url) = group.fallback(channel) else { continue };
                if self.due.get(&(ix, channel)).is_some_and(|due| clock.now() < *due) || self.stop.is_cancelled() {
                    continue;
                }
                let has = |n: &&NumberIx| roster.number(**n).channels[channel.index()];
                let numbers: Vec<NumberIx> = group.numbers.iter().filter(has).copied().collect();
                let looks = self.look(url, ix, channel, &numbers).await;
                let is_silent = numbers.iter().any(|n| self.silent.contains_key(&(*n, channel)));
                self.due.insert((ix, channel), clock.now() + if is_silent { AGAIN } else { EVERY });
                if numbers.is_empty() || self.stop.is_cancelled() {
                    continue;
                }
                let looked = FallbackChecked { group: group.name.clone(), channel, url: url.to_owned(), looks };
                // The inbox closes only when the agent stops.
                let _ = clock.wait(None, self.shared.inbox.send(ControlMessage::Fallback(looked))).await;
            }
        }
        self.due.values().copied().min().unwrap_or(clock.now() + EVERY)
    }

    async fn look(
        &mut self,
        url: &str,
        group: GroupIx,
        channel: Channel,
        numbers: &[NumberIx],
    ) -> Vec<(NumberId, FallbackLook)> {
        let clock = self.shared.clock.clone();
        let mut seen: Vec<(NumberIx, FallbackSeen)> = Vec::new();
        let mut left = numbers;
        while !left.is_empty() && !self.stop.is_cancelled() {
            if let Some(same) = self.for_all_others(&seen) {
                seen.extend(left.iter().map(|n| (*n, same.clone())));
                break;
            }
            let began = clock.now();
            let (batch, others) = left.split_at(left.len().min(AT_ONCE));
            let mut asks = JoinSet::new();
            for (nth, number) in batch.iter().enumerate() {
                let (shared, url, number) = (self.shared.clone(), url.to_owned(), *number);
                clock.spawn(&mut asks, async move { (nth, ask_for(&shared, &url, channel, number).await) });
            }
            let mut answers = Vec::new();
            while let Some(Some(answer)) = clock.wait(None, asks.join_next()).await {
                // A task that panicked has no answer, and the process ends for it elsewhere.
                answers.extend(answer.ok());
            }
            answers.sort_by_key(|(nth, _)| *nth);
            seen.extend(answers.into_iter().map(|(nth, answer)| (batch[nth], answer)));
            left = others;
            if !left.is_empty() {
                clock.wait(Some(began + PACE), self.stop.cancelled()).await;
            }
        }
        if let Some(dials) = seen.iter().filter_map(|(_, s)| s.dials).reduce(|a, b| a || b) {
            self.shared.set_dials(group, channel, dials);
        }
        if seen.iter().any(|(_, s)| s.leads) {
            self.leads.insert((group, channel));
        } else {
            self.leads.remove(&(group, channel));
        }
        let roster = self.shared.roster.clone();
        // What a look says may quote what was answered.
        let told = |look| match look {
            FallbackLook::Told(state, why) => FallbackLook::Told(state, told(&why, &roster)),
            FallbackLook::Unanswered(why) => FallbackLook::Unanswered(told(&why, &roster)),
            FallbackLook::Unasked(why) => FallbackLook::Unasked(told(&why, &roster)),
        };
        seen.into_iter().map(|(n, s)| (roster.number(n).id, self.count(n, channel, told(s.look)))).collect()
    }

    /// What need not be asked for one number more, from what was seen so far.
    fn for_all_others(&self, seen: &[(NumberIx, FallbackSeen)]) -> Option<FallbackSeen> {
        let (_, first) = seen.first()?;
        let all = |is: fn(&FallbackLook) -> bool| seen.iter().all(|(_, s)| is(&s.look));
        // Nobody is there, or there is nobody to ask: each further one would cost the patience of Twilio.
        if all(|look| matches!(look, FallbackLook::Unanswered(_)))
            || all(|look| matches!(look, FallbackLook::Unasked(_)))
        {
            return Some(first.clone());
        }
        if seen.len() >= MANY && seen.iter().all(|(_, s)| s.by_bins_alone && s.answers == first.answers) {
            return Some(first.clone());
        }
        let look = FallbackLook::Unanswered("not asked for this number yet".to_owned());
        (seen.len() >= self.most).then(|| FallbackSeen {
            look,
            broken: None,
            answers: Vec::new(),
            by_bins_alone: false,
            dials: None,
            leads: false,
        })
    }

    /// Three times in a row without an answer is an answer.
    fn count(&mut self, number: NumberIx, channel: Channel, look: FallbackLook) -> FallbackLook {
        match look {
            FallbackLook::Unanswered(why) => {
                let times = self.silent.entry((number, channel)).or_default();
                *times = times.saturating_add(1);
                let why = format!("it does not answer: {why}");
                if *times >= SILENT {
                    FallbackLook::Told(FallbackState::Broken, why)
                } else {
                    FallbackLook::Unanswered(why)
                }
            }
            look @ (FallbackLook::Told(..) | FallbackLook::Unasked(_)) => {
                self.silent.remove(&(number, channel));
                look
            }
        }
    }
}
