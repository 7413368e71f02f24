//! The HTTP face: Twilio's hosts at one address, and what can go wrong on the way.
//!
//! A request takes effect when it arrives: the world is played up to that instant, the request is
//! decided under one lock ([`decide`]), and only then comes everything that takes time. An answer that
//! is slow, cut or never comes therefore belongs to a request that *has* been processed.

mod alerts;
mod auth;
mod bins;
mod body;
mod calls;
mod control;
mod create;
mod date;
pub(super) mod error;
mod handlers;
mod members;
mod numbers;
mod page;
mod porting;
mod recordings;
pub(super) mod route;
mod standing;
mod targets;
mod trouble;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::Response;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use self::body::Trickle;
use self::error::{ApiError, JSON};
use self::page::Query;
use self::route::{EndpointClass, Route};
use self::trouble::{RequestFaults, TroubledAnswer};
use self::view::{ResourceAnswer, ResourceView};
use super::chance::{self, Purpose};
use super::fault::ApiFaultKind;
use super::number::{SimEffect, SimNumberRecord};
use super::row::{AuditActor, SimSubject};
use super::{Sim, World};
use crate::core::model::id::E164;
use crate::core::model::time::Time;

/// No request of Twilio's API is larger.
const LARGEST: usize = 64 * 1024;

/// Ends whatever an answer still waits for; the server puts it into each request.
#[derive(Clone, Default)]
pub(super) struct Stop(pub CancellationToken);

/// Mark of a response that must not be sent: the connection closes instead.
#[derive(Clone, Copy)]
pub(super) struct Abort;

pub(super) fn router(sim: Sim) -> Router {
    Router::new()
        .route("/_sim/{what}", get(control::look).merge(post(control::act)))
        .route("/_sim/numbers/{number}", get(control::number))
        .route("/twiml/{sid}", get(bins::answer).post(bins::answer))
        .route("/handlers/{*path}", post(handlers::answer))
        .fallback(twilio)
        .with_state(sim)
}

/// What is to be answered, and how.
struct Decision {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    delivery: TroubledAnswer,
    latency: Duration,
    /// What Twilio's clock shows.
    date: Time,
    request_id: u128,
    /// The number whose update this request holds open.
    holds: Option<u32>,
}

async fn twilio(State(sim): State<Sim>, request: Request) -> Response {
    let started = sim.clock().now();
    let seat = sim.enter();
    let (parts, body) = request.into_parts();
    let stop = parts.extensions.get::<Stop>().cloned().unwrap_or_default().0;
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let decision = decide(&sim, &parts, &body, seat.at_once);
    // Ends the update whenever this request ends, also if the client goes away.
    let _held = decision.holds.map(|number| Held(sim.clone(), number));
    let clock = sim.clock();
    if !decision.latency.is_zero() {
        clock.wait(Some(clock.now() + decision.latency), stop.cancelled()).await;
    }
    let body = match decision.delivery {
        TroubledAnswer::Whole => Body::from(decision.body),
        TroubledAnswer::Cut => Body::new(Trickle::cut(decision.body, clock.clone(), stop)),
        TroubledAnswer::Slow(takes) => Body::new(Trickle::slow(decision.body, takes, clock.clone(), stop)),
        TroubledAnswer::Never(takes) => {
            clock.wait(Some(clock.now() + takes), stop.cancelled()).await;
            return abort();
        }
        TroubledAnswer::Abort => return abort(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(decision.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let took = clock.now().since(started).as_secs_f64();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(decision.content_type));
    put(headers, "date", &date::http_date(decision.date));
    put(headers, "twilio-request-id", &format!("RQ{:032x}", decision.request_id));
    put(headers, "twilio-concurrent-requests", &seat.at_once.to_string());
    put(headers, "twilio-request-duration", &format!("{took:.3}"));
    put(headers, "x-home-region", "us1");
    put(headers, "x-api-domain", "api.twilio.com");
    if decision.status == 401 {
        put(headers, "www-authenticate", "Basic realm=\"Twilio API\"");
    }
    response
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn abort() -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE);
    response.extensions_mut().insert(Abort);
    response
}

/// An update under way: whoever else updates the number meanwhile is refused.
struct Held(Sim, u32);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().world.numbers[self.1 as usize].updating = false;
    }
}

/// Decides a request, whole: trouble, limit, credentials, effect and answer.
fn decide(sim: &Sim, parts: &request::Parts, body: &[u8], at_once: usize) -> Decision {
    let state = &mut *sim.present();
    state.requests += 1;
    let mut luck = chance::stream(state.world.scenario.seed, Purpose::Request, state.requests, 0);
    let request_id = luck.digits();
    let [least, most] = state.world.scenario.api.latency;
    let latency = least + (most - least).mul_f64(luck.unit());
    let path = parts.uri.path();
    let parsed = Route::parse(parts.method.as_str(), path);
    let (Ok(route) | Err(route)) = parsed;
    let trouble = RequestFaults::of(&state.world, route.class, &mut luck);

    let creates = matches!(
        route.class,
        EndpointClass::CallCreate | EndpointClass::MessageCreate | EndpointClass::ServiceNumberCreate
    );
    let deletes = matches!(route.class, EndpointClass::RecordingDelete | EndpointClass::ServiceNumberDelete);
    let crowded = (at_once > state.world.scenario.api.concurrency).then(ApiError::too_many);
    let (answer, holds) = match crowded.or_else(|| trouble.refusal(parts.uri.query())) {
        Some(refusal) => (Err(refusal), None),
        None => process(&mut state.world, parts, body, parsed, &trouble),
    };
    let (status, (content_type, body)) = match answer {
        Ok(mut json) => {
            trouble.spoil(&mut json, &mut luck);
            let status = match deletes {
                true => 204,
                false if creates => 201,
                false => 200,
            };
            (status, (if route.class == EndpointClass::RecordingMedia { recordings::WAV } else { JSON }, json))
        }
        Err(error) => {
            let is_ours = matches!(error.status, 400..=499) && !matches!(error.status, 401 | 429);
            if route.class.writes() && is_ours {
                let url = format!("https://api.twilio.com{path}");
                state.world.alert(luck.digits(), error.code, SimSubject::Request, &url, 0);
            }
            (error.status, error.body())
        }
    };
    let delivery = trouble.delivery();
    let outcome = match delivery {
        TroubledAnswer::Whole | TroubledAnswer::Slow(_) => status.to_string(),
        TroubledAnswer::Never(_) => "hang".into(),
        TroubledAnswer::Cut => "cut".into(),
        TroubledAnswer::Abort => "drop".into(),
    };
    state.stats.count(parts.method.as_str(), route.class, outcome, at_once);
    // Turned away at the door.
    let latency = if status == 429 { Duration::ZERO } else { latency };
    let date = state.world.now + trouble.skew();
    Decision { status, content_type, body, delivery, latency, date, request_id, holds }
}

/// Processes a request that gets as far as that. Beside the answer, the number whose update it opens.
fn process(
    world: &mut World,
    parts: &request::Parts,
    body: &[u8],
    parsed: Result<Route<'_>, Route<'_>>,
    trouble: &RequestFaults,
) -> (ResourceAnswer, Option<u32>) {
    let (Ok(route) | Err(route)) = parsed;
    let (path, headers) = (parts.uri.path(), &parts.headers);
    let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if let Err(refusal) = auth::check(&world.scenario.account, authorization, &route, path) {
        return (Err(refusal), None);
    }
    if parsed.is_err() {
        return (Err(ApiError::method_not_allowed()), None);
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let base = base_of(headers);
    if route.class.is_of_calls() {
        let done = create::act(world, route, path, &Query::parse(body));
        let view = ResourceView { world, route, path, query: &query, base: &base, skew: trouble.skew() };
        return (done.and_then(|done| view.done(done)), None);
    }
    if route.class.is_of_members() {
        let is_real = !trouble.has(ApiFaultKind::Ineffective);
        let done = members::act(world, route, path, &Query::parse(body), is_real);
        let view = ResourceView { world, route, path, query: &query, base: &base, skew: trouble.skew() };
        return (done.and_then(|number| view.membership(number)), None);
    }
    if route.class == EndpointClass::RecordingDelete {
        return (recordings::delete(world, route, path), None);
    }
    let view = ResourceView { world, route, path, query: &query, base: &base, skew: trouble.skew() };
    let Some(number) = route.class.writes().then(|| view.number_of_path()) else {
        return (read(&view), None);
    };
    let Some(number) = number else {
        return (Err(view.not_found()), None);
    };
    match write(world, route.class, number, body, trouble) {
        Err(refusal) => (Err(refusal), None),
        Ok(record) => {
            let view = ResourceView { world, route, path, query: &query, base: &base, skew: trouble.skew() };
            (view::one(&view.number(&view.world.numbers[number as usize], &record)), Some(number))
        }
    }
}

/// Changes a number, and opens an update that lasts until it is answered. Gives the record to answer with.
fn write(
    world: &mut World,
    class: EndpointClass,
    number: u32,
    body: &[u8],
    trouble: &RequestFaults,
) -> Result<SimNumberRecord, ApiError> {
    if class == EndpointClass::NumberDelete {
        world.release(number);
        return Err(ApiError::new(403, 20403, "Releasing a number is forbidden"));
    }
    if world.numbers[number as usize].updating {
        return Err(ApiError::new(409, 20162, "The resource is being updated by another request"));
    }
    let set: BTreeMap<String, String> = Query::parse(body).into_pairs().collect();
    if set.contains_key("AccountSid") {
        // It would move the number to another account. Nobody here may.
        return Err(ApiError::new(403, 20403, "Moving a number is forbidden"));
    }
    if let Some(after) = trouble.takes(ApiFaultKind::Late) {
        world.land(number, set, after);
        return Err(ApiError::foreign(503, ""));
    }
    let effect = if trouble.has(ApiFaultKind::Ineffective) { SimEffect::Pretended } else { SimEffect::Real };
    let record = world.update(number, &set, AuditActor::Api, effect)?;
    world.numbers[number as usize].updating = true;
    Ok(record)
}

fn read(view: &ResourceView<'_>) -> ResourceAnswer {
    match view.route.class {
        EndpointClass::Account => view.account_itself(),
        EndpointClass::Calls => view.calls(),
        EndpointClass::Call => view.call_by_sid(),
        EndpointClass::CallNotifications | EndpointClass::Notifications => view.notifications(),
        EndpointClass::Notification => view.notification_by_sid(),
        EndpointClass::Messages => view.messages(),
        EndpointClass::Message => view.message_by_sid(),
        EndpointClass::Numbers => view.numbers(),
        EndpointClass::Number => view.number_by_sid(),
        EndpointClass::Applications => view.applications(),
        EndpointClass::Application => view.application_by_sid(),
        EndpointClass::Alerts => view.alerts(),
        EndpointClass::Alert => view.alert_by_sid(),
        EndpointClass::Events => view.events(),
        EndpointClass::Services => view.services(),
        EndpointClass::Service => view.service_by_sid(),
        EndpointClass::ServiceNumbers => view.service_numbers(),
        EndpointClass::ServiceNumber => view.service_number(),
        EndpointClass::PortRequests => view.port_requests(),
        EndpointClass::PortRequest => view.port_request(),
        EndpointClass::PortNumber => view.port_number(),
        EndpointClass::Portability => view.portability(),
        EndpointClass::HostedOrders => view.hosted_orders(),
        EndpointClass::Trunk => view.trunk(),
        EndpointClass::OriginationUrls => view.origination_urls(),
        EndpointClass::Region => view.region(),
        EndpointClass::Balance => view.balance(),
        EndpointClass::Campaigns => view.campaigns(),
        EndpointClass::Brand => view.brand(),
        EndpointClass::TollFree => view.toll_free(),
        EndpointClass::Bundle => view.bundle(),
        EndpointClass::DialingPermissions => view.dialing_permissions(),
        EndpointClass::WebhookRules => view.webhook_rules(),
        EndpointClass::Regions => view.regions(),
        EndpointClass::CallRecordings => view.recordings_of_call(),
        EndpointClass::Recording => view.recording_by_sid(),
        EndpointClass::RecordingMedia => view.recording_media(),
        // Writes are not read.
        EndpointClass::NumberUpdate
        | EndpointClass::NumberDelete
        | EndpointClass::CallCreate
        | EndpointClass::CallUpdate
        | EndpointClass::MessageCreate
        | EndpointClass::RecordingDelete
        | EndpointClass::ServiceNumberCreate
        | EndpointClass::ServiceNumberDelete
        | EndpointClass::Other => Err(view.not_found()),
    }
}

/// Scheme and host under which the client reached us.
fn base_of(headers: &HeaderMap) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let scheme = text(HeaderName::from_static("x-forwarded-proto")).unwrap_or("http");
    let host = text(HeaderName::from_static("x-forwarded-host")).or_else(|| text(header::HOST)).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A number as a request for it would be answered.
pub(super) fn number_record(world: &World, number: E164) -> Option<serde_json::Value> {
    let n = &world.numbers[world.number_of(number)? as usize];
    let route = Route::parse("GET", "").unwrap_or_else(|route| route);
    let view = ResourceView { world, route, path: "", query: &Query::parse(b""), base: "", skew: Duration::ZERO };
    let record = serde_json::to_value(view.number(n, &n.record)).ok()?;
    n.is_listed(world.now).then_some(record)
}
