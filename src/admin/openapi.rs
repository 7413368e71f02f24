//! The API's description, made from the code that answers.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::commands;
use crate::agent::publish::explain;
use crate::agent::publish::status::{NumberStatus, OrderStatus, Status};
use crate::core::rollback::operator;

/// What was wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    pub error: String,
}

/// What an operator's order comes to for one number.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DecisionLine {
    pub number: String,
    pub channel: String,
    /// `rollback`, `restore`, `keep` (it stays on the fallback, and the restore that has not come to it is given
    /// up for it), `nothing` (it is as asked), `not_watched` (on this channel) or `refuse`.
    pub will: String,
    pub detail: String,
}

impl DecisionLine {
    pub fn of(line: &operator::PreviewLine) -> DecisionLine {
        DecisionLine {
            number: line.number.to_string(),
            channel: line.channel.to_string(),
            will: line.will.label().to_owned(),
            detail: line.detail.clone(),
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Ringback", description = "Watches phone numbers on Twilio and swaps failing ones to their fallback."),
    paths(
        healthy,
        ready,
        status,
        numbers,
        decisions,
        decision,
        order,
        commands::rollback,
        commands::restore,
        commands::hold,
        commands::release,
        commands::approve,
        commands::mode,
        commands::ported,
    ),
    modifiers(&Token)
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

pub async fn openapi() -> Response {
    let json = Description::openapi().to_json().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

// Descriptions of what is answered in mod.rs: the bodies are the status's own types.

/// 200 while the engine ticks.
#[utoipa::path(get, path = "/-/healthy",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn healthy() {}

/// 200 while every source is fresh.
#[utoipa::path(get, path = "/-/ready",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn ready() {}

/// The state of everything.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status)))]
#[expect(dead_code, reason = "a description")]
fn status() {}

/// Every number.
#[utoipa::path(get, path = "/api/v1/numbers", responses((status = 200, body = Vec<NumberStatus>)))]
#[expect(dead_code, reason = "a description")]
fn numbers() {}

/// The latest decisions and orders, newest first.
#[utoipa::path(get, path = "/api/v1/decisions",
    responses((status = 200, body = Vec<explain::RecordedEntry>), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn decisions() {}

/// Everything that is known of one decision, with its evidence recomputed.
#[utoipa::path(get, path = "/api/v1/decisions/{id}", params(("id" = String, Path, description = "such as D12")),
    responses((status = 200, body = explain::Explanation), (status = "4XX", body = ErrorBody), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn decision() {}

/// How far an order has come.
#[utoipa::path(get, path = "/api/v1/orders/{id}", params(("id" = String, Path, description = "such as D12")),
    responses((status = 200, body = OrderStatus), (status = "4XX", body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn order() {}
