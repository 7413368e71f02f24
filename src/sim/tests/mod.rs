//! Tests of the simulator as a whole, through its own door.
//!
//! Each plays a scenario on a virtual clock and asks by HTTP: through the router, or over a socket where
//! the connection itself is what matters (`wire`).

mod api;
mod faults;
mod files;
mod lists;
mod numbers;
mod place;
mod truth;
mod wire;
mod world;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use base64::Engine;
use serde_json::Value;
use tower::ServiceExt;

use super::{Scenario, Sim};
use crate::clock::{Clock, Pace};
use crate::core::model::time::Time;

/// One group of one number, reached at once and listed at once; `more` follows.
fn one_number(more: &str) -> Scenario {
    let text = format!(
        r#"
        name  = "one"
        seed  = 5
        start = "2026-11-20T14:00:00Z"
        lasts = "3h"
        {more}
        [[group]]
        name    = "support"
        numbers = ["{NUMBER}"]
        traffic = {{ calls_per_hour = 120, shape = "flat", failure = 0, busy = 0, no_answer = 0, hang_up = 0 }}
        routing = {{ voice_url = "{VOICE}" }}
        "#
    );
    let mut scenario = Scenario::parse(&text).unwrap();
    scenario.lag = super::Lag::none();
    scenario.twilio.anonymous = 0.0;
    scenario
}

const NUMBER: &str = "+12125550100";
const VOICE: &str = "https://app.example.com/voice";
const BIN: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

/// Minutes after the start.
fn min(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// Somebody with the account's credentials at the simulator's door.
#[derive(Clone)]
struct Door {
    sim: Sim,
    clock: Clock,
    start: Time,
    /// User and password.
    who: (String, String),
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Status and Twilio's code.
    fn error(&self) -> (u16, u64) {
        (self.status, self.json()["code"].as_u64().unwrap_or(0))
    }
}

impl Door {
    fn account(&self) -> String {
        format!("/2010-04-01/Accounts/{}", self.sim.scenario().account.sid)
    }

    fn request(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Request<Body> {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.account()) };
        let credentials = format!("{}:{}", self.who.0, self.who.1);
        let basic = base64::engine::general_purpose::STANDARD.encode(credentials);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "sim.test")
            .header("authorization", format!("Basic {basic}"))
            .body(Body::from(body))
            .unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.sim.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A path of the account, or a whole one if it begins with a slash.
    async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path, &[])).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.request("POST", path, form)).await
    }

    /// The rows of a list, page by page.
    async fn all(&self, path: &str, key: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let reply = self.get(&path).await;
            assert_eq!(reply.status, 200, "{path}");
            let page = reply.json();
            rows.extend(page[key].as_array().unwrap().iter().cloned());
            let uri = page.get("next_page_uri").unwrap_or_else(|| &page["meta"]["next_page_url"]);
            next = uri.as_str().map(|u| u.trim_start_matches("http://sim.test").to_owned());
        }
        rows
    }

    async fn calls(&self) -> Vec<Value> {
        self.all("Calls.json?PageSize=500", "calls").await
    }

    async fn alerts(&self) -> Vec<Value> {
        self.all("/v1/Alerts?PageSize=500", "alerts").await
    }

    /// Updates the number of [`one_number`].
    async fn update(&self, form: &[(&str, &str)]) -> Reply {
        let path = self.number_path(NUMBER);
        self.post(&path, form).await
    }

    fn number_path(&self, number: &str) -> String {
        let record = self.sim.number(number.parse().unwrap()).unwrap();
        record["uri"].as_str().unwrap().to_owned()
    }

    /// Waits until `offset` after the start.
    async fn at(&self, offset: Duration) {
        self.clock.sleep_until(self.start + offset).await;
    }
}

/// Plays `scenario` on a virtual clock, with `main` at the door.
fn play<T>(scenario: Scenario, main: impl AsyncFnOnce(Door) -> T) -> T {
    let start = scenario.start.unwrap();
    let clock = Clock::virtual_at(start);
    let who = (scenario.account.sid.to_string(), scenario.account.auth_token.clone());
    let sim = Sim::moved_by_hand(scenario, clock.clone()).unwrap();
    let door = Door { sim, clock: clock.clone(), start, who };
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(clock.drive(Pace::Free, main(door)))
}

/// How many rows have this value there.
fn count(rows: &[Value], key: &str, value: impl Into<Value>) -> usize {
    let value = value.into();
    rows.iter().filter(|r| r[key] == value).count()
}
