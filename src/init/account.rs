//! What the account has: its numbers, who answers them, and what people call that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::core::model::decision::Mode;
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::foreign::Line;
use crate::core::model::id::{ApplicationSid, NumberSid, ServiceSid, TrunkSid};
use crate::core::model::roster::Roster;
use crate::core::routing::record::{Application, NumberRecord, Service};
use crate::metrics::Metrics;
use crate::twilio::host::Product;
use crate::twilio::wire::{BadRow, Named, WireRow};
use crate::twilio::{Client, ClientSettings, Error, HostError};

/// The account, as far as it could be read.
#[derive(Debug, Default)]
pub struct Inventory {
    /// With the applications and Messaging Services that they refer to.
    pub numbers: Vec<Named<NumberRecord>>,
    /// With how many of the account's numbers are in each.
    pub services: Vec<(Named<Service>, usize)>,
    pub applications: BTreeMap<ApplicationSid, Line>,
    pub trunks: BTreeMap<TrunkSid, Line>,
    /// What could not be read, for people.
    pub unread: Vec<Unread>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub what: Gap,
    /// What happened, and what it means here.
    pub text: String,
}

/// What a gap leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Numbers may be in the account that are not known here.
    Numbers,
    /// Who gets messages is not known for certain.
    Services,
    /// What an application or a trunk is, or is called.
    Names,
}

/// So many trunks are asked for their names, each with a request of its own.
const TRUNKS: usize = 50;

/// So many Messaging Services are asked for their numbers, each with requests of its own.
const SERVICES: usize = 500;

/// Reads it all. `progress` is told how far it has come, in words. Fails if not one number can be read; the error is
/// for people, with what to do about it.
pub async fn read(
    settings: ClientSettings,
    clock: &Clock,
    progress: &mut dyn FnMut(&str),
) -> Result<Inventory, String> {
    // Nobody is watched yet.
    let roster = Arc::new(Roster::default());
    let metrics = Metrics::new(&roster, Mode::Observe);
    let client = Client::new(settings, roster, CallerKey::public(), clock.clone(), metrics)
        .map_err(|e| format!("the HTTP client cannot be built: {e:#}"))?;
    let mut inventory = Inventory::default();
    inventory.read_numbers(&client, progress).await.map_err(|error| {
        let HostError { asked, cure, error } = client.at_host(Product::Api, error);
        format!("{asked}: {error}; {cure}")
    })?;
    inventory.read_services(&client, progress).await;
    inventory.read_applications(&client, progress).await;
    inventory.read_trunks(&client).await;
    Ok(inventory)
}

impl Inventory {
    /// True if what is not here is not in the account.
    pub fn is_whole(&self) -> bool {
        self.unread.iter().all(|u| u.what != Gap::Numbers)
    }

    fn miss(&mut self, what: Gap, text: String) {
        self.unread.push(Unread { what, text });
    }

    async fn read_numbers(&mut self, client: &Client, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let (mut bad, mut count) = (None::<BadRow>, 0);
        let mut pager = client.account_numbers();
        loop {
            match pager.next().await {
                Ok(Some(page)) => {
                    for row in page.rows {
                        match row {
                            Ok(WireRow::Ours(number)) => self.numbers.push(number),
                            Ok(WireRow::NotOurs(_)) => {}
                            Err(row) => {
                                count += 1;
                                bad.get_or_insert(row);
                            }
                        }
                    }
                    if self.numbers.len() >= LARGEST_PAGE {
                        progress(&format!("{} numbers so far", self.numbers.len()));
                    }
                }
                Ok(None) => break,
                Err(error) if self.numbers.is_empty() => return Err(error),
                Err(error) => {
                    let read = self.numbers.len();
                    self.miss(
                        Gap::Numbers,
                        format!(
                            "the list of numbers broke off after {read}, and there may be more in the account: {error}; \
                             {}",
                            error.cure()
                        ),
                    );
                    break;
                }
            }
        }
        if let Some(row) = bad {
            self.miss(Gap::Numbers, format!("{count} numbers of the list cannot be understood, the first: {row}"));
        }
        // Newest first as Twilio has them says nothing to a reader.
        self.numbers.sort_by_key(|n| n.it.number);
        self.numbers.dedup_by_key(|n| n.it.number);
        Ok(())
    }

    async fn read_services(&mut self, client: &Client, progress: &mut dyn FnMut(&str)) {
        const MEANS: &str = "a number that is in one has its messages answered by it, and that is not known here";
        let (services, bad) = match client.named_services().await {
            Ok(read) => read,
            Err(error) => {
                let text = format!("Messaging Services: {error}; {}; {MEANS}", error.cure());
                return self.miss(Gap::Services, text);
            }
        };
        if let Some(row) = bad.first() {
            self.miss(Gap::Services, format!("a Messaging Service cannot be understood: {row}; {MEANS}"));
        }
        if services.len() > SERVICES {
            let text = format!("{} Messaging Services, of which {SERVICES} were looked at; {MEANS}", services.len());
            self.miss(Gap::Services, text);
        }
        let mut of: HashMap<NumberSid, Service> = HashMap::new();
        let mut members: HashMap<ServiceSid, usize> = HashMap::new();
        for (i, service) in services.iter().take(SERVICES).enumerate() {
            if i > 0 && i % 25 == 0 {
                progress(&format!("{i} of {} Messaging Services", services.len()));
            }
            let (sid, name) = (service.it.sid, &service.name);
            match client.service_numbers(sid).await {
                Ok((numbers, bad)) => {
                    members.insert(sid, numbers.len());
                    of.extend(numbers.into_iter().map(|number| (number, service.it.clone())));
                    if let Some(row) = bad.first() {
                        let text = format!("a number of Messaging Service {sid} ({name}) cannot be understood: {row}");
                        self.miss(Gap::Services, text);
                    }
                }
                Err(error) => {
                    let text = format!("the numbers of Messaging Service {sid} ({name}): {error}; {}", error.cure());
                    self.miss(Gap::Services, text);
                }
            }
        }
        for number in &mut self.numbers {
            number.it.service = of.get(&number.it.sid).cloned();
        }
        self.services = services
            .into_iter()
            .map(|service| {
                let count = members.get(&service.it.sid).copied().unwrap_or(0);
                (service, count)
            })
            .collect();
    }

    async fn read_applications(&mut self, client: &Client, progress: &mut dyn FnMut(&str)) {
        let apps = |n: &Named<NumberRecord>| n.it.voice_application.is_some() || n.it.sms_application.is_some();
        if !self.numbers.iter().any(apps) {
            return;
        }
        progress("TwiML applications");
        let (applications, bad) = match client.applications().await {
            Ok(read) => read,
            Err(error) => {
                let text =
                    format!("TwiML applications: {error}; {}; who answers by one is told by its SID", error.cure());
                return self.miss(Gap::Names, text);
            }
        };
        if let Some(row) = bad.first() {
            self.miss(Gap::Names, format!("a TwiML application cannot be understood: {row}"));
        }
        let known: HashMap<ApplicationSid, Application> =
            applications.iter().map(|app| (app.it.sid, app.it.clone())).collect();
        let mut missing = BTreeSet::new();
        for number in &mut self.numbers {
            for app in [&mut number.it.voice_application, &mut number.it.sms_application].into_iter().flatten() {
                match known.get(&app.sid) {
                    Some(read) => app.clone_from(read),
                    None => {
                        missing.insert(app.sid);
                    }
                }
            }
        }
        // It may be another account's, or have been deleted under its numbers.
        for sid in missing.iter().take(10) {
            self.miss(Gap::Names, format!("numbers point at application {sid}, which is not in the account's list"));
        }
        self.applications = applications.into_iter().map(|app| (app.it.sid, app.name)).collect();
    }

    async fn read_trunks(&mut self, client: &Client) {
        let trunks: BTreeSet<TrunkSid> = self.numbers.iter().filter_map(|n| n.it.trunk).collect();
        for sid in trunks.into_iter().take(TRUNKS) {
            match client.trunk_name(sid).await {
                Ok(name) => {
                    self.trunks.insert(sid, name);
                }
                Err(error) => self.miss(Gap::Names, format!("trunk {sid}: {error}; {}", error.cure())),
            }
        }
    }
}
