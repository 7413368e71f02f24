//! `ringback rehearse`, really stopped: at each of its writes to the spare number, and so in each stage, by
//! SIGKILL, SIGINT and SIGTERM, and by SIGKILL after each write of its note to the disk. A signal lets it put the
//! number back itself; after SIGKILL the next `ringback rehearse` does.
//!
//! In real time: three minutes for forty-five points, which wait more than they work. Alerts are not late in this
//! world, and little is waited for them.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use ringback::clock::Clock;
use ringback::core::model::id::E164;
use ringback::sim::{Scenario, Sim};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kill::can_trace;
use crate::world::{BIN, Folder, PROBER, pass_on, with_prober};

const DAY: &str = r#"
name = "kill-drill"
seed = 3
lasts = "3h"
history = "0s"
[api]
latency = ["0s", "0s"]
[lag]
median_s = 0.3
range_s = [0.1, 0.5]
late = 0.0
alert_s = [0.0, 0.0]
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[handler]]
url = "https://drill.example.com/good"
[[handler]]
url = "https://drill.example.com/error"
state = { becomes = "error", status = 500 }
[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Desk"
origination_url = "sip:desk.example.com"
[[group]]
name = "support"
numbers = ["+15005550100"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://app.example.com/voice" }
[[group]]
name = "spare"
numbers = ["+15005550190"]
foreign = true
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { trunk = "TK00000000000000000000000000000001", voice_url = "https://spare.example.com/voice", voice_fallback_url = "https://spare.example.com/fallback" }
"#;

const GOOD: &str = "https://drill.example.com/good";
const NOTE: &str = "rehearsal.note.json";

/// A drill's writes: the good handler, the broken one, the swap, the restore, the good one again, and the way
/// back. Between them lie its stages.
const WRITES: usize = 6;

/// Whatever happens to it, a drill is over by then.
const WITHIN: Duration = Duration::from_secs(400);

/// How late a late write has its effect.
const LANDS_AFTER: Duration = Duration::from_millis(1500);

/// When the drill is struck.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Never,
    /// As it sends this write, which has no effect.
    Before(usize),
    /// When this write has had its effect, before the answer.
    After(usize),
    /// As it sends this write, which has its effect a little later.
    Late(usize),
    /// In the stage that begins with the answer to this write.
    Stage(usize),
    /// After this write to the disk: of the note, or of the folder that it is in.
    Disk(&'static str, usize),
}

/// By what.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Signal {
    Kill,
    Int,
    Term,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    moment: Moment,
    signal: Signal,
}

const UNDISTURBED: Point = Point { moment: Moment::Never, signal: Signal::Kill };

fn spare() -> E164 {
    "+15005550190".parse().unwrap()
}

/// Between the drill and the pretend Twilio.
#[derive(Clone)]
struct Middle {
    scene: Arc<Scene>,
    point: Point,
    writes: Arc<Mutex<usize>>,
    /// Its id is that of its group too.
    child: Arc<Mutex<Option<Child>>>,
    http: reqwest::Client,
}

impl Middle {
    fn strike(&self) {
        let id = self.child.lock().unwrap().as_ref().unwrap().id().to_string();
        let signal = match self.point.signal {
            Signal::Kill => "-KILL",
            Signal::Int => "-INT",
            Signal::Term => "-TERM",
        };
        Command::new("kill").args([signal, &id]).status().unwrap();
        // As timeout(1) ends a command: by the same signal to its group, which the process is in.
        if self.point.signal == Signal::Term {
            Command::new("kill").args([signal, "--", &format!("-{id}")]).status().unwrap();
        }
    }

    async fn land(&self, request: Request) -> Response {
        pass_on(&self.http, &self.scene.upstream, request).await
    }
}

async fn pass(State(m): State<Middle>, request: Request) -> Response {
    if request.method() != Method::POST || !request.uri().path().contains("/IncomingPhoneNumbers/PN") {
        return pass_on(&m.http, &m.scene.upstream, request).await;
    }
    let nth = {
        let mut writes = m.writes.lock().unwrap();
        *writes += 1;
        *writes
    };
    let moment = m.point.moment;
    if moment == Moment::Before(nth) {
        m.strike();
        return Response::builder().status(500).body(Body::empty()).unwrap();
    }
    if moment == Moment::Late(nth) {
        m.strike();
        let (answer, answered) = oneshot::channel();
        let scene = m.scene.clone();
        scene.later(LANDS_AFTER, async move {
            // It is on its way, whether or not anybody waits for the answer.
            let _ = answer.send(m.land(request).await);
        });
        return answered.await.unwrap();
    }
    let response = m.land(request).await;
    if moment == Moment::After(nth) {
        m.strike();
    }
    if moment == Moment::Stage(nth) {
        let scene = m.scene.clone();
        scene.later(Duration::from_millis(400), async move { m.strike() });
    }
    response
}

/// A world of its own for each point.
struct Scene {
    sim: Sim,
    folder: Folder,
    upstream: String,
    tasks: Mutex<JoinSet<()>>,
}

impl Scene {
    async fn new() -> Arc<Scene> {
        let sim = Sim::new(Scenario::parse(&with_prober(DAY)).unwrap(), Clock::system()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(sim.clone().serve(listener, CancellationToken::new()));
        Arc::new(Scene { sim, folder: Folder::new(), upstream, tasks: Mutex::new(tasks) })
    }

    fn later(&self, after: Duration, what: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap().spawn(async move {
            Clock::system().sleep(after).await;
            what.await;
        });
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self) -> String {
        let mut record = self.sim.number(spare()).unwrap();
        record.as_object_mut().unwrap().remove("date_updated");
        record.to_string()
    }

    fn command(&self, words: &[&str], moment: Moment, base: &str) -> Command {
        let account = self.sim.scenario().account;
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{base}\"\n[agent]\nlisten = \"127.0.0.1:0\"\n\
             [poll]\nactive = \"1s\"\nsettle = \"5s\"\n\
             [[group]]\nname = \"support\"\nchannels = [\"voice\"]\nnumbers = [\"+15005550100\"]\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\n[group.probe]\nfrom = \"{PROBER}\"\nevery = \"10s\"\nlisten = \"1s\"\n\
             min_duration = \"0s\"\nfails_for = \"0s\"\n\
             [rehearsal]\nnumber = \"+15005550190\"\ngood_url = \"{GOOD}\"\nerror_url = \"https://drill.example.com/error\"\n",
            account.sid,
        );
        std::fs::write(self.path("ringback.toml"), text).unwrap();
        let program = env!("CARGO_BIN_EXE_ringback");
        let mut command = match moment {
            Moment::Disk(what, n) => {
                let mut command = Command::new("strace");
                let inject = format!("inject=fsync:signal=SIGKILL:when={n}");
                command.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(self.path(what));
                command.args(["-e", "trace=fsync", "-e", &inject, program]);
                command
            }
            Moment::Never | Moment::Before(_) | Moment::After(_) | Moment::Late(_) | Moment::Stage(_) => {
                Command::new(program)
            }
        };
        command.args(words).arg("--config").arg(self.path("ringback.toml"));
        command.env("TWILIO_AUTH_TOKEN", account.auth_token).stdout(Stdio::null()).process_group(0);
        command
    }

    /// Runs `ringback` with these words until it ends or dies. Gives its exit code and what it said.
    async fn run(self: &Arc<Scene>, words: &[&str], point: Point) -> (Option<i32>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (writes, child, http) = (Arc::default(), Arc::default(), reqwest::Client::new());
        let middle = Middle { scene: self.clone(), point, writes, child, http };
        let router = Router::new().fallback(pass).with_state(middle.clone());
        let mut server = JoinSet::new();
        server.spawn(ringback::admin::serve::serve(router, listener, CancellationToken::new()));
        let said = std::fs::File::create(self.path("stderr")).unwrap();
        let child = self.command(words, point.moment, &base).stderr(said).spawn().unwrap();
        *middle.child.lock().unwrap() = Some(child);
        let _end = End(middle.child.clone());
        let deadline = Clock::system().now() + WITHIN;
        let said = || std::fs::read_to_string(self.path("stderr")).unwrap();
        loop {
            let ended = middle.child.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            if let Some(status) = ended {
                return (status.code(), said());
            }
            assert!(Clock::system().now() < deadline, "{words:?}, {point:?} is not over: {}", said());
            Clock::system().sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_as_it_was(&self, before: &str, point: Point) {
        if matches!(point.moment, Moment::Late(_)) {
            Clock::system().sleep(LANDS_AFTER).await;
        }
        assert_eq!(self.record(), before, "{point:?}");
        assert!(!Path::exists(&self.path(NOTE)), "{point:?}: the note is gone");
    }
}

/// Ends the program and whoever traces it, however the test ends.
struct End(Arc<Mutex<Option<Child>>>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(child) = self.0.lock().unwrap().as_mut() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }
}

/// `ringback run` says what was left behind, and how to mend it.
fn the_agent_says_so(scene: &Scene) {
    let mut command = scene.command(&["run"], Moment::Never, &scene.upstream);
    let child = Arc::new(Mutex::new(Some(command.stderr(Stdio::piped()).spawn().unwrap())));
    let _end = End(child.clone());
    let stderr = child.lock().unwrap().as_mut().unwrap().stderr.take().unwrap();
    let first = BufReader::new(stderr).lines().next().unwrap().unwrap();
    let line: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(line["level"], "ERROR");
    for part in ["a fire drill was cut off", "+15005550190", "`ringback rehearse --put-back`"] {
        assert!(first.contains(part), "{first}");
    }
}

/// Strikes a drill and looks at the number. False if the drill was over before.
async fn strike(point: Point) -> bool {
    let scene = Scene::new().await;
    let before = scene.record();
    let (code, said) = scene.run(&["rehearse"], point).await;
    if point.signal != Signal::Kill {
        // The last write is the way back: the drill was whole.
        let whole = matches!(point.moment, Moment::Stage(WRITES) | Moment::After(WRITES) | Moment::Late(WRITES));
        assert_eq!(code, Some(if whole { 0 } else { 1 }), "{point:?}: {said}");
        assert!(said.contains("putting the number back"), "{point:?}: {said}");
        scene.is_as_it_was(&before, point).await;
        return true;
    }
    if code == Some(0) {
        assert!(matches!(point.moment, Moment::Disk(..)), "{point:?}: {said}");
        scene.is_as_it_was(&before, point).await;
        return false;
    }
    assert!(code.is_none() || matches!(point.moment, Moment::Disk(..)), "{point:?}: {code:?} {said}");
    match point.moment {
        Moment::Stage(2) => the_agent_says_so(&scene),
        // Killed once more on its way back.
        Moment::Stage(3) => {
            let again = Point { moment: Moment::Before(1), ..point };
            assert_eq!(scene.run(&["rehearse", "--put-back"], again).await.0, None);
        }
        Moment::Stage(4) => {
            let again = Point { moment: Moment::After(1), ..point };
            assert_eq!(scene.run(&["rehearse", "--put-back"], again).await.0, None);
        }
        Moment::Never
        | Moment::Before(_)
        | Moment::After(_)
        | Moment::Late(_)
        | Moment::Stage(_)
        | Moment::Disk(..) => {}
    }
    // A drill may follow; its own end puts back what the first one left as well.
    let words: &[&str] = if point.moment == Moment::After(2) { &["rehearse"] } else { &["rehearse", "--put-back"] };
    let was_noted = Path::exists(&scene.path(NOTE));
    let (code, said) = scene.run(words, UNDISTURBED).await;
    assert_eq!(code, Some(0), "{point:?}: {said}");
    assert_eq!(said.contains("an earlier drill was cut off: +15005550190 is put back"), was_noted, "{point:?}: {said}");
    scene.is_as_it_was(&before, point).await;
    true
}

#[test]
fn a_drill_stopped_anywhere_leaves_the_number_as_it_was() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut points = Vec::new();
        for n in 1..=WRITES {
            let moments = [Moment::Before(n), Moment::After(n), Moment::Late(n), Moment::Stage(n)];
            points.extend(moments.map(|moment| Point { moment, signal: Signal::Kill }));
            points.push(Point { moment: Moment::Stage(n), signal: Signal::Int });
            points.push(Point { moment: Moment::Stage(n), signal: Signal::Term });
            points.push(Point { moment: Moment::Late(n), signal: Signal::Int });
        }
        if can_trace() {
            let disk = [("rehearsal.note.new", 1), (".", 1), (".", 2), (".", 3), (".", 4)];
            points.extend(disk.map(|(what, n)| Point { moment: Moment::Disk(what, n), signal: Signal::Kill }));
        }
        // All at once: they wait more than they work.
        let mut tasks = JoinSet::new();
        for point in points {
            tasks.spawn(async move { (point, strike(point).await) });
        }
        let (mut struck, mut disk) = (0, 0);
        while let Some(done) = tasks.join_next().await {
            let (point, was_struck) = done.unwrap();
            struck += usize::from(was_struck);
            disk += usize::from(was_struck && matches!(point.moment, Moment::Disk(..)));
        }
        println!("stopped at {struck} points, of which {disk} at writes to the disk");
        assert!(struck >= 7 * WRITES && (disk >= 3 || !can_trace()), "{struck}, {disk}");
    });
}
