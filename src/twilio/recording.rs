//! Recordings of test calls: found by the call, fetched, deleted.
//!
//! The customer's own recordings are never touched. What is deleted has to be an [`OwnRecording`], and
//! there is one way to get those: [`Client::recordings`], which looks at the call first. It must have been
//! made by a request from a number of the configuration's probes; and of its recordings only those count
//! that the request itself asked for (`source` is `OutboundAPI`).

use std::time::Duration;

use serde::Deserialize;

use super::limit::Precedence;
use super::wire::{PageRows, Text};
use super::{Client, Error, ErrorKind, endpoint, host::Product};
use crate::core::model::id::{CallSid, E164, RecordingSid};
use crate::core::probe::hearing::Recording;
use crate::wav;

/// How often a file that is not there yet is asked for, and after how long: Twilio says "completed" a
/// moment before its storage has it.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// A recording that one of our own test calls asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRecording {
    sid: RecordingSid,
    state: RecordingState,
    is_dual: bool,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingState {
    /// The call is up, or Twilio is still at work. Also any word that we do not know: look again.
    Pending,
    /// It can be fetched.
    Completed,
    /// There is none, with Twilio's code if it gives one: too short (16101) or silent (16102).
    Absent(Option<u32>),
}

impl OwnRecording {
    pub const fn sid(&self) -> RecordingSid {
        self.sid
    }

    pub const fn state(&self) -> RecordingState {
        self.state
    }
}

impl Client {
    /// The recordings of a test call. None for a call that was not made by a request from one of our
    /// probes' numbers, whatever recordings it has.
    pub async fn recordings(&self, call: CallSid) -> Result<Vec<OwnRecording>, Error> {
        let path = self.account_path(&format!("Calls/{call}.json"));
        let is_prober = |number: E164| self.roster.is_prober(number);
        let read = self.asked().sid(call).one(|body| made_by_us(body, call, is_prober));
        if !self.transport.read(Precedence::Other, endpoint::FETCH_MAKER, Product::Api, &path, read).await? {
            return Ok(Vec::new());
        }
        let path = self.account_path(&format!("Calls/{call}/Recordings.json"));
        let of_it = self.asked().belongs("call_sid", call);
        let read = of_it.rows("recordings", |body| own(body, call));
        self.transport.read(Precedence::Other, endpoint::LIST_RECORDINGS, Product::Api, &path, read).await
    }

    /// What a completed recording sounds like: both ends apart if they were recorded so.
    pub async fn fetch_recording(&self, recording: &OwnRecording) -> Result<Recording, Error> {
        // Asked for two channels of a mono recording, Twilio refuses (16113).
        let channels = if recording.is_dual { "?RequestedChannels=2" } else { "" };
        let path = self.account_path(&format!("Recordings/{}.wav{channels}", recording.sid));
        let mut tries = 1;
        let read = loop {
            let read = |bytes: &[u8]| Ok(wav::read(bytes));
            match self.transport.media(endpoint::FETCH_RECORDING, Product::Api, &path, read).await {
                Err(e) if e.kind == ErrorKind::NotFound && tries < TRIES => {
                    tries += 1;
                    self.transport.parts().2.sleep(BETWEEN_TRIES).await;
                }
                answer => break answer?,
            }
        };
        read.map_err(|e| Error {
            kind: ErrorKind::NotTwilio,
            endpoint: endpoint::FETCH_RECORDING,
            status: Some(200),
            code: None,
            message: e.to_string(),
            request_id: None,
            retry_after: None,
        })
    }

    /// Deletes a test call's recording at Twilio. One that is gone already is as it should be.
    pub async fn delete_recording(&self, recording: &OwnRecording) -> Result<(), Error> {
        match self.transport.delete_recording(endpoint::DELETE_RECORDING, recording.sid).await {
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            answer => answer,
        }
    }
}

/// Whether a call was made by a request, from a number that is a prober's.
pub fn made_by_us(body: &[u8], call: CallSid, is_prober: impl Fn(E164) -> bool) -> Result<bool, String> {
    #[derive(Deserialize)]
    struct RawCall<'a> {
        #[serde(borrow)]
        sid: Text<'a>,
        #[serde(borrow, default)]
        direction: Text<'a>,
        #[serde(borrow, default)]
        from: Text<'a>,
    }
    let raw: RawCall<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let is_it = raw.sid.get().and_then(|s| s.parse().ok()) == Some(call);
    let from = raw.from.get().and_then(|n| n.parse().ok());
    Ok(is_it && raw.direction.get() == Some("outbound-api") && from.is_some_and(is_prober))
}

/// Those recordings of a page that belong to `call` and that its request asked for.
pub fn own(body: &[u8], call: CallSid) -> Result<Vec<OwnRecording>, String> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        sid: Text<'a>,
        #[serde(borrow, default)]
        call_sid: Text<'a>,
        #[serde(borrow, default)]
        status: Text<'a>,
        #[serde(borrow, default)]
        source: Text<'a>,
        #[serde(borrow, default)]
        channels: Text<'a>,
        #[serde(borrow, default)]
        error_code: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        recordings: PageRows<Row<'a>>,
    }
    let page: Page<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let ours = |row: &&Row<'_>| {
        row.call_sid.get().and_then(|s| s.parse().ok()) == Some(call) && row.source.get() == Some("OutboundAPI")
    };
    let read = |row: &Row<'_>| {
        let sid = row.sid.get().unwrap_or("").parse::<RecordingSid>().map_err(|e| e.to_string())?;
        let state = match row.status.get() {
            Some("completed") => RecordingState::Completed,
            Some("absent") => RecordingState::Absent(row.error_code.get().and_then(|c| c.parse().ok())),
            Some("deleted") => RecordingState::Absent(None),
            _ => RecordingState::Pending,
        };
        Ok(OwnRecording { sid, state, is_dual: row.channels.get() == Some("2") })
    };
    page.recordings.0.iter().filter(ours).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallSid = CallSid::from_u128(7);

    fn row(changes: &[(&str, serde_json::Value)]) -> serde_json::Value {
        let mut row = serde_json::json!({
            "sid": "RE00000000000000000000000000000001", "call_sid": CALL.to_string(), "status": "completed",
            "source": "OutboundAPI", "channels": 2, "error_code": null, "duration": "12", "price": null
        });
        for (key, value) in changes {
            row[*key] = value.clone();
        }
        row
    }

    fn states(rows: &[serde_json::Value]) -> Vec<RecordingState> {
        let body = serde_json::json!({ "recordings": rows }).to_string();
        own(body.as_bytes(), CALL).unwrap().iter().map(OwnRecording::state).collect()
    }

    #[test]
    fn only_what_our_call_asked_for_is_ours() {
        let others = ["DialVerb", "RecordVerb", "Conference", "Trunking", "StartCallRecordingAPI", ""];
        let rows: Vec<_> = others.iter().map(|s| row(&[("source", (*s).into())])).collect();
        assert_eq!(states(&rows), []);
        let elsewhere = row(&[("call_sid", "CA00000000000000000000000000000008".into())]);
        assert_eq!(states(&[elsewhere, row(&[])]), [RecordingState::Completed]);
    }

    #[test]
    fn states_are_read_and_new_ones_survived() {
        let state =
            |status: &str, code: serde_json::Value| states(&[row(&[("status", status.into()), ("error_code", code)])]);
        for pending in ["in-progress", "processing", "paused", "stopped", "pondering"] {
            assert_eq!(state(pending, serde_json::Value::Null), [RecordingState::Pending]);
        }
        assert_eq!(state("absent", 16102.into()), [RecordingState::Absent(Some(16102))]);
        assert_eq!(state("deleted", serde_json::Value::Null), [RecordingState::Absent(None)]);
        assert!(own(br#"{"recordings":[{"sid":"RE1","call_sid":"CA00000000000000000000000000000007","source":"OutboundAPI"}]}"#, CALL).is_err());
        assert!(own(b"<html>", CALL).is_err());
    }

    #[test]
    fn a_call_is_ours_by_direction_and_number() {
        let prober: E164 = "+15005550199".parse().unwrap();
        let ours = |direction: &str, from: &str| {
            let body = serde_json::json!({ "sid": CALL.to_string(), "direction": direction, "from": from }).to_string();
            made_by_us(body.as_bytes(), CALL, |n| n == prober).unwrap()
        };
        assert!(ours("outbound-api", "+15005550199"));
        assert!(!ours("outbound-api", "+15005550100"), "the customer's application called");
        assert!(!ours("inbound", "+15005550199"));
        assert!(!ours("outbound-dial", "+15005550199"));
        assert!(!ours("outbound-api", "sip:x"));
    }
}
