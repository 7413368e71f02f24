//! One write to one number, and the truth about what became of it.
//!
//! Twilio's answer may be lost, or say that it failed although it did not. Then the number is read
//! and compared with what it was and with what it should be; only a number that is still as it was
//! is written again. Another update in flight (20162) is waited for and looked at in the same way.
//!
//! A write whose answer was lost may land after the last look. Then it cannot be told what the number will be, and
//! that is what is said, never that nothing was written.

use std::time::Duration;

use crate::agent::control::write_guard::WriteGuard;
use crate::clock::Clock;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName, NumberId, NumberSid};
use crate::core::rollback::plan::{WritePlan, WriteState};
use crate::core::routing::values::RoutingValues;
use crate::twilio::Client;

/// Writes of one number for one order, at the most.
const ATTEMPTS: u32 = 5;

/// Looks at a number after an answer was lost, at the most.
const LOOKS: u32 = 4;

/// Before a look: what is in flight may still land. Doubles with each attempt.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A number with what is to be written to it.
#[derive(Debug, Clone)]
pub struct WriteJob {
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
    let form: Vec<(&'static str, String)> = crate::core::routing::values::fields(job.channel)
        .iter()
        .filter_map(|f| {
            let (_, value) = job.plan.update.iter().find(|(name, _)| name == f.parameter)?;
            Some((f.parameter, value.clone()))
        })
        .collect();
    let mut said = String::new();
    // An attempt whose answer was lost may land later.
    let mut may_land = false;
    for attempt in 0..ATTEMPTS {
        let within = match write_guard.pass(&job.group, job.number, job.channel) {
            Ok(within) => within,
            Err(guard) if may_land => {
                return WriteResult::Unknown(format!("{said}; not tried again: {}; {MAY_LAND}", guard.text()));
            }
            Err(guard) => return WriteResult::Stopped(guard),
        };
        match clock.timeout(within, client.update_number(job.sid, job.number.e164, &form)).await {
            Ok(Ok(_)) => return WriteResult::Taken,
            // Whether or not it was processed: it is looked at before it is tried again.
            Ok(Err(error)) if error.is_passing() => {
                may_land |= error.is_ambiguous();
                said = error.to_string();
            }
            Ok(Err(error)) if may_land => return WriteResult::Unknown(format!("{error}; {MAY_LAND}")),
            Ok(Err(error)) => return WriteResult::Failed(error.to_string()),
            Err(timed_out) => {
                may_land = true;
                said = timed_out.to_string();
            }
        }
        tracing::warn!(number = %job.number.e164, channel = %job.channel, said, "looking whether this write has happened");
        clock.sleep(LOOK_AFTER * (1 << attempt)).await;
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
                let now = RoutingValues::read(&read.raw, job.channel).map_err(|e| e.to_string())?;
                return Ok(job.plan.found(now));
            }
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}
