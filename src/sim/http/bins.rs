//! TwiML Bins: what the host `handler.twilio.com` answers, to whoever signs as Twilio does.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::page::Query;
use crate::sim::Sim;
use crate::sim::handler::bin;
use crate::sim::scenario::Bin;

pub async fn answer(
    State(sim): State<Sim>,
    Path(sid): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let scenario = sim.scenario();
    let query = uri.query().map_or(String::new(), |q| format!("?{q}"));
    let signed = format!("{}{sid}{query}", Bin::BASE);
    let form: BTreeMap<String, String> = Query::parse(&body).into_pairs().collect();
    let given = headers.get("x-twilio-signature").and_then(|v| v.to_str().ok());
    if given != Some(signature(&scenario.account.auth_token, &signed, &form).as_str()) {
        return response(StatusCode::FORBIDDEN, "text/plain", "Not Authorized".to_owned());
    }
    let Some(bin) = scenario.bins.iter().find(|b| b.sid == sid) else {
        return response(StatusCode::NOT_FOUND, "text/plain", "Not Found".to_owned());
    };
    let query = Query::parse(uri.query().unwrap_or_default().as_bytes());
    let parameter = |name: &str| form.get(name).cloned().or_else(|| query.get(name).map(str::to_owned));
    let twiml = bin::answer(bin, &parameter).unwrap_or_else(|| "{{#if".to_owned());
    response(StatusCode::OK, "text/xml", twiml)
}

/// Twilio's: over the address and the parameters in the order of their names.
pub(super) fn signature(token: &str, url: &str, form: &BTreeMap<String, String>) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return String::new() };
    mac.update(url.as_bytes());
    for (name, value) in form {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

pub(super) fn response(status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
