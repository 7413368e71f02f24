//! Watching what our numbers point at.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{PollError, check_clock};
use crate::agent::execute::read::{AllRead, RoutingReader};
use crate::agent::{Batch, ControlMessage, Shared};
use crate::core::detect::observation::Observation;
use crate::core::model::id::{Channel, E164, NumberId};
use crate::core::model::roster::NumberIx;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::routing::history::RoutingState;
use crate::core::routing::record::{Elsewhere, Handler, NumberRecord};
use crate::core::routing::values::RoutingValues;
use crate::metrics::RowResult;
use crate::twilio::ErrorKind;
use crate::twilio::wire::NumberRead;

/// Between looks at the numbers: what they point at changes rarely, and matters within a minute.
const EVERY: Duration = Duration::from_secs(60);

/// Records are written down again after so long even if nothing has changed: entries are kept for days,
/// and what is kept must say what each number pointed at.
const WRITTEN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// A number that no list has had for so long is not in the account: one list may shift while it is read, and so may one
/// that is read a second later.
const ABSENT_FOR: Duration = EVERY;

/// Whoever reads stored entries finds what the numbers pointed at when these begin this far back.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(25 * 3600);

/// Numbers that a line of the log names.
const NAMED: usize = 5;

/// Numbers whose region is asked for beside one look, one after the other: those of 10,000 numbers within the hour, and
/// of 250 within the first minute.
const REGIONS: usize = 250;

/// So many numbers one after the other of which it cannot be told: the rest is asked with the next look.
const REGIONS_FAILED: u32 = 3;

/// By state and channel, the numbers and what they point at.
type Unserved = BTreeMap<(RoutingState, Channel), BTreeMap<NumberIx, Handler>>;

/// Regions are asked for again no sooner, for a change takes five minutes; at 250 numbers that is 25 requests a minute.
/// With more of them it takes longer, up to [`REGION_LATEST`].
const REGION_AGAIN: Duration = Duration::from_secs(600);
const REGION_LATEST: Duration = Duration::from_secs(3600);

/// A number that another region has may be on its way here.
const ELSEWHERE_AGAIN: Duration = Duration::from_secs(300);

/// Which regions process a number, as last asked.
struct RegionRead {
    at: Time,
    /// When it is to be asked for again.
    due: Time,
    elsewhere: Elsewhere,
}

/// What is known of a number that the list, read to its end, does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    /// Since this list, and not for long enough to be told.
    Since(Time),
    /// It is in the store that the number has left.
    Told,
}

/// Watches what our numbers point at.
pub struct RoutingPoller {
    shared: Shared,
    reader: RoutingReader,
    /// As last handed on, by number.
    known: HashMap<NumberIx, NumberRecord>,
    /// Regions that were asked for.
    regions: HashMap<NumberIx, RegionRead>,
    /// It was said that regions cannot be asked for.
    has_said_regions: bool,
    missing: Option<usize>,
    absent: HashMap<NumberIx, Absence>,
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
            regions: HashMap::new(),
            has_said_regions: false,
            missing: None,
            absent: HashMap::new(),
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
                    // What another region has is said at once, and not with the next look.
                    if self.learn_regions(&stop).await
                        && let Err(error) = self.poll().await
                    {
                        tracing::debug!(%error, "our numbers are read again a little later");
                    }
                }
                Err(error) => {
                    self.shared.metrics.poll_failed(Source::Numbers);
                    error.publish(&self.shared, Source::Numbers).await;
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

    /// Asks in which regions numbers are processed, those longest not asked for first: of what another region has
    /// nothing is seen here, and a rollback has no time for one request a number. True if one is another
    /// than it was.
    async fn learn_regions(&mut self, stop: &CancellationToken) -> bool {
        let Shared { client, roster, clock, .. } = self.shared.clone();
        let now = clock.now();
        let count = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let again = (REGION_AGAIN / REGIONS as u32).saturating_mul(count).clamp(REGION_AGAIN, REGION_LATEST);
        let is_due = |ix: &NumberIx| self.regions.get(ix).is_none_or(|read| read.due <= now);
        let mut due: Vec<NumberIx> = self.known.keys().copied().filter(is_due).collect();
        due.sort_unstable_by_key(|ix| (self.regions.get(ix).map(|read| read.at), *ix));
        let mut is_news = false;
        let mut failed = 0;
        for ix in due.into_iter().take(REGIONS) {
            if stop.is_cancelled() || failed == REGIONS_FAILED {
                break;
            }
            let answer = client.elsewhere_now(roster.number(ix).id.e164).await;
            let before = self.regions.remove(&ix).map(|read| read.elsewhere).unwrap_or_default();
            let (elsewhere, after) = match answer {
                Ok(elsewhere) => {
                    failed = 0;
                    is_news |= before != elsewhere;
                    let after = if elsewhere.iter().any(Option::is_some) { ELSEWHERE_AGAIN } else { again };
                    (elsewhere, after)
                }
                Err(error) => {
                    // It is asked for again soon, behind the others: its trouble is not theirs. An API key need not
                    // have this permission: then they are taken for ours.
                    if !std::mem::replace(&mut self.has_said_regions, true) {
                        tracing::warn!(
                            %error,
                            "cannot tell which region processes a number: nothing of another is seen here"
                        );
                    }
                    // A route that does not say it is no trouble of Twilio's, and says it no sooner than others.
                    let is_trouble = error.kind != ErrorKind::NotFound;
                    failed += u32::from(is_trouble);
                    (before, if is_trouble { EVERY } else { again })
                }
            };
            let at = clock.now();
            self.regions.insert(ix, RegionRead { at, due: at + after, elsewhere });
        }
        is_news
    }

    #[tracing::instrument(skip_all, fields(source = "numbers"))]
    pub async fn poll(&mut self) -> Result<(), PollError> {
        let started = self.shared.clock.now();
        let roster = self.shared.roster.clone();
        let AllRead { numbers, bad, unread, services_read } = self.reader.read_all(&roster, started).await?;
        check_clock(&self.shared.clock, &self.shared.client)?;
        let metrics = self.shared.metrics.clone();
        metrics.rows(Source::Numbers, RowResult::Bad, bad);
        let account = self.shared.client.account();
        let mut seen = Vec::new();
        let mut looked = Vec::new();
        // A number can be listed twice when others come or go between two pages.
        let mut present = HashSet::new();
        let mut sids = HashMap::new();
        let mut unserved = Unserved::new();
        let mut records = Vec::new();
        let is_due = self.written_at.is_none_or(|at| at + WRITTEN_EVERY <= started);
        for NumberRead { mut record, raw } in numbers {
            let id = NumberId::new(account, record.number);
            let Some(ix) = self.shared.roster.find(id) else {
                continue;
            };
            if !present.insert(ix) {
                continue;
            }
            match (
                RoutingValues::read(raw.whole(), Channel::Voice),
                RoutingValues::read(raw.whole(), Channel::Messaging),
            ) {
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
            record.elsewhere = self.regions.get(&ix).map(|read| read.elsewhere.clone()).unwrap_or_default();
            self.shared.set_handlers(&record);
            for channel in Channel::ALL.into_iter().filter(|c| self.shared.roster.number(ix).channels[c.index()]) {
                if let state @ (RoutingState::Nobody
                | RoutingState::Gone
                | RoutingState::Demo
                | RoutingState::Lacking
                | RoutingState::Fax
                | RoutingState::Elsewhere) = RoutingState::of(&record, channel)
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
            // Whoever changes a number may move its calls as well.
            if let (RowResult::Changed, Some(read)) = (result, self.regions.get_mut(&ix)) {
                read.due = Time::EPOCH;
            }
            if result == RowResult::Known && !is_due {
                continue;
            }
            records.push((ix, record.clone()));
            seen.push((started, Observation::Number(Box::new(record))));
        }
        let is_whole = unread.is_none();
        let turn = self.shared.turn().await;
        let place = if is_whole {
            // A number that has left the account is forgotten, one that comes back may have another SID.
            self.shared.set_sids(sids);
            self.note_missing(self.shared.roster.len() - present.len());
            let absent = self.absent_for_long(&present, started);
            seen.extend(absent.iter().map(|(_, number)| (started, Observation::Absent { number: *number })));
            let place = self.shared.store.commit_poll(account, Source::Numbers, started, &seen).await?;
            for (ix, _) in absent {
                self.absent.insert(ix, Absence::Told);
                self.known.remove(&ix);
            }
            metrics.polled(Source::Numbers, started);
            place
        } else {
            // What is there is used for what it says.
            let place = self.shared.store.commit_seen(account, &seen).await?;
            metrics.poll_failed(Source::Numbers);
            place
        };
        // Only now: what the store did not take is told again with the next look.
        self.known.extend(records);
        if let Some(why) = &unread {
            self.shared.read_failed(Source::Numbers, why, "the agent's log says more", None).await;
        }
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
        self.shared
            .hand_on(Batch {
                before: Vec::new(),
                account,
                source: Source::Numbers,
                polled,
                polled_at: started,
                unclear: None,
                seen,
                place,
                room: None,
            })
            .await;
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
                | RoutingState::Lacking
                | RoutingState::Fax
                | RoutingState::Elsewhere => roster.name_of(*ix).to_string(),
            };
            let named: Vec<String> = numbers.iter().take(NAMED).map(name).collect();
            tracing::error!(
                %channel, numbers = numbers.len(), named = named.join(", "),
                "{}", state.trouble().unwrap_or_default()
            );
        }
        self.unserved = unserved;
    }

    /// Numbers that no list has had for [`ABSENT_FOR`] and of which that is not in the store yet.
    fn absent_for_long(&mut self, present: &HashSet<NumberIx>, now: Time) -> Vec<(NumberIx, E164)> {
        self.absent.retain(|ix, _| !present.contains(ix));
        let roster = self.shared.roster.clone();
        let missing = roster.numbers().filter(|(ix, _)| !present.contains(ix));
        let is_due = |ix: NumberIx, absent: &mut HashMap<NumberIx, Absence>| {
            match absent.entry(ix).or_insert(Absence::Since(now)) {
                Absence::Since(since) => {
                    // A clock that was set back must not keep it quiet.
                    *since = (*since).min(now);
                    *since + ABSENT_FOR <= now
                }
                Absence::Told => false,
            }
        };
        missing.filter(|(ix, _)| is_due(*ix, &mut self.absent)).map(|(ix, number)| (ix, number.id.e164)).collect()
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
