//! What test calls and messages must not mistake for a number's failure: clocks, logs, recordings, accounts and
//! people in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use ringback::admin::serve::serve;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::probes::{QUIET, attempts, probing, reasons};
use crate::support::with_token;
use crate::world::{Running, World, pass_on, play, with_prober};

/// An answer of the simulator's on its way to the agent.
pub struct Passing {
    /// With its query.
    pub path: String,
    /// What it is about was not there when it was asked.
    pub was_gone: bool,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Passing {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn set(&mut self, json: &Value) {
        self.body = json.to_string().into_bytes();
    }
}

/// Has every answer changed on its way.
pub async fn between(
    w: &mut World,
    servers: &mut JoinSet<()>,
    change: impl Fn(&mut Passing) + Clone + Send + Sync + 'static,
) {
    between_but(w, servers, |_| false, change).await;
}

/// The same; what asks for a path that `is_gone` writes nothing: it is only read.
pub async fn between_but(
    w: &mut World,
    servers: &mut JoinSet<()>,
    is_gone: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    change: impl Fn(&mut Passing) + Clone + Send + Sync + 'static,
) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (upstream, http) = (w.base_url.clone(), reqwest::Client::new());
    let pass = async move |request: Request| {
        let path = request.uri().to_string();
        let mut request = request;
        let was_gone = is_gone(&path);
        if was_gone {
            *request.method_mut() = Method::GET;
        }
        let (parts, body) = pass_on(&http, &upstream, request).await.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap().to_vec();
        let status = parts.status.as_u16();
        let mut passing = Passing { path, was_gone, status, headers: parts.headers, body };
        change(&mut passing);
        let mut response = Response::builder().status(passing.status);
        for (name, value) in &passing.headers {
            response = response.header(name, value);
        }
        response.body(axum::body::Body::from(passing.body)).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    w.base_url = format!("http://{}", listener.local_addr().unwrap());
    servers.spawn(serve(Router::new().fallback(pass), listener, CancellationToken::new()));
}

/// Has the bins answer with this status from now on, or whatever it is set to; 0: as they are.
pub async fn bins_answer(w: &mut World, servers: &mut JoinSet<()>, status: u16) -> Arc<AtomicU16> {
    let bins = Arc::new(AtomicU16::new(status));
    let answer = bins.clone();
    between(w, servers, move |passing| {
        let status = answer.load(Ordering::Relaxed);
        if passing.path.starts_with("/twiml/") && status > 0 {
            passing.status = status;
        }
    })
    .await;
    bins
}

fn quiet() -> String {
    with_prober(QUIET)
}

fn with_messages() -> String {
    quiet().replace("messages_per_hour = 0 ", "messages_per_hour = 0.01 ")
}

fn number() -> E164 {
    "+15005550100".parse().unwrap()
}

async fn start(w: &World, more: &str) -> Running {
    w.start_with(&w.parse(&probing(w, more)).unwrap()).await.unwrap()
}

/// Reasons that the probes of half an hour give, and how many succeeded.
fn told(
    scenario: &str,
    more: &str,
    change: impl Fn(&mut Passing) + Clone + Send + Sync + 'static,
) -> (Vec<String>, f64) {
    play(scenario, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, change).await;
        let agent = start(w, more).await;
        w.pass(1800).await;
        let out = (reasons(&agent).await, attempts(&agent, "success").await);
        for channel in agent.status().numbers().flat_map(|(_, n)| n.channels.clone()) {
            assert!(matches!(channel.verdict, Verdict::Unknown), "{:?} {:?}", channel.verdict, out.0);
        }
        assert_eq!(agent.status().decisions, [], "{:?}", out.0);
        agent.stop().await;
        out
    })
}

const NONE: [String; 0] = [];

/// All of Twilio's dates, so much earlier.
fn earlier(value: &mut Value, by: Duration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = jiff::fmt::rfc2822::parse(text) {
                *text = jiff::fmt::rfc2822::to_string(&(at - by)).unwrap();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|v| earlier(v, by)),
        Value::Object(all) => all.values_mut().for_each(|v| earlier(v, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn a_clock_of_ours_that_is_fast_does_not_make_calls_vanish() {
    const FAST: Duration = Duration::from_secs(40);
    let midnight = format!("start = \"2026-11-21T23:50:00Z\"\n{}", with_messages());
    let (reasons, served) = told(&midnight, "every = \"2m\"", |p| {
        if let Some(mut json) = p.json() {
            earlier(&mut json, FAST);
            p.set(&json);
        }
        if let Some(date) = p.headers.get("date").and_then(|d| d.to_str().ok()).map(|d| json!(d)) {
            let mut date = date;
            earlier(&mut date, FAST);
            p.headers.insert("date", date.as_str().unwrap().replace("+0000", "GMT").parse().unwrap());
        }
    });
    assert_eq!(reasons, NONE);
    assert!(served > 15.0, "{served}");
}

#[test]
fn a_number_whose_routing_cannot_be_read_is_not_said_to_have_none() {
    play(&with_messages(), async |w| {
        w.sim.fault(ApiFault::new(ApiFaultKind::ServerError, ApiFaultScope::Class(EndpointClass::Numbers))).unwrap();
        let agent = start(w, "every = \"2m\"").await;
        w.pass(1500).await;
        assert_eq!(reasons(&agent).await, ["api"]);
        for channel in Channel::ALL {
            assert_ne!(agent.channel(number(), channel).verdict, Verdict::Failing);
        }
        agent.stop().await;
    });
}

#[test]
fn what_our_own_leg_met_is_our_trouble() {
    // It never leaves Twilio, and Twilio says why.
    let not_ported = quiet().replace("routing = {", "port = { requested = false }\nrouting = {");
    for (code, reason) in [(13227, "permission"), (21219, "permission"), (10001, "credit"), (10004, "queue")] {
        let (reasons, _) = told(&not_ported, "every = \"3m\"", move |p| {
            if p.path.contains("/Notifications.json") && p.path.contains("/Calls/") {
                let row = json!({
                    "sid": "NO00000000000000000000000000000001", "error_code": code.to_string(), "log": "1",
                    "request_url": "", "message_date": "Sat, 21 Nov 2026 14:00:00 +0000"
                });
                let mut page = p.json().unwrap();
                page["notifications"] = json!([row]);
                p.set(&page);
            }
        });
        assert_eq!(reasons, [reason], "{code}");
    }
}

#[test]
fn a_message_that_waits_in_our_own_queue_is_not_missing() {
    let (reasons, served) = told(&with_messages(), "every = \"2m\"", |p| {
        let Some(mut page) = p.json().filter(|j| j["messages"].is_array()) else { return };
        let rows = page["messages"].as_array_mut().unwrap();
        rows.retain(|r| r["direction"] != "inbound");
        rows.iter_mut().for_each(|r| r["status"] = json!("queued"));
        p.set(&page);
    });
    assert_eq!(reasons, ["queue"]);
    assert!(served > 3.0, "calls go on: {served}");
}

#[test]
fn a_reply_whose_row_is_late_is_not_missing() {
    let slow = "\n[lag]\nmedian_s = 55\nsigma = 0.05\nrange_s = [50, 60]\nlate = 0\n[[group]]\nname = \"support\"";
    let scenario = with_messages().replace("\n[[group]]\nname = \"support\"", slow);
    let scenario =
        scenario.replace("messages_per_hour = 0.01", "messages_per_hour = 0.01, replies = 1.0, reply_failure = 0.0");
    let (reasons, served) = told(&scenario, "every = \"3m\"\nexpects_reply = true", |p| {
        // Of a reply it takes half a minute more than of the message.
        let Some(mut page) = p.json().filter(|j| j["messages"].is_array()) else { return };
        let now = jiff::fmt::rfc2822::parse(p.headers["date"].to_str().unwrap()).unwrap();
        page["messages"].as_array_mut().unwrap().retain(|r| {
            let at = jiff::fmt::rfc2822::parse(r["date_created"].as_str().unwrap()).unwrap();
            r["direction"] != "outbound-reply" || now.timestamp().duration_since(at.timestamp()).as_secs() > 100
        });
        p.set(&page);
    });
    assert_eq!(reasons, NONE);
    assert!(served > 8.0, "{served}");
}

#[test]
fn a_phone_that_nobody_picks_up_is_no_fault_however_it_sounds() {
    let rings = quiet().replace("failure = 0.0,", "failure = 0.0, forward = 1.0, no_answer = 1.0,");
    let hear = "every = \"3m\"\ntimeout = \"40s\"\nhear = { fallback_marker = \"dtmf:77\" }";
    assert_eq!(told(&rings, hear, |_| {}).0, ["unanswered"]);
    let hear = "every = \"3m\"\ntimeout = \"40s\"\nhear = { speech = true }";
    assert_eq!(told(&rings, hear, |_| {}).0, ["unanswered"]);
}

fn wav(rate: u32, samples: impl Iterator<Item = i16>) -> Vec<u8> {
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut out = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    out.extend(rate.to_le_bytes());
    out.extend((rate * 2).to_le_bytes());
    out.extend([2, 0, 16, 0]);
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

fn silence(rate: u32, seconds: usize) -> Vec<u8> {
    wav(rate, std::iter::repeat_n(0, rate as usize * seconds))
}

/// North America's tone of a line that rings, or is busy, for 15 seconds.
fn tone(hz: [f32; 2], on: f32, period: f32) -> Vec<u8> {
    let sample = |n: u32| {
        let t = n as f32 / 8000.0;
        let sum: f32 = hz.iter().map(|hz| (std::f32::consts::TAU * hz * t).sin()).sum();
        if t % period < on { (sum * 4000.0) as i16 } else { 0 }
    };
    wav(8000, (0..15 * 8000).map(sample))
}

#[test]
fn a_line_that_rings_or_is_busy_behind_the_handler_is_people() {
    for sound in [tone([440.0, 480.0], 2.0, 6.0), tone([480.0, 620.0], 0.5, 1.0)] {
        let heard = |hear: &str| {
            let sound = sound.clone();
            told(&quiet(), &format!("every = \"5m\"\nhear = {{ {hear} }}"), move |p| {
                if p.path.contains(".wav") {
                    p.body = sound.clone();
                    p.headers.remove("content-length");
                }
            })
        };
        assert_eq!(heard("speech = true").0, ["unanswered"]);
        assert_eq!(heard("fallback_marker = \"dtmf:77\"").0, ["unanswered"]);
    }
}

#[test]
fn a_recording_that_cannot_be_had_is_no_silence() {
    let hear = "every = \"5m\"\nhear = { speech = true }";
    let files: [(&str, u16, Vec<u8>); 8] = [
        ("gone", 404, b"{\"code\":20404,\"message\":\"no\",\"status\":404}".to_vec()),
        ("a proxy's page", 200, b"<html>sign in</html>".to_vec()),
        ("nothing", 200, Vec::new()),
        ("no sample", 200, silence(8000, 0)),
        ("a second of silence", 200, silence(8000, 1)),
        ("another rate", 200, silence(44_100, 10)),
        ("longer than any call", 200, silence(8000, 700)),
        ("cut off", 200, silence(8000, 10)[..9000].to_vec()),
    ];
    for (what, status, body) in files {
        let (reasons, served) = told(&quiet(), hear, move |p| {
            if p.path.contains(".wav") {
                (p.status, p.body) = (status, body.clone());
                p.headers.remove("content-length");
            }
        });
        assert_eq!((reasons, served), (vec!["recording".to_owned()], 0.0), "{what}");
    }
    let never = |p: &mut Passing| {
        let Some(mut page) = p.json().filter(|j| j["recordings"].is_array()) else { return };
        page["recordings"].as_array_mut().unwrap().iter_mut().for_each(|r| r["status"] = json!("processing"));
        p.set(&page);
    };
    assert_eq!(told(&quiet(), hear, never).0, ["recording"]);
}

/// A group that a command probes, which says what it says and places no call.
fn by_command(w: &World, says: &str) -> String {
    let script = format!("printf '{}'", says.replace('"', "\\\""));
    w.config_text()
        + &format!(
            "[group.probe]\nevery = \"2m\"\n[[group.probe.external]]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n\
             from = \"+12025550188\"\n"
        )
}

#[test]
fn a_log_that_stands_still_does_not_make_a_carriers_call_vanish() {
    let busy = quiet().replace(
        "calls_per_hour = 0, floor_per_hour = 0, failure = 0.0, m",
        "calls_per_hour = 900, floor_per_hour = 900, shape = \"flat\", failure = 0.0, m",
    );
    for (stalls, reason) in [(true, "log_late"), (false, "not_arriving")] {
        for says in [r#"{"result":"success"}"#, r#"{"result":"failure","reason":"nothing_heard"}"#] {
            play(&busy, async |w| {
                w.agent_section = "mode = \"observe\"\n".into();
                let agent = w.start_with(&w.parse(&by_command(w, says)).unwrap()).await.unwrap();
                if stalls {
                    w.sim
                        .fault(ApiFault::new(ApiFaultKind::Stall, ApiFaultScope::Class(EndpointClass::Calls)))
                        .unwrap();
                }
                w.pass(1200).await;
                assert_eq!(reasons(&agent).await, [reason], "{says}");
                agent.stop().await;
            });
        }
    }
}

/// How a rollback by an operator stands after so many hours.
async fn rolled_back(w: &World, agent: &Running, hours: u64) -> String {
    let (status, _) = agent.post("rollback", json!({"group": "support", "channel": "voice", "reason": "drill"})).await;
    assert_eq!(status, 200);
    w.pass(hours * 3600).await;
    agent.channel(number(), Channel::Voice).rollback_state.to_string()
}

#[test]
fn a_commands_word_alone_proves_no_fallback() {
    for from in ["", "from = \"+12025550188\"\n"] {
        play(&quiet(), async |w| {
            with_token(w);
            let text = by_command(w, r#"{"result":"success"}"#).replace("from = \"+12025550188\"\n", from);
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            w.pass(300).await;
            assert_eq!(rolled_back(w, &agent, 1).await, "read_back", "{from:?}");
            agent.stop().await;
        });
    }
}

#[test]
fn a_proof_that_could_not_be_repeated_is_asked_for_again() {
    play(&quiet().replace("does = \"answer\"", "does = \"dead\""), async |w| {
        with_token(w);
        // One for the day's round, one for the proof, none for its repetition.
        let text = "every = \"24h\"\npassive_every = \"24h\"\nper_hour = 2";
        let agent = start(w, text).await;
        w.pass(300).await;
        assert_eq!(rolled_back(w, &agent, 0).await, "idle", "not even begun");
        w.pass(900).await;
        assert_eq!(agent.channel(number(), Channel::Voice).rollback_state, "read_back", "one failure is none");
        assert_eq!(w.sim.placed_calls().len(), 2);
        w.pass(7200).await;
        assert!(w.sim.placed_calls().len() >= 4, "as the budget has room again");
        agent.stop().await;
    });
}

#[test]
fn a_commands_call_is_found_by_its_number_and_is_no_callers() {
    const ELSEWHERE: &str = "+12025550188";
    // As if another carrier's: of the account, so that the simulator lets it call.
    let scenario = QUIET.to_owned()
        + &format!(
            "\n[[group]]\nname = \"elsewhere\"\nnumbers = [\"{ELSEWHERE}\"]\nforeign = true\ntraffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}\n"
        );
    play(&scenario, async |w| {
        let asked = w.folder.path().join("asked");
        let says = format!("touch {}; printf '{{\\\"result\\\":\\\"success\\\"}}'", asked.display());
        let text = w.config_text()
            + &format!(
                "[group.probe]\nevery = \"3m\"\n[[group.probe.external]]\ncommand = [\"/bin/sh\", \"-c\", \"{says}\"]\nfrom = \"{ELSEWHERE}\"\n"
            );
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        let account = w.sim.scenario().account;
        let url = format!("{}/2010-04-01/Accounts/{}/Calls.json", w.base_url, account.sid);
        for _ in 0..1200 {
            w.pass(1).await;
            if std::fs::remove_file(&asked).is_ok() {
                let twiml = "<Response><Pause length=\"9\"/></Response>";
                let form = [("To", "+15005550100"), ("From", ELSEWHERE), ("Twiml", twiml)];
                let request = reqwest::Client::new().post(&url).basic_auth(account.sid, Some(&account.auth_token));
                assert_eq!(request.form(&form).send().await.unwrap().status(), 201);
            }
        }
        assert_eq!(reasons(&agent).await, NONE);
        assert!(attempts(&agent, "success").await >= 4.0);
        assert_eq!(agent.sum("ringback_calls_total", &["outcome=\"ok\""]).await, 0.0);
        assert!(agent.sum("ringback_calls_total", &["reason=\"probe\""]).await >= 4.0, "known for what they are");
        agent.stop().await;
    });
}
