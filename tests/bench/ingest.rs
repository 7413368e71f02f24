use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use ringback::caller::CallerKey;
use ringback::clock::{Clock, Pace};
use ringback::core::detect::engine::{Engine, EngineEvent, EngineSettings};
use ringback::core::detect::observation::{Call, Observation};
use ringback::core::model::decision::Mode;
use ringback::core::model::id::{E164, NumberId, NumberSid};
use ringback::core::model::roster::{Number, PortAt, Roster};
use ringback::core::model::source::Source;
use ringback::core::model::time::Time;
use ringback::core::routing::record::NumberRecord;
use ringback::metrics::Metrics;
use ringback::sim::{Scenario, Sim};
use ringback::twilio::credentials::{Credentials, Secret};
use ringback::twilio::host::Hosts;
use ringback::twilio::wire::{self, NumberSids, Reader, WireRow};
use ringback::twilio::{Client, ClientSettings as TwilioSettings, SilenceListener};
use serde::Deserialize;
use tokio::net::TcpListener;

const DAY: &str = r#"
name = "bench"
seed = 1
lasts = "12h"
[[group]]
name = "all"
first = "+15005550000"
count = 200
traffic = { calls_per_hour = 60, floor_per_hour = 20, shape = "flat" }
routing = { voice_url = "https://app.example.com/voice" }
"#;

/// The fields that we read, and nothing done with them: what parsing alone costs.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Fields<'a> {
    sid: &'a str,
    parent_call_sid: Option<&'a str>,
    to: &'a str,
    from: &'a str,
    status: &'a str,
    direction: &'a str,
    start_time: Option<&'a str>,
    end_time: Option<&'a str>,
    date_created: Option<&'a str>,
    duration: Option<&'a str>,
}

#[derive(Deserialize)]
struct Parsed<'a> {
    #[serde(borrow)]
    calls: Vec<Fields<'a>>,
}

type Pages = Vec<(String, Vec<u8>)>;

/// Whose log it is.
fn account() -> ringback::core::model::id::AccountSid {
    Scenario::parse(DAY).unwrap().account.sid
}

/// All pages of a simulated day's call log, by path, newest first: later ones have a token.
fn pages(account: &str) -> (Pages, Roster) {
    let scenario = Scenario::parse(DAY).unwrap();
    let clock = Clock::virtual_at(Time::from_secs(1_795_000_000));
    let mut roster = Roster::default();
    let group = roster.add_group("all".parse().unwrap(), [None, None]);
    for e164 in scenario.groups[0].all_numbers() {
        let id = NumberId::new(scenario.account.sid, e164);
        let timezone = jiff::tz::TimeZone::UTC;
        let port = PortAt::Done;
        roster.add_number(Number { id, label: String::new(), group, channels: [true, false], timezone, port });
    }
    let token = scenario.account.auth_token.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pages = runtime.block_on(clock.drive(Pace::Free, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let sim = Sim::new(scenario, clock.clone()).unwrap();
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(sim.serve(listener, tokio_util::sync::CancellationToken::new()));
        clock.sleep(Duration::from_secs(13 * 3600)).await;
        let first: String = format!("/2010-04-01/Accounts/{account}/Calls.json?PageSize=1000");
        let (mut pages, mut next) = (Vec::new(), Some(first));
        while let Some(path) = next {
            let answer = reqwest::Client::new()
                .get(format!("{base}{path}"))
                .basic_auth(account, Some(&token))
                .send()
                .await
                .unwrap();
            let body = answer.bytes().await.unwrap().to_vec();
            let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
            next = page["next_page_uri"].as_str().map(str::to_owned);
            pages.push((path, body));
        }
        pages
    }));
    (pages, roster)
}

async fn page(
    State(pages): State<Arc<Pages>>,
    request: Request,
) -> ([(axum::http::HeaderName, &'static str); 1], Vec<u8>) {
    let path = request.uri().path_and_query().map_or("", |p| p.as_str());
    // Whoever asks with other filters gets the first page: the log has one day.
    let (_, body) = pages.iter().find(|(known, _)| known == path).unwrap_or(&pages[0]);
    ([(CONTENT_TYPE, "application/json")], body.clone())
}

/// The shortest time that each took.
pub struct Ingest {
    pub rows: usize,
    pub from_http: Duration,
    pub from_body: Duration,
    /// Parsing the fields alone.
    pub parsing: Duration,
    /// Skipping over the JSON alone.
    pub skipping: Duration,
    /// Twilio's Python SDK, where it is there.
    pub sdk: Option<Duration>,
}

pub fn measure(rounds: usize) -> Ingest {
    // The client that fetches the pages asks for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let account = account();
    let (pages, roster) = pages(&account.to_string());
    let bytes: usize = pages.iter().map(|(_, body)| body.len()).sum();
    let rows: usize = pages.iter().map(|(_, b)| serde_json::from_slice::<Parsed<'_>>(b).unwrap().calls.len()).sum();
    println!("  {rows} rows on {} pages, {} bytes a row", pages.len(), bytes / rows);

    // The server has a core of its own.
    let pages = Arc::new(pages);
    let (tx, rx) = std::sync::mpsc::channel();
    let served = pages.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tx.send(listener.local_addr().unwrap()).unwrap();
            let router = Router::new().fallback(page).with_state(served);
            ringback::admin::serve::serve(router, listener, Default::default()).await;
        });
    });
    let base = format!("http://{}", rx.recv().unwrap());

    // The SDK's client is there too before its time is taken.
    let ours = Ours::new(&base, account, &roster);
    let mut from_http = || ours.run(&roster, rows);
    let mut from_body = || run_from_body(&pages, &roster, rows);
    let mut parse = || {
        let count: usize =
            pages.iter().map(|(_, b)| serde_json::from_slice::<Parsed<'_>>(b).unwrap().calls.len()).sum();
        assert_eq!(count, rows);
    };
    let mut skip = || {
        for (_, body) in pages.iter() {
            serde_json::from_slice::<serde::de::IgnoredAny>(body).unwrap();
        }
    };
    let [from_http, from_body, parsing, skipping] =
        best(rounds, [&mut from_http, &mut from_body, &mut parse, &mut skip]);
    let sdk = run_sdk(&base, account).map(|(count, seconds)| {
        assert_eq!(count as usize, rows);
        Duration::from_secs_f64(seconds)
    });
    Ingest { rows, from_http, from_body, parsing, skipping, sdk }
}

pub fn ingest() {
    let Ingest { rows, from_http, from_body, parsing, skipping, sdk } = measure(9);
    let rate = |d: Duration| rows as f64 / d.as_secs_f64();
    println!("  ringback, HTTP to settled outcome   {:>10.0} calls/s on one core", rate(from_http));
    println!("  ringback, body to settled outcome   {:>10.0} calls/s", rate(from_body));
    println!(
        "  parsing the fields alone            {:>10.0} calls/s: from the body, ringback takes {:.2} times that",
        rate(parsing),
        from_body.as_secs_f64() / parsing.as_secs_f64()
    );
    println!("  skipping over the JSON alone        {:>10.0} calls/s", rate(skipping));
    match sdk {
        Some(sdk) => println!(
            "  Twilio's Python SDK, iterating      {:>10.0} calls/s: ringback is {:.1} times as fast",
            rate(sdk),
            sdk.as_secs_f64() / from_http.as_secs_f64()
        ),
        None => println!("  Twilio's Python SDK: not there; run tests/all once"),
    }
}

/// The best of some rounds for each, taken in turn: what the machine can do when nobody else wants it.
fn best<const N: usize>(rounds: usize, mut all: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..rounds {
        for (f, best) in all.iter_mut().zip(&mut best) {
            let start = Instant::now();
            f();
            *best = start.elapsed().min(*best);
        }
    }
    best
}

struct Ours {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Ours {
    fn new(base: &str, account: ringback::core::model::id::AccountSid, roster: &Roster) -> Ours {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let settings = TwilioSettings {
            credentials: Credentials { account, secret: Secret::AuthToken("x".to_owned().into()) },
            hosts: Hosts::One(base.parse().unwrap()),
            timeout: Duration::from_secs(20),
            max_in_flight: 4,
            seed: 1,
            silence: SilenceListener::default(),
        };
        let metrics = Metrics::new(&Roster::default(), Mode::Observe);
        let roster = Arc::new(roster.clone());
        let client = Client::new(settings, roster, CallerKey::public(), Clock::system(), metrics).unwrap();
        Ours { runtime, client }
    }

    fn run(&self, roster: &Roster, rows: usize) {
        let now = Time::from_secs(1_795_100_000);
        let mut engine = Engine::new(roster.clone(), EngineSettings::default(), now);
        let mut calls = Vec::new();
        self.runtime.block_on(async {
            let mut pager = self.client.calls(Time::from_secs(1_795_000_000), 1000);
            while let Some(page) = pager.next().await.unwrap() {
                calls.extend(page.rows.into_iter().map(Result::unwrap));
            }
        });
        take(&mut engine, calls, now, rows);
    }
}

fn run_from_body(pages: &Pages, roster: &Roster, rows: usize) {
    let now = Time::from_secs(1_795_100_000);
    let mut engine = Engine::new(roster.clone(), EngineSettings::default(), now);
    let reader =
        Reader { roster, account: account(), key: &CallerKey::public(), sids: &NumberSids::default(), carriers: None };
    let mut calls = Vec::new();
    for (_, body) in pages {
        calls.extend(wire::page::<wire::Calls>(body, reader).unwrap().rows.into_iter().map(Result::unwrap));
    }
    take(&mut engine, calls, now, rows);
}

/// A number that points at a webhook of its own.
fn record(number: E164) -> NumberRecord {
    NumberRecord {
        sid: NumberSid::from_u128(1),
        number,
        trunk: None,
        voice_application: None,
        voice_url: Some("https://app.example.com/voice".into()),
        voice_fallback_url: None,
        fax: false,
        sms_application: None,
        sms_url: None,
        sms_fallback_url: None,
        status_callback: None,
        service: None,
        elsewhere: [None, None],
        lacks: [false; 2],
        unread: [false; 2],
        gone: [false; 2],
    }
}

/// What the poller and the control task do with what was read: oldest first, until settled.
fn take(engine: &mut Engine, calls: Vec<WireRow<Call>>, now: Time, rows: usize) {
    assert_eq!(calls.len(), rows);
    let account = account();
    // Without what a number points at nothing of it settles for want of alerts.
    let numbers: Vec<E164> = engine.roster().numbers().map(|(_, n)| n.id.e164).collect();
    for number in numbers {
        engine.observe(now, account, &Observation::Number(Box::new(record(number))));
    }
    for row in calls.into_iter().rev() {
        if let WireRow::Ours(call) = row {
            engine.observe(now, account, &Observation::Call(call));
        }
    }
    let later = now + Duration::from_secs(60);
    engine.polled(Source::Alerts, later);
    engine.polled(Source::Calls, later);
    let settled = engine.tick(later).iter().filter(|e| matches!(e, EngineEvent::Settled(_))).count();
    assert!(settled * 3 > rows, "{settled} of {rows}");
}

fn run_sdk(base: &str, account: ringback::core::model::id::AccountSid) -> Option<(u32, f64)> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests/venv/bin/python");
    let script = format!(
        r#"
import time
from urllib.parse import urlsplit
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
class Local(TwilioHttpClient):
    def request(self, method, url, **more):
        u = urlsplit(url)
        return super().request(method, "{base}" + u.path + ("?" + u.query if u.query else ""), **more)
client = Client("{account}", "x", http_client=Local())
best = 1e9
for _ in range(2):
    start = time.perf_counter()
    count = sum(1 for _ in client.calls.stream(page_size=1000))
    best = min(best, time.perf_counter() - start)
print(count, best)
"#
    );
    let out = Command::new(python).args(["-c", &script]).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (count, seconds) = text.trim().split_once(' ')?;
    Some((count.parse().ok()?, seconds.parse().ok()?))
}
