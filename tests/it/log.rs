//! Logs as Twilio has them, written by tests and played by the binary.

use std::fmt::Write;
use std::process::{Command, Output};

use ringback::core::model::time::Time;
use serde_json::{Value, json};

use crate::world::Folder;

pub const OURS: &str = "+15005550100";
pub const HANDLER: &str = "https://app.example.com/voice";
pub const TEXTS: &str = "https://app.example.com/sms";

/// A recording as it is written down, in any order.
#[derive(Default)]
pub struct Recording {
    /// Seconds after the beginning, and the entry.
    pub entries: Vec<(u64, &'static str, Value)>,
    sids: u64,
}

pub fn at(seconds: u64) -> Time {
    "2026-11-21T09:00:00Z".parse::<Time>().unwrap() + std::time::Duration::from_secs(seconds)
}

pub fn rfc2822(seconds: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(at(seconds).as_millis()).unwrap();
    jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
}

/// An inbound call, or a leg that the handler dialled.
pub struct Leg<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub status: &'a str,
    pub seconds: u64,
    pub parent: Option<&'a str>,
}

pub fn inbound(from: &str, seconds: u64) -> Leg<'_> {
    Leg { from, to: OURS, status: "completed", seconds, parent: None }
}

impl Recording {
    pub fn of(voice_url: &str) -> Recording {
        let mut recording = Recording::default();
        recording.entries.push((
            0,
            "number",
            json!({
                "sid": "PN00000000000000000000000000000001", "phone_number": OURS, "voice_url": voice_url,
                "sms_url": TEXTS, "capabilities": {"voice": true, "sms": true}, "status": "in-use",
                "date_updated": rfc2822(0),
            }),
        ));
        recording
    }

    pub fn sid(&mut self, kind: &str) -> String {
        self.sids += 1;
        format!("{kind}{:032x}", self.sids)
    }

    pub fn call(&mut self, start: u64, leg: &Leg<'_>) -> String {
        let sid = self.sid("CA");
        let direction = if leg.parent.is_some() { "outbound-dial" } else { "inbound" };
        let end = start + leg.seconds;
        let resource = json!({
            "sid": sid, "parent_call_sid": leg.parent, "to": leg.to, "from": leg.from, "status": leg.status,
            "direction": direction, "start_time": rfc2822(start), "end_time": rfc2822(end),
            "date_created": rfc2822(start), "duration": leg.seconds.to_string(),
        });
        self.entries.push((end + 3, "call", resource));
        sid
    }

    pub fn message(&mut self, start: u64, direction: &str, party: &str, status: &str, code: Option<u32>) -> String {
        let sid = self.sid("SM");
        let (from, to) = if direction == "inbound" { (party, OURS) } else { (OURS, party) };
        let resource = json!({
            "sid": sid, "from": from, "to": to, "direction": direction, "status": status, "error_code": code,
            "date_created": rfc2822(start), "date_sent": rfc2822(start), "body": "x",
        });
        self.entries.push((start + 3, "message", resource));
        sid
    }

    pub fn alert(&mut self, raised: u64, sid: &str, code: u32, level: &str, url: Option<&str>) {
        let own = self.sid("NO");
        let resource = json!({
            "sid": own, "resource_sid": sid, "error_code": code.to_string(), "log_level": level,
            "request_url": url, "date_created": at(raised).to_string(), "date_generated": at(raised).to_string(),
        });
        self.entries.push((raised + 5, "alert", resource));
    }

    /// What `replay` decides: the kind of each decision, its reason, and its first code.
    pub fn decisions(self) -> Vec<(String, String, Option<u64>)> {
        self.decisions_with("")
    }

    /// The same with more in the configuration of the group.
    pub fn decisions_with(mut self, more: &str) -> Vec<(String, String, Option<u64>)> {
        self.entries.sort_by_key(|(seen, ..)| *seen);
        let mut text = String::new();
        for (seen, kind, resource) in self.entries {
            let line = json!({"seen_at": at(seen).to_string(), "kind": kind, "resource": resource});
            writeln!(text, "{line}").unwrap();
        }
        let dir = Folder::new();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\n\n[[group]]\nname = \"support\"\n\
             numbers = [\"{OURS}\"]\nchannels = [\"voice\", \"messaging\"]\n\n[group.fallback]\n\
             voice_url = \"https://handler.twilio.com/twiml/EH00000000000000000000000000000001\"\n\
             sms_url = \"https://handler.twilio.com/twiml/EH00000000000000000000000000000002\"\n{more}"
        );
        std::fs::write(path("ringback.toml"), config).unwrap();
        std::fs::write(path("log.jsonl"), text).unwrap();
        let out: Output = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["replay", "--config", &path("ringback.toml"), "--events", &path("log.jsonl"), "--decisions", "-"])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        let decision = |line: &str| {
            let d: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
            (text("decision"), text("reason"), d["evidence"]["reasons"][0]["code"].as_u64())
        };
        String::from_utf8(out.stdout).unwrap().lines().map(decision).collect()
    }
}

pub fn caller(i: u64) -> String {
    format!("+1917555{i:04}")
}

pub fn page(reason: &str, code: Option<u64>) -> (String, String, Option<u64>) {
    ("page".to_owned(), reason.to_owned(), code)
}
