//! The real program, really killed: at every request to Twilio, with and without its effect, and
//! after every write that reached the disk. Started again, it ends where it would have ended.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use ringback::clock::Clock;
use ringback::core::model::id::E164;
use ringback::sim::{AuditActor, Scenario, Sim, TimelineMark};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{BIN, Folder, pass_on};

const DAY: &str = r#"
name = "kill"
seed = 7
lasts = "1h"
history = "0s"
[api]
latency = ["0s", "0s"]
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Desk"
origination_url = "sip:desk.example.com"
[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101"]
traffic = { calls_per_hour = 1, shape = "flat" }
routing = { voice_url = "https://app.example.com/voice#rc=0", voice_fallback_url = "https://app.example.com/f" }
[[group]]
name = "desk"
numbers = ["+15005550200"]
traffic = { calls_per_hour = 1, shape = "flat" }
routing = { trunk = "TK00000000000000000000000000000001" }
"#;

/// What the file asks of the handlers.
const NEW: &str = "https://new.example.com/voice";

/// Texts, whose numbers are to be put into a Messaging Service: two requests a number.
const TEXTS: &str = r#"
name = "kill"
seed = 7
lasts = "1h"
history = "0s"
[api]
latency = ["0s", "0s"]
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Replies"
use_inbound_webhook_on_number = true
[[group]]
name = "texts"
numbers = ["+15005550100", "+15005550101"]
traffic = { calls_per_hour = 0, messages_per_hour = 1, shape = "flat" }
routing = { sms_url = "https://app.example.com/sms#rc=0", sms_fallback_url = "https://app.example.com/f" }
"#;

/// A write, and what undoes it.
struct Way {
    day: &'static str,
    there: &'static str,
    back: &'static str,
    /// Of each number, afterwards.
    field: &'static str,
    url: &'static str,
}

const WAYS: [Way; 3] = [
    Way { day: DAY, there: "rollback --all", back: "restore --all --at-once", field: "voice_url", url: BIN },
    Way { day: DAY, there: "apply", back: "restore --all --applied", field: "voice_url", url: NEW },
    Way { day: TEXTS, there: "apply", back: "restore --all --applied", field: "sms_url", url: NEW },
];

/// Where the program dies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    Never,
    /// When it sends this request, which has no effect.
    Before(usize),
    /// When it has sent this request, which has its effect and is never answered.
    After(usize),
    /// After this write has reached the disk.
    Disk(usize),
}

/// Between the program and the pretend Twilio.
#[derive(Clone)]
pub struct Middle {
    pub upstream: String,
    pub point: Point,
    /// Requests that count: by their path.
    pub counts: fn(&str) -> bool,
    pub seen: Arc<Mutex<usize>>,
    pub child: Arc<Mutex<Option<std::process::Child>>>,
    pub http: reqwest::Client,
}

pub async fn pass(State(middle): State<Middle>, request: Request) -> Response {
    let nth = {
        let mut seen = middle.seen.lock().unwrap();
        let counts = (middle.counts)(request.uri().path());
        *seen += usize::from(counts);
        // The first request is 1: what does not count is no point.
        if counts { *seen } else { 0 }
    };
    let kill = || {
        if let Some(child) = middle.child.lock().unwrap().as_mut() {
            // SIGKILL.
            child.kill().unwrap();
        }
    };
    if middle.point == Point::Before(nth) {
        kill();
        return Response::builder().status(500).body(Body::empty()).unwrap();
    }
    let answer = pass_on(&middle.http, &middle.upstream, request).await;
    if middle.point == Point::After(nth) {
        kill();
    }
    answer
}

/// The program, or strace that kills it at a write to the disk.
pub fn program(point: Point) -> Command {
    let program = env!("CARGO_BIN_EXE_ringback");
    match point {
        Point::Disk(n) => {
            let mut command = Command::new("strace");
            let inject = format!("inject=fsync,fdatasync:signal=SIGKILL:when={n}");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject, program]);
            command
        }
        Point::Never | Point::Before(_) | Point::After(_) => Command::new(program),
    }
}

/// Serves a pretend Twilio in real time, from a thread of its own. Gives its address.
pub async fn serve_apart(sim: &Sim) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let sim = sim.clone();
    std::thread::spawn(move || {
        // Its own runtime watches the socket: whoever asked may stand still, waiting for a program that is served here.
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            sim.serve(listener, CancellationToken::new()).await;
        });
    });
    base
}

/// A world of its own for each point.
struct Scene {
    day: &'static str,
    sim: Sim,
    folder: Folder,
    base: String,
}

impl Scene {
    async fn new(day: &'static str) -> Scene {
        let sim = Sim::new(Scenario::parse(day).unwrap(), Clock::system()).unwrap();
        let base = serve_apart(&sim).await;
        Scene { day, sim, folder: Folder::new(), base }
    }

    /// Runs the program with these words until it ends or dies. Gives its exit code and its requests.
    async fn run(&self, words: &str, point: Point) -> (Option<i32>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let middle = Middle {
            upstream: self.base.clone(),
            point,
            counts: |_| true,
            seen: Arc::default(),
            child: Arc::default(),
            http: reqwest::Client::new(),
        };
        self.write_config(&format!("http://{}", listener.local_addr().unwrap()));
        let router = Router::new().fallback(pass).with_state(middle.clone());
        let mut servers = tokio::task::JoinSet::new();
        servers.spawn(ringback::admin::serve::serve(router, listener, CancellationToken::new()));
        let mut command = program(point);
        let config = self.folder.path().join("ringback.toml");
        command
            .args(words.split(' '))
            .args(["--yes", "--reason", "test", "--config"])
            .arg(config)
            .env("TWILIO_AUTH_TOKEN", self.sim.scenario().account.auth_token)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        *middle.child.lock().unwrap() = Some(command.spawn().unwrap());
        let code = loop {
            // A real process: there is nothing to do but ask until it ends.
            let ended = middle.child.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if let Some(status) = ended {
                break status.code();
            }
            Clock::system().sleep(std::time::Duration::from_millis(10)).await;
        };
        let seen = *middle.seen.lock().unwrap();
        (code, seen)
    }

    fn write_config(&self, base: &str) {
        let account = self.sim.scenario().account.sid;
        let groups = if self.day == TEXTS {
            format!(
                "[[group]]\nname = \"texts\"\nchannels = [\"messaging\"]\nnumbers = [\"+15005550100\", \"+15005550101\"]\n\
                 [group.handler]\nsms_url = \"{NEW}\"\nmessaging_service_sid = \"MG00000000000000000000000000000001\"\n\
                 [group.fallback]\nsms_url = \"{BIN}\"\n"
            )
        } else {
            format!(
                "[[group]]\nname = \"support\"\nchannels = [\"voice\"]\nnumbers = [\"+15005550100\", \"+15005550101\"]\n\
             [group.handler]\nvoice_url = \"{NEW}\"\nstatus_callback = \"{NEW}\"\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\n\
             [[group]]\nname = \"desk\"\nchannels = [\"voice\"]\nnumbers = [\"+15005550200\"]\n\
             [group.handler]\nvoice_url = \"{NEW}\"\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\n"
            )
        };
        let text = format!(
            "[twilio]\naccount_sid = \"{account}\"\nbase_url = \"{base}\"\n[agent]\nmode = \"auto\"\nlisten = \
             \"127.0.0.1:1\"\n{groups}"
        );
        std::fs::write(self.folder.path().join("ringback.toml"), text).unwrap();
    }

    fn records(&self) -> Vec<Value> {
        let numbers: Vec<E164> = self.sim.scenario().groups.iter().flat_map(|g| g.all_numbers()).collect();
        let record = |n| {
            let mut record = self.sim.number(n).unwrap();
            for name in ["date_created", "date_updated"] {
                record.as_object_mut().unwrap().remove(name);
            }
            // A URL that was never set can be cleared and not unset.
            if record["voice_url"].is_null() {
                record["voice_url"] = "".into();
            }
            record["service"] = self.sim.service_of(n).map(|s| s.to_string()).into();
            record
        };
        numbers.into_iter().map(record).collect()
    }

    fn writes(&self) -> BTreeMap<E164, usize> {
        let mut writes = BTreeMap::new();
        for entry in &self.sim.truth().timeline {
            if let TimelineMark::Updated(update) = &entry.what
                && update.by == AuditActor::Api
            {
                *writes.entry(update.number).or_default() += 1;
            }
        }
        writes
    }
}

/// Not every machine has it, and not every container may trace.
pub fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|s| s.success())
}

#[test]
fn killed_anywhere_it_ends_in_the_same_state() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Installing it twice is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let can_trace = can_trace();
    runtime.block_on(async {
        for Way { day, there, back, field, url } in WAYS {
            let whole = Scene::new(day).await;
            let before = whole.records();
            let (code, requests_there) = whole.run(there, Point::Never).await;
            assert_eq!(code, Some(0));
            let written = whole.records();
            // Each number once, and a membership besides.
            let writes_there = whole.writes();
            assert!(written.iter().all(|r| r[field] == url));
            let is_joined = |r: &Value| r["service"] == "MG00000000000000000000000000000001";
            assert_eq!(written.iter().all(is_joined), day == TEXTS, "{written:?}");
            let (code, requests_back) = whole.run(back, Point::Never).await;
            assert_eq!((code, whole.records()), (Some(0), before.clone()));
            let writes_back = whole.writes();

            let mut points = BTreeMap::<&str, usize>::new();
            for (words, requests, end) in [(there, requests_there, &written), (back, requests_back, &before)] {
                let at_requests = (1..=requests).flat_map(|n| [Point::Before(n), Point::After(n)]);
                // Until the program ends by itself.
                let at_disk = (1..if can_trace { 1000 } else { 1 }).map(Point::Disk);
                let mut disk_is_over = false;
                for point in at_requests.chain(at_disk) {
                    if disk_is_over {
                        break;
                    }
                    let scene = Scene::new(day).await;
                    if words == back {
                        assert_eq!(scene.run(there, Point::Never).await.0, Some(0));
                    }
                    let (code, _) = scene.run(words, point).await;
                    if matches!(point, Point::Disk(_)) {
                        disk_is_over = code == Some(0);
                    }
                    let (code, _) = scene.run(words, Point::Never).await;
                    assert_eq!(code, Some(0), "{words} after {point:?}");
                    assert_eq!(&scene.records(), end, "{words} killed at {point:?}");
                    let once = if words == there { &writes_there } else { &writes_back };
                    assert_eq!(scene.writes(), *once, "{words} {point:?}");
                    let kind = match point {
                        Point::Never => "never",
                        Point::Before(_) => "requests without effect",
                        Point::After(_) => "requests whose answer was lost",
                        Point::Disk(_) => "writes to the disk",
                    };
                    // A run that ended by itself was not killed.
                    *points.entry(kind).or_default() += usize::from(!disk_is_over);
                }
            }
            println!("{there}: killed at {points:?}");
        }
    });
}
