//! The company's webhooks themselves, for whoever asks one as Twilio does: `/handlers/…` at the simulator's
//! own address is a handler like any other, in the state that the scenario gives it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::bins::{response, signature};
use super::page::Query;
use super::{abort, base_of};
use crate::sim::Sim;
use crate::sim::handler::{Does, SimFetched};

pub async fn answer(State(sim): State<Sim>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let url = format!("{}{uri}", base_of(&headers));
    let form: BTreeMap<String, String> = Query::parse(&body).into_pairs().collect();
    let given = headers.get("x-twilio-signature").and_then(|v| v.to_str().ok());
    let token = sim.scenario().account.auth_token;
    if given != Some(signature(&token, &url, &form).as_str()) {
        return response(StatusCode::FORBIDDEN, "text/plain", "not signed by Twilio".to_owned());
    }
    let fetched = {
        let mut state = sim.present();
        state.stats.handler_requests += 1;
        let to = form.get("To").and_then(|to| to.parse().ok());
        let to = to.unwrap_or(state.world.scenario.groups[0].numbers[0]);
        state.world.handlers.fetch(&url, 0.0, "twilio", to, 0)
    };
    let (SimFetched::Served { after, .. } | SimFetched::Failed { after, .. }) = fetched;
    sim.clock().sleep(Duration::from_secs_f64(after)).await;
    let twiml = |text: &str| response(StatusCode::OK, "text/xml", format!("<Response>{text}</Response>"));
    match fetched {
        SimFetched::Served { does: Does::Speaks, .. } => response(StatusCode::OK, "text/plain", "Hello".to_owned()),
        SimFetched::Served { does: Does::Silent, .. } => twiml("<Pause length=\"10\"/>"),
        SimFetched::Served { .. } if form.contains_key("MessageSid") => twiml("<Message>Hello</Message>"),
        SimFetched::Served { .. } => twiml("<Say>Hello</Say>"),
        SimFetched::Failed { http: Some(200), .. } => response(StatusCode::OK, "text/html", "<p>Oops".to_owned()),
        SimFetched::Failed { http: Some(status), .. } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response(status, "text/plain", "it broke".to_owned())
        }
        SimFetched::Failed { http: None, .. } => abort(),
    }
}
