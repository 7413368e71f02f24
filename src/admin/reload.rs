//! `POST /api/v1/reload`: the agent reads its configuration again.
//!
//! The request goes to whoever started the agent, who alone can put another one in its place; the answer is what came
//! of it. It is given by the agent that runs then, or by the one that runs on.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::ErrorBody;
use super::commands::{JsonBody, author, open, stopping};
use super::{Admin, ApiProblem};
use crate::core::model::bounds;
use crate::core::model::order::Author;

/// The rest of the time for an answer is the answer's own.
const TO_ANSWER: Duration = Duration::from_secs(1);

/// Why the configuration is to be read again.
#[derive(Debug, Deserialize, Serialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    pub reason: String,
    pub author: String,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    pub done: String,
    /// The keys that are written otherwise than before, or whose files are.
    pub changed: Vec<String>,
}

/// Somebody wants the configuration read again.
pub struct ReloadRequest {
    pub by: Author,
    /// What came of it, or why nothing did.
    pub reply: oneshot::Sender<Result<Reloaded, String>>,
}

/// Where requests are made, and where they are taken.
pub fn channel() -> (mpsc::Sender<ReloadRequest>, mpsc::Receiver<ReloadRequest>) {
    mpsc::channel(1)
}

/// Has the configuration read again: whole, or not at all if anything is wrong with it.
#[utoipa::path(post, path = "/api/v1/reload", request_body = Reload, security(("token" = [])),
    responses((status = 200, body = Reloaded), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn reload(
    State(a): State<Admin>,
    operator: Operator,
    body: JsonBody<Reload>,
) -> Result<Json<Reloaded>, ApiProblem> {
    let asked = open(body)?;
    let by = author(&a.roster, operator.author(&asked.author), &asked.reason)?;
    let Some(reloads) = &a.reloads else {
        return Err(ApiProblem::new(StatusCode::CONFLICT, "this agent cannot read its configuration again"));
    };
    tracing::info!(%by, "an operator has the configuration read again");
    let (reply, answer) = oneshot::channel();
    if let Err(mpsc::error::TrySendError::Closed(_)) = reloads.try_send(ReloadRequest { by, reply }) {
        return Err(stopping());
    }
    let until = a.clock.now() + bounds::ANSWER_WITHIN.saturating_sub(TO_ANSWER);
    match a.clock.wait(Some(until), answer).await {
        Some(Ok(Ok(reloaded))) => Ok(Json(reloaded)),
        Some(Ok(Err(why))) => Err(ApiProblem::new(StatusCode::CONFLICT, why)),
        // The request is dropped with its answer while another one is under way, too.
        Some(Err(_)) => Err(ApiProblem::new(StatusCode::CONFLICT, "the configuration is being read again already")),
        None => Err(ApiProblem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "it takes long: what came of it is in the log, and in the journal if it is taken up",
        )),
    }
}
