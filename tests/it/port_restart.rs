//! An agent that comes back after two days.

use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::receiver::{Receiver, webhook};
use crate::world::play;

/// Numbers that have ported, each with a few callers an hour.
const DAY: &str = r#"
name = "long-after"
seed = 11
start = "2026-11-20T13:00:00Z"
lasts = "90h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "lines"
first = "+12125551000"
count = 40
traffic = { calls_per_hour = 10, messages_per_hour = 2, skew = 0, shape = "flat" }
routing = { voice_url = "https://app.example.com/voice", sms_url = "https://app.example.com/sms" }

"#;

/// The titles of what people were told and should not have been.
fn cried(told: &[Value]) -> Vec<String> {
    let is_cry = |body: &&Value| {
        matches!(
            body["kind"].as_str(),
            Some("not_curable" | "held" | "asked" | "unproven" | "underway" | "rolled_back")
        )
    };
    let title = |body: &Value| format!("{}: {}", body["kind"].as_str().unwrap(), body["title"].as_str().unwrap());
    told.iter().filter(is_cry).map(title).collect()
}

/// Of two days the failures are plain at once, and who was served is known after its grace: told in that order a few
/// callers in a hundred, on forty numbers, looked like nobody being served.
#[test]
fn two_days_without_an_agent_are_no_outage() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        w.env.insert("HOOK_KEY", "a key");
        let slow = "[poll]\nactive = \"30s\"\npassive = \"60s\"\n";
        let config = w.parse(&format!("{}{}\n{slow}", w.config_text(), webhook("hook", &hook))).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(3600).await;
        agent.stop().await;
        let told = hook.bodies().len();
        w.pass(48 * 3600).await;
        let agent = w.start_with(&config).await.unwrap();
        w.pass(20).await;
        assert_eq!(cried(&hook.bodies()[told..]), [""; 0], "at once");
        w.pass(600).await;
        assert_eq!(cried(&hook.bodies()[told..]), [""; 0], "once all is judged");
        // What breaks then is found as ever.
        w.sim.set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let begin = w.now();
        while cried(&hook.bodies()[told..]).is_empty() {
            w.pass(30).await;
            assert!(w.now().since(begin).as_secs() < 1200, "not found in 20 minutes");
        }
        agent.stop().await;
        servers.abort_all();
    });
}
