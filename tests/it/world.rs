//! An agent, a pretend Twilio, real HTTP between them, a real SQLite file, and time that is moved.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use ringback::admin;
use ringback::agent::publish::status::{ChannelStatus, Status};
use ringback::agent::{Agent, Role, StartError};
use ringback::clock::{Clock, Pace};
use ringback::config::{BadConfig, Config};
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::time::Time;
use ringback::sim::{Scenario, Sim};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The bin that every test's groups fall back to.
pub const BIN: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

/// The number that test calls come from.
pub const PROBER: &str = "+15005550199";

/// The day with that number in a group of its own, which nobody watches.
pub fn with_prober(day: &str) -> String {
    format!(
        "{day}\n[[group]]\nname = \"prober\"\nnumbers = [\"{PROBER}\"]\nforeign = true\n\
         traffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}\n"
    )
}

/// A folder of its own for one test, removed when it passes.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringback-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

pub struct World {
    pub clock: Clock,
    pub sim: Sim,
    pub folder: Folder,
    pub base_url: String,
    servers: JoinSet<()>,
    stop: CancellationToken,
    /// Added to the environment, or removed from it when empty.
    pub env: HashMap<&'static str, &'static str>,
    /// Lines of `[agent]`.
    pub agent_section: String,
}

/// Plays `test` in the world of `scenario`, in virtual time.
pub fn play<T>(scenario: &str, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    play_scenario(Scenario::parse(scenario).unwrap_or_else(|e| panic!("{e}")), test)
}

pub fn play_scenario<T>(scenario: Scenario, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    play_at(bind(), scenario, test)
}

/// The same, with `{base}` in the scenario standing for the simulator's own address.
pub fn play_based<T>(scenario: &str, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    let listener = bind();
    let text = scenario.replace("{base}", &format!("http://{}", listener.local_addr().unwrap()));
    play_at(listener, Scenario::parse(&text).unwrap_or_else(|e| panic!("{e}")), test)
}

/// An address of the loopback network for whoever must name one before it listens there. Nobody else is given it,
/// as a port of 127.0.0.1 that was free a moment ago may be.
pub fn own_address() -> SocketAddr {
    static GIVEN: AtomicU8 = AtomicU8::new(0);
    let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
    assert!(nth < u8::MAX, "there are no more addresses of this kind");
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, nth + 1, high, low], 9466))
}

fn bind() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn play_at<T>(listener: std::net::TcpListener, mut scenario: Scenario, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    let start = *scenario.start.get_or_insert("2026-11-21T14:00:00Z".parse().unwrap());
    let clock = Clock::virtual_at(start);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(clock.drive(Pace::Free, async {
        let listener = TcpListener::from_std(listener).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let sim = Sim::new(scenario, clock.clone()).unwrap();
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        // The simulator works in the place of whoever asks it, so it is no participant.
        servers.spawn(sim.clone().serve(listener, stop.clone()));
        let mut world = World {
            clock: clock.clone(),
            sim,
            folder: Folder::new(),
            base_url,
            servers,
            stop,
            env: HashMap::new(),
            agent_section: "mode = \"auto\"\n".to_owned(),
        };
        let out = test(&mut world).await;
        world.stop.cancel();
        while world.servers.join_next().await.is_some() {}
        out
    }))
}

/// A pretend Twilio in the machine's own time, for programs that take it from there: the simulator, and its address.
pub fn in_real_time(day: &str) -> (Sim, String) {
    let listener = bind();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let sim = Sim::new(Scenario::parse(day).unwrap(), Clock::system()).unwrap();
    let served = sim.clone();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            served.serve(TcpListener::from_std(listener).unwrap(), CancellationToken::new()).await;
        });
    });
    (sim, base)
}

/// Sends a request on to another server, and gives its answer as it is.
pub async fn pass_on(http: &reqwest::Client, upstream: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let sent = http.request(parts.method, format!("{upstream}{}", parts.uri)).headers(headers).body(body).send().await;
    let Ok(answer) = sent else {
        return Response::builder().status(502).body(Body::empty()).unwrap();
    };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap_or_default())).unwrap()
}

impl World {
    /// The configuration of an agent that watches every group of the scenario that is not foreign.
    pub fn config_text(&self) -> String {
        let scenario = self.sim.scenario();
        let mut text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n\n[agent]\nlisten = \"127.0.0.1:0\"\n{}",
            scenario.account.sid, self.base_url, self.agent_section
        );
        for group in scenario.groups.iter().filter(|g| !g.foreign) {
            let numbers: Vec<String> = group.all_numbers().map(|n| format!("\"{n}\"")).collect();
            let messages = group.traffic.messages_per_hour > 0.0;
            text += &format!(
                "\n[[group]]\nname = \"{}\"\nnumbers = [{}]\nchannels = [{}]\n[group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n",
                group.name,
                numbers.join(", "),
                if messages { "\"voice\", \"messaging\"" } else { "\"voice\"" },
            );
        }
        text
    }

    pub fn config(&self) -> Result<Config, BadConfig> {
        self.parse(&self.config_text())
    }

    pub fn parse(&self, text: &str) -> Result<Config, BadConfig> {
        let token = self.sim.scenario().account.auth_token;
        let mut env = HashMap::from([("TWILIO_AUTH_TOKEN", token.as_str())]);
        env.extend(self.env.iter().filter(|(_, v)| !v.is_empty()));
        for (name, _) in self.env.iter().filter(|(_, v)| v.is_empty()) {
            env.remove(name);
        }
        let mut config = Config::parse(&self.folder.path().join("ringback.toml"), text, &env)?;
        // Waits between retries are drawn by chance, here the same every time.
        config.twilio.seed = 7;
        Ok(config)
    }

    pub async fn start(&self) -> Result<Running, StartError> {
        let config = self.config().unwrap_or_else(|e| panic!("{e}"));
        self.start_with(&config).await
    }

    pub async fn start_with(&self, config: &Config) -> Result<Running, StartError> {
        self.start_as(Role::Watch, config).await
    }

    pub async fn start_as(&self, role: Role, config: &Config) -> Result<Running, StartError> {
        let agent = Agent::start_as(role, config, &self.clock, &watch::Sender::new(None)).await?;
        // Who listens to the log would miss the lines whose place another test came by at the very moment at which it
        // began to: tracing asks who is interested before it lists the place.
        tracing::callsite::rebuild_interest_cache();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        let router = admin::router(&agent, &self.clock, ringback::cli::access(config));
        server.spawn(admin::serve::serve(router, listener, stop.clone()));
        Ok(Running { agent, url, clock: self.clock.clone(), server, stop })
    }

    pub async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

pub struct Running {
    pub agent: Agent,
    pub url: String,
    pub clock: Clock,
    server: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    pub fn status(&self) -> Arc<Status> {
        self.agent.status.borrow().clone()
    }

    pub fn channel(&self, number: E164, channel: Channel) -> ChannelStatus {
        let status = self.status();
        let (_, n) = status.numbers().find(|(_, n)| n.number == number).unwrap();
        n.channels.iter().find(|c| c.channel == channel).unwrap().clone()
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of one sample of `/metrics`.
    pub async fn metric(&self, sample: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find(|l| l.strip_prefix(sample).is_some_and(|r| r.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The sum of all samples whose name and labels match.
    pub async fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.get("/metrics").await;
        text.lines()
            .filter(|l| l.starts_with(&format!("{name}{{")) && labels.iter().all(|want| l.contains(want)))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub async fn stop(mut self) -> bool {
        let in_time = self.agent.stop().await;
        self.stop.cancel();
        while self.server.join_next().await.is_some() {}
        in_time
    }
}
