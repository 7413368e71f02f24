//! A stranger between agent and simulator: Prism, with Twilio's own published description of its API,
//! looks at every request and every answer of a scenario.
//!
//! Run by `tests/all`, which installs Prism and makes the description.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use ringback::admin::serve::serve;
use ringback::sim::{Edit, HandlerCondition, HandlerState, Happening};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::{BIN, Running, own_address, pass_on, play, with_prober};

/// A Prism proxy before `upstream`, ended when dropped.
pub struct Prism {
    child: Child,
    pub url: String,
    log: mpsc::Receiver<String>,
}

impl Prism {
    pub fn start(upstream: &str) -> Prism {
        let prism = std::env::var("RINGBACK_PRISM").expect("tests/all sets RINGBACK_PRISM");
        let description = std::env::var("RINGBACK_DESCRIPTION").expect("tests/all sets RINGBACK_DESCRIPTION");
        let address = own_address();
        let mut child = Command::new(prism)
            .args([
                "proxy",
                "-h",
                &address.ip().to_string(),
                "-p",
                &address.port().to_string(),
                "--errors",
                "-v",
                "warn",
            ])
            .args([&description, upstream])
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tx, log) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tx.send(line)));
        let prism = Prism { child, url: format!("http://{address}"), log };
        // A real server of another process: there is nothing to do but ask until it listens.
        for _ in 0..600 {
            if std::net::TcpStream::connect(address).is_ok() {
                return prism;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Prism does not listen");
    }

    /// What it found so far, or some of it.
    pub fn violations(&self) -> Vec<String> {
        self.log.try_iter().filter(|l| l.contains("error")).take(20).collect()
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes everything on to Prism, but for what Twilio's description says nothing of: the files of recordings, which no
/// sound survives as Prism reads every body as text; the third version of the Routes API; rules of webhooks; and the
/// company's handlers.
pub async fn front(servers: &mut JoinSet<()>, prism: &str, upstream: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (prism, upstream, http) = (prism.to_owned(), upstream.to_owned(), reqwest::Client::new());
    let pass = async move |request: Request| {
        let path = request.uri().path();
        let is_described =
            !path.ends_with(".wav") && !["/v3/", "/v1/Webhooks/", "/handlers/"].iter().any(|p| path.starts_with(p));
        pass_on(&http, if is_described { &prism } else { &upstream }, request).await
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    servers.spawn(serve(Router::new().fallback(pass), listener, CancellationToken::new()));
    url
}

/// How often each endpoint was asked.
async fn asked(agent: &Running) -> BTreeMap<String, u64> {
    let (_, text) = agent.get("/metrics").await;
    let mut asked = BTreeMap::new();
    for line in text.lines().filter(|l| l.starts_with("ringback_twilio_requests_total{")) {
        let endpoint = line.split("endpoint=\"").nth(1).unwrap().split('"').next().unwrap();
        let n: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *asked.entry(endpoint.to_owned()).or_default() += n as u64;
    }
    asked
}

/// Every kind of request that the agent makes: trunk, application, Messaging Service, swap, test calls and texts.
const DAY: &str = r#"
name = "strangers"
seed = 3
lasts = "1h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
marker = "88"

[[application]]
sid = "AP00000000000000000000000000000001"
friendly_name = "Support"
voice_url = "https://app.example.com/voice"

[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Reminders"
inbound_request_url = "https://app.example.com/sms"

[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Desk"
origination_url = "sip:desk.example.com"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101"]
traffic = { calls_per_hour = 120, shape = "flat", skew = 0.3, forward = 0.5 }
routing = { application = "AP00000000000000000000000000000001", voice_url = "https://app.example.com/voice" }

[[group]]
name = "reminders"
numbers = ["+15005550200"]
traffic = { calls_per_hour = 60, messages_per_hour = 120, shape = "flat" }
routing = { voice_url = "https://app.example.com/reminders", service = "MG00000000000000000000000000000001" }

[[group]]
name = "desk"
numbers = ["+15005550300"]
traffic = { calls_per_hour = 60, shape = "flat" }
routing = { trunk = "TK00000000000000000000000000000001" }
"#;

/// One of a port request, which is through after some minutes.
const MOVING: &str = r#"
[[group]]
name = "moving"
numbers = ["+15005550400"]
traffic = { calls_per_hour = 60, shape = "flat" }
routing = { voice_url = "https://app.example.com/moving" }
port = { at = "4m" }
"#;

/// Of every group.
const PROBE: &str = "[group.probe]\nfrom = \"+15005550199\"\nevery = \"2m\"\nexpects_reply = true\n\
                     hear = { speech = true, fallback_marker = \"dtmf:88\" }\n";

/// What must have been asked, beside the logs: most of it for test calls and texts.
const WANTED: [&str; 15] = [
    "update_number",
    "list_events",
    "create_call",
    "end_call",
    "fetch_leg",
    "list_legs",
    "list_call_notifications",
    "create_message",
    "list_texts",
    "fetch_maker",
    "list_recordings",
    "fetch_recording",
    "delete_recording",
    "list_port_requests",
    "fetch_port_request",
];

#[test]
#[ignore = "needs Prism, which tests/all installs"]
fn prism_finds_no_violation_in_either_direction() {
    play(&with_prober(&format!("{DAY}{MOVING}")), async |w| {
        let prism = Prism::start(&w.base_url);
        let mut servers = JoinSet::new();
        let url = front(&mut servers, &prism.url, &w.base_url).await;
        let text =
            w.config_text().replace(&w.base_url, &url).replace("[group.fallback]", &format!("{PROBE}[group.fallback]"));
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(300).await;
        w.sim.set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let number = "+15005550100".parse().unwrap();
        let swapped = w.sim.number(number).unwrap()["voice_url"].clone();
        // Somebody else changes a number: who it was is in the audit log.
        let set = [("VoiceUrl".to_owned(), "https://app.example.com/reminders".to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
        w.pass(180).await;
        assert_eq!(prism.violations(), Vec::<String>::new());
        assert_eq!(swapped, BIN, "the whole way through Prism");
        let proven = agent.sum("ringback_rollbacks_total", &[r#"result="proven""#]).await;
        assert_eq!(proven, 2.0, "and back: its recording was heard");
        let asked = asked(&agent).await;
        let good = agent.sum("ringback_twilio_requests_total", &[r#"code="200""#]).await;
        let missing: Vec<_> = WANTED.into_iter().filter(|e| asked.get(*e).is_none_or(|n| *n == 0)).collect();
        assert_eq!(missing, [""; 0], "{asked:?}");
        let all: u64 = asked.values().sum();
        assert_eq!(all, good as u64, "{asked:?}");
        println!("{all} requests and answers, no violation: {asked:?}");
        agent.stop().await;
    });
}
