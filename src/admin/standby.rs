//! The face of an agent that stands by: alive, not ready, and who leads.
//!
//! The address answers from the first moment on. Until the agent leads, [`SwappableRouter`] gives these answers;
//! then the agent's own routes take their place, on the same connections.
//!
//! A command that acts by itself shows the same face there, and takes what stops it: [`super::router_beside`].

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use secrecy::SecretString;
use tokio::sync::watch;
use tower::ServiceExt;

use super::ApiProblem;
use super::auth::{AccessRules, Authenticator};
use super::gate::admit;
use super::identity::{Challenge, Identity, prove};
use super::names::{OwnNames, check};
use super::sessions::Sessions;
use crate::agent::leader::LeaseHolder;
use crate::clock::Clock;

/// Routes that can be exchanged while they are served.
#[derive(Clone)]
pub struct SwappableRouter(Arc<RwLock<Router>>);

impl SwappableRouter {
    pub fn new(first: Router) -> SwappableRouter {
        SwappableRouter(Arc::new(RwLock::new(first)))
    }

    /// From now on these answer.
    pub fn set(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// What a server serves.
    pub fn router(&self) -> Router {
        let front = self.clone();
        Router::new().fallback(move |request: Request| {
            let now = front.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            now.oneshot(request)
        })
    }
}

/// Who leads, if that is known.
pub type Leader = watch::Receiver<Option<LeaseHolder>>;

/// The routes of an agent that does not lead yet.
pub fn router(leader: Leader, token: Option<SecretString>) -> Router {
    router_for(leader, token, OwnNames::default())
}

/// The same, which is asked for by these names.
pub fn router_for(leader: Leader, rules: impl Into<AccessRules>, names: OwnNames) -> Router {
    let rules = rules.into();
    let identity = Identity::with_clock(rules.tokens(), Clock::system());
    router_of(leader, rules, names, identity)
}

/// The same, which proves itself as `identity`.
pub(super) fn router_of(leader: Leader, rules: AccessRules, names: OwnNames, identity: Identity) -> Router {
    let clock = Clock::system();
    // Nobody signs in to an agent that stands by; whoever has a token may ask who leads.
    let gate = (Authenticator::new(rules, clock.clone()), Sessions::new(clock, true));
    let proves = identity.clone();
    Router::new()
        .route("/-/healthy", get(|challenge: Challenge| async move { identity.answer(&challenge).await }))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .fallback(|State(leader): State<Leader>| async move {
            ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, text(leader.borrow().as_ref()))
        })
        .with_state(leader)
        .layer(from_fn_with_state(gate, admit))
        .layer(from_fn_with_state(proves, prove))
        .layer(from_fn_with_state(names, check))
}

/// What a command that acts by itself takes from others: whatever stops it, and the way back. The rest waits.
const TAKEN: [&str; 4] = ["/-/healthy", "/api/v1/hold", "/api/v1/release", "/api/v1/mode"];

/// The face of a command that acts by itself, where the agent would be asked: who acts, and a way to say stop. No
/// metrics of its: nobody watches, whatever it does. `acting`: the routes of what acts; `told`: of who tells.
pub(super) fn merge_beside(acting: Router, told: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let taken = TAKEN.contains(&request.uri().path());
        let router = if taken { acting.clone() } else { told.clone() };
        router.oneshot(request)
    })
}

/// What is said where it is not known yet who leads: of an agent that starts, or is exchanged for another.
pub const STARTING: &str = "starting";

fn text(leader: Option<&LeaseHolder>) -> String {
    match leader {
        Some(LeaseHolder { by, is_command: true, .. }) => format!("standby: {by}, acts by itself, and ends"),
        Some(LeaseHolder { by, until, .. }) => format!("standby: {by} leads until {until} at least"),
        None => STARTING.to_owned(),
    }
}

async fn metrics() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "# HELP ringback_build_info Version of this agent; always 1.\n# TYPE ringback_build_info gauge\n\
         ringback_build_info{{version=\"{version}\"}} 1\n\
         # HELP ringback_leading 1 while this agent holds the lease, without which nothing is written.\n\
         # TYPE ringback_leading gauge\nringback_leading 0\n"
    );
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response()
}

async fn status(State(leader): State<Leader>) -> Json<serde_json::Value> {
    let led = leader.borrow().clone();
    Json(match led {
        Some(LeaseHolder { by, is_command: true, .. }) => {
            serde_json::json!({ "standby": true, "leader": by, "is_command": true })
        }
        Some(LeaseHolder { by, until, .. }) => {
            serde_json::json!({ "standby": true, "leader": by, "until": until })
        }
        None => serde_json::json!({ "standby": true }),
    })
}
