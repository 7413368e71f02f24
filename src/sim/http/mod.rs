//! The HTTP face: Twilio's hosts at one address, and what can go wrong on the way.
//!
//! A request takes effect when it arrives: the world is played up to that instant, the request is
//! decided under one lock ([`decide`]), and only then comes everything that takes time. An answer that
//! is slow, cut or never comes therefore belongs to a request that *has* been processed.

mod alerts;
mod auth;
mod body;
mod calls;
mod control;
mod date;
pub(super) mod error;
mod numbers;
mod page;
mod porting;
pub(super) mod route;
mod targets;
mod view;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::Response;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use self::body::Trickle;
use self::error::ApiError;
use self::page::Query;
use self::route::{Class, Route};
use self::view::{Answer, View};
use super::chance::{self, Chance, Purpose};
use super::fault::FaultKind;
use super::row::{Actor, Subject};
use super::{Sim, World};
use crate::core::id::E164;
use crate::core::time::Time;

/// No request of Twilio's API is larger.
const LARGEST: usize = 64 * 1024;

/// How far Twilio's clock goes wrong, when it does.
const SKEW: Duration = Duration::from_secs(3600);

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
        .fallback(twilio)
        .with_state(sim)
}

/// What is to be answered, and how.
struct Decision {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    delivery: Delivery,
    latency: Duration,
    /// What Twilio's clock shows.
    date: Time,
    request_id: u128,
    /// The number whose update this request holds open.
    holds: Option<u32>,
}

enum Delivery {
    Whole,
    Never(Duration),
    Cut,
    Slow(Duration),
    /// Not even a status line.
    Abort,
}

async fn twilio(State(sim): State<Sim>, request: Request) -> Response {
    let started = sim.clock().now();
    let seat = sim.enter();
    let (parts, body) = request.into_parts();
    let stop = parts.extensions.get::<Stop>().cloned().unwrap_or_default().0;
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let decision = decide(&sim, &parts, &body, seat.others);
    // Ends the update whenever this request ends, also if the client goes away.
    let _held = decision.holds.map(|number| Held(sim.clone(), number));
    let clock = sim.clock();
    if !decision.latency.is_zero() {
        clock.wait(Some(clock.now() + decision.latency), stop.cancelled()).await;
    }
    let body = match decision.delivery {
        Delivery::Whole => Body::from(decision.body),
        Delivery::Cut => Body::new(Trickle::cut(decision.body, clock.clone(), stop)),
        Delivery::Slow(takes) => Body::new(Trickle::slow(decision.body, takes, clock.clone(), stop)),
        Delivery::Never(takes) => {
            clock.wait(Some(clock.now() + takes), stop.cancelled()).await;
            return abort();
        }
        Delivery::Abort => return abort(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(decision.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let took = clock.now().since(started).as_secs_f64();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(decision.content_type));
    put(headers, "date", &date::http_date(decision.date));
    put(headers, "twilio-request-id", &format!("RQ{:032x}", decision.request_id));
    put(headers, "twilio-concurrent-requests", &seat.others.to_string());
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

/// Decides a request, whole: faults, limit, credentials, effect and answer.
fn decide(sim: &Sim, parts: &request::Parts, body: &[u8], at_once: usize) -> Decision {
    let mut state = sim.lock();
    let state = &mut *state;
    state.world.advance(sim.clock().now());
    state.requests += 1;
    let mut luck = chance::stream(state.world.scenario.seed, Purpose::Request, state.requests, 0);
    let request_id = luck.digits();
    let [least, most] = state.world.scenario.api.latency;
    let latency = least + (most - least).mul_f64(luck.unit());
    let path = parts.uri.path();
    let parsed = Route::parse(parts.method.as_str(), path);
    let (Ok(route) | Err(route)) = parsed;
    let faults = faults_met(&state.world, route.class, &mut luck);
    let has = |kind| faults.iter().any(|(k, _)| *k == kind);
    let takes = |kind| faults.iter().find(|(k, _)| *k == kind).map(|(_, d)| *d);

    let mut d = Decision {
        status: 200,
        content_type: "application/json;charset=utf-8",
        body: Vec::new(),
        delivery: Delivery::Whole,
        latency,
        date: state.world.now + if has(FaultKind::Skew) { SKEW } else { Duration::ZERO },
        request_id,
        holds: None,
    };
    // Faults that keep a request from being processed come first.
    let refused = if has(FaultKind::Drop) {
        d.delivery = Delivery::Abort;
        Some(ApiError::new(503, 0, ""))
    } else if at_once > state.world.scenario.api.concurrency || has(FaultKind::TooMany) {
        d.latency = Duration::ZERO;
        Some(ApiError::too_many())
    } else if has(FaultKind::ServerError) {
        Some(ApiError::new(500, 20500, "An internal server error has occurred"))
    } else if has(FaultKind::BadGateway) {
        d.content_type = "text/html";
        Some(ApiError::new(502, 0, "<html><head><title>502 Bad Gateway</title></head></html>"))
    } else if has(FaultKind::Unavailable) {
        Some(ApiError::new(503, 0, ""))
    } else if has(FaultKind::Unauthorized) {
        Some(ApiError::authenticate())
    } else {
        None
    };
    let answer = match refused {
        Some(error) => Err(error),
        None => {
            process(&mut state.world, &mut d, parts, body, parsed, has(FaultKind::Ineffective), has(FaultKind::Skew))
        }
    };
    match answer {
        Ok(json) => d.body = json,
        Err(error) => {
            d.status = error.status;
            d.body = if error.code == 0 { error.message.into_bytes() } else { error.json() };
            if route.class.writes() && matches!(error.status, 400..=499) && !matches!(error.status, 401 | 429) {
                let url = format!("https://api.twilio.com{path}");
                state.world.alert(luck.digits(), error.code, Subject::Request, &url, 0);
            }
        }
    }
    if d.status == 200 {
        if has(FaultKind::BadRow) || has(FaultKind::Unknown) {
            spoil(&mut d.body, has(FaultKind::BadRow), &mut luck);
        }
        if has(FaultKind::Truncated) {
            d.body.truncate(d.body.len() / 2);
        }
    }
    if !matches!(d.delivery, Delivery::Abort) {
        if let Some(takes) = takes(FaultKind::Hang) {
            d.delivery = Delivery::Never(takes);
        } else if has(FaultKind::Cut) {
            d.delivery = Delivery::Cut;
        } else if let Some(takes) = takes(FaultKind::Slow) {
            d.delivery = Delivery::Slow(takes);
        }
    }
    let outcome = match d.delivery {
        Delivery::Whole | Delivery::Slow(_) => d.status.to_string(),
        Delivery::Never(_) => "hang".into(),
        Delivery::Cut => "cut".into(),
        Delivery::Abort => "drop".into(),
    };
    state.stats.count(parts.method.as_str(), route.class, outcome, at_once);
    d
}

/// The faults that this request meets, with how long they take.
fn faults_met(world: &World, class: Class, luck: &mut Chance) -> Vec<(FaultKind, Duration)> {
    let at_work = world.faults.iter().filter(|f| f.fault.on.meets(class) && f.at_work(world.now));
    at_work.filter(|f| luck.hits(f.fault.share)).map(|f| (f.fault.kind, f.fault.takes)).collect()
}

fn process(
    world: &mut World,
    decision: &mut Decision,
    parts: &request::Parts,
    body: &[u8],
    parsed: Result<Route<'_>, Route<'_>>,
    is_ineffective: bool,
    is_skewed: bool,
) -> Answer {
    let (path, headers) = (parts.uri.path(), &parts.headers);
    let (Ok(route) | Err(route)) = parsed;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    auth::check(&world.scenario.account, authorization, &route, path)?;
    let route = parsed.map_err(|_| ApiError::method_not_allowed())?;
    let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let base = base_of(headers);
    let skew = if is_skewed { SKEW } else { Duration::ZERO };
    let view = View { world, route, path, query: &query, base: &base, skew };
    match route.class {
        Class::NumberUpdate => {
            let number = view.number_of_path().ok_or_else(|| view.not_found())?;
            if view.world.numbers[number as usize].updating {
                let message = "The resource is being updated by another request";
                return Err(ApiError::new(409, 20162, message));
            }
            let set: std::collections::BTreeMap<_, _> = Query::parse(body).into_pairs().collect();
            if set.contains_key("AccountSid") {
                // It would move the number to another account. Nobody here may.
                return Err(ApiError::new(403, 20403, "Moving a number is forbidden"));
            }
            let record = world.update(number, &set, Actor::Api, !is_ineffective)?;
            world.numbers[number as usize].updating = true;
            decision.holds = Some(number);
            let view = View { world, route, path, query: &query, base: &base, skew };
            view::one(&view.number(&view.world.numbers[number as usize], &record))
        }
        Class::NumberDelete => {
            let number = view.number_of_path().ok_or_else(|| view.not_found())?;
            world.release(number);
            Err(ApiError::new(403, 20403, "Releasing a number is forbidden"))
        }
        Class::Account => view.account_itself(),
        Class::Calls => view.calls(),
        Class::Call => view.call_by_sid(),
        Class::CallNotifications | Class::Notifications => view.notifications(),
        Class::Notification => view.notification_by_sid(),
        Class::Messages => view.messages(),
        Class::Message => view.message_by_sid(),
        Class::Numbers => view.numbers(),
        Class::Number => view.number_by_sid(),
        Class::Applications => view.applications(),
        Class::Application => view.application_by_sid(),
        Class::Alerts => view.alerts(),
        Class::Alert => view.alert_by_sid(),
        Class::Events => view.events(),
        Class::Services => view.services(),
        Class::Service => view.service_by_sid(),
        Class::ServiceNumbers => view.service_numbers(),
        Class::ServiceNumber => view.service_number(),
        Class::PortRequests => view.port_requests(),
        Class::PortRequest => view.port_request(),
        Class::PortNumber => view.port_number(),
        Class::Trunk => view.trunk(),
        Class::OriginationUrls => view.origination_urls(),
        Class::Region => view.region(),
        Class::Other => Err(view.not_found()),
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
    let view = View { world, route, path: "", query: &Query::parse(b""), base: "", skew: Duration::ZERO };
    let record = serde_json::to_value(view.number(n, &n.record)).ok()?;
    n.is_listed(world.now).then_some(record)
}

/// Makes one row of a page, or the one resource, such as nobody expects.
fn spoil(body: &mut Vec<u8>, is_malformed: bool, luck: &mut Chance) {
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let Some(map) = json.as_object_mut() else { return };
    let page = map.values_mut().find_map(|v| v.as_array_mut());
    let row = match page {
        Some(rows) => {
            let count = rows.len() as u64;
            rows.get_mut(luck.below(count) as usize).and_then(|r| r.as_object_mut())
        }
        None => Some(map),
    };
    let Some(row) = row else { return };
    if is_malformed {
        row.insert("sid".into(), serde_json::Value::Null);
        row.insert("date_created".into(), "yesterday".into());
    } else {
        row.insert("brand_new_field".into(), serde_json::json!({ "depth": 1 }));
        for name in ["status", "log_level", "log", "port_in_request_status"] {
            if row.contains_key(name) {
                row.insert(name.into(), "quantum".into());
            }
        }
    }
    if let Ok(spoilt) = serde_json::to_vec(&json) {
        *body = spoilt;
    }
}
