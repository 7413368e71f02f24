//! A stranger between agent and simulator: Prism, with Twilio's own published description of its API,
//! looks at every request and every answer of a scenario.
//!
//! Run by `tests/all`, which installs Prism and makes the description.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ringback::sim::{Condition, HandlerState};

use crate::world::{BIN, play};

/// A Prism proxy before `upstream`, ended when dropped.
struct Prism {
    child: Child,
    url: String,
    log: mpsc::Receiver<String>,
}

impl Prism {
    fn start(upstream: &str) -> Prism {
        let prism = std::env::var("RINGBACK_PRISM").expect("tests/all sets RINGBACK_PRISM");
        let description = std::env::var("RINGBACK_DESCRIPTION").expect("tests/all sets RINGBACK_DESCRIPTION");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(prism)
            .args(["proxy", "-h", "127.0.0.1", "-p", &port.to_string(), "--errors", "-v", "warn"])
            .args([&description, upstream])
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tx, log) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tx.send(line)));
        let prism = Prism { child, url: format!("http://127.0.0.1:{port}"), log };
        // A real server of another process: there is nothing to do but ask until it listens.
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return prism;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Prism does not listen");
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every kind of request that the agent makes: trunk, application, Messaging Service, swap.
const DAY: &str = r#"
name = "strangers"
seed = 3
lasts = "1h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

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

#[test]
#[ignore = "needs Prism, which tests/all installs"]
fn prism_finds_no_violation_in_either_direction() {
    play(DAY, async |w| {
        let prism = Prism::start(&w.base_url);
        let text = w.config_text().replace(&w.base_url, &prism.url);
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(300).await;
        w.sim.set_handler("https://app.example.com/voice", HandlerState::all(Condition::Status(500))).unwrap();
        w.pass(900).await;
        let number = "+15005550100".parse().unwrap();
        assert_eq!(w.sim.number(number).unwrap()["voice_url"], BIN, "the whole way through Prism");
        let asked = agent.sum("ringback_twilio_requests_total", &[]).await;
        let good = agent.sum("ringback_twilio_requests_total", &[r#"code="200""#]).await;
        let violations: Vec<String> =
            prism.log.try_iter().filter(|l| l.contains("iolation") || l.contains("did not pass")).take(20).collect();
        assert_eq!(violations, Vec::<String>::new());
        assert_eq!(asked, good);
        println!("{asked} requests and answers, no violation");
        agent.stop().await;
    });
}
