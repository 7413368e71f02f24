//! Reading who answers our numbers: records, applications and Messaging Services put together.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::poll::{PollError, check_clock};
use super::{Batch, ControlMessage, Shared};
use crate::clock::Clock;
use crate::core::detect::observation::Observation;
use crate::core::model::id::{ApplicationSid, Channel, NumberSid};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::routing::record::{Application, NumberRecord, Service};
use crate::core::routing::values::RoutingValues;
use crate::metrics::RowResult;
use crate::twilio::wire::{NumberRead, WireRow};
use crate::twilio::{Client, Error, ErrorKind, LARGEST_PAGE};

/// Between looks at the numbers: what they point at changes rarely, and matters within a minute.
const EVERY: Duration = Duration::from_secs(60);

/// Between looks at the Messaging Services, each of which costs a request.
const SERVICES_EVERY: Duration = Duration::from_secs(300);

/// Records are written down again after so long even if nothing has changed: entries are kept for days,
/// and what is kept must say what each number pointed at.
const WRITTEN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Whoever reads stored entries finds what the numbers pointed at when these begin this far back.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(25 * 3600);

/// Up to so many numbers are read one by one; more are read as a list, 1,000 in a request.
const ONE_BY_ONE: usize = 10;

/// Numbers whose region is asked for beside one look: enough to know those of 10,000 numbers anew each hour.
const REGIONS: usize = 250;

/// Puts numbers together with what they refer to.
pub struct RoutingReader {
    client: Client,
    needs_services: bool,
    applications: HashMap<ApplicationSid, Application>,
    services: HashMap<NumberSid, Service>,
    services_at: Option<Time>,
}

impl RoutingReader {
    pub fn new(client: Client, roster: &Roster) -> RoutingReader {
        let needs_services = roster.numbers().any(|(_, n)| n.channels[Channel::Messaging.index()]);
        RoutingReader {
            client,
            needs_services,
            applications: HashMap::new(),
            services: HashMap::new(),
            services_at: None,
        }
    }

    /// Every number of the roster that is in the account, and the count of rows that could not be read.
    pub async fn read_all(&mut self, now: Time) -> Result<(Vec<NumberRead>, usize), Error> {
        let (numbers, bad) = self.client.numbers(LARGEST_PAGE).all().await?;
        for row in bad.iter().take(3) {
            tracing::warn!(source = "numbers", problem = %row, raw = row.raw, "a row cannot be understood");
        }
        if self.services_at.is_none_or(|at| at + SERVICES_EVERY <= now) {
            self.read_services().await?;
            self.services_at = Some(now);
        }
        self.applications.clear();
        Ok((self.complete(numbers).await?, bad.len()))
    }

    /// These numbers as they are now, nothing taken from memory.
    pub async fn read(&mut self, sids: &[NumberSid], channel: Channel) -> Result<Vec<NumberRead>, Error> {
        let mut numbers = Vec::with_capacity(sids.len());
        if sids.len() <= ONE_BY_ONE {
            for sid in sids {
                numbers.push(self.client.number(*sid).await?);
            }
        } else {
            let mut pager = self.client.numbers(LARGEST_PAGE);
            while let Some(page) = pager.next().await? {
                for row in page.rows {
                    if let Ok(WireRow::Ours(read)) = row
                        && sids.contains(&read.record.sid)
                    {
                        numbers.push(read);
                    }
                }
            }
        }
        if channel == Channel::Messaging {
            self.read_services().await?;
        }
        self.applications.clear();
        self.complete(numbers).await
    }

    /// Adds in which region the calls of these numbers are processed. Where that cannot be read it is
    /// taken for ours, and said: an API key need not have this permission.
    pub async fn add_regions(&mut self, clock: &Clock, numbers: &mut [NumberRead]) {
        let mut regions = HashMap::new();
        let mut tasks = JoinSet::new();
        for number in numbers.iter().map(|n| n.record.number) {
            let client = self.client.clone();
            clock.spawn(&mut tasks, async move { (number, client.voice_elsewhere(number).await) });
        }
        while let Some(Some(joined)) = clock.wait(None, tasks.join_next()).await {
            match joined {
                Ok((number, Ok(region))) => {
                    regions.insert(number, region);
                }
                Ok((number, Err(error))) => {
                    tracing::warn!(%number, %error, "cannot tell which region processes its calls");
                }
                Err(_) => {}
            }
        }
        for n in numbers {
            n.record.voice_elsewhere = regions.remove(&n.record.number).flatten();
        }
    }

    async fn read_services(&mut self) -> Result<(), Error> {
        if !self.needs_services {
            return Ok(());
        }
        let mut services = HashMap::new();
        for service in self.client.services().await? {
            for number in self.client.service_numbers(service.sid).await? {
                services.insert(number, service.clone());
            }
        }
        self.services = services;
        Ok(())
    }

    async fn complete(&mut self, mut numbers: Vec<NumberRead>) -> Result<Vec<NumberRead>, Error> {
        for n in &mut numbers {
            let record = &mut n.record;
            for app in [&mut record.voice_application, &mut record.sms_application].into_iter().flatten() {
                if let Some(known) = self.applications.get(&app.sid) {
                    *app = known.clone();
                } else {
                    match self.client.application(app.sid).await {
                        Ok(read) => *app = read,
                        // Deleted under the number, or another account's: that is this number's trouble
                        // alone, and without URLs it is known as far as it can be.
                        Err(e) if matches!(e.kind, ErrorKind::NotFound | ErrorKind::Permission) => {
                            tracing::warn!(number = %record.number, application = %app.sid, error = %e,
                                "a number's application cannot be read");
                        }
                        Err(e) => return Err(e),
                    }
                    self.applications.insert(app.sid, app.clone());
                }
            }
            record.service = self.services.get(&record.sid).cloned();
        }
        Ok(numbers)
    }
}

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
        let reader = RoutingReader::new(shared.client.clone(), &shared.roster);
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
            number.channels[Channel::Voice.index()] && !client.knows_region(number.e164)
        };
        let mut asked: Vec<NumberIx> = self.known.keys().filter(is_asked).copied().collect();
        asked.sort_unstable();
        for ix in asked.into_iter().take(REGIONS) {
            if stop.is_cancelled() {
                return;
            }
            if let Err(error) = client.voice_elsewhere(roster.number(ix).e164).await {
                // An API key need not have this permission: asked for again with the next look.
                tracing::debug!(%error, "cannot tell which region processes a number's calls");
                return;
            }
        }
    }

    #[tracing::instrument(skip_all, fields(source = "numbers"))]
    pub async fn poll(&mut self) -> Result<(), PollError> {
        let started = self.shared.clock.now();
        let (numbers, bad) = self.reader.read_all(started).await?;
        check_clock(&self.shared.client)?;
        let metrics = self.shared.metrics.clone();
        metrics.rows(Source::Numbers, RowResult::Bad, bad);
        let mut seen = Vec::new();
        let mut looked = Vec::new();
        // A number can be listed twice when others come or go between two pages.
        let mut present = HashSet::new();
        let is_due = self.written_at.is_none_or(|at| at + WRITTEN_EVERY <= started);
        for NumberRead { record, raw } in numbers {
            let Some(ix) = self.shared.roster.find(record.number) else {
                continue;
            };
            if !present.insert(ix) {
                continue;
            }
            match (RoutingValues::read(&raw, Channel::Voice), RoutingValues::read(&raw, Channel::Messaging)) {
                (Ok(voice), Ok(messaging)) => looked.push((record.number, record.sid, [voice, messaging])),
                (Err(bad), _) | (_, Err(bad)) => {
                    tracing::warn!(number = %record.number, %bad, "cannot tell whether somebody changed it");
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
        self.note_missing(self.shared.roster.len() - present.len());
        self.shared.store.commit_poll(Source::Numbers, started, &seen).await?;
        if is_due {
            self.written_at = Some(started);
        }
        metrics.polled(Source::Numbers, started);
        self.shared.hand_on(Batch { source: Source::Numbers, polled_at: started, seen }).await;
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
