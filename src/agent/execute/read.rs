//! Reading who answers our numbers: records, applications and Messaging Services put together.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::core::model::id::{ApplicationSid, Channel, E164, NumberSid};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::routing::record::{Application, Service};
use crate::twilio::wire::{NumberRead, WireRow};
use crate::twilio::{Client, Error, ErrorKind, LARGEST_PAGE};

/// Between looks at the Messaging Services, each of which costs a request.
const SERVICES_EVERY: Duration = Duration::from_secs(300);

/// Up to so many numbers are read one by one; more are read as a list, 1,000 in a request.
const ONE_BY_ONE: usize = 10;

/// The region that processes a number's calls is asked for again after this.
const REGION_FOR: Duration = Duration::from_secs(3600);

/// Puts numbers together with what they refer to.
pub struct RoutingReader {
    client: Client,
    needs_services: bool,
    applications: HashMap<ApplicationSid, Application>,
    services: HashMap<NumberSid, Service>,
    services_at: Option<Time>,
    /// The region, if another than ours, that processes a number's calls, and when that was read.
    regions: HashMap<E164, (Time, Option<String>)>,
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
            regions: HashMap::new(),
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
        let now = clock.now();
        self.regions.retain(|_, (at, _)| *at + REGION_FOR > now);
        let mut tasks = JoinSet::new();
        for number in numbers.iter().map(|n| n.record.number).filter(|n| !self.regions.contains_key(n)) {
            let client = self.client.clone();
            clock.spawn(&mut tasks, async move { (number, client.voice_elsewhere(number).await) });
        }
        while let Some(Some(joined)) = clock.wait(None, tasks.join_next()).await {
            match joined {
                Ok((number, Ok(region))) => {
                    self.regions.insert(number, (now, region));
                }
                Ok((number, Err(error))) => {
                    tracing::warn!(%number, %error, "cannot tell which region processes its calls");
                }
                Err(_) => {}
            }
        }
        for n in numbers {
            n.record.voice_elsewhere = self.regions.get(&n.record.number).and_then(|(_, region)| region.clone());
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
