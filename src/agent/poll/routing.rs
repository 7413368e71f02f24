//! Watching what our numbers point at.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{PollError, check_clock};
use crate::agent::execute::read::{AllRead, RoutingReader};
use crate::agent::{Batch, ControlMessage, Shared};
use crate::core::detect::observation::Observation;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::roster::NumberIx;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::routing::history::RoutingState;
use crate::core::routing::record::{Handler, NumberRecord};
use crate::core::routing::values::RoutingValues;
use crate::metrics::RowResult;
use crate::twilio::wire::NumberRead;

/// Between looks at the numbers: what they point at changes rarely, and matters within a minute.
const EVERY: Duration = Duration::from_secs(60);

/// Records are written down again after so long even if nothing has changed: entries are kept for days,
/// and what is kept must say what each number pointed at.
const WRITTEN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Whoever reads stored entries finds what the numbers pointed at when these begin this far back.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(25 * 3600);

/// Numbers that a line of the log names.
const NAMED: usize = 5;

/// Numbers whose region is asked for beside one look: enough to know those of 10,000 numbers anew each hour.
const REGIONS: usize = 250;

/// By state and channel, the numbers and what they point at.
type Unserved = BTreeMap<(RoutingState, Channel), BTreeMap<NumberIx, Handler>>;

/// Watches what our numbers point at.
pub struct RoutingPoller {
    shared: Shared,
    reader: RoutingReader,
    /// As last handed on, by number.
    known: HashMap<NumberIx, NumberRecord>,
    missing: Option<usize>,
    /// Why the list was not read to its end, last time.
    unread: Option<String>,
    /// Numbers whose callers nobody of ours serves, as last said.
    unserved: Unserved,
    /// When all records were last written down.
    written_at: Option<Time>,
}

impl RoutingPoller {
    pub fn new(shared: Shared) -> RoutingPoller {
        let reader = shared.reader();
        RoutingPoller {
            shared,
            reader,
            known: HashMap::new(),
            missing: None,
            unread: None,
            unserved: BTreeMap::new(),
            written_at: None,
        }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            let started = clock.now();
            match self.poll().await {
                Ok(()) => {
                    failures = 0;
                    self.learn_regions(&stop).await;
                }
                Err(error) => {
                    self.shared.metrics.poll_failed(Source::Numbers);
                    failures += 1;
                    if failures == 1 || failures.is_multiple_of(20) {
                        let cure = error.cure().to_owned();
                        tracing::error!(source = "numbers", failures, %error, cure, "cannot read our numbers");
                    }
                }
            }
            clock.wait(Some(started + EVERY), stop.cancelled()).await;
        }
    }

    /// Asks in which regions calls are processed before a rollback needs to know: then there is no time for one
    /// request a number.
    async fn learn_regions(&self, stop: &CancellationToken) {
        let Shared { client, roster, .. } = &self.shared;
        let is_asked = |ix: &&NumberIx| {
            let number = roster.number(**ix);
            number.channels[Channel::Voice.index()] && !client.knows_region(number.id.e164)
        };
        let mut asked: Vec<NumberIx> = self.known.keys().filter(is_asked).copied().collect();
        asked.sort_unstable();
        for ix in asked.into_iter().take(REGIONS) {
            if stop.is_cancelled() {
                return;
            }
            if let Err(error) = client.voice_elsewhere(roster.number(ix).id.e164).await {
                // An API key need not have this permission: asked for again with the next look.
                tracing::debug!(%error, "cannot tell which region processes a number's calls");
                return;
            }
        }
    }

    #[tracing::instrument(skip_all, fields(source = "numbers"))]
    pub async fn poll(&mut self) -> Result<(), PollError> {
        let started = self.shared.clock.now();
        let roster = self.shared.roster.clone();
        let AllRead { numbers, bad, unread, services_read } = self.reader.read_all(&roster, started).await?;
        check_clock(&self.shared.client)?;
        let metrics = self.shared.metrics.clone();
        metrics.rows(Source::Numbers, RowResult::Bad, bad);
        let account = self.shared.client.account();
        let mut seen = Vec::new();
        let mut looked = Vec::new();
        // A number can be listed twice when others come or go between two pages.
        let mut present = HashSet::new();
        let mut sids = HashMap::new();
        let mut unserved = Unserved::new();
        let is_due = self.written_at.is_none_or(|at| at + WRITTEN_EVERY <= started);
        for NumberRead { record, raw } in numbers {
            let id = NumberId::new(account, record.number);
            let Some(ix) = self.shared.roster.find(id) else {
                continue;
            };
            if !present.insert(ix) {
                continue;
            }
            match (RoutingValues::read(&raw, Channel::Voice), RoutingValues::read(&raw, Channel::Messaging)) {
                (Ok(voice), Ok(messaging)) => {
                    self.shared.set_method(ix, &voice);
                    self.shared.set_method(ix, &messaging);
                    looked.push((id, record.sid, [voice, messaging]));
                }
                (Err(bad), _) | (_, Err(bad)) => {
                    tracing::warn!(number = %self.shared.roster.name(id), %bad, "cannot tell whether somebody changed it");
                }
            }
            sids.insert(ix, record.sid);
            for channel in Channel::ALL.into_iter().filter(|c| self.shared.roster.number(ix).channels[c.index()]) {
                if let state
                @ (RoutingState::Nobody | RoutingState::Gone | RoutingState::Demo | RoutingState::Lacking) =
                    RoutingState::of(&record, channel)
                {
                    unserved.entry((state, channel)).or_default().insert(ix, record.handler(channel));
                }
            }
            let before = self.known.get(&ix);
            let result = match before {
                Some(known) if *known == record => RowResult::Known,
                Some(_) => RowResult::Changed,
                None => RowResult::New,
            };
            metrics.rows(Source::Numbers, result, 1);
            if result == RowResult::Known && !is_due {
                continue;
            }
            self.known.insert(ix, record.clone());
            seen.push((started, Observation::Number(Box::new(record))));
        }
        let is_whole = unread.is_none();
        let turn = self.shared.turn().await;
        let place = if is_whole {
            // A number that has left the account is forgotten, one that comes back may have another SID.
            self.shared.set_sids(sids);
            self.note_missing(self.shared.roster.len() - present.len());
            let place = self.shared.store.commit_poll(account, Source::Numbers, started, &seen).await?;
            metrics.polled(Source::Numbers, started);
            place
        } else {
            // What is there is used for what it says.
            let place = self.shared.store.commit_seen(account, &seen).await?;
            metrics.poll_failed(Source::Numbers);
            place
        };
        self.note_unread(present.len(), unread);
        self.note_unserved(unserved);
        if is_due {
            self.written_at = Some(started);
        }
        let polled = is_whole.then_some(Source::Numbers).into_iter().chain(services_read.then_some(Source::Services));
        let polled: Vec<Source> = polled.collect();
        if services_read {
            metrics.polled(Source::Services, started);
        }
        let place = Some(place);
        self.shared.hand_on(Batch { account, polled, polled_at: started, unclear: None, seen, place }).await;
        drop(turn);
        let message = ControlMessage::Routing { at: started, numbers: looked };
        // The inbox closes only when the agent stops.
        let _ = self.shared.clock.wait(None, self.shared.inbox.send(message)).await;
        Ok(())
    }

    /// Says that the list cannot be read to its end, or can again, when that changes.
    fn note_unread(&mut self, read: usize, unread: Option<String>) {
        if self.unread == unread {
            return;
        }
        let of = self.shared.roster.len();
        match &unread {
            Some(why) => tracing::error!(
                source = "numbers",
                read,
                of,
                why,
                "the list of our numbers cannot be read to its end: of those that are not read nothing can be said"
            ),
            None => tracing::info!(source = "numbers", read, of, "the list of our numbers is read to its end again"),
        }
        self.unread = unread;
    }

    /// Says whose callers nobody of ours would serve, at the start and when it changes.
    fn note_unserved(&mut self, unserved: Unserved) {
        for ((state, channel), numbers) in &unserved {
            if self.unserved.get(&(*state, *channel)) == Some(numbers) {
                continue;
            }
            let roster = &self.shared.roster;
            let name = |(ix, handler): (&NumberIx, &Handler)| match state {
                RoutingState::Gone => format!("{} ({handler})", roster.name_of(*ix)),
                RoutingState::Handled
                | RoutingState::NotInAccount
                | RoutingState::Unread
                | RoutingState::Nobody
                | RoutingState::Demo
                | RoutingState::Lacking => roster.name_of(*ix).to_string(),
            };
            let named: Vec<String> = numbers.iter().take(NAMED).map(name).collect();
            tracing::error!(
                %channel, numbers = numbers.len(), named = named.join(", "),
                "{}", state.trouble().unwrap_or_default()
            );
        }
        self.unserved = unserved;
    }

    /// Says how many of our numbers are not in the account, when that changes.
    fn note_missing(&mut self, missing: usize) {
        if self.missing.replace(missing) == Some(missing) {
            return;
        }
        self.shared.metrics.numbers_missing.set(missing as i64);
        let all = self.shared.roster.len();
        if missing == all {
            tracing::error!(
                missing,
                "none of our numbers is in this account: check the account SID, unless none has been ported yet"
            );
        } else if missing > 0 {
            tracing::warn!(missing, of = all, "some of our numbers are not in this account, or not yet");
        } else {
            tracing::info!(numbers = all, "all our numbers are in this account");
        }
    }
}
