//! Recordings of calls that a request made with `Record=true`.
//!
//! Nothing is kept: a recording follows from its call's rows, and its sound from what answered. Only that
//! it was deleted is remembered.

use std::time::Duration;

use super::World;
use super::place::PlacedCall;
use crate::core::model::id::{CallSid, RecordingSid};
use crate::core::model::time::Time;
use crate::sim::audio::{self, SoundPart};
use crate::sim::chance::{self, Purpose};
use crate::sim::row::{SimCall, SimCallStatus};
use crate::sim::voice::SimSound;

/// From the end of a call until its recording can be fetched.
const PROCESSING: Duration = Duration::from_secs(3);

/// A recording shorter than this is absent (16101).
const SHORTEST: f64 = 0.1;

/// Turns a call's digits into its recording's, and back.
const DIGITS: u128 = 0x5245_0000_5245_0000_5245_0000_5245_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimRecordingState {
    InProgress,
    Processing,
    Completed,
    /// With Twilio's code.
    Absent(u32),
    Deleted,
}

impl SimRecordingState {
    pub const fn label(self) -> &'static str {
        match self {
            SimRecordingState::InProgress => "in-progress",
            SimRecordingState::Processing => "processing",
            SimRecordingState::Completed => "completed",
            SimRecordingState::Absent(_) => "absent",
            SimRecordingState::Deleted => "deleted",
        }
    }
}

/// A recording as it stands.
pub struct SimRecording<'w> {
    pub sid: RecordingSid,
    pub call: CallSid,
    pub begins: Time,
    pub ends: Time,
    pub state: SimRecordingState,
    pub is_dual: bool,
    placed: &'w PlacedCall,
    /// The leg that the other end dialled on, if it did.
    child: Option<&'w SimCall>,
}

impl World {
    pub fn recording(&self, sid: RecordingSid) -> Option<SimRecording<'_>> {
        self.recording_of(CallSid::from_u128(sid.as_u128() ^ DIGITS))
    }

    /// The recording of a call, once it was answered.
    pub fn recording_of(&self, call: CallSid) -> Option<SimRecording<'_>> {
        let placed = self.outbound.calls.get(&call.as_u128()).filter(|p| p.records)?;
        let row = self.calls.get(call.as_u128())?;
        let (begins, ends) = (row.answered.from(row.start), row.end());
        if self.now < begins || row.status != SimCallStatus::Completed {
            return None;
        }
        let sid = RecordingSid::from_u128(call.as_u128() ^ DIGITS);
        let child = placed.inbound.iter().filter_map(|leg| self.calls.get(*leg)).find(|leg| leg.parent().is_some());
        let mut recorded = SimRecording {
            sid,
            call,
            begins,
            ends,
            state: SimRecordingState::Completed,
            is_dual: placed.is_dual,
            placed,
            child,
        };
        recorded.state = if self.outbound.deleted.contains(&sid) {
            SimRecordingState::Deleted
        } else if self.now < ends {
            SimRecordingState::InProgress
        } else if self.now < ends + PROCESSING {
            SimRecordingState::Processing
        } else if recorded.seconds() < SHORTEST {
            SimRecordingState::Absent(16101)
        } else if placed.trims && !recorded.has_sound() {
            SimRecordingState::Absent(16102)
        } else {
            SimRecordingState::Completed
        };
        Some(recorded)
    }

    /// Deletes a recording; false if there is none.
    pub fn delete_recording(&mut self, sid: RecordingSid) -> bool {
        let is_there = self.recording(sid).is_some_and(|r| r.state != SimRecordingState::Deleted);
        is_there && self.outbound.deleted.insert(sid)
    }

    /// The file of a recording: both ends apart, or together.
    pub fn media(&self, recorded: &SimRecording<'_>, channels: usize) -> Vec<u8> {
        let mut luck = chance::stream(self.scenario.seed, Purpose::Sound, recorded.call.as_u128() as u64, 0);
        // Reports differ on which channel is whose.
        let is_first = luck.hits(0.5);
        let bin = if let SimSound::Bin(nth) = recorded.placed.sound { Some(usize::from(nth)) } else { None };
        let of_bin = bin.and_then(|nth| self.scenario.bins.get(nth)).and_then(|b| b.marker.as_deref());
        let is_handler = recorded.placed.sound == SimSound::Handler;
        let marker = if is_handler { recorded.placed.keys.as_deref() } else { of_bin };
        let theirs = audio::render(&recorded.parts(marker), recorded.seconds(), &mut luck);
        if channels == 1 {
            return audio::wav(&[theirs]);
        }
        let ours = audio::render(&[], recorded.seconds(), &mut luck);
        audio::wav(&if is_first { [theirs, ours] } else { [ours, theirs] })
    }
}

impl SimRecording<'_> {
    pub fn seconds(&self) -> f64 {
        self.ends.since(self.begins).as_secs_f64()
    }

    fn has_sound(&self) -> bool {
        !matches!(self.placed.sound, SimSound::Silence | SimSound::Nothing)
    }

    /// What the caller hears, from the answer on.
    fn parts(&self, marker: Option<&str>) -> Vec<SoundPart> {
        let all = self.seconds();
        let speech = || vec![SoundPart::Silence(0.4), SoundPart::Speech(all)];
        match self.placed.sound {
            SimSound::Nothing | SimSound::Silence => Vec::new(),
            SimSound::Announcement
            | SimSound::OwnFallback
            | SimSound::Wrong
            | SimSound::Text
            | SimSound::LosingCarrier => speech(),
            SimSound::Bin(_) | SimSound::Handler => {
                let mut parts = vec![SoundPart::Silence(0.3)];
                parts.extend(marker.map(|keys| SoundPart::Keys(keys.to_owned())));
                parts.extend(speech());
                parts
            }
            SimSound::OutOfService => {
                let once = [
                    SoundPart::Silence(0.3),
                    SoundPart::Special,
                    SoundPart::Silence(0.2),
                    SoundPart::Speech(3.5),
                    SoundPart::Silence(1.0),
                ];
                once.iter().cycle().take(once.len() * (1 + all as usize / 6)).cloned().collect()
            }
            SimSound::Forward => match self.child {
                None => speech(),
                Some(child) => {
                    let rang = child.answered.from(child.start).min(child.end()).since(self.begins).as_secs_f64();
                    match child.status {
                        SimCallStatus::Busy => vec![SoundPart::Silence(1.0), SoundPart::Busy(all)],
                        SimCallStatus::Failed => vec![SoundPart::Silence(1.0), SoundPart::Reorder(all)],
                        SimCallStatus::NoAnswer | SimCallStatus::Canceled => vec![SoundPart::Ringing(all)],
                        SimCallStatus::Completed
                        | SimCallStatus::Queued
                        | SimCallStatus::Ringing
                        | SimCallStatus::InProgress => {
                            vec![SoundPart::Ringing(rang), SoundPart::Silence(0.3), SoundPart::Speech(all)]
                        }
                    }
                }
            },
        }
    }
}
