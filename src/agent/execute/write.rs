//! One write to one number, and the truth about what became of it.
//!
//! Twilio's answer may be lost, or say that it failed although it did not. Then the number is read
//! and compared with what it was and with what it should be; only a number that is still as it was
//! is written again. Another update in flight (20162) is waited for and looked at in the same way.

use std::time::Duration;

use crate::agent::control::write_guard::WriteGuard;
use crate::clock::Clock;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, E164, GroupName, NumberSid};
use crate::core::model::order::UpdateParams;
use crate::core::routing::values::RoutingValues;
use crate::twilio::Client;

/// Writes of one number for one order, at the most.
const ATTEMPTS: u32 = 5;

/// Looks at a number after an answer was lost, at the most.
const LOOKS: u32 = 4;

/// Before a look: what is in flight may still land. Doubles with each attempt.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What is to be written, and how to tell whether it was.
#[derive(Debug, Clone)]
pub struct WriteJob {
    pub group: GroupName,
    pub number: E164,
    pub channel: Channel,
    pub sid: NumberSid,
    pub form: UpdateParams,
    /// The number's routing without the write.
    pub unwritten: RoutingValues,
    /// And with it.
    pub written: RoutingValues,
    /// Write over what somebody else has changed.
    pub force: bool,
}

/// What was found when a number was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteState {
    Written,
    Unwritten,
    /// Somebody else changed it.
    Foreign(RoutingValues),
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteResult {
    Taken,
    /// Nothing was written.
    Stopped(Guard),
    /// Nothing was written.
    Failed(String),
    Foreign(RoutingValues),
    /// It cannot be told.
    Unknown(String),
}

impl WriteJob {
    /// Tells from a record what has happened.
    pub fn found(&self, record: &str) -> Result<WriteState, String> {
        let now = RoutingValues::read(record, self.channel).map_err(|e| e.to_string())?;
        Ok(if now == self.written {
            WriteState::Written
        } else if now == self.unwritten || self.force {
            WriteState::Unwritten
        } else {
            WriteState::Foreign(now)
        })
    }
}

/// Writes, if nothing stands against it.
#[tracing::instrument(skip_all, fields(number = %job.number, channel = %job.channel))]
pub async fn write(client: &Client, clock: &Clock, write_guard: &WriteGuard, job: &WriteJob) -> WriteResult {
    let form: Vec<(&'static str, String)> = crate::core::routing::values::fields(job.channel)
        .iter()
        .filter_map(|f| {
            let (_, value) = job.form.iter().find(|(name, _)| name == f.parameter)?;
            Some((f.parameter, value.clone()))
        })
        .collect();
    let mut said = String::new();
    for attempt in 0..ATTEMPTS {
        let within = match write_guard.pass(&job.group, job.number, job.channel) {
            Ok(within) => within,
            Err(guard) => return WriteResult::Stopped(guard),
        };
        match clock.timeout(within, client.update_number(job.sid, &form)).await {
            Ok(Ok(_)) => return WriteResult::Taken,
            // Whether or not it was processed: it is looked at before it is tried again.
            Ok(Err(error)) if error.is_passing() => said = error.to_string(),
            Ok(Err(error)) => return WriteResult::Failed(error.to_string()),
            Err(timed_out) => said = timed_out.to_string(),
        }
        tracing::warn!(number = %job.number, channel = %job.channel, said, "looking whether this write has happened");
        clock.sleep(LOOK_AFTER * (1 << attempt)).await;
        match look(client, clock, job).await {
            Ok(WriteState::Written) => return WriteResult::Taken,
            Ok(WriteState::Foreign(now)) => return WriteResult::Foreign(now),
            Ok(WriteState::Unwritten) => {}
            Err(unread) => return WriteResult::Unknown(format!("{said}; and it cannot be read: {unread}")),
        }
    }
    WriteResult::Failed(said)
}

async fn look(client: &Client, clock: &Clock, job: &WriteJob) -> Result<WriteState, String> {
    let mut said = String::new();
    for i in 0..LOOKS {
        if i > 0 {
            clock.sleep(LOOK_AFTER).await;
        }
        match client.number(job.sid).await {
            Ok(read) => return job.found(&read.raw),
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}
