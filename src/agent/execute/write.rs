//! One write to one number, and the truth about what became of it.
//!
//! Twilio's answer may be lost, or say that it failed although it did not. Then the number is read
//! and compared with what it was and with what it should be; only a number that is still as it was
//! is written again. Another update in flight (20162) and a request too many (429) are waited for and looked at in the
//! same way.
//!
//! What may stop the write is asked for each attempt, when its request has its place and right before it is sent: a
//! person's stop stops what waits for a place, or for Twilio to bear more.
//!
//! A write whose answer was lost, or whose agent was killed while it was under way, may land after the last look. Then
//! it cannot be told what the number will be, and that is what is said, never that nothing was written.

use std::time::Duration;

use crate::agent::control::write_guard::{OnWord, WriteGuard};
use crate::clock::Clock;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName, NumberId, NumberSid};
use crate::core::model::order::UpdateParams;
use crate::core::rollback::plan::{WritePlan, WriteState};
use crate::core::routing::values::RoutingValues;
use crate::twilio::{Client, ErrorKind, Unwritten};

/// Writes of one number for one order, at the most.
const ATTEMPTS: u32 = 8;

/// Looks at a number after an answer was lost, at the most.
const LOOKS: u32 = 4;

/// Before a look: what is in flight may still land. Doubles with each attempt, up to [`LONGEST`].
const LOOK_AFTER: Duration = Duration::from_secs(1);

const LONGEST: Duration = Duration::from_secs(8);

/// A number with what is to be written to it.
#[derive(Debug, Clone)]
pub struct WriteJob {
    pub on: OnWord,
    pub group: GroupName,
    pub number: NumberId,
    pub channel: Channel,
    pub sid: NumberSid,
    pub plan: WritePlan,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteResult {
    Taken,
    /// Nothing was written.
    Stopped(Guard),
    /// Nothing was written, nor will be.
    Failed(String),
    Foreign(RoutingValues),
    /// It cannot be told.
    Unknown(String),
}

/// Writes, if nothing stands against it.
#[tracing::instrument(skip_all, fields(number = %job.number.e164, channel = %job.channel))]
pub async fn write(client: &Client, clock: &Clock, write_guard: &WriteGuard, job: &WriteJob) -> WriteResult {
    let form: UpdateParams = crate::core::routing::values::fields(job.channel)
        .iter()
        .filter_map(|f| {
            let (_, value) = job.plan.update.iter().find(|(name, _)| name == f.parameter)?;
            Some((f.parameter.to_owned(), value.clone()))
        })
        .collect();
    // An attempt whose answer was lost may land later; so may one of an agent that was killed.
    let mut may_land = job.plan.is_intended;
    let mut said =
        if may_land { "it may have been sent before this agent was started".to_owned() } else { String::new() };
    for attempt in 0..ATTEMPTS {
        let may = || write_guard.pass(job.on, &job.group, job.number, job.channel);
        let error = match client.update_number(job.sid, job.number.e164, &form, may).await {
            Ok(_) => return WriteResult::Taken,
            Err(Unwritten::Stopped(guard)) if may_land => {
                return WriteResult::Unknown(format!("{said}; not tried again: {}; {MAY_LAND}", guard.text()));
            }
            Err(Unwritten::Stopped(guard)) => return WriteResult::Stopped(guard),
            // Whether or not it was processed: it is looked at before it is tried again.
            Err(Unwritten::Failed(error)) if error.is_passing() => error,
            Err(Unwritten::Failed(error)) if may_land => return WriteResult::Unknown(format!("{error}; {MAY_LAND}")),
            Err(Unwritten::Failed(error)) => return WriteResult::Failed(error.to_string()),
        };
        may_land |= error.is_ambiguous();
        said = error.to_string();
        tracing::warn!(number = %job.number.e164, channel = %job.channel, said, "looking whether this write has happened");
        let lands = (LOOK_AFTER * (1 << attempt)).min(LONGEST);
        // Many that were too many together do not come back together.
        let wait = if error.kind == ErrorKind::Busy { client.wait_before(attempt + 1, &error) } else { lands };
        clock.sleep(wait).await;
        match look(client, clock, job).await {
            Ok(WriteState::Written) => return WriteResult::Taken,
            Ok(WriteState::Foreign(now)) => return WriteResult::Foreign(now),
            Ok(WriteState::Unwritten) => {}
            Err(unread) => return WriteResult::Unknown(format!("{said}; and it cannot be read: {unread}")),
        }
    }
    if may_land { WriteResult::Unknown(format!("{said}; {MAY_LAND}")) } else { WriteResult::Failed(said) }
}

const MAY_LAND: &str = "it has not happened so far, and may still";

async fn look(client: &Client, clock: &Clock, job: &WriteJob) -> Result<WriteState, String> {
    let mut said = String::new();
    for i in 0..LOOKS {
        if i > 0 {
            clock.sleep(LOOK_AFTER).await;
        }
        match client.number(job.sid, job.number.e164).await {
            Ok(read) => {
                let now = RoutingValues::read(read.raw.whole(), job.channel).map_err(|e| e.to_string())?;
                return Ok(job.plan.found(read.raw.whole(), now));
            }
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}
