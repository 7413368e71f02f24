//! The client: the few endpoints of Twilio's API that Ringback uses, spoken carefully.
//!
//! Written here rather than taken from a crate: none of the published ones has the alert log and a
//! configurable address on a current HTTP stack, and we need some ten endpoints.
//!
//! * [`host`]: where requests go; one `base_url` can stand for all hosts.
//! * [`credentials`]: Auth Token or API key.
//! * [`limit`]: how many requests at once, found by trying.
//! * [`mod@pager`]: lists, page by page.
//! * [`gate`]: when a write begins, and until when it can be stopped.
//! * [`request`]: one request with its timeout, and retries where they are safe.
//! * [`identity`]: whether an answer is of what was asked;
//! * [`wire`]: Twilio's JSON and what it becomes.
//! * [`webhook`]: asking for TwiML as Twilio does;
//! * [`porting`]: port requests, and what could be ported;
//! * [`probe`]: test calls and messages: made, followed by their SIDs, ended;
//! * `inventory`: all that the account has, for the first configuration;
//! * [`region`]: in which region a number's calls are processed;
//! * [`recording`]: what a test call sounded like, and its deletion;
//! * [`membership`]: which Messaging Service a number is in;
//! * [`standing`]: how the account stands: its credit, registrations and rules;
//! * [`error`]: what can go wrong, by what to do about it.
//!
//! Promises: credentials go to the configured hosts and nowhere else; redirects are not followed, but for
//! a recording's file, and without credentials.
//! Reads are repeated on network trouble, 429 and 5xx; number updates only where they were surely not
//! processed. There is no way in this module to release a number (law 12), nor to name the account's other
//! resources; all that can be deleted is a test call's recording, and a number's place in a Messaging Service.

pub mod credentials;
pub mod error;
pub mod gate;
pub mod host;
mod hosted;
pub mod identity;
mod inventory;
pub mod limit;
pub mod membership;
mod pager;
pub mod porting;
pub mod probe;
pub mod raw;
pub mod recording;
mod region;
mod request;
mod silence;
pub mod standing;
mod their_clock;
pub mod webhook;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::core::detect::observation::{Alert, Call, Message};
use crate::core::model::facts::{HOME_REGION, LARGEST_SERVICE_PAGE};
use crate::core::model::foreign::Line;
use crate::core::model::id::{AccountSid, ApplicationSid, CallSid, Channel, E164, NumberSid, ServiceSid, TrunkSid};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::model::value::FieldValue;
use crate::core::profile::Profile;
use crate::core::routing::record::{Application, Elsewhere, Service};
use crate::metrics::Metrics;

use credentials::Credentials;
pub use error::{Error, ErrorKind, HostError};
use gate::Gate;
use host::{Hosts, Product};
use identity::ExpectedIdentity;
use limit::{Limit, Precedence};
pub use pager::{Pager, not_to_be_followed};
use region::HomeRegions;
use request::Transport;
pub use request::UnansweredWrite;
pub use request::is_loopback;
pub use silence::SilenceListener;
use wire::{BadRow, NumberRead, NumberSids, Reader, WireRow};

/// What a client is told once.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub credentials: Credentials,
    pub hosts: Hosts,
    /// For one attempt, from the first byte sent to the last received.
    pub timeout: Duration,
    /// Requests at the same time, at the most.
    pub max_in_flight: usize,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// Who is told that there is no answer yet.
    pub silence: SilenceListener,
}

/// Twilio's API, for one account. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    precedence: Precedence,
    regions: Arc<HomeRegions>,
    roster: Arc<Roster>,
    key: CallerKey,
    sids: Arc<NumberSids>,
    history: Option<Arc<Profile>>,
}

/// The endpoints, as they are called in logs and metrics.
pub mod endpoint {
    pub const LIST_CALLS: &str = "list_calls";
    pub const FETCH_CALL: &str = "fetch_call";
    pub const LIST_MESSAGES: &str = "list_messages";
    pub const LIST_ALERTS: &str = "list_alerts";
    pub const LIST_NUMBERS: &str = "list_numbers";
    pub const FETCH_NUMBER: &str = "fetch_number";
    pub const UPDATE_NUMBER: &str = "update_number";
    pub const FETCH_REGION: &str = "fetch_region";
    pub const LIST_APPLICATIONS: &str = "list_applications";
    pub const FETCH_APPLICATION: &str = "fetch_application";
    pub const FETCH_TRUNK: &str = "fetch_trunk";
    pub const LIST_EVENTS: &str = "list_events";
    pub const LIST_SERVICES: &str = "list_services";
    pub const LIST_SERVICE_NUMBERS: &str = "list_service_numbers";
    pub const FETCH_SERVICE_NUMBER: &str = "fetch_service_number";
    pub const JOIN_SERVICE: &str = "join_service";
    pub const LEAVE_SERVICE: &str = "leave_service";
    pub const FETCH_MAKER: &str = "fetch_maker";
    pub const LIST_RECORDINGS: &str = "list_recordings";
    pub const FETCH_RECORDING: &str = "fetch_recording";
    pub const LIST_PORT_REQUESTS: &str = "list_port_requests";
    pub const FETCH_PORT_REQUEST: &str = "fetch_port_request";
    pub const FETCH_PORT_NUMBER: &str = "fetch_port_number";
    pub const LIST_HOSTED_ORDERS: &str = "list_hosted_orders";
    pub const FETCH_PORTABILITY: &str = "fetch_portability";
    pub const FETCH_ACCOUNT: &str = "fetch_account";
    pub const DELETE_RECORDING: &str = "delete_recording";
    pub const FETCH_BALANCE: &str = "fetch_balance";
    pub const FETCH_BRAND: &str = "fetch_brand";
    pub const FETCH_BUNDLE: &str = "fetch_bundle";
    pub const LIST_ORIGINATIONS: &str = "list_originations";
    pub const LIST_CAMPAIGNS: &str = "list_campaigns";
    pub const LIST_TOLL_FREE: &str = "list_toll_free";
    pub const LIST_DIALING_PERMISSIONS: &str = "list_dialing_permissions";
    pub const LIST_WEBHOOK_RULES: &str = "list_webhook_rules";
}

/// An update as Twilio must have it.
fn whole(form: &[(String, FieldValue)]) -> Vec<(&str, String)> {
    form.iter().map(|(name, value)| (name.as_str(), value.whole().to_owned())).collect()
}

/// Which alerts to list. Warnings matter: a failed `<Dial>` is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertLevel {
    Error,
    Warning,
}

impl Client {
    pub fn new(
        settings: ClientSettings,
        roster: Arc<Roster>,
        key: CallerKey,
        clock: Clock,
        metrics: Metrics,
    ) -> anyhow::Result<Client> {
        let limit = Limit::new(clock.clone(), settings.max_in_flight);
        let transport = Arc::new(Transport::new(settings, roster.clone(), limit, clock, metrics)?);
        Ok(Client {
            transport,
            precedence: Precedence::Other,
            regions: Arc::default(),
            roster,
            key,
            sids: Arc::default(),
            history: None,
        })
    }

    /// Tells callers' carriers by this profile.
    #[must_use]
    pub fn with_history(self, history: Option<Arc<Profile>>) -> Client {
        Client { history, ..self }
    }

    /// True if it tells callers' carriers.
    pub const fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// The same, whose requests go before those of all others: for a rollback's writes and its read-back.
    pub fn first(&self) -> Client {
        Client { precedence: Precedence::Write, ..self.clone() }
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            roster: &self.roster,
            account: self.account(),
            key: &self.key,
            sids: &self.sids,
            carriers: self.history.as_deref().map(|h| &h.prefixes),
        }
    }

    /// The installation's.
    pub const fn key(&self) -> &CallerKey {
        &self.key
    }

    /// Whose numbers and logs it reads.
    pub fn account(&self) -> AccountSid {
        self.transport.account()
    }

    /// What an answer must be of, to begin with: this account.
    fn asked(&self) -> ExpectedIdentity {
        ExpectedIdentity::of(self.account())
    }

    fn account_path(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", self.account())
    }

    fn pager<L>(&self, endpoint: &'static str, product: Product, path: String) -> Pager<'_, L> {
        Pager::new(self, endpoint, product, path)
    }

    /// What Twilio's clock showed at `ours`, as far as is known.
    pub fn their_time(&self, ours: Time) -> Time {
        Time::from_millis(ours.as_millis().saturating_add(self.clock_skew_ms().unwrap_or(0)))
    }

    /// Twilio's clock minus ours, as told by the `Date` of its answers; `None` before the first.
    pub fn clock_skew_ms(&self) -> Option<i64> {
        self.transport.clock_skew_ms()
    }

    pub fn limit(&self) -> &Limit {
        self.transport.limit()
    }

    /// What went wrong at `product`'s host, whose host that is, and what an operator should do.
    pub fn at_host(&self, product: Product, error: Error) -> HostError {
        let (settings, ..) = self.transport.parts();
        HostError { asked: settings.hosts.place(product), cure: settings.hosts.cure(product, &error), error }
    }

    /// Calls started at or after `since`, as far as Twilio filters to the second; it may well send
    /// the whole day, or nothing before midnight UTC, so callers page until they are far enough back.
    pub fn calls(&self, since: Time, page_size: usize) -> Pager<'_, wire::Calls> {
        // The parameter's name ends in `>`: on the wire `StartTime%3E=…`.
        let query = query(&[("StartTime>", &day(since)), ("PageSize", &page_size.to_string())]);
        self.pager(endpoint::LIST_CALLS, Product::Api, self.account_path(&format!("Calls.json?{query}")))
    }

    /// One call leg as it stands now, if it can be understood.
    pub async fn call(&self, sid: CallSid) -> Result<Result<WireRow<Call>, BadRow>, Error> {
        let path = self.account_path(&format!("Calls/{sid}.json"));
        let read = self.asked().sid(sid).one(|body| {
            let raw: &RawValue = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            Ok(wire::row::<wire::Calls>(raw, self.reader()))
        });
        self.transport.read(self.precedence, endpoint::FETCH_CALL, Product::Api, &path, read).await
    }

    /// Messages sent or received at or after `since`, with the same caution as [`Client::calls`].
    pub fn messages(&self, since: Time, page_size: usize) -> Pager<'_, wire::Messages> {
        let query = query(&[("DateSent>", &day(since)), ("PageSize", &page_size.to_string())]);
        self.pager(endpoint::LIST_MESSAGES, Product::Api, self.account_path(&format!("Messages.json?{query}")))
    }

    /// Debugger alerts of one level since `since`. Here Twilio documents times to the second.
    pub fn alerts(&self, level: AlertLevel, since: Time, page_size: usize) -> Pager<'_, wire::Alerts> {
        let level = match level {
            AlertLevel::Error => "error",
            AlertLevel::Warning => "warning",
        };
        let since = since.floor_to_second().to_timestamp().to_string();
        let query = query(&[("LogLevel", level), ("StartDate", &since), ("PageSize", &page_size.to_string())]);
        self.pager(endpoint::LIST_ALERTS, Product::Monitor, format!("/v1/Alerts?{query}"))
    }

    /// The account's numbers, those of the roster as [`WireRow::Ours`].
    pub fn numbers(&self, page_size: usize) -> Pager<'_, wire::Numbers> {
        let path = self.account_path(&format!("IncomingPhoneNumbers.json?PageSize={page_size}"));
        self.pager(endpoint::LIST_NUMBERS, Product::Api, path)
    }

    /// One of the account's numbers, found by itself; `None` if it is not in the account.
    pub async fn number_of(&self, number: E164) -> Result<Option<NumberRead>, Error> {
        let query = query(&[("PhoneNumber", &number.to_string()), ("PageSize", "20")]);
        let path = self.account_path(&format!("IncomingPhoneNumbers.json?{query}"));
        let pager: Pager<'_, wire::Numbers> = self.pager(endpoint::LIST_NUMBERS, Product::Api, path);
        let mut found = pager.whole().await?.into_iter().filter(|read| read.record.number == number);
        let first = found.next();
        match first.as_ref().zip(found.find(|other| first.as_ref().is_some_and(|f| f.record.sid != other.record.sid))) {
            Some((one, other)) => {
                let what = format!("it has {number} as {} and as {}", one.record.sid, other.record.sid);
                Err(not_to_be_followed(endpoint::LIST_NUMBERS, what))
            }
            None => Ok(first),
        }
    }

    /// The record of `number`, whose SID is `sid`.
    pub async fn number(&self, sid: NumberSid, number: E164) -> Result<NumberRead, Error> {
        let path = self.account_path(&format!("IncomingPhoneNumbers/{sid}.json"));
        let read = self.asked().sid(sid).number("phone_number", number).one(read_number);
        self.transport.read(self.precedence, endpoint::FETCH_NUMBER, Product::Api, &path, read).await
    }

    /// Changes a number's configuration, once, if `gate` lets it. Returns the record that Twilio says it has now. An
    /// error that [`Error::is_ambiguous`] leaves open whether it happened: read the number.
    pub async fn update_number<G: Gate>(
        &self,
        sid: NumberSid,
        number: E164,
        form: &[(String, FieldValue)],
        gate: G,
    ) -> Result<NumberRead, UnansweredWrite<G::Stop>> {
        let path = self.account_path(&format!("IncomingPhoneNumbers/{sid}.json"));
        let read = self.asked().sid(sid).number("phone_number", number).one(read_number);
        self.transport.write(endpoint::UPDATE_NUMBER, Product::Api, &path, &whole(form), gate, read).await
    }

    /// The same for a drill's spare number, which no person's stop is about: repeated if it was surely not processed.
    pub async fn update_spare_number(
        &self,
        sid: NumberSid,
        number: E164,
        form: &[(String, FieldValue)],
    ) -> Result<NumberRead, Error> {
        let path = self.account_path(&format!("IncomingPhoneNumbers/{sid}.json"));
        let read = self.asked().sid(sid).number("phone_number", number).one(read_number);
        self.transport.update(Precedence::Write, endpoint::UPDATE_NUMBER, Product::Api, &path, &whole(form), read).await
    }

    /// How long to wait before a write is tried for the next time, after so many attempts.
    pub fn wait_before(&self, attempt: u32, error: &Error) -> Duration {
        self.transport.wait_before(attempt, error.retry_after)
    }

    /// Who changed this number since `since`, latest first, as Twilio's audit log has it.
    pub async fn changes(&self, sid: NumberSid, since: Time) -> Result<Vec<Line>, Error> {
        Ok(self.dated_changes(sid, since).await?.into_iter().map(|(who, _)| who).collect())
    }

    /// The same with when, where that is said.
    pub async fn dated_changes(&self, sid: NumberSid, since: Time) -> Result<Vec<(Line, Option<Time>)>, Error> {
        let since = since.floor_to_second().to_timestamp().to_string();
        let sid = sid.to_string();
        let query = query(&[("ResourceSid", &sid), ("StartDate", &since), ("PageSize", "20")]);
        let mut pager: Pager<'_, wire::Events> =
            self.pager(endpoint::LIST_EVENTS, Product::Monitor, format!("/v1/Events?{query}"));
        let page = pager.next().await?;
        let is_it = |of: Option<String>| of.is_none_or(|of| of.eq_ignore_ascii_case(&sid));
        let ours = |row| match row {
            Ok(WireRow::Ours((of, actor, at))) => is_it(of).then_some((actor, at)),
            Ok(WireRow::NotOurs(_)) | Err(_) => None,
        };
        Ok(page.into_iter().flat_map(|p| p.rows).filter_map(ours).collect())
    }

    /// The regions that process a number, where they are others than the one whose API this is. That it is that one
    /// is believed for an hour.
    pub async fn elsewhere(&self, number: E164) -> Result<Elsewhere, Error> {
        let (_, _, clock) = self.transport.parts();
        if self.regions.has(clock.now(), number) {
            return Ok(Elsewhere::default());
        }
        self.elsewhere_now(number).await
    }

    /// The same, asked whatever is believed.
    ///
    /// Version 3 of the Routes API alone says where messages are processed. Where it does not answer with a route,
    /// which may be for want of a permission or of the version, version 2 is asked for calls. A route that does not say
    /// where calls are processed is an error of the kind `NotFound`: what Twilio makes of one is written nowhere. Of
    /// messages it is then not known either ([`Client::tells_messaging_regions`]).
    pub async fn elsewhere_now(&self, number: E164) -> Result<Elsewhere, Error> {
        let (settings, _, clock) = self.transport.parts();
        let now = clock.now();
        let both = if self.regions.may_have_messaging(now) {
            match self.regions_of("v3", "phoneNumber", number).await {
                Err(error) if error.is_passing() => return Err(error),
                read => read.ok(),
            }
        } else {
            None
        };
        let messaging = both.as_ref().and_then(|both| both[Channel::Messaging.index()].clone());
        let regions = match both {
            Some(both) if both[Channel::Voice.index()].is_some() => {
                self.regions.learn_messaging(now, messaging.is_some());
                both
            }
            Some(_) | None => match self.regions_of("v2", "phone_number", number).await {
                // A number without a route of its own is processed at home. Source: Twilio, Routes API, 2026-11.
                Err(error) if error.kind == ErrorKind::NotFound => {
                    [Some(HOME_REGION.to_owned()), Some(HOME_REGION.to_owned())]
                }
                read => {
                    let [calls, _] = read?;
                    self.regions.learn_messaging(now, messaging.is_some());
                    let Some(calls) = calls else {
                        let what = "the number's route does not say which region processes its calls".to_owned();
                        let kind = ErrorKind::NotFound;
                        return Err(Error { kind, ..not_to_be_followed(endpoint::FETCH_REGION, what) });
                    };
                    [Some(calls), messaging]
                }
            },
        };
        let elsewhere = regions.map(|region| region.filter(|r| r != settings.hosts.region()));
        self.regions.learn(now, number, &elsewhere);
        Ok(elsewhere)
    }

    async fn regions_of(&self, version: &str, field: &'static str, number: E164) -> Result<[Option<String>; 2], Error> {
        let path = format!("/{version}/PhoneNumbers/%2B{}", number.to_string().trim_start_matches('+'));
        let read = self.asked().number(field, number).one(|body| {
            let raw: wire::RawRegions<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            Ok(raw.regions(&self.roster))
        });
        self.transport.read(self.precedence, endpoint::FETCH_REGION, Product::Routes, &path, read).await
    }

    pub async fn application(&self, sid: ApplicationSid) -> Result<Application, Error> {
        let path = self.account_path(&format!("Applications/{sid}.json"));
        let read = self.asked().sid(sid).one(|body| {
            let raw: wire::RawApplication<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            raw.convert().map_err(|e| e.to_string())
        });
        self.transport.read(self.precedence, endpoint::FETCH_APPLICATION, Product::Api, &path, read).await
    }

    /// False if Twilio says that there is no such trunk, or that it sends its calls nowhere (error 32010). A 404
    /// without its code is a proxy's that may not know of any.
    pub async fn has_trunk(&self, sid: TrunkSid) -> Result<bool, Error> {
        let path = format!("/v1/Trunks/{sid}");
        let read = self.asked().sid(sid).one(|body| {
            let raw: wire::RawTrunk<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            Ok(raw.has_recovery())
        });
        match self.transport.read(self.precedence, endpoint::FETCH_TRUNK, Product::Trunking, &path, read).await {
            Err(error) if error.kind == ErrorKind::NotFound && error.code == Some(20_404) => return Ok(false),
            // Whoever recovers takes what the addresses do not.
            Ok(true) => return Ok(true),
            answer => answer?,
        };
        Ok(self.originations(sid).await? > 0)
    }

    /// The Messaging Services, and the rows that could not be read.
    pub async fn services(&self) -> Result<(Vec<Service>, Vec<BadRow>), Error> {
        let pager: Pager<'_, wire::Services> = self.pager(
            endpoint::LIST_SERVICES,
            Product::Messaging,
            format!("/v1/Services?PageSize={LARGEST_SERVICE_PAGE}"),
        );
        pager.all().await
    }

    /// The numbers of a Messaging Service, and the rows that could not be read.
    pub async fn service_numbers(&self, service: ServiceSid) -> Result<(Vec<NumberSid>, Vec<BadRow>), Error> {
        let path = format!("/v1/Services/{service}/PhoneNumbers?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, wire::ServiceNumbers> =
            self.pager(endpoint::LIST_SERVICE_NUMBERS, Product::Messaging, path);
        let (rows, bad) = pager.all().await?;
        match rows.iter().find_map(|(_, of)| of.filter(|of| *of != service)) {
            None => Ok((rows.into_iter().map(|(number, _)| number).collect(), bad)),
            Some(other) => Err(not_to_be_followed(
                endpoint::LIST_SERVICE_NUMBERS,
                format!("it is of something else: service_sid is {other}, and {service} was asked for"),
            )),
        }
    }
}

fn read_number(body: &[u8]) -> Result<NumberRead, String> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    wire::number(raw).map_err(|e| e.to_string())
}

/// The UTC date of an instant: Twilio documents these filters as dates. Everything from that
/// midnight on is asked for, and what is too old is left out here.
fn day(t: Time) -> String {
    t.to_timestamp().strftime("%Y-%m-%d").to_string()
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What one entry of a log is, to those who read all of them alike.
pub trait LogEntry {
    fn sid(&self) -> u128;
}

impl LogEntry for Call {
    fn sid(&self) -> u128 {
        self.sid.as_u128()
    }
}

impl LogEntry for Message {
    fn sid(&self) -> u128 {
        self.sid.as_u128()
    }
}

impl LogEntry for Alert {
    fn sid(&self) -> u128 {
        self.sid.as_u128()
    }
}

#[cfg(test)]
mod tests;
