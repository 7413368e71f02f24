//! The HTTP faces, by requests of any shape: the agent's and the simulator's.
//!
//! An input is a request as it is written: a line with method, path and query, lines of headers, an empty line, a body.

use std::collections::HashMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use ringback::admin;
use ringback::agent::Agent;
use ringback::clock::{Clock, Pace};
use ringback::config::Config;
use ringback::core::model::time::Time;
use ringback::sim::{Scenario, Sim};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::files::Folder;

/// The bin that the numbers fall back to.
pub const BIN: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

const DAY: &str = r#"
name = "readers"
history = "1h"
[api]
latency = ["0s", "0s"]
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101"]
routing = { voice_url = "https://app.example.com/voice", sms_url = "https://app.example.com/sms" }
traffic = { calls_per_hour = 60, messages_per_hour = 20 }
"#;

const TOKEN: &str = "q7Wm2-Zt9Xc4-Lr8Vb6";
/// The simulated account and its token, as they are sent.
const BASIC: &str =
    "Basic QUM1MWIwNzdlZDAwMDA0MDAwYTAwMDAwMDAwMDAwMDAwMTo1MWIwNzdlZDUxYjA3N2VkNTFiMDc3ZWQ1MWIwNzdlZA==";
const AUTH_TOKEN: &str = "51b077ed51b077ed51b077ed51b077ed";

/// A pretend Twilio and an agent, whose time stands still but while they answer.
struct Doors {
    runtime: Runtime,
    clock: Clock,
    twilio: Router,
    agent: Router,
    /// They live as long as its router.
    _agent: Agent,
    _servers: JoinSet<()>,
    _state: Folder,
}

thread_local! {
    static DOORS: Doors = Doors::open();
}

impl Doors {
    fn open() -> Doors {
        let start: Time = "2026-11-21T14:00:00Z".parse().expect("it is an instant");
        let clock = Clock::virtual_at(start);
        let state = Folder::with("ringback.toml", b"");
        let path = state.0.join("ringback.toml");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        let (twilio, servers, agent, router) = runtime.block_on(clock.drive(Pace::Free, async {
            let scenario = Scenario::parse(DAY).unwrap_or_else(|e| panic!("{e}"));
            let sim = Sim::new(scenario, clock.clone()).unwrap_or_else(|e| panic!("{e}"));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
            let address = listener.local_addr().expect("it has an address");
            let twilio = sim.router();
            let mut servers = JoinSet::new();
            servers.spawn(sim.serve(listener, CancellationToken::new()));
            let config = format!(
                "[twilio]\naccount_sid = \"AC51b077ed00004000a000000000000001\"\nbase_url = \"http://{address}\"\n\
                 [[group]]\nname = \"support\"\n\
                 numbers = [\"+15005550100\", \"+15005550101\"]\nchannels = [\"voice\", \"messaging\"]\n\
                 [group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n"
            );
            let env = HashMap::from([("TWILIO_AUTH_TOKEN", AUTH_TOKEN), ("RINGBACK_TOKEN", TOKEN)]);
            let config = Config::parse(&path, &config, &env).unwrap_or_else(|e| panic!("{e}"));
            let agent = Agent::start(&config, &clock).await.unwrap_or_else(|e| panic!("{e}"));
            let router = admin::router(&agent, &clock, ringback::cli::access(&config));
            clock.sleep(std::time::Duration::from_secs(120)).await;
            (twilio, servers, agent, router)
        }));
        Doors { runtime, clock, twilio, agent: router, _agent: agent, _servers: servers, _state: state }
    }

    /// What is answered, with its body.
    fn ask(&self, router: &Router, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        let answer = async {
            let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = answer.into_parts();
            let body = to_bytes(body, 1 << 24).await.map(|b| b.to_vec()).unwrap_or_default();
            (Response::from_parts(parts, ()), body)
        };
        self.runtime.block_on(self.clock.drive(Pace::Free, self.clock.wait(None, answer))).expect("it has no limit")
    }
}

/// The request that `data` is, if it is one that an HTTP server would take.
fn request(data: &[u8]) -> Option<Request<Body>> {
    let mut lines = data.split(|b| *b == b'\n');
    let line = std::str::from_utf8(lines.next()?).ok()?;
    let (method, path) = line.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    let mut read = line.len() + 1;
    for line in lines {
        read += line.len() + 1;
        let Some(colon) = line.iter().position(|b| *b == b':') else { break };
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    let body = data.get(read.min(data.len())..).unwrap_or_default().to_vec();
    request.body(Body::from(body)).ok().filter(|r| r.uri().path().starts_with('/'))
}

/// The agent's own address: reads, an operator's commands, pages for people.
pub fn requests(data: &[u8]) {
    let Some(mut asked) = request(data) else { return };
    // What never ends is none of these.
    if asked.uri().path() == "/events" {
        return;
    }
    let is_signed = asked.headers().contains_key("x-signed-in");
    if is_signed {
        let bearer = format!("Bearer {TOKEN}").parse().expect("it is a header");
        asked.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let is_read = matches!(asked.method().as_str(), "GET" | "HEAD");
    let (path, line) = (asked.uri().path().to_owned(), format!("{} {}", asked.method(), asked.uri()));
    DOORS.with(|doors| {
        let (answer, body) = doors.ask(&doors.agent, asked);
        let (status, text) = (answer.status(), String::from_utf8_lossy(&body).into_owned());
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{line}: {text}");
        assert!(!text.contains(TOKEN) && !text.contains(AUTH_TOKEN), "{line}: {text}");
        assert_eq!(answer.headers().get(header::X_CONTENT_TYPE_OPTIONS).map(|v| v.as_bytes()), Some(&b"nosniff"[..]));
        if path.starts_with("/api/v1/") && !is_read {
            assert!(is_signed || !status.is_success(), "{line} without a token: {status} {text}");
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            assert!(json.is_ok(), "{line}: {status} {text}");
        }
    });
}

/// The simulator's address, as a client of Twilio's asks.
pub fn simulator(data: &[u8]) {
    let Some(mut asked) = request(data) else { return };
    // Who may move its time, or tell it what to do, is its owner; and a fault that was ordered is one.
    if asked.uri().path().starts_with("/_sim") {
        return;
    }
    asked.headers_mut().insert(header::AUTHORIZATION, BASIC.parse().expect("it is a header"));
    let line = format!("{} {}", asked.method(), asked.uri());
    let numbers = || {
        let all = "/2010-04-01/Accounts/AC51b077ed00004000a000000000000001/IncomingPhoneNumbers.json";
        let asked = Request::get(all).header(header::AUTHORIZATION, BASIC).body(Body::empty());
        asked.expect("it is a request")
    };
    DOORS.with(|doors| {
        let (answer, body) = doors.ask(&doors.twilio, asked);
        let (status, text) = (answer.status(), String::from_utf8_lossy(&body).into_owned());
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{line}: {text}");
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") && !body.is_empty() {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            assert!(json.is_ok(), "{line}: {status} {text}");
        }
        if line.starts_with("DELETE") {
            let (_, body) = doors.ask(&doors.twilio, numbers());
            let page: serde_json::Value = serde_json::from_slice(&body).expect("it is a page");
            assert_eq!(page["incoming_phone_numbers"].as_array().map(Vec::len), Some(2), "{line}: nobody releases one");
        }
    });
}

/// What the bin answers to whoever signs so.
pub fn asks_bin(query: &str, form: &[(&str, &str)], signature: &str) -> u16 {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let path = BIN.trim_start_matches("https://handler.twilio.com");
    let asked = Request::post(format!("{path}?{query}"))
        .header("x-twilio-signature", signature)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .expect("it is a request");
    DOORS.with(|doors| doors.ask(&doors.twilio, asked).0.status().as_u16())
}
