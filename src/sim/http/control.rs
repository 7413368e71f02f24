//! The control API, under a path that Twilio does not have.
//!
//! - `GET  /_sim/truth` what really happened, `/_sim/without-help` what would have, `/_sim/stats` what
//!   was asked, `/_sim/clock` the time, `/_sim/numbers/{number}` a number as it is
//! - `POST /_sim/handler`, `port`, `traffic`, `storm`, `fault`, `edit`: a happening, as in a scenario's
//!   `[[event]]`, now, as JSON
//! - `POST /_sim/calm`: all faults end
//! - `POST /_sim/clock` `{"advance": "10m"}`: on a clock that is moved by hand

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::core::model::id::E164;
use crate::sim::scenario::{Happening, span};
use crate::sim::{Sim, Truth};

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec_pretty(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn refuse(status: StatusCode, message: &str) -> Response {
    json(status, &serde_json::json!({ "error": message }))
}

fn time(sim: &Sim) -> Response {
    json(StatusCode::OK, &serde_json::json!({ "now": sim.clock().now() }))
}

pub async fn look(State(sim): State<Sim>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "truth" => json(StatusCode::OK, &sim.truth()),
        "stats" => json(StatusCode::OK, &sim.stats()),
        "clock" => time(&sim),
        "without-help" => match Truth::without_help(&sim.scenario()) {
            Ok(truth) => json(StatusCode::OK, &truth),
            Err(e) => refuse(StatusCode::CONFLICT, &e.to_string()),
        },
        _ => refuse(StatusCode::NOT_FOUND, "there are truth, without-help, stats, clock and numbers/{number}"),
    }
}

pub async fn number(State(sim): State<Sim>, Path(number): Path<String>) -> Response {
    match number.parse::<E164>().ok().and_then(|n| sim.number(n)) {
        Some(record) => json(StatusCode::OK, &record),
        None => refuse(StatusCode::NOT_FOUND, "no number of this account"),
    }
}

pub async fn act(State(sim): State<Sim>, Path(what): Path<String>, body: Bytes) -> Response {
    match what.as_str() {
        "clock" => return advance(&sim, &body).await,
        "calm" => {
            sim.calm();
            return json(StatusCode::OK, &serde_json::json!({}));
        }
        _ => {}
    }
    let body: serde_json::Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(e) => return refuse(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {e}")),
    };
    let happening = serde_json::json!({ what: body });
    let done = serde_json::from_value::<Happening>(happening).map_err(|e| e.to_string());
    match done.and_then(|h| sim.happen(h).map_err(|e| e.to_string())) {
        Ok(()) => time(&sim),
        Err(message) => refuse(StatusCode::BAD_REQUEST, &message),
    }
}

async fn advance(sim: &Sim, body: &[u8]) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        #[serde(with = "span")]
        advance: Duration,
    }
    if !sim.is_moved_by_hand() {
        return refuse(StatusCode::CONFLICT, "this simulator's clock is not moved by hand");
    }
    match serde_json::from_slice::<Advance>(body) {
        // Whoever waits less is served on the way.
        Ok(Advance { advance }) => {
            sim.clock().sleep(advance).await;
            time(sim)
        }
        Err(e) => refuse(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}
