//! `ringback run`, really killed: at each of its requests about a number, with and without its effect,
//! and after each write to the disk, from the detector's decision over the rollback to an operator's
//! restore. Started again, it ends where it would have ended, and writes nothing twice.
//!
//! In real time: half a minute for sixty points, which wait more than they work.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use ringback::clock::Clock;
use ringback::core::model::id::E164;
use ringback::core::model::time::Time;
use ringback::sim::{AuditActor, Scenario, Sim, TimelineMark};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kill::{Middle, Point, can_trace, pass, program, serve_apart};
use crate::world::{BIN, Folder, own_address};

const DAY: &str = r#"
name = "kill-run"
seed = 11
lasts = "3h"
history = "0s"
[api]
latency = ["0s", "0s"]
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101"]
traffic = { calls_per_hour = 90, shape = "flat", skew = 0.0, failure = 0.0 }
routing = { voice_url = "https://app.example.com/voice#rc=0", voice_fallback_url = "https://app.example.com/f" }
[[event]]
at = "0s"
handler = { url = "https://app.example.com/voice#rc=0", becomes = "error", status = 500 }
[[event]]
at = "0s"
handler = { url = "https://app.example.com/f", becomes = "error", status = 500 }
"#;

/// The world had been going wrong for so long when the first agent begins.
const BEFORE: Duration = Duration::from_secs(12 * 60);

/// A decision, a rollback and a restore take no longer than this, killed in between or not.
const WITHIN: Duration = Duration::from_secs(150);

fn numbers() -> [E164; 2] {
    ["+15005550100", "+15005550101"].map(|n| n.parse().unwrap())
}

struct Scene {
    sim: Sim,
    folder: Folder,
    upstream: String,
    listen: String,
}

impl Scene {
    async fn new(start: Time) -> Scene {
        let mut scenario = Scenario::parse(DAY).unwrap();
        scenario.start = Some(start);
        let sim = Sim::new(scenario, Clock::system()).unwrap();
        let upstream = serve_apart(&sim).await;
        Scene { sim, folder: Folder::new(), upstream, listen: own_address().to_string() }
    }

    fn command(&self, words: &[&str], point: Point, base: &str) -> Command {
        let account = self.sim.scenario().account;
        let config = self.folder.path().join(format!("{}.toml", words[0]));
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{base}\"\n[agent]\nmode = \"auto\"\nlisten = \"{}\"\n\
             [poll]\nactive = \"1s\"\npassive = \"1s\"\n\
             [[group]]\nname = \"support\"\nchannels = [\"voice\"]\nnumbers = [\"{}\", \"{}\"]\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\n",
            account.sid,
            self.listen,
            numbers()[0],
            numbers()[1]
        );
        std::fs::write(&config, text).unwrap();
        let mut command = program(point);
        command
            .args(words)
            .arg("--config")
            .arg(config)
            .env("TWILIO_AUTH_TOKEN", account.auth_token)
            .env("RINGBACK_TOKEN", "open sesame")
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().create(true).append(true).open(self.log()).unwrap());
        command
    }

    /// What the agents and the commands said, for whoever reads of a failure.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Starts the agent, behind somebody who kills it at `point`.
    async fn start(&self, point: Point) -> (Middle, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let middle = Middle {
            upstream: self.upstream.clone(),
            point,
            counts: |path| path.contains("/IncomingPhoneNumbers/PN") || path.contains("/v2/PhoneNumbers/"),
            seen: Arc::default(),
            child: Arc::new(Mutex::new(None)),
            http: reqwest::Client::new(),
        };
        let mut server = JoinSet::new();
        let router = Router::new().fallback(pass).with_state(middle.clone());
        server.spawn(ringback::admin::serve::serve(router, listener, CancellationToken::new()));
        // In a group of its own, so that nothing is left when whoever traces it is gone.
        let child = self.command(&["run"], point, &base).process_group(0).spawn().unwrap();
        *middle.child.lock().unwrap() = Some(child);
        (middle, server)
    }

    /// True once the state of every number's rollback is one of these.
    async fn are(&self, http: &reqwest::Client, states: &[&str]) -> bool {
        let Ok(answer) = http.get(format!("http://{}/api/v1/status", self.listen)).send().await else { return false };
        let status: Value = serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default();
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let numbers: Vec<Value> = list(&status["groups"]).iter().flat_map(|g| list(&g["numbers"])).collect();
        let is = |n: &Value| states.contains(&n["channels"][0]["rollback_state"].as_str().unwrap_or_default());
        numbers.len() == 2 && numbers.iter().all(is)
    }

    fn records(&self) -> Vec<Value> {
        let record = |n| {
            let mut record = self.sim.number(n).unwrap();
            record.as_object_mut().unwrap().remove("date_updated");
            record
        };
        numbers().map(record).into()
    }

    fn writes(&self, number: E164) -> usize {
        let is =
            |m: &TimelineMark| matches!(m, TimelineMark::Updated(u) if u.by == AuditActor::Api && u.number == number);
        self.sim.truth().timeline.iter().filter(|e| is(&e.what)).count()
    }
}

/// Ends the agent, however the test ends.
struct End(Middle);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(child) = self.0.child.lock().unwrap().as_mut() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }
}

fn ended(child: &Arc<Mutex<Option<Child>>>) -> bool {
    child.lock().unwrap().as_mut().unwrap().try_wait().unwrap().is_some()
}

async fn pause() {
    Clock::system().sleep(Duration::from_millis(100)).await;
}

/// Plays the day with a death at `point`. False if it was over before.
async fn die_at(start: Time, point: Point) -> bool {
    let scene = Scene::new(start).await;
    let before = scene.records();
    let http = reqwest::Client::new();
    let deadline = Clock::system().now() + WITHIN;
    let (mut was_killed, mut is_restored) = (false, false);
    let (mut agent, mut server) = scene.start(point).await;
    let mut end = End(agent.clone());
    let mut word: Option<Child> = None;
    while !is_restored {
        assert!(Clock::system().now() < deadline, "{point:?}: not over yet: {:?}\n{}", scene.records(), scene.said());
        pause().await;
        if ended(&agent.child) {
            assert!(!was_killed, "{point:?}: it ended by itself: {}", scene.said());
            was_killed = true;
            server.abort_all();
            (agent, server) = scene.start(Point::Never).await;
            end = End(agent.clone());
        }
        match &mut word {
            // Once the detector has had its way, a person takes it back.
            None if scene.are(&http, &["read_back"]).await => {
                assert!(scene.records().iter().all(|r| r["voice_url"] == BIN));
                let words = ["restore", "--all", "--at-once", "--yes", "--reason", "test"];
                word = Some(scene.command(&words, Point::Never, &scene.upstream).spawn().unwrap());
            }
            None => {}
            Some(child) => {
                if let Some(status) = child.try_wait().unwrap() {
                    // Whoever was cut off says it again.
                    is_restored = status.success() && scene.are(&http, &["restored", "idle"]).await;
                    if !is_restored {
                        let words = ["restore", "--all", "--at-once", "--yes", "--reason", "test"];
                        word = Some(scene.command(&words, Point::Never, &scene.upstream).spawn().unwrap());
                    }
                }
            }
        }
    }
    drop(end);
    server.abort_all();
    assert_eq!(scene.records(), before, "{point:?}");
    for n in numbers() {
        assert_eq!(scene.writes(n), 2, "{point:?}: {n} is written once there and once back");
    }
    was_killed
}

/// How many points are played at the same time: they wait more than they work.
const AT_ONCE: usize = 4;

#[test]
fn the_agent_killed_anywhere_ends_in_the_same_state() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let start = Clock::system().now().floor_to_second() - BEFORE;
        let mut counts = Vec::new();
        let kinds: [(&str, fn(usize) -> Point); 3] = [
            ("requests without effect", Point::Before),
            ("requests whose answer was lost", Point::After),
            ("writes to the disk", Point::Disk),
        ];
        for (name, point) in kinds {
            if matches!(point(1), Point::Disk(_)) && !can_trace() {
                continue;
            }
            let mut killed = 0;
            // Until a whole batch is over before its points come.
            for first in (1..).step_by(AT_ONCE) {
                let mut tasks = JoinSet::new();
                for n in first..first + AT_ONCE {
                    tasks.spawn(die_at(start, point(n)));
                }
                let batch = tasks.join_all().await.into_iter().filter(|k| *k).count();
                killed += batch;
                if batch == 0 {
                    break;
                }
            }
            counts.push((name, killed));
        }
        println!("killed at {counts:?}");
        assert!(counts.iter().all(|(_, n)| *n >= 10), "{counts:?}");
    });
}
