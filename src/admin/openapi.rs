//! The API's description, made from the code that answers.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::body::ErrorBody;
use super::{apply, commands, reload};
use crate::agent::publish::explain;
use crate::agent::publish::status::{NumberStatus, Status};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ringback",
        description = "Watches phone numbers on Twilio and swaps failing ones to their fallback. A number is an account's: \
                       an object has `account` and `number`, and in lists and in the journal's entries it is one text, \
                       `AC…/+15005550100`. Requests take that, or E.164 alone where one account has the number."
    ),
    paths(
        healthy,
        ready,
        status,
        numbers,
        ports,
        decisions,
        decision,
        order,
        commands::rollback,
        commands::restore,
        apply::apply,
        commands::hold,
        commands::release,
        commands::approve,
        commands::mode,
        commands::ported,
        commands::adopt,
        reload::reload,
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

/// 200 while the engine ticks. With a nonce, the header `ringback-proof` proves that the agent has the token.
#[utoipa::path(get, path = "/-/healthy",
    params(("nonce" = Option<String>, Query, description = "64 hexadecimal digits", pattern = "^[0-9a-fA-F]{64}$")),
    responses((status = 400, body = ErrorBody), (status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn healthy() {}

/// 200 while every source is fresh and the journal can be written.
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

/// How far each number's port is, and what is missing before the old provider may be cancelled.
#[utoipa::path(get, path = "/api/v1/ports", responses((status = 200, body = Object), (status = 503, body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn ports() {}

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
    responses((status = 200, body = super::OrderAnswer), (status = "4XX", body = ErrorBody)))]
#[expect(dead_code, reason = "a description")]
fn order() {}
