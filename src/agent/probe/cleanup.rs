//! Recordings that were left at Twilio: by an agent that was stopped, by a call whose answer was lost, by a
//! request that failed. Each is looked for by the note of its probe and deleted.
//!
//! Only our own can be named here ([`crate::twilio::recording`]). A call whose SID nobody has learnt is looked
//! for by its two numbers and its time, and taken only if there is no other that it could be.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::Shared;
use crate::agent::control::write_guard::WriteGuard;
use crate::core::model::id::CallSid;
use crate::core::model::time::Time;
use crate::store::StoreError;
use crate::store::probe::Begun;
use crate::twilio::Error;
use crate::twilio::probe::CallEnd;
use crate::twilio::recording::RecordingState;

/// Between looks.
const LOOK: Duration = Duration::from_secs(300);

/// A probe of this agent has seen to its own recording by then, if all went well.
const OWN: Duration = Duration::from_secs(900);

/// What cannot be found so long after its probe began is taken not to be there.
const THERE_WITHIN: Duration = Duration::from_secs(3600);

/// What cannot be deleted for so long is left to people.
const TRIES_FOR: Duration = Duration::from_secs(86_400);

/// Between the note of a probe and its call: the number is read first, and a refused request is repeated.
const ASKED_WITHIN: Duration = Duration::from_secs(120);

/// Twilio's dates are whole seconds, and we know its clock no better.
const STAMPED_OFF: Duration = Duration::from_secs(2);

/// Looks now and again, until `stop`.
pub async fn run(shared: Shared, write_guard: WriteGuard, stop: CancellationToken) {
    let clock = &shared.clock;
    let began = clock.now();
    loop {
        if write_guard.is_leading()
            && let Err(error) = sweep(&shared, began).await
        {
            tracing::warn!(%error, cure = error.cure, "cannot tell which recordings of test calls are left");
        }
        if clock.wait(Some(clock.now() + LOOK), stop.cancelled()).await.is_some() {
            return;
        }
    }
}

/// Deletes what is left by probes of the agents before `began`, and by old ones of ours.
async fn sweep(shared: &Shared, began: Time) -> Result<(), StoreError> {
    let (store, now) = (&shared.store, shared.clock.now());
    let left = store.recorded().await?;
    for probe in left.iter().filter(|p| p.at < began || p.at + OWN <= now) {
        match delete(shared, probe).await {
            Ok(true) => store.note_deleted(probe.id).await?,
            Ok(false) => {}
            Err(error) if probe.at + TRIES_FOR <= now => {
                let call = probe.call.map_or("unknown".to_owned(), |sid| sid.to_string());
                tracing::warn!(call, %error, cure = error.cure(), "a test call's recording is left at Twilio");
                store.note_deleted(probe.id).await?;
            }
            Err(error) => tracing::debug!(%error, "a test call's recording cannot be deleted yet"),
        }
    }
    Ok(())
}

/// True if nothing is left of this probe's recording.
async fn delete(shared: &Shared, probe: &Begun) -> Result<bool, Error> {
    let is_old = probe.at + THERE_WITHIN <= shared.clock.now();
    let call = match probe.call {
        Some(call) => call,
        None => match find(shared, probe).await? {
            Some(call) => call,
            None => return Ok(is_old),
        },
    };
    let recordings = shared.client.recordings(call).await?;
    let mut is_over = is_old || !recordings.is_empty();
    let mut deleted = Ok(());
    for own in &recordings {
        match own.state() {
            // One that cannot be deleted keeps no other.
            RecordingState::Completed => deleted = deleted.and(shared.client.delete_recording(own).await),
            RecordingState::Absent(_) => {}
            RecordingState::Pending => is_over = false,
        }
    }
    deleted.map(|()| is_over)
}

/// The call of a probe whose SID was never learnt: the only one that it can be.
async fn find(shared: &Shared, probe: &Begun) -> Result<Option<CallSid>, Error> {
    let Some(from) = probe.from else { return Ok(None) };
    let since = shared.client.their_time(probe.at) - STAMPED_OFF;
    let others = shared.store.probes(probe.at - ASKED_WITHIN).await.unwrap_or_default();
    let legs = shared.client.legs_between(from, probe.number.e164, since).await?;
    let mut calls = legs.iter().filter(|l| {
        let is_then = (since..=since + STAMPED_OFF + ASKED_WITHIN).contains(&l.created_at);
        l.end == CallEnd::Outbound && is_then && !others.iter().any(|p| p.call == Some(l.sid))
    });
    Ok(calls.next().filter(|_| calls.next().is_none()).map(|l| l.sid))
}
