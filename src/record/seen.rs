//! When an entry became visible to a poller, and what else an agent that watched has seen.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::core::detect::observation::{Observation, ProbeResult};
use crate::core::model::id::Resource;
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::twilio::raw::happened;
use crate::twilio::wire::date;

/// A call or a message is in its list so long after it ended, as far as anybody has measured.
const LISTED_AFTER: Duration = Duration::from_secs(5);

/// An alert so long after it was raised: most come within this.
const ALERTED_AFTER: Duration = Duration::from_secs(10);

/// What the state of an agent tells of a period.
#[derive(Default)]
pub struct SeenByAgent {
    /// When the last state of each entry was first seen.
    times: HashMap<String, Time>,
    /// Lines of its own test calls and messages.
    pub probes: Vec<(Time, Value)>,
    /// Records of numbers from before they were first written to, by SID: what alerts are placed by.
    numbers: HashMap<String, Map<String, Value>>,
}

impl SeenByAgent {
    /// Takes in something that the agent saw at `at`.
    pub fn add(&mut self, at: Time, observation: &Observation) {
        let sid = match observation {
            Observation::Call(call) => call.sid.to_string(),
            Observation::Message(message) => message.sid.to_string(),
            Observation::Alert(alert) => alert.sid.to_string(),
            Observation::Number(_) | Observation::Absent { .. } | Observation::OthersCall => return,
            Observation::Probe(probe) => {
                let mut line = json!({
                    "number": probe.number, "channel": probe.channel, "started_at": probe.started_at,
                    "result": match probe.result {
                        ProbeResult::Success => "success",
                        ProbeResult::Failure(_) => "failure",
                        ProbeResult::Error => "error",
                    },
                });
                if let ProbeResult::Failure(reason) = probe.result {
                    line["reason"] = json!(reason.label());
                }
                match probe.entry {
                    Some(Resource::Call(sid)) => line["sid"] = json!(sid),
                    Some(Resource::Message(sid)) => line["sid"] = json!(sid),
                    None => {}
                }
                self.probes.push((at, line));
                return;
            }
        };
        self.times.insert(sid, at);
    }

    /// Takes in an entry of its journal.
    pub fn journaled(&mut self, entry: &Entry) {
        if let Entry::Snapshot { sid, record, .. } = entry
            && let Ok(fields) = serde_json::from_str(record.whole())
        {
            self.numbers.entry(sid.to_string()).or_insert(fields);
        }
    }

    /// The records of numbers that were written to, as they were before.
    pub fn numbers(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.numbers.values()
    }

    /// When an entry became visible: as the agent saw it, or as it is reckoned; `None` of one without any date.
    pub fn of(&self, kind: &str, fields: &Map<String, Value>) -> Option<Time> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        if let Some(at) = text("sid").and_then(|sid| self.times.get(sid)) {
            return Some(*at);
        }
        let ended = text("end_time").and_then(|t| date(t).ok());
        let at = ended.or_else(|| happened(fields))?;
        Some(at + if kind == "alert" { ALERTED_AFTER } else { LISTED_AFTER })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_seen_when_the_agent_saw_it_or_some_seconds_after_it_ended() {
        let Value::Object(call) = json!({
            "sid": "CA00000000000000000000000000000001",
            "start_time": "Sat, 21 Nov 2026 09:00:00 +0000", "end_time": "Sat, 21 Nov 2026 09:01:00 +0000"
        }) else {
            panic!()
        };
        let mut seen = SeenByAgent::default();
        assert_eq!(seen.of("call", &call).unwrap().to_string(), "2026-11-21T09:01:05.000Z");
        let at: Time = "2026-11-21T09:01:02Z".parse().unwrap();
        seen.times.insert("CA00000000000000000000000000000001".to_owned(), at);
        assert_eq!(seen.of("call", &call), Some(at));
        assert_eq!(seen.of("call", &Map::new()), None);
    }
}
