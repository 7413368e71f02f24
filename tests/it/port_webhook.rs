//! Twilio's porting webhook: it makes the agent look, and whatever it says is believed in nothing.

use ringback::core::port::report::PortReport;
use ringback::core::port::status::PortStatus;
use ringback::sim::{Happening, PortStatusChange};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::{Running, World, play};

/// One number, whose port is ten days away: nobody looks more often than each quarter of an hour.
const DAY: &str = r#"
name = "webhook"
seed = 7
start = "2026-11-21T14:00:00Z"
lasts = "12h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
numbers = ["+12125550100"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://app.example.com/voice" }
port = { at = "240h" }
"#;

const TOKEN: &str = "dc2b0c1e85a94d4fa9f7663b8e1f2a77";

fn looks(w: &World) -> u64 {
    w.sim.stats().requests.get("GET port-requests").map_or(0, |by| by.values().sum())
}

fn becomes(w: &World, status: &str) {
    let change = PortStatusChange { of: "support".to_owned(), status: status.to_owned(), code: None, reason: None };
    w.sim.happen(Happening::PortStatus(change)).unwrap();
}

async fn status(agent: &Running) -> Option<PortStatus> {
    let report: PortReport = serde_json::from_str(&agent.get("/api/v1/ports").await.1).unwrap();
    report.groups[0].numbers[0].status
}

async fn ring(agent: &Running, token: &str, body: impl Into<reqwest::Body>) -> u16 {
    let url = format!("{}/webhooks/ports/{token}", agent.url);
    reqwest::Client::new().post(url).body(body).send().await.unwrap().status().as_u16()
}

#[test]
fn who_rings_makes_the_agent_look_and_the_simulator_does() {
    play(DAY, async |w| {
        w.env.insert("RINGBACK_PORTS_TOKEN", TOKEN);
        let agent = w.start().await.unwrap();
        let (mut ringing, stop) = (JoinSet::new(), CancellationToken::new());
        let url = format!("{}/webhooks/ports/{TOKEN}", agent.url);
        w.clock.spawn(&mut ringing, w.sim.clone().ring(url, stop.clone()));
        w.pass(60).await;
        assert_eq!((looks(w), status(&agent).await), (1, Some(PortStatus::DateConfirmed)));
        becomes(w, "In Review");
        w.pass(3).await;
        assert_eq!((looks(w), status(&agent).await), (2, Some(PortStatus::InReview)));
        // Looks stay apart: the next change is seen when the time has come, with one look.
        becomes(w, "port_submitted");
        w.pass(3).await;
        becomes(w, "waiting_for_signature");
        w.pass(20).await;
        assert_eq!((looks(w), status(&agent).await), (3, Some(PortStatus::AwaitingSignature)));
        assert_eq!(agent.metric("ringback_port_webhooks_total").await, Some(3.0));
        // Without it nobody looks for a quarter of an hour.
        stop.cancel();
        while w.clock.wait(None, ringing.join_next()).await.flatten().is_some() {}
        becomes(w, "port_pending");
        w.pass(600).await;
        assert_eq!((looks(w), status(&agent).await), (3, Some(PortStatus::AwaitingSignature)));
        agent.stop().await;
    });
}

#[test]
fn nothing_that_it_says_is_believed_and_nobody_rings_too_often() {
    play(DAY, async |w| {
        w.env.insert("RINGBACK_PORTS_TOKEN", TOKEN);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let lie = json!({"port_in_request_sid": "KW00000000000000000000000000000001", "phone_number": "+12125550100",
            "status": "PortInPhoneNumberCompleted", "port_date": "2026-11-21T14:00:00Z"});
        let before = agent.get("/api/v1/ports").await.1;
        let told = |text: &str| {
            let mut report: PortReport = serde_json::from_str(text).unwrap();
            (report.at, report.api) = (w.now(), Default::default());
            report
        };
        assert_eq!(ring(&agent, TOKEN, lie.to_string()).await, 204);
        w.pass(10).await;
        assert_eq!((looks(w), told(&agent.get("/api/v1/ports").await.1)), (2, told(&before)));
        // What cannot be read rings all the same, and what is too long.
        for body in ["", "{", "\0", &"x".repeat(5 << 20)] {
            assert_eq!(ring(&agent, TOKEN, body.to_owned()).await, 204);
        }
        for _ in 0..200 {
            assert_eq!(ring(&agent, TOKEN, "{}").await, 204);
            w.pass(1).await;
        }
        let asked = looks(w) - 2;
        assert!((12..=15).contains(&asked), "{asked} looks in 200 s");
        agent.stop().await;
    });
}

#[test]
fn without_its_token_nobody_rings() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        assert_eq!(ring(&agent, TOKEN, "{}").await, 404, "none is configured");
        agent.stop().await;
        w.env.insert("RINGBACK_PORTS_TOKEN", TOKEN);
        w.env.insert("RINGBACK_TOKEN", "b5f0c1b9d57c4f0e9a86d1b2c3e4f5a6");
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let before = looks(w);
        for wrong in ["x", &TOKEN[1..], "b5f0c1b9d57c4f0e9a86d1b2c3e4f5a6", "%00"] {
            assert_eq!(ring(&agent, wrong, "{}").await, 401, "{wrong}");
        }
        let http = reqwest::Client::new();
        // It opens nothing else, and is taken by no other method.
        let hold = http.post(format!("{}/api/v1/hold", agent.url)).bearer_auth(TOKEN).body("{}").send().await.unwrap();
        assert_eq!(hold.status().as_u16(), 401);
        assert_eq!(agent.get(&format!("/webhooks/ports/{TOKEN}")).await.0, 405);
        w.pass(60).await;
        assert_eq!(looks(w), before);
        // Guesses become slow, the right one never.
        for i in 0..20 {
            ring(&agent, &format!("guess{i}"), "{}").await;
        }
        assert_eq!(ring(&agent, "guess", "{}").await, 429);
        assert_eq!(ring(&agent, TOKEN, "{}").await, 204);
        agent.stop().await;
        let secret = [
            ("RINGBACK_PORTS_TOKEN", "b5f0c1b9d57c4f0e9a86d1b2c3e4f5a6"),
            ("RINGBACK_PORTS_TOKEN", "a/b?c#de%20fghijkl"),
        ];
        for (name, value) in secret {
            w.env.insert(name, value);
            let refused = w.config().unwrap_err().to_string();
            assert!(refused.contains("the token of the port webhook") && !refused.contains(value), "{refused}");
        }
    });
}
