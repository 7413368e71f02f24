//! The agent's own HTTP face.
//!
//! | path | answers |
//! |---|---|
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /-/healthy` | 200 while the engine ticks; with `?nonce=` also a proof that it is this agent ([`identity`]) |
//! | `GET /-/ready` | 200 while the engine ticks, the lease is ours, the journal can be written and every source is fresh, else 503 with what is not so |
//! | `GET /api/v1/status` | the state of everything, as JSON |
//! | `GET /api/v1/ports` | how far the ports are, and whether the old provider may be cancelled |
//! | `GET /api/v1/numbers`, `/decisions`, `/decisions/{id}`, `/orders/{id}` | parts of it, and what the journal says |
//! | `POST /api/v1/…` | an operator's command ([`commands`]); needs the bearer token and a reason |
//! | `GET /api/v1/openapi.json` | all this, described from the code |
//! | `GET /runbooks/`, `/runbooks/{name}` | what on-call does at each alert ([`docs`]) |
//! | `GET /docs/`, `/docs/{name}` | the documentation, as `ringback docs` prints it |
//! | `POST /webhooks/ports/{token}` | somebody rings for a look at the ports ([`port_webhook`]) |
//! | `GET /`, `/groups/{name}`, `/numbers/{number}`, `/decisions/{id}`, `/journal` | the same for people ([`page`]) |
//! | `GET` and `POST /act/{verb}` | a command, named before it is done |
//! | `GET /events` | what has changed on the overview |
//! | `GET` and `POST /sign-in`, `POST /sign-out` | a session of a browser's ([`sessions`]) |
//!
//! Reads take published snapshots or the journal, and never wait on the control task. Writes are
//! authenticated ([`auth`]), carry a reason, are logged, and go to the control task's inbox. Beyond the loopback
//! interface reads need a token too ([`gate`]). While another agent leads, [`standby`] answers instead. No other site's
//! page may read or write here: there are no CORS headers, and what such a page sends is refused ([`names`]).

pub mod apply;
pub mod auth;
pub mod body;
pub mod commands;
mod docs;
mod gate;
pub mod identity;
mod impatient;
pub mod names;
pub mod openapi;
pub mod page;
mod port_webhook;
pub mod reload;
mod rendering;
pub mod serve;
pub mod sessions;
pub mod standby;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use tokio::sync::{mpsc, oneshot, watch};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::agent::control::write_guard::WriteGuard;
use crate::agent::ports::doorbell::Doorbell;
use crate::agent::publish::explain::{DecisionHistory, Explanation, RecordedEntry};
use crate::agent::publish::recent::Recent;
use crate::agent::publish::status::{NumberStatus, OrderStatus, Status};
use crate::agent::{Agent, ControlMessage};
use crate::clock::Clock;
use crate::core::model::bounds;
use crate::core::model::decision::DecisionId;
use crate::core::model::roster::Roster;
use crate::metrics::Metrics;
use rendering::Rendering;
use serde::Serialize;
use utoipa::ToSchema;

/// The engine ticks every second; after this long without a tick it hangs.
const TICKS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Admin {
    clock: Clock,
    metrics: Metrics,
    status: watch::Receiver<Arc<Status>>,
    roster: Arc<Roster>,
    inbox: mpsc::Sender<ControlMessage>,
    memory: DecisionHistory,
    recent: Recent,
    write_guard: WriteGuard,
    door: auth::Authenticator,
    identity: identity::Identity,
    sessions: sessions::Sessions,
    pages: Pages,
    live: page::Live,
    doorbell: Doorbell,
    /// Who reads the configuration again; nobody where it cannot be.
    reloads: Option<mpsc::Sender<reload::ReloadRequest>>,
}

/// The large ones.
#[derive(Clone, Default)]
struct Pages {
    metrics: Rendering,
    status: Rendering,
    numbers: Rendering,
    ports: Rendering,
    decisions: Rendering,
}

/// The routes of a running agent.
pub fn router(agent: &Agent, clock: &Clock, rules: impl Into<auth::AccessRules>) -> Router {
    router_with(agent, clock, rules, None)
}

/// The same of an agent whose configuration can be read again.
pub fn router_with(
    agent: &Agent,
    clock: &Clock,
    rules: impl Into<auth::AccessRules>,
    reloads: Option<mpsc::Sender<reload::ReloadRequest>>,
) -> Router {
    let rules = rules.into();
    let identity = identity::Identity::with_clock(rules.tokens(), clock.clone());
    routes(agent, clock, rules, reloads, identity)
}

/// The face of an agent that is a command which acts by itself, where the agent would be asked: [`standby`].
pub fn router_beside(agent: &Agent, clock: &Clock, rules: auth::AccessRules, leader: standby::Leader) -> Router {
    let identity = identity::Identity::with_clock(rules.tokens(), clock.clone());
    let names = names::OwnNames(agent.names.clone());
    let acting = routes(agent, clock, rules.clone(), None, identity.clone());
    standby::merge_beside(acting, standby::router_of(leader, rules, names, identity))
}

fn routes(
    agent: &Agent,
    clock: &Clock,
    rules: auth::AccessRules,
    reloads: Option<mpsc::Sender<reload::ReloadRequest>>,
    identity: identity::Identity,
) -> Router {
    let is_secure = rules.is_open;
    let admin = Admin {
        clock: clock.clone(),
        metrics: agent.metrics.clone(),
        status: agent.status.clone(),
        roster: agent.roster.clone(),
        inbox: agent.inbox.clone(),
        memory: agent.memory.clone(),
        recent: agent.recent.clone(),
        write_guard: agent.write_guard.clone(),
        door: auth::Authenticator::new(rules, clock.clone()),
        identity,
        sessions: sessions::Sessions::new(clock.clone(), is_secure),
        pages: Pages::default(),
        live: page::Live::default(),
        doorbell: agent.doorbell.clone(),
        reloads,
    };
    let identity = admin.identity.clone();
    let names = names::OwnNames(agent.names.clone());
    let fixed = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let api = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/status", get(status))
        .route("/api/v1/numbers", get(numbers))
        .route("/api/v1/ports", get(ports))
        .route("/api/v1/decisions", get(decisions))
        .route("/api/v1/decisions/{id}", get(decision))
        .route("/api/v1/orders/{id}", get(order))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/runbooks/", get(docs::runbooks))
        .route("/runbooks/{name}", get(docs::runbook))
        .route("/docs/", get(docs::list))
        .route("/docs/{name}", get(docs::doc))
        .route("/api/v1/rollback", post(commands::rollback))
        .route("/api/v1/restore", post(commands::restore))
        .route("/api/v1/apply", post(apply::apply))
        .route("/api/v1/hold", post(commands::hold))
        .route("/api/v1/release", post(commands::release))
        .route("/api/v1/approve", post(commands::approve))
        .route("/api/v1/mode", post(commands::mode))
        .route("/api/v1/ported", post(commands::ported))
        .route("/api/v1/adopt", post(commands::adopt))
        .route("/api/v1/reload", post(reload::reload))
        .fallback(|| async { ApiProblem::new(StatusCode::NOT_FOUND, "no such page") })
        .layer(from_fn_with_state((admin.door.clone(), admin.sessions.clone()), gate::admit))
        .layer(from_fn_with_state(identity, identity::prove));
    // Beside the proofs, for which an answer is read to its end: the page's events have none.
    let pages = page::routes(&admin);
    // Twilio has no bearer token, and proves nothing to us nor we to it.
    let webhooks = Router::new().route("/webhooks/ports/{token}", post(port_webhook::ring));
    api.merge(pages)
        .merge(webhooks)
        .method_not_allowed_fallback(|| async {
            ApiProblem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(DefaultBodyLimit::max(bounds::REQUEST_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, bounds::ANSWER_WITHIN))
        .layer(from_fn_with_state(names, names::check))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .with_state(admin)
}

/// An answer that says what was wrong.
#[derive(Debug)]
pub struct ApiProblem {
    status: StatusCode,
    error: String,
    /// The connection is closed with it.
    closes: bool,
}

impl ApiProblem {
    fn new(status: StatusCode, error: impl Into<String>) -> ApiProblem {
        ApiProblem { status, error: error.into(), closes: false }
    }

    fn and_closed(self) -> ApiProblem {
        ApiProblem { closes: true, ..self }
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(body::ErrorBody { error: self.error })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        } else if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let metrics = admin.metrics;
    let make = rendering::apart(move || metrics.render().map(String::into_bytes));
    admin.pages.metrics.answer(prometheus::TEXT_FORMAT, make).await
}

async fn healthy(State(admin): State<Admin>, challenge: identity::Challenge) -> Result<Response, ApiProblem> {
    is_ticking(&admin)?;
    Ok(admin.identity.answer(&challenge).await)
}

/// Fails if what is known is what an engine knew that has stopped.
fn is_ticking(admin: &Admin) -> Result<(), ApiProblem> {
    let ticked = admin.status.borrow().at;
    if ticked + TICKS_WITHIN < admin.clock.now() {
        let text = format!("the engine has not ticked since {ticked}: restart the agent");
        return Err(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok(())
}

async fn ready(State(admin): State<Admin>) -> Result<&'static str, ApiProblem> {
    is_ticking(&admin)?;
    if let Some(trouble) = admin.write_guard.trouble() {
        return Err(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, trouble));
    }
    let status = admin.status.borrow().clone();
    let cannot_read = status.cannot_read();
    if cannot_read.is_empty() {
        return Ok("ready\n");
    }
    let text = format!("blind: cannot read {}; the log says why", cannot_read.join(", "));
    Err(ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, text))
}

async fn status(State(admin): State<Admin>) -> Response {
    let status = admin.status;
    let make = rendering::apart(move || serde_json::to_vec(&*status.borrow().clone()));
    admin.pages.status.answer(JSON, make).await
}

async fn numbers(State(admin): State<Admin>) -> Response {
    let status = admin.status;
    let make = rendering::apart(move || {
        let status = status.borrow().clone();
        serde_json::to_vec(&status.numbers().map(|(_, n)| n).collect::<Vec<&NumberStatus>>())
    });
    admin.pages.numbers.answer(JSON, make).await
}

/// The control task knows it, and makes it for all who ask at once.
async fn ports(State(admin): State<Admin>) -> Response {
    let (inbox, clock) = (admin.inbox, admin.clock);
    let make = async move {
        let (reply, answer) = oneshot::channel();
        let asked = inbox.send(ControlMessage::PortsAsked { reply }).await;
        let until = Some(clock.now() + bounds::ANSWER_WITHIN);
        let report = match asked {
            Ok(()) => clock.wait(until, answer).await.and_then(Result::ok),
            Err(_) => None,
        };
        let report = report
            .ok_or_else(|| ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping, or hangs"))?;
        rendering::apart(move || serde_json::to_vec(&report)).await
    };
    admin.pages.ports.answer(JSON, make).await
}

const JSON: &str = "application/json";

/// Decisions and orders that one answer lists.
const DECISIONS: usize = 100;

async fn decisions(State(admin): State<Admin>) -> Response {
    let memory = admin.memory;
    let make = async move {
        let latest: Vec<RecordedEntry> = memory.latest(DECISIONS).await.map_err(unreadable)?;
        rendering::apart(move || serde_json::to_vec(&latest)).await
    };
    admin.pages.decisions.answer(JSON, make).await
}

async fn decision(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Explanation>, ApiProblem> {
    let id = id_of(&id)?;
    let found = admin.memory.explain(id).await.map_err(unreadable)?;
    found.map(Json).ok_or_else(|| no_such(id))
}

async fn order(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<OrderAnswer>, ApiProblem> {
    let id = id_of(&id)?;
    let status = admin.status.borrow().clone();
    if let Some(found) = status.orders.iter().find(|o| o.order.id == id) {
        return Ok(Json(OrderAnswer { proofs_awaited: status.proofs_awaited(found), order: found.clone() }));
    }
    // The status has the latest ones; the journal has every one.
    let order = admin.memory.order(id).await.map_err(unreadable)?.ok_or_else(|| no_such(id))?;
    Ok(Json(OrderAnswer { proofs_awaited: status.proofs_awaited(&order), order }))
}

/// How far an order has come.
#[derive(Serialize, ToSchema)]
pub struct OrderAnswer {
    #[serde(flatten)]
    order: OrderStatus,
    /// Numbers that were written to and read back, and whose test call is still to come or under way.
    #[schema(minimum = 0)]
    proofs_awaited: usize,
}

fn id_of(text: &str) -> Result<DecisionId, ApiProblem> {
    text.parse().map_err(|e: crate::core::model::id::BadId| ApiProblem::new(StatusCode::NOT_FOUND, e.to_string()))
}

fn no_such(id: DecisionId) -> ApiProblem {
    ApiProblem::new(StatusCode::NOT_FOUND, format!("{id} is not known"))
}

fn unreadable(error: crate::agent::MemoryError) -> ApiProblem {
    tracing::error!(%error, "the journal cannot be read");
    ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
