//! Recordings: list those of a call, fetch one and its sound, delete it.

use serde::Serialize;

use super::calls::dollars;
use super::date::Rfc2822;
use super::error::ApiError;
use super::page::RowBody;
use super::route::Route;
use super::view::{Below, Null, ResourceAnswer, ResourceText, ResourceView, one};
use crate::core::model::id::{AccountSid, CallSid, RecordingSid};
use crate::sim::log::Slice;
use crate::sim::world::World;
use crate::sim::world::recording::{SimRecording, SimRecordingState};

/// As Twilio labels a WAV file.
pub const WAV: &str = "audio/x-wav";

const PARTS: [(&str, &str); 2] = [("add_on_results", "/AddOnResults.json"), ("transcriptions", "/Transcriptions.json")];

/// What both ways to ask for a recording tell.
#[derive(Serialize)]
struct RecordingBody {
    account_sid: AccountSid,
    api_version: &'static str,
    call_sid: CallSid,
    conference_sid: Null,
    date_created: Rfc2822,
    date_updated: Rfc2822,
    start_time: Rfc2822,
    /// Seconds; −1 until it is known.
    duration: ResourceText<i64>,
    sid: RecordingSid,
    price: Option<ResourceText<String>>,
    price_unit: &'static str,
    status: &'static str,
    channels: u32,
    source: &'static str,
    error_code: Option<u32>,
    uri: String,
    encryption_details: Null,
}

/// A recording asked for by its SID.
#[derive(Serialize)]
struct RecordingItself {
    #[serde(flatten)]
    line: RecordingBody,
    subresource_uris: Below<'static>,
    media_url: String,
}

/// A recording as the list of its call has it.
#[derive(Serialize)]
struct RecordingOfCall {
    #[serde(flatten)]
    line: RecordingBody,
    track: &'static str,
}

impl RowBody for RecordingOfCall {
    fn sid(&self) -> String {
        self.line.sid.to_string()
    }
}

pub fn delete(world: &mut World, route: Route<'_>, path: &str) -> ResourceAnswer {
    let is_done = route.sid.parse().is_ok_and(|sid: RecordingSid| world.delete_recording(sid));
    if is_done { Ok(Vec::new()) } else { Err(ApiError::not_found(path)) }
}

impl ResourceView<'_> {
    /// `stem`: its path without an ending.
    fn recording(&self, r: &SimRecording<'_>, stem: &str) -> RecordingBody {
        let is_whole = matches!(r.state, SimRecordingState::Completed | SimRecordingState::Absent(_));
        let minutes = (r.seconds() / 60.0).ceil() as u32;
        RecordingBody {
            account_sid: self.account(),
            api_version: "2010-04-01",
            call_sid: r.call,
            conference_sid: Null,
            date_created: self.rfc2822(r.begins),
            date_updated: self.rfc2822(if is_whole { r.ends } else { r.begins }),
            start_time: self.rfc2822(r.begins),
            duration: ResourceText(if is_whole { r.seconds() as i64 } else { -1 }),
            sid: r.sid,
            price: is_whole.then(|| ResourceText(dollars(minutes * 250))),
            price_unit: "USD",
            status: r.state.label(),
            channels: if r.is_dual { 2 } else { 1 },
            source: "OutboundAPI",
            error_code: match r.state {
                SimRecordingState::Absent(code) => Some(code),
                SimRecordingState::InProgress
                | SimRecordingState::Processing
                | SimRecordingState::Completed
                | SimRecordingState::Deleted => None,
            },
            uri: format!("{stem}.json"),
            encryption_details: Null,
        }
    }

    /// Those of one call: one or none.
    pub fn recordings_of_call(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let call: CallSid = self.route.parent.parse().map_err(|_| self.not_found())?;
        if self.world.calls.get(call.as_u128()).is_none() {
            return Err(self.not_found());
        }
        let found = self.world.recording_of(call).filter(|r| r.state != SimRecordingState::Deleted);
        let rows = found.iter().collect();
        self.list_2010("recordings", &paging, Some(Slice { rows, more: false }), |r| {
            let stem = format!("/2010-04-01/Accounts/{}/Calls/{}/Recordings/{}", self.account(), r.call, r.sid);
            RecordingOfCall { line: self.recording(r, &stem), track: "both" }
        })
    }

    fn recorded(&self) -> Option<SimRecording<'_>> {
        let found = self.world.recording(self.route.sid.parse().ok()?)?;
        (found.state != SimRecordingState::Deleted).then_some(found)
    }

    pub fn recording_by_sid(&self) -> ResourceAnswer {
        let itself = |r: SimRecording<'_>| {
            let stem = format!("/2010-04-01/Accounts/{}/Recordings/{}", self.account(), r.sid);
            one(&RecordingItself {
                line: self.recording(&r, &stem),
                media_url: format!("https://api.twilio.com{stem}"),
                subresource_uris: Below { stem, names: &PARTS },
            })
        };
        self.recorded().map_or_else(|| Err(self.not_found()), itself)
    }

    /// The file: 404 until it is there.
    pub fn recording_media(&self) -> ResourceAnswer {
        let found = self.recorded().filter(|r| r.state == SimRecordingState::Completed);
        let recorded = found.ok_or_else(|| self.not_found())?;
        match self.query.get("RequestedChannels") {
            None | Some("1") => Ok(self.world.media(&recorded, 1)),
            Some("2") if recorded.is_dual => Ok(self.world.media(&recorded, 2)),
            Some(_) => Err(ApiError::bad_request(16113, "Requested channels are not available")),
        }
    }
}
