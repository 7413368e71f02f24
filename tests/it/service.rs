//! The program as a service: what systemd is told by sd_notify(3), and the configuration read again while it runs.

use std::io::{BufRead as _, BufReader};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ringback::clock::Clock;
use ringback::sim::{Scenario, Sim};
use serde_json::Value;

use crate::agent::DAY;
use crate::kill::{can_trace, serve_apart};
use crate::world::{Folder, own_address};

const TOKEN: &str = "9f2c4b7a1d3e5f60718293a4b5c6d7e8";

/// Much longer than anything here takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ended with the test, whatever became of it.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program as a service manager starts it, beside a pretend Twilio.
struct Service {
    sim: Sim,
    base: String,
    folder: Folder,
    listen: String,
}

impl Service {
    async fn new() -> Service {
        // Installing it twice is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut scenario = Scenario::parse(DAY).unwrap();
        scenario.start = Some(Clock::system().now());
        let sim = Sim::new(scenario, Clock::system()).unwrap();
        let base = serve_apart(&sim).await;
        let service = Service { sim, base, folder: Folder::new(), listen: own_address().to_string() };
        service.write_token(service.sim.scenario().account.auth_token.as_str());
        service.write("", r#"["+15005550100"]"#);
        service
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("ringback.toml")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn write_token(&self, token: &str) {
        std::fs::write(self.folder.path().join("token"), token).unwrap();
    }

    /// A configuration with this in its section `agent`, and these numbers.
    fn write(&self, agent: &str, numbers: &str) {
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nauth_token_file = \"token\"\nbase_url = \"{}\"\n[agent]\nlisten = \"{}\"\n\
             {agent}\n[[group]]\nname = \"support\"\nchannels = [\"voice\"]\nnumbers = {numbers}\n",
            self.sim.scenario().account.sid,
            self.base,
            self.listen
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn start(&self, notify: &str, watchdog: Duration) -> Ends {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["run", "--config"])
            .arg(self.config())
            .env("NOTIFY_SOCKET", notify)
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
            .env("RINGBACK_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Ends(child.unwrap())
    }

    /// A command about the running agent.
    fn command(&self, words: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(words)
            .arg("--config")
            .arg(self.config())
            .env("RINGBACK_TOKEN", TOKEN)
            .env("USER", "ann")
            .output()
            .unwrap();
        (status.code().unwrap(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }

    async fn numbers(&self) -> usize {
        let answer = reqwest::get(format!("http://{}/api/v1/numbers", self.listen)).await.unwrap();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        body.as_array().map_or(0, Vec::len)
    }
}

/// In one line, however it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn signal(child: &Ends, name: &str) {
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// What the manager hears.
struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Manager(socket)
    }

    fn next(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let read = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..read].to_vec()).unwrap())
    }

    /// Waits until it hears this.
    fn hears(&self, line: &str) -> String {
        let begun = Instant::now();
        let mut heard = Vec::new();
        while begun.elapsed() < PATIENCE {
            let Some(text) = self.next() else { continue };
            if text.lines().any(|l| l.starts_with(line)) {
                return text;
            }
            heard.push(text);
        }
        panic!("{line} is not heard, but {heard:?}");
    }
}

fn runs(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_service_manager_hears_that_the_agent_is_ready_ticks_and_stops() {
    runs(async {
        for is_abstract in [false, true] {
            let service = Service::new().await;
            let path = service.folder.path().join("notify");
            let name = format!("ringback-it-{}", service.listen);
            let (address, notify) = if is_abstract {
                (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}"))
            } else {
                (SocketAddr::from_pathname(&path).unwrap(), path.display().to_string())
            };
            let manager = Manager::at(&address);
            let mut child = service.start(&notify, Duration::from_secs(8));
            assert_eq!(manager.hears("READY="), "READY=1\nSTATUS=watching", "{}", service.log());
            let status = manager.hears("STATUS=");
            assert!(status.starts_with("STATUS=observe: watching 1 numbers") || status.contains("blind"), "{status}");
            manager.hears("WATCHDOG=1");
            manager.hears("WATCHDOG=1");
            signal(&child, "-TERM");
            manager.hears("STOPPING=1");
            assert_eq!(child.0.wait().unwrap().code(), Some(0), "{}", service.log());
        }
    });
}

/// A disk that does not answer: strace holds up the program's writes until it ends itself.
fn without_a_disk(pid: u32) -> Ends {
    let mut strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync,pwrite64"])
        .args(["-e", "inject=fdatasync,fsync,pwrite64:delay_enter=600000000", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    // It says more, and must find somebody who reads it.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Ends(strace)
}

#[test]
fn an_engine_that_is_stuck_starves_the_watchdog_although_the_agent_answers() {
    if !can_trace() {
        eprintln!("not tried: strace may not trace here");
        return;
    }
    runs(async {
        let service = Service::new().await;
        let path = service.folder.path().join("notify");
        let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
        let within = Duration::from_secs(8);
        let child = service.start(&path.display().to_string(), within);
        manager.hears("READY=1");
        manager.hears("WATCHDOG=1");
        let disk = without_a_disk(child.0.id());
        // What a person says is in the journal before the engine goes on.
        let config = service.config();
        let mut hold = Command::new(env!("CARGO_BIN_EXE_ringback"));
        hold.args(["hold", "--all", "--for", "2h", "--reason", "x", "--config"]).arg(&config);
        let hold = Ends(hold.env("RINGBACK_TOKEN", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let said = manager.hears("STATUS=the engine has not ticked since ");
        assert!(!said.contains("WATCHDOG"), "{said}");
        // Longer than a manager waits: it would have ended the agent by now, which answers all the while.
        let begun = Instant::now();
        while begun.elapsed() < within + within / 2 {
            assert_eq!(manager.next(), None, "the watchdog is fed");
            let healthy = reqwest::get(format!("http://{}/-/healthy", service.listen)).await.unwrap();
            assert_eq!(healthy.status(), 200, "the process lives");
        }
        // The disk answers again, and the engine ticks on from where it was.
        drop(disk);
        manager.hears("WATCHDOG=1");
        drop(hold);
    });
}

#[test]
fn a_configuration_is_read_again_whole_or_not_at_all() {
    runs(async {
        let service = Service::new().await;
        let path = service.folder.path().join("notify");
        let manager = Manager::at(&SocketAddr::from_pathname(&path).unwrap());
        let child = service.start(&path.display().to_string(), Duration::from_secs(60));
        manager.hears("READY=1");
        let reload = ["reload", "--reason", "one more number"];
        let two = r#"["+15005550100", "+15005550101"]"#;
        let (code, said) = service.command(&reload);
        assert_eq!((code, said.contains("nothing in it has changed")), (1, true), "{said}");
        // What is wrong with it is said, and what is right with it not taken.
        service.write("veto = \"5 years\"", two);
        let (code, said) = service.command(&["reload", "--reason", "x"]);
        assert_eq!((code, said.contains("ringback.toml:7:"), said.contains("agent.veto")), (2, true, true), "{said}");
        service.write("state = \"sqlite:other.db\"", two);
        let (code, said) = service.command(&reload);
        assert_eq!((code, said.contains("agent.state needs a restart")), (1, true), "{said}");
        // Twilio takes no such token.
        service.write("", two);
        service.write_token("0123456789abcdef0123456789abcdef");
        let (code, said) = service.command(&reload);
        assert_eq!((code, said.contains("RB101")), (1, true), "{said}");
        assert!(!said.contains("0123456789abcdef"), "{said}");
        assert_eq!(service.numbers().await, 1, "{}", service.log());
        assert!(!service.folder.path().join("other.db").exists());

        service.write_token(service.sim.scenario().account.auth_token.as_str());
        service.write("veto = \"5s\"\nmode = \"auto\"", two);
        let (code, said) = service.command(&reload);
        assert_eq!(code, 0, "{said}");
        let changed = "agent.mode, agent.veto, group.support.numbers";
        assert!(said.contains(changed) && said.contains("say `ringback mode`"), "{said}");
        manager.hears("RELOADING=1");
        manager.hears("READY=1");
        assert_eq!(service.numbers().await, 2);
        let journal = flat(&service.command(&["journal"]).1);
        assert!(journal.contains("ann") && journal.contains(&format!("({changed}): one more number")), "{journal}");

        service.write("veto = \"6s\"", r#"["+15005550100", "+15005550101", "+15005550102"]"#);
        signal(&child, "-HUP");
        manager.hears("RELOADING=1");
        manager.hears("READY=1");
        assert_eq!(service.numbers().await, 3, "{}", service.log());
        let journal = flat(&service.command(&["journal"]).1);
        assert!(journal.contains("SIGHUP"), "{journal}");
        assert!(journal.contains("(agent.mode, agent.veto, group.support.numbers)"), "{journal}");
        // It leads as before, and takes a person's word.
        let (code, said) = service.command(&["hold", "--all", "--reason", "x"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(service.command(&["journal", "--verify"]).0, 0);
    });
}
