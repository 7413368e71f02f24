//! The agent's own HTTP face.
//!
//! | path | answers |
//! |---|---|
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /-/healthy` | 200 while the engine ticks |
//! | `GET /-/ready` | 200 while every source is fresh, else 503 with the stale ones |
//! | `GET /api/v1/status` | the state of everything, as JSON |
//! | `POST /api/v1/ported` | says that numbers are ported; needs the bearer token and a reason |
//!
//! Reads take published snapshots and never wait on the engine. Writes are authenticated, carry a
//! reason, and go to the engine's inbox. Listens on loopback only.

pub mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::agent::status::Status;
use crate::agent::{Agent, Message};
use crate::clock::Clock;
use crate::core::id::{E164, GroupName};
use crate::core::roster::{NumberIx, Roster};
use crate::metrics::Metrics;

/// Largest body of a request; ours are a few hundred bytes.
const LARGEST_BODY: usize = 64 << 10;

/// How long a request may take, body included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The engine ticks every second; after this long without a tick it hangs.
const TICKS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Admin {
    clock: Clock,
    metrics: Metrics,
    status: watch::Receiver<Arc<Status>>,
    roster: Arc<Roster>,
    inbox: mpsc::Sender<Message>,
    token: Option<Arc<SecretString>>,
}

/// The routes of a running agent.
pub fn router(agent: &Agent, clock: &Clock, token: Option<SecretString>) -> Router {
    let admin = Admin {
        clock: clock.clone(),
        metrics: agent.metrics.clone(),
        status: agent.status.clone(),
        roster: agent.roster.clone(),
        inbox: agent.inbox.clone(),
        token: token.map(Arc::new),
    };
    let fixed = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/api/v1/status", get(status))
        .route("/api/v1/ported", post(ported))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no such page") })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .with_state(admin)
}

/// An answer that says what was wrong.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    error: String,
}

impl Problem {
    fn new(status: StatusCode, error: impl Into<String>) -> Problem {
        Problem { status, error: error.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let mut response = (self.status, Json(Body { error: self.error })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(e) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

async fn healthy(State(admin): State<Admin>) -> Result<&'static str, Problem> {
    let ticked = admin.status.borrow().at;
    if ticked + TICKS_WITHIN < admin.clock.now() {
        let text = format!("the engine has not ticked since {ticked}: restart the agent");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok("healthy\n")
}

async fn ready(State(admin): State<Admin>) -> Result<&'static str, Problem> {
    let status = admin.status.borrow().clone();
    let stale: Vec<&str> = status.sources.iter().filter(|s| s.is_needed && s.is_stale).map(|s| s.source).collect();
    if stale.is_empty() {
        return Ok("ready\n");
    }
    let text = format!("blind: cannot read {}; the log says why", stale.join(", "));
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))
}

async fn status(State(admin): State<Admin>) -> Json<Arc<Status>> {
    Json(admin.status.borrow().clone())
}

/// Which numbers, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ported {
    group: Option<GroupName>,
    #[serde(default)]
    numbers: Vec<E164>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct PortedAnswer {
    /// Channels that were waiting and are active now.
    activated: usize,
}

async fn ported(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<Json<Ported>, JsonRejection>,
) -> Result<Json<PortedAnswer>, Problem> {
    authenticate(&admin, &headers)?;
    let Json(asked) = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let reason = asked.reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reason is empty: say why, it is kept"));
    }
    let numbers = select(&admin.roster, asked.group.as_ref(), &asked.numbers)?;
    tracing::info!(numbers = numbers.len(), reason, "an operator says that numbers are ported");
    let (reply, answer) = oneshot::channel();
    let gone = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping");
    admin.inbox.send(Message::Ported { numbers, reply }).await.map_err(|_| gone(()))?;
    let activated = answer.await.map_err(|_| gone(()))?;
    Ok(Json(PortedAnswer { activated }))
}

/// The numbers that a request names, each of which must be ours.
fn select(roster: &Roster, group: Option<&GroupName>, numbers: &[E164]) -> Result<Vec<NumberIx>, Problem> {
    let unknown = |what: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{what} is not ours"));
    let mut selected = Vec::new();
    if let Some(name) = group {
        match roster.groups().find(|(_, g)| g.name == *name) {
            Some((_, g)) => selected.extend(&g.numbers),
            None => return Err(unknown(format!("group {name}"))),
        }
    }
    for number in numbers {
        selected.push(roster.find(*number).ok_or_else(|| unknown(number.to_string()))?);
    }
    if selected.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "name a group or numbers"));
    }
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

fn authenticate(admin: &Admin, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(token) = &admin.token else {
        let text = "writes are off: set RINGBACK_TOKEN or agent.token_file and restart the agent";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .unwrap_or_default();
    if same(given.as_bytes(), token.expose_secret().as_bytes()) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong"))
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let mut difference = a.len() ^ b.len();
    for (i, x) in a.iter().enumerate() {
        difference |= usize::from(x ^ b.get(i).unwrap_or(&0));
    }
    difference == 0
}
