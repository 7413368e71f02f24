//! Watching what our numbers point at.

use std::collections::{HashMap, HashSet};
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
use crate::core::routing::record::NumberRecord;
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

/// Numbers whose region is asked for beside one look: enough to know those of 10,000 numbers anew each hour.
const REGIONS: usize = 250;

/// Watches what our numbers point at.
pub struct RoutingPoller {
    shared: Shared,
    reader: RoutingReader,
    /// As last handed on, by number.
    known: HashMap<NumberIx, NumberRecord>,
    missing: Option<usize>,
    /// When all records were last written down.
    written_at: Option<Time>,
}

impl RoutingPoller {
    pub fn new(shared: Shared) -> RoutingPoller {
        let reader = shared.reader();
        RoutingPoller { shared, reader, known: HashMap::new(), missing: None, written_at: None }
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
        let AllRead { numbers, incomplete, bad } = self.reader.read_all(started).await?;
        check_clock(&self.shared.client)?;
        let metrics = self.shared.metrics.clone();
        metrics.rows(Source::Numbers, RowResult::Bad, bad);
        let account = self.shared.client.account();
        let mut seen = Vec::new();
        let mut looked = Vec::new();
        // A number can be listed twice when others come or go between two pages.
        let mut present = HashSet::new();
        let mut sids = HashMap::new();
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
            if incomplete.contains_key(&id) {
                // Without the URLs of its application it would look like another number.
                continue;
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
        if bad == 0 {
            // A number that has left the account is forgotten, one that comes back may have another SID.
            self.shared.set_sids(sids);
        }
        self.note_missing(self.shared.roster.len() - present.len());
        self.shared.store.commit_poll(account, Source::Numbers, started, &seen).await?;
        if is_due {
            self.written_at = Some(started);
        }
        metrics.polled(Source::Numbers, started);
        self.shared.hand_on(Batch { account, source: Source::Numbers, polled_at: started, seen }).await;
        let message = ControlMessage::Routing { at: started, numbers: looked };
        // The inbox closes only when the agent stops.
        let _ = self.shared.clock.wait(None, self.shared.inbox.send(message)).await;
        Ok(())
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
