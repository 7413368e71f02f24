//! What a test call sounded like: its recording is waited for, fetched, listened to and deleted.
//!
//! A recording that is not whole tells of Twilio and not of the number: it is no silence.
//!
//! Only our own recordings can be named here ([`crate::twilio::recording`]). They are deleted whatever the
//! call showed, unless they are to be kept; what cannot be deleted now is tried again
//! ([`crate::agent::probe::cleanup`]).

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{ProbeContext, noted};
use crate::core::detect::observation::CallStatus;
use crate::core::model::id::CallSid;
use crate::core::probe::hearing::{Heard, RATE, Recording, judge, listen};
use crate::core::probe::{ProbeFinding, Unmeasured, of_heard};
use crate::twilio::Error;
use crate::twilio::probe::CallLeg;
use crate::twilio::recording::{OwnRecording, RecordingState};

/// Between looks, and how long a recording is waited for.
const LOOK: Duration = Duration::from_secs(3);
const WITHIN: Duration = Duration::from_secs(90);

/// Twilio's code of a recording that holds no sound.
const SILENT: u32 = 16_102;

/// A recording may be this much shorter than its call.
const CUT: Duration = Duration::from_secs(3);

/// What was heard of a call, and in words.
pub async fn hear(cx: &ProbeContext, leg: &CallLeg, note: i64, on_fallback: bool) -> (ProbeFinding, String) {
    let client = &cx.shared.client;
    if leg.status != CallStatus::Completed {
        noted(cx.shared.store.note_deleted(note).await);
        return (ProbeFinding::Error(Unmeasured::Recording), "it was not answered".to_owned());
    }
    let recording = wait(cx, leg.sid).await;
    let expected = cx.settings.hear.expected(on_fallback);
    let judged = |heard: &Heard| match judge(heard, &expected) {
        Ok(()) if expected.marker.is_some() => (ProbeFinding::Success, "its marker was heard".to_owned()),
        Ok(()) => (ProbeFinding::Success, "it was heard as expected".to_owned()),
        Err(fault) => (of_heard(fault, &expected), format!("heard: {}", fault.label())),
    };
    let lasted = Duration::from_secs(leg.duration.unwrap_or_default().into());
    let heard = match &recording {
        Some(own) if own.state() == RecordingState::Completed => match fetch(cx, own).await {
            Ok((_, sound)) if sound.duration().is_zero() || sound.duration() + CUT < lasted => {
                let detail = format!(
                    "of a call of {:.1} s, {:.1} s are recorded",
                    lasted.as_secs_f64(),
                    sound.duration().as_secs_f64()
                );
                (ProbeFinding::Error(Unmeasured::Recording), detail)
            }
            Ok((_turn, sound)) => {
                // It has two bytes a sample.
                let bytes = sound.duration().as_secs() as usize * 2 * RATE as usize;
                judged(&cx.shared.clock.apart(bytes, || listen(&sound)))
            }
            Err(e) => (ProbeFinding::Error(Unmeasured::Recording), e.to_string()),
        },
        Some(own) if own.state() == RecordingState::Absent(Some(SILENT)) => {
            judged(&Heard { duration: lasted, sounds: Vec::new() })
        }
        Some(_) | None => (ProbeFinding::Error(Unmeasured::Recording), "there is no recording".to_owned()),
    };
    if let Some(own) = recording.filter(|_| !cx.settings.hear.keep) {
        let is_there = own.state() == RecordingState::Completed;
        match if is_there { client.delete_recording(&own).await } else { Ok(()) } {
            Ok(()) => noted(cx.shared.store.note_deleted(note).await),
            Err(error) => tracing::info!(recording = %own.sid(), %error, "a test call's recording is deleted later"),
        }
    }
    heard
}

/// The recording's sound, with a turn among those that are listened to.
async fn fetch(cx: &ProbeContext, own: &OwnRecording) -> Result<(Option<OwnedSemaphorePermit>, Recording), Error> {
    let turn = cx.shared.listening.clone().acquire_owned();
    let turn = cx.shared.clock.wait(None, turn).await.and_then(Result::ok);
    Ok((turn, cx.shared.client.fetch_recording(own).await?))
}

/// The call's recording once it is whole, or known to be absent.
async fn wait(cx: &ProbeContext, call: CallSid) -> Option<OwnRecording> {
    let clock = &cx.shared.clock;
    let until = clock.now() + WITHIN;
    loop {
        if let Ok(all) = cx.shared.client.recordings(call).await
            && let Some(own) = all.into_iter().find(|r| r.state() != RecordingState::Pending)
        {
            return Some(own);
        }
        if clock.now() >= until {
            return None;
        }
        clock.sleep(LOOK).await;
    }
}
