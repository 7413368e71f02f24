//! `ringback check` as people run it, and what `ringback run` says of the same: real processes, in real time.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use ringback::clock::Clock;
use ringback::sim::{Scenario, Sim};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::check_traps::{CLEAN, NOTIFY};
use crate::world::{BIN, Folder, PROBER, own_address, with_prober};

/// A pretend Twilio that takes the time from the machine, as the program does.
struct Scene {
    sim: Sim,
    folder: Folder,
    base: String,
    listen: SocketAddr,
}

impl Scene {
    fn new(edits: &[(&str, &str)]) -> Scene {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let text = edits.iter().fold(with_prober(CLEAN), |text, (from, to)| text.replacen(from, to, 1));
        let mut scenario = Scenario::parse(&text.replace("{base}", &base)).unwrap();
        let clock = Clock::system();
        scenario.start = Some(clock.now() - std::time::Duration::from_secs(60));
        scenario.api.latency = [std::time::Duration::ZERO; 2];
        let sim = Sim::new(scenario, clock).unwrap();
        let served = sim.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                served.serve(TcpListener::from_std(listener).unwrap(), CancellationToken::new()).await;
            });
        });
        Scene { sim, folder: Folder::new(), base, listen: own_address() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let account = self.sim.scenario().account;
        // On a disk: temporary files may be in memory, which would be a finding.
        let state = format!("{}/check-words-{}.db", env!("CARGO_TARGET_TMPDIR"), self.listen.ip());
        for ending in ["db", "db-wal", "db-shm", "key", "lock"] {
            let _ = std::fs::remove_file(std::path::Path::new(&state).with_extension(ending));
        }
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n[agent]\nlisten = \"{}\"\nstate = \"sqlite:{state}\"\n\
             [[group]]\nname = \"support\"\nnumbers = [\"+15005550100\", \"+15005550101\", \"+15005550102\"]\n\
             channels = [\"voice\", \"messaging\"]\n[group.probe]\nfrom = \"{PROBER}\"\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n{NOTIFY}",
            account.sid, self.base, self.listen
        );
        let config = self.folder.path().join("ringback.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
        command.args(words).arg("--config").arg(config);
        command.env("TWILIO_AUTH_TOKEN", account.auth_token).env("RINGBACK_TOKEN", "0f3a9c5d7e1b24680f3a9c5d");
        command.stdin(Stdio::null());
        command
    }

    /// The exit code, and what was said on either stream.
    fn ringback(&self, words: &[&str]) -> (i32, String) {
        let out = self.command(words).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        (out.status.code().unwrap(), said)
    }
}

/// No URL, and so nobody who answers.
const NOBODY: (&str, &str) = ("voice_url = \"{base}/handlers/voice\"", "voice_url = \"\"");

#[test]
fn the_last_line_is_the_verdict_and_agrees_with_the_exit_code() {
    let last = |said: &str| said.trim_end().lines().last().unwrap_or_default().to_owned();
    let clean = Scene::new(&[]);
    let (code, said) = clean.ringback(&["check"]);
    assert_eq!((code, last(&said).starts_with("READY: 3 numbers: ")), (0, true), "{said}");
    let (code, said) = clean.ringback(&["check", "--strict", "--notify"]);
    assert_eq!((code, last(&said).contains("not looked at")), (0, false), "{said}");
    let (code, said) = clean.ringback(&["check", "--short"]);
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");

    let warned = Scene::new(&[("traffic =", "bundle = \"BU00000000000000000000000000000001\"\ntraffic =")]);
    warned
        .sim
        .happen(ringback::sim::Happening::Edit(ringback::sim::Edit {
            number: "+15005550100".parse().unwrap(),
            set: [("FriendlyName".to_owned(), "Desk".to_owned())].into(),
        }))
        .unwrap();
    let (code, said) = warned.ringback(&["check"]);
    assert_eq!((code, last(&said).starts_with("READY, with warnings: ")), (0, true), "{said}");
    let (code, said) = warned.ringback(&["check", "--strict", "--short"]);
    assert_eq!((code, last(&said).starts_with("NOT READY (a warning counts, by --strict)")), (1, true), "{said}");
    assert!(said.starts_with("RB801 warning: "), "{said}");

    let broken = Scene::new(&[NOBODY]);
    let (code, said) = broken.ringback(&["check"]);
    assert_eq!((code, last(&said).starts_with("NOT READY: 3 numbers: 1 error")), (1, true), "{said}");
    assert!(said.starts_with("RB301 error: nobody answers\n"), "{said}");
    assert!(said.contains("`ringback docs checks#RB301`"), "{said}");
    let (code, said) = broken.ringback(&["check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["findings"][0]["code"]), (1, &"RB301".into()));

    let (code, said) = broken.ringback(&["check", "--explain", "rb301"]);
    assert_eq!((code, said.starts_with("RB301 (error): nobody answers\n  why:  ")), (0, true), "{said}");
    let (code, said) = broken.ringback(&["check", "--explain", "RB999"]);
    assert_eq!((code, said.contains("is no code of a finding")), (2, true), "{said}");
    std::fs::write(broken.folder.path().join("faulty.toml"), "[twilio]\n").unwrap();
    let faulty = broken.folder.path().join("faulty.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    let out = command.args(["check", "--config"]).arg(faulty).output().unwrap();
    assert_eq!(out.status.code(), Some(2), "a faulty configuration is one");
}

#[test]
fn another_program_at_the_agents_address_is_found() {
    let scene = Scene::new(&[]);
    let _other = std::net::TcpListener::bind(scene.listen).unwrap();
    let stop = CancellationToken::new();
    let (code, said) = std::thread::scope(|s| {
        s.spawn(|| {
            // It takes connections and closes them.
            while !stop.is_cancelled() {
                drop(_other.accept());
            }
        });
        let result = scene.ringback(&["check", "--short"]);
        stop.cancel();
        drop(std::net::TcpStream::connect(scene.listen));
        result
    });
    assert_eq!((code, said.contains("RB611 warning")), (0, true), "{said}");
}

#[test]
fn the_agent_tells_its_log_what_is_found_at_its_start() {
    let scene = Scene::new(&[NOBODY]);
    let mut child = scene.command(&["run"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut found = Vec::new();
    for line in log.lines().map_while(Result::ok) {
        let is_last = line.contains("`ringback check` looks at handlers and fallbacks as well");
        if line.contains("\"RB") || is_last {
            found.push(line);
        }
        if is_last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found.len(), 2, "{found:#?}");
    let line: serde_json::Value = serde_json::from_str(&found[0]).unwrap();
    let text = line.to_string();
    assert!(text.contains("RB301") && text.contains("nobody answers") && text.contains("ERROR"), "{text}");
    assert!(found[1].contains("NOT READY: 3 numbers: 1 error"), "{}", found[1]);
    let asked = scene.sim.stats();
    assert_eq!(asked.handler_requests, 0, "no handler has a caller who is none");
}

#[test]
fn what_stops_the_start_has_its_code_too() {
    let scene = Scene::new(&[]);
    let mut command = scene.command(&["run"]);
    let out = command.env("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000").output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("ringback: RB101 (ringback check --explain RB101): "), "{said}");
    assert!(said.contains("Twilio does not accept the credentials"), "{said}");
}
