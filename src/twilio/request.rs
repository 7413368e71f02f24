//! One request to Twilio: sent with a timeout, answered or explained, repeated where that is safe.
//!
//! Retries live here and nowhere above: loops above come round again. A request is repeated at
//! most [`ATTEMPTS`] times with full jitter, waiting as long as `Retry-After` asks if it does. 429
//! means "not processed", so it may be repeated whatever the request. A place among the requests
//! in flight is given back before waiting.
//!
//! A write to a number that is watched is never repeated here. Between two attempts somebody may have
//! said stop, or written to the number: whoever writes looks, and asks again. It has a last word until the first byte
//! goes out, which waits for a place and for a connection ([`Transport::write`], [`super::gate`]).

mod ask;
mod head;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ask::Ask;
use head::{header, is_request_id, status_label, stored_at};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reqwest::Body;
use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use secrecy::ExposeSecret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::form_urlencoded;

use super::ClientSettings;
use super::error::{Error, ErrorKind, TwilioErrorBody, clip};
use super::gate::{FirstByte, Gate, Open, RequestProgress};
use super::host::{Hosts, Product};
use super::limit::{Limit, Precedence};
use super::silence::TOLD_AFTER;
use super::their_clock::TheirClock;
use crate::clock::Clock;
use crate::core::model::bounds;
use crate::core::model::foreign::{LONGEST, LONGEST_PART, line};
use crate::core::model::id::{AccountSid, NumberSid, RecordingSid, ServiceSid};
use crate::core::model::redact::without_secrets;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::metrics::Metrics;

/// Tries of one request, the first included: with these delays some 8 s on average, after which the loops
/// above know better what to do.
const ATTEMPTS: u32 = 5;

/// Longest wait before the first retry; doubles with each.
const BACKOFF: Duration = Duration::from_secs(1);

/// No wait is longer than this, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a TCP and TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer that is this much older than any that is waited for is an old copy.
const LATE: Duration = Duration::from_secs(10);

/// `i64::MIN` stands for "no answer yet".
const NO_SKEW: i64 = i64::MIN;

pub struct Transport {
    http: reqwest::Client,
    settings: ClientSettings,
    limit: Limit,
    /// Places for large answers in memory.
    large: Arc<Semaphore>,
    clock: Clock,
    metrics: Metrics,
    jitter: Mutex<ChaCha8Rng>,
    skew_ms: AtomicI64,
    their_clock: Mutex<TheirClock>,
    /// Whose numbers may be told.
    ours: Arc<Roster>,
}

/// Why a write was not answered.
#[derive(Debug)]
pub enum UnansweredWrite<S> {
    /// It was not sent.
    Stopped(S),
    /// See [`Error::is_ambiguous`] for whether it happened.
    Failed(Error),
}

impl Transport {
    pub fn new(
        settings: ClientSettings,
        ours: Arc<Roster>,
        limit: Limit,
        clock: Clock,
        metrics: Metrics,
    ) -> anyhow::Result<Transport> {
        // Installing it twice is no fault: tests and the demo have several clients.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(settings.max_in_flight)
            .tcp_nodelay(true);
        // A simulator on this machine is never behind the company's proxy; and what goes in the clear to the one
        // address that was allowed is not sent to another first.
        let http = match &settings.hosts {
            Hosts::One(url) if is_loopback(url) || url.scheme() == "http" => http.no_proxy(),
            Hosts::One(_) | Hosts::Twilio { .. } => http,
        };
        Ok(Transport {
            http: http.build()?,
            limit,
            large: Arc::new(Semaphore::new(bounds::LARGE_ANSWERS)),
            clock,
            metrics,
            jitter: Mutex::new(ChaCha8Rng::seed_from_u64(settings.seed)),
            skew_ms: AtomicI64::new(NO_SKEW),
            their_clock: Mutex::default(),
            ours,
            settings,
        })
    }

    /// What a request to another host than the API's needs.
    pub const fn parts(&self) -> (&ClientSettings, &reqwest::Client, &Clock) {
        (&self.settings, &self.http, &self.clock)
    }

    pub const fn account(&self) -> AccountSid {
        self.settings.credentials.account
    }

    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    pub fn clock_skew_ms(&self) -> Option<i64> {
        Some(self.skew_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NO_SKEW)
    }

    /// GETs `path` and reads the answer with `parse`.
    pub async fn read<T>(
        &self,
        precedence: Precedence,
        endpoint: &'static str,
        product: Product,
        path: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.repeat(precedence, endpoint, product, path, &Ask::Read, parse).await
    }

    /// POSTs `form` to `path` and reads the answer with `parse`.
    pub async fn update<T>(
        &self,
        precedence: Precedence,
        endpoint: &'static str,
        product: Product,
        path: &str,
        form: &[(&str, String)],
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.repeat(precedence, endpoint, product, path, &Ask::Update(form), parse).await
    }

    /// The same once, and only if `gate` lets it: it is asked when the request has its place among those in flight, and
    /// when it has its connection, right before its first byte.
    pub async fn write<T, G: Gate>(
        &self,
        endpoint: &'static str,
        product: Product,
        path: &str,
        form: &[(&str, String)],
        gate: G,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, UnansweredWrite<G::Stop>> {
        let ask = Ask::Update(form);
        let answered = Box::pin(self.once(Precedence::Write, endpoint, product, path, &ask, gate, &parse)).await;
        answered.map_err(UnansweredWrite::Stopped)?.map_err(UnansweredWrite::Failed)
    }

    /// GETs a file, and reads it with `parse`.
    pub async fn media<T>(
        &self,
        endpoint: &'static str,
        product: Product,
        path: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.repeat(Precedence::Other, endpoint, product, path, &Ask::Media, parse).await
    }

    /// Deletes a recording. There is no way to name anything else here.
    pub async fn delete_recording(&self, endpoint: &'static str, sid: RecordingSid) -> Result<(), Error> {
        let path = format!("/2010-04-01/Accounts/{}/Recordings/{sid}.json", self.account());
        self.repeat(Precedence::Other, endpoint, Product::Api, &path, &Ask::DeleteRecording, |_| Ok(())).await
    }

    /// Takes a number out of a Messaging Service, once, and only if `gate` lets it. There is no way to name anything
    /// else here.
    pub async fn leave_service<G: Gate>(
        &self,
        endpoint: &'static str,
        service: ServiceSid,
        number: NumberSid,
        gate: G,
    ) -> Result<(), UnansweredWrite<G::Stop>> {
        let path = format!("/v1/Services/{service}/PhoneNumbers/{number}");
        let ask = Ask::LeaveService;
        let done =
            Box::pin(self.once(Precedence::Write, endpoint, Product::Messaging, &path, &ask, gate, |_| Ok(()))).await;
        done.map_err(UnansweredWrite::Stopped)?.map_err(UnansweredWrite::Failed)
    }

    async fn repeat<T>(
        &self,
        precedence: Precedence,
        endpoint: &'static str,
        product: Product,
        path: &str,
        ask: &Ask<'_>,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let gate = Open(self.settings.timeout);
            // On the heap: what asks is a part of many other futures, and they would all have room for this one.
            let mut once = Box::pin(self.once(precedence, endpoint, product, path, ask, gate, &parse));
            let silence = &self.settings.silence;
            let in_time = if silence.is_told() { self.clock.timeout(TOLD_AFTER, &mut once).await.ok() } else { None };
            let Ok(answered) = match in_time {
                Some(answered) => answered,
                None => {
                    silence.tell("no answer yet");
                    once.await
                }
            };
            let error = match answered {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.is_passing() || !ask.may_repeat(&error) || attempt == ATTEMPTS {
                return Err(error);
            }
            let wait = self.wait_before(attempt, error.retry_after);
            silence.tell(&format!("{error}; asking again, try {} of {ATTEMPTS}", attempt + 1));
            tracing::debug!(endpoint, attempt, wait_ms = wait.as_millis() as u64, %error, "asking again");
            self.clock.sleep(wait).await;
        }
    }

    /// How long to wait before the next attempt.
    ///
    /// Full jitter: anything between nothing and a bound that doubles, so that many who failed
    /// together do not come back together.
    pub fn wait_before(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let bound = BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
        let share: f64 = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random();
        bound.mul_f64(share).max(retry_after.unwrap_or_default().min(LONGEST_WAIT))
    }

    #[expect(clippy::too_many_arguments, reason = "what a request is, where it goes, and what may stop it")]
    async fn once<T, G: Gate>(
        &self,
        precedence: Precedence,
        endpoint: &'static str,
        product: Product,
        path: &str,
        ask: &Ask<'_>,
        gate: G,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Result<T, Error>, G::Stop> {
        let permit = self.limit.acquire(precedence).await;
        let first_byte = FirstByte::of(gate);
        let within = first_byte.may()?.min(self.settings.timeout);
        self.metrics.requests_in_flight.set(self.limit.in_flight() as i64);
        let started = self.clock.now();
        let result = match self.clock.timeout(within, self.send(endpoint, product, path, ask, &first_byte)).await {
            Ok(result) => result,
            Err(timed_out) => Err(failure(endpoint, ErrorKind::TimedOut, timed_out.to_string())),
        };
        let result = match first_byte.end() {
            RequestProgress::Stopped(why) => {
                drop(permit);
                self.metrics.requests_in_flight.set(self.limit.in_flight() as i64);
                return Err(why);
            }
            // However it ended: what was not sent has not happened.
            RequestProgress::Unsent if ask.is_write() => {
                result.map_err(|error| Error { kind: ErrorKind::Unreachable, ..error })
            }
            RequestProgress::Unsent | RequestProgress::Begun => result,
        };
        let seconds = self.clock.now().since(started).as_secs_f64();
        let result = result.and_then(|answer| {
            self.clock.apart(answer.body.len(), || parse(&answer.body)).map_err(|problem| Error {
                status: Some(answer.status),
                request_id: answer.request_id.clone(),
                ..failure(endpoint, ErrorKind::NotTwilio, clip(&problem, &self.ours))
            })
        });
        let result =
            result.map_err(|error| Error { message: self.settings.credentials.kept_from(&error.message), ..error });
        match &result {
            Ok(_) => permit.went_well(),
            Err(e) if e.kind == ErrorKind::Busy => permit.was_too_many(),
            Err(_) => {}
        }
        self.metrics.concurrency_limit.set(self.limit.current() as i64);
        let code = match &result {
            Ok(_) => "200".to_owned(),
            Err(Error {
                kind: ErrorKind::NotTwilio | ErrorKind::OldCopy | ErrorKind::TimedOut | ErrorKind::CutOff,
                ..
            })
            | Err(Error { status: None, .. }) => {
                result.as_ref().err().map_or_else(String::new, |e| e.label().to_owned())
            }
            Err(Error { status: Some(status), .. }) => status_label(*status),
        };
        self.metrics.request(endpoint, &code, seconds);
        drop(permit);
        self.metrics.requests_in_flight.set(self.limit.in_flight() as i64);
        Ok(result)
    }

    #[tracing::instrument(skip_all, fields(endpoint = endpoint))]
    async fn send<G: Gate>(
        &self,
        endpoint: &'static str,
        product: Product,
        path: &str,
        ask: &Ask<'_>,
        first_byte: &FirstByte<G>,
    ) -> Result<Answer, Error> {
        let url = self
            .settings
            .hosts
            .url(product, path)
            .map_err(|e| failure(endpoint, ErrorKind::Unreachable, format!("{path:?} makes no URL: {e}")))?;
        let request = match ask {
            // Whoever keeps answers has to ask whether they are still true.
            Ask::Read => self.http.get(url.clone()).header(CACHE_CONTROL, "no-cache"),
            Ask::Media => self.http.get(url.clone()),
            Ask::Update(form) => {
                let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(*form).finish();
                let post = self.http.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                post.body(Body::wrap(first_byte.body(form)))
            }
            Ask::DeleteRecording | Ask::LeaveService => {
                self.http.delete(url.clone()).body(Body::wrap(first_byte.body(String::new())))
            }
        };
        let credentials = &self.settings.credentials;
        let mut response = request
            .basic_auth(credentials.username(), Some(credentials.password().expose_secret()))
            .send()
            .await
            .map_err(|e| self.network(endpoint, &e))?;
        if matches!(ask, Ask::Media) && response.status().is_redirection() {
            let there = stored_at(endpoint, &url, response.headers())?;
            // Somebody else's storage: the credentials stay here, and it may not send us on.
            response = self.http.get(there).send().await.map_err(|e| self.network(endpoint, &e))?;
        }
        let status = response.status().as_u16();
        // A file's may be of another's clock.
        let is_fresh = if matches!(ask, Ask::Media) { Ok(()) } else { self.is_fresh(endpoint, response.headers()) };
        let request_id = header(response.headers(), "twilio-request-id").filter(|id| is_request_id(id));
        let retry_after = self.retry_after(response.headers());
        let is_json = header(response.headers(), CONTENT_TYPE.as_str()).is_none_or(|t| t.contains("json"));
        let is_good = ask.is_done_by(status);
        let most = if is_good { ask.most_bytes() } else { bounds::REFUSAL_BYTES };
        let expected = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(expected.min(bounds::LARGE_ANSWER));
        let mut place = None;
        while let Some(chunk) = response.chunk().await.map_err(|e| self.network(endpoint, &e))? {
            if body.len() + chunk.len() > most {
                if is_good {
                    let problem = format!("the body exceeds {most} bytes");
                    return Err(failure(endpoint, ErrorKind::NotTwilio, problem));
                }
                // What is wrong has been said.
                break;
            }
            if body.len() + chunk.len() > bounds::LARGE_ANSWER && place.is_none() {
                let place_of = self.large.clone().acquire_owned();
                place = self.clock.wait(None, place_of).await.and_then(Result::ok);
                body.reserve_exact(expected.min(most).saturating_sub(body.len()));
            }
            body.extend_from_slice(&chunk);
        }
        tracing::trace!(endpoint, status, request_id, bytes = body.len(), "answered");
        if is_good {
            if let (Ask::Read, Err(error)) = (ask, is_fresh) {
                return Err(Error { status: Some(status), request_id, ..error });
            }
            if is_json && status != 204 || matches!(ask, Ask::Media | Ask::DeleteRecording | Ask::LeaveService) {
                return Ok(Answer { status, body, request_id, _place: place });
            }
            let said = TwilioErrorBody::parse(&body, &self.ours).message;
            let error = failure(endpoint, ErrorKind::NotTwilio, format!("not JSON: {said}"));
            return Err(Error { status: Some(status), request_id, ..error });
        }
        let said = TwilioErrorBody::parse(&body, &self.ours);
        let kind = match (status, said.code) {
            (401, Some(70_051)) | (403, _) => ErrorKind::Permission,
            (401, _) => ErrorKind::Credentials,
            (404, _) => ErrorKind::NotFound,
            (429, _) | (_, Some(20_429)) => ErrorKind::Busy,
            (_, Some(20_162)) => ErrorKind::Conflict,
            (400..=499, _) => ErrorKind::Refused,
            (500..=599, _) => ErrorKind::Server,
            _ => ErrorKind::NotTwilio,
        };
        Err(Error {
            kind,
            endpoint,
            status: Some(status),
            code: said.code,
            message: said.message,
            request_id,
            retry_after,
        })
    }

    fn network(&self, endpoint: &'static str, e: &reqwest::Error) -> Error {
        let kind = if e.is_connect() {
            ErrorKind::Unreachable
        } else if e.is_timeout() {
            ErrorKind::TimedOut
        } else {
            ErrorKind::CutOff
        };
        // The innermost cause says what happened; the URL in the outer text would only repeat itself.
        let mut cause: &dyn std::error::Error = e;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        failure(endpoint, kind, clip(&cause.to_string(), &self.ours))
    }

    /// `Retry-After` in seconds or as a date. Unconfirmed for Twilio's 2010 API, honoured if sent.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = header(headers, RETRY_AFTER.as_str())?;
        match text.trim().parse::<u64>() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => super::wire::date(text.trim()).ok().map(|at| at.since(self.clock.now())),
        }
    }

    /// Notes what an answer says of Twilio's clock, or says that it is an old copy.
    fn is_fresh(&self, endpoint: &'static str, headers: &HeaderMap) -> Result<(), Error> {
        let date = header(headers, DATE.as_str()).and_then(|t| super::wire::date(&t).ok());
        let age = header(headers, AGE.as_str()).and_then(|t| t.trim().parse().ok()).map(Duration::from_secs);
        let bound = self.settings.timeout + LATE;
        let mut their_clock = self.their_clock.lock().unwrap_or_else(PoisonError::into_inner);
        let old = their_clock.age(date.map(Time::as_millis), age, self.clock.monotonic(), bound);
        drop(their_clock);
        match (old, date) {
            (Some(age), _) => {
                Err(failure(endpoint, ErrorKind::OldCopy, format!("it was given {} s ago", age.as_secs())))
            }
            (None, Some(theirs)) => {
                // Their date has whole seconds: the middle of that second is the best guess.
                let ms = theirs.as_millis() + 500 - self.clock.now().as_millis();
                self.skew_ms.store(ms, Ordering::Relaxed);
                self.metrics.clock_skew.set(ms as f64 / 1000.0);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    request_id: Option<String>,
    /// Among those of large answers, if it is one.
    _place: Option<OwnedSemaphorePermit>,
}

pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn failure(endpoint: &'static str, kind: ErrorKind, message: String) -> Error {
    // It may quote an answer.
    let message = line(&without_secrets(&line(&message, LONGEST)), LONGEST_PART);
    Error { kind, endpoint, status: None, code: None, message, request_id: None, retry_after: None }
}
