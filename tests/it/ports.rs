//! The ports: what the command says of them, with an agent and without one, and what follows for the phases.

use std::process::{Command, Stdio};

use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope};

use crate::world::{World, play};

/// Eight numbers port an hour from the start, one a minute. One is refused, one not yet looked at.
const DAY: &str = r#"
name = "ports"
seed = 7
start = "2026-11-21T14:00:00Z"
lasts = "12h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
first = "+12125550100"
count = 8
traffic = { calls_per_hour = 40, floor_per_hour = 20 }
routing = { voice_url = "https://app.example.com/voice" }
port = { at = "1h", every = "1m" }

[[group]]
name = "old"
numbers = ["+12125550200"]
traffic = { calls_per_hour = 40 }
routing = { voice_url = "https://app.example.com/voice" }

[[event]]
at = "0s"
port-status = { of = "+12125550103", status = "port_rejected", code = 22155, reason = "PIN 47110815 is wrong" }

[[event]]
at = "0s"
port-status = { of = "+12125550104", status = "In Review" }
"#;

/// Runs `ringback ports` with these words while the world goes on: its exit code and what it said.
pub async fn ports(w: &World, listen: &str, words: &[&str]) -> (i32, String) {
    let text = w.config_text().replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{listen}\""));
    let config = w.folder.path().join("ringback.toml");
    std::fs::write(&config, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .arg("ports")
        .args(words)
        .arg("--config")
        .arg(config)
        .env("TWILIO_AUTH_TOKEN", w.sim.scenario().account.auth_token)
        .env("RINGBACK_TOKEN", "open sesame")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        // Its time is real, ours is not.
        w.clock.sleep(std::time::Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
    }
    let out = child.wait_with_output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";

#[test]
fn without_an_agent_the_command_looks_by_itself() {
    play(DAY, async |w| {
        let (code, said) = ports(w, NOBODY, &[]).await;
        assert_eq!(code, 1, "two need somebody: {said}");
        assert!(said.contains("+12125550103: the old provider has refused the port: the PIN is missing"), "{said}");
        assert!(said.contains("to do: get the port-out PIN from the old provider"), "{said}");
        assert!(said.contains("+12125550106 +12125550107: the old provider has confirmed a date"), "{said}");
        assert!(!said.contains("47110815") && !said.contains("100200300"), "{said}");
        let (code, json) = ports(w, NOBODY, &["--json"]).await;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &json["api"]["look"], &json["may_cancel"]), (1, &"read".into(), &false.into()));
        assert!(!json.to_string().contains("47110815") && !json.to_string().contains("losing"), "{json}");
        let (code, said) = ports(w, NOBODY, &["--checklist"]).await;
        assert_eq!(code, 1);
        assert!(said.ends_with("NO: keep the old provider: something is missing for 9 of 9 numbers\n"), "{said}");
        let (code, said) = ports(w, NOBODY, &["--prepare", "+12065550100", "+18005550100"]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("[x] +12065550100: can be ported, local; the port needs the PIN"), "{said}");
        assert!(said.contains("[!] +18005550100: cannot be ported so, toll-free"), "{said}");
        assert!(said.contains("[x] the account is active"), "{said}");
        // Whether the API cannot be read or may not be asked is not the same.
        for (kind, begins) in [(ApiFaultKind::ServerError, "could not look at the Porting API")] {
            let class = serde_json::from_value(serde_json::json!("port-requests")).unwrap();
            w.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(class))).unwrap();
            let (code, said) = ports(w, NOBODY, &[]).await;
            assert_eq!(code, 1, "{said}");
            assert!(said.lines().last().unwrap().starts_with(begins), "{said}");
        }
        let stats = w.sim.stats();
        assert!(stats.requests.keys().all(|k| k.starts_with("GET ")), "{stats:?}");
    });
}
