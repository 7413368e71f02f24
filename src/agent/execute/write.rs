//! One write to one number, and the truth about what became of it.
//!
//! Twilio's answer may be lost, or say that it failed although it did not. Then the number is read
//! and compared with what it was and with what it should be; only a number that is still as it was
//! is written again. Another update in flight (20162) and a request too many (429) are waited for and looked at in the
//! same way.
//!
//! What may stop the write is asked for each attempt, when its request has its place and again right before its first
//! byte: a person's stop stops what waits for a place, for Twilio to bear more, or for a connection.
//!
//! Which Messaging Service the number is in is written by a request of its own, before the number's fields. Each of the
//! two is asked for alone; what stops between them is settled by looking, as one that was lost is.
//!
//! A write whose answer was lost, or whose agent was killed while it was under way, may land after the last look. Then
//! it cannot be told what the number will be, and
//! that is what is said, never that nothing was written.

use std::time::Duration;

use crate::agent::control::write_guard::{Initiator, Objection, Write, WriteGuard};
use crate::clock::Clock;
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, GroupName, NumberId, NumberSid};
use crate::core::model::order::UpdateParams;
use crate::core::rollback::plan::{Membership, WritePlan, WriteState};
use crate::core::routing::values::{RoutingValues, SERVICE, in_service};
use crate::twilio::membership::ALREADY_IN_IT;
use crate::twilio::{Client, ErrorKind, UnansweredWrite};

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
    pub by: Initiator,
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
    /// The agent stops. What may have been written before, if anything may.
    Ending(Option<String>),
    /// Nothing was written, nor will be.
    Failed(String),
    Foreign(RoutingValues),
    /// It cannot be told.
    Unknown(String),
}

/// How a write ended, and whether an answer to it was lost: whatever it came to, what was sent may land later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteEnd {
    pub result: WriteResult,
    pub is_lost: bool,
}

/// Writes, if nothing stands against it.
#[tracing::instrument(skip_all, fields(number = %job.number.e164, channel = %job.channel))]
pub async fn write(client: &Client, clock: &Clock, write_guard: &WriteGuard, job: &WriteJob) -> WriteEnd {
    let mut lost = 0;
    let result = attempt(client, clock, write_guard, job, &mut lost).await;
    // How often an agent that was killed had sent it, nobody knows.
    WriteEnd { result, is_lost: job.plan.is_intended || lost > 0 }
}

async fn attempt(
    client: &Client,
    clock: &Clock,
    write_guard: &WriteGuard,
    job: &WriteJob,
    lost: &mut u32,
) -> WriteResult {
    let form: UpdateParams = crate::core::routing::values::fields(job.channel)
        .iter()
        .filter(|f| f.parameter != SERVICE)
        .filter_map(|f| {
            let (_, value) = job.plan.update.iter().find(|(name, _)| name == f.parameter)?;
            Some((f.parameter.to_owned(), value.clone()))
        })
        .collect();
    // What was written of it, or may land later.
    let mut open = job.plan.is_intended.then_some(MAY_LAND);
    let mut said =
        if open.is_some() { "it may have been sent before this agent was started; ".to_owned() } else { String::new() };
    for attempt in 0..ATTEMPTS {
        let (step, result) = attempt_once(client, write_guard, job, &form, open.is_some()).await;
        if step == Step::Fields && job.plan.membership().is_some() {
            open = Some(HALF);
        }
        let error = match result {
            Ok(()) => return WriteResult::Taken,
            Err(UnansweredWrite::Stopped(Objection::Ending)) => {
                return WriteResult::Ending(
                    open.map(|open| format!("{said}not tried again: the agent stopped; {open}")),
                );
            }
            Err(UnansweredWrite::Stopped(Objection::Guard(guard))) => {
                let Some(open) = open else { return WriteResult::Stopped(guard) };
                return WriteResult::Unknown(format!("{said}not tried again: {}; {open}", guard.text()));
            }
            // Whether or not it was processed: it is looked at before it is tried again.
            Err(UnansweredWrite::Failed(error)) if error.is_passing() => error,
            Err(UnansweredWrite::Failed(error)) => {
                let Some(open) = open else { return WriteResult::Failed(error.to_string()) };
                return WriteResult::Unknown(format!("{error}; {open}"));
            }
        };
        if error.is_ambiguous() {
            open = open.or(Some(MAY_LAND));
            *lost += 1;
        }
        said = format!("{error}; ");
        tracing::warn!(number = %job.number.e164, channel = %job.channel, %error, "looking whether this write has happened");
        let lands = (LOOK_AFTER * (1 << attempt)).min(LONGEST);
        // Many that were too many together do not come back together.
        let wait = if error.kind == ErrorKind::Busy { client.wait_before(attempt + 1, &error) } else { lands };
        clock.sleep(wait).await;
        match look(client, clock, job).await {
            Ok(WriteState::Written) => {
                // One of them is this.
                *lost = lost.saturating_sub(1);
                return WriteResult::Taken;
            }
            Ok(WriteState::Foreign(now)) => return WriteResult::Foreign(now),
            Ok(WriteState::Unwritten) => {}
            Err(unread) => return WriteResult::Unknown(format!("{error}; and it cannot be read: {unread}")),
        }
    }
    let said = said.trim_end_matches("; ");
    open.map_or_else(|| WriteResult::Failed(said.to_owned()), |open| WriteResult::Unknown(format!("{said}; {open}")))
}

const MAY_LAND: &str = "it has not happened so far, and may still";

const HALF: &str = "its Messaging Service is written, and its own fields are not, or may not be";

/// How far one attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Service,
    Fields,
}

/// The Messaging Service first, where it is to be another, then the number's own fields. `is_again`: an attempt before
/// this one may have written the first.
async fn attempt_once(
    client: &Client,
    write_guard: &WriteGuard,
    job: &WriteJob,
    form: &UpdateParams,
    is_again: bool,
) -> (Step, Result<(), UnansweredWrite<Objection>>) {
    let write = Write { by: job.by, group: job.group.clone(), number: job.number, channel: job.channel };
    let pass = write_guard.pass(write);
    let moved = match job.plan.membership() {
        None => Ok(()),
        Some(Membership::Join(service)) => match client.join_service(service, job.sid, pass.clone()).await {
            // Of a fresh write it is somebody else's doing, and would be undone as ours.
            Err(UnansweredWrite::Failed(error))
                if error.code == Some(ALREADY_IN_IT) && (is_again || job.plan.is_intended) =>
            {
                Ok(())
            }
            answer => answer,
        },
        Some(Membership::Leave(service)) => match client.leave_service(service, job.sid, pass.clone()).await {
            // It is in it no more: what is read back has the last word.
            Err(UnansweredWrite::Failed(error)) if error.kind == ErrorKind::NotFound && error.code == Some(20_404) => {
                Ok(())
            }
            answer => answer,
        },
    };
    if moved.is_err() || form.is_empty() {
        return (Step::Service, moved);
    }
    (Step::Fields, client.update_number(job.sid, job.number.e164, form, pass).await.map(drop))
}

async fn look(client: &Client, clock: &Clock, job: &WriteJob) -> Result<WriteState, String> {
    let mut said = String::new();
    for i in 0..LOOKS {
        if i > 0 {
            clock.sleep(LOOK_AFTER).await;
        }
        match read(client, job).await {
            Ok(record) => {
                let now = RoutingValues::read(&record, job.channel).map_err(|e| e.to_string())?;
                return Ok(job.plan.found(&record, now));
            }
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}

/// The number's record, with the Messaging Service that the write is about, if it is in it.
async fn read(client: &Client, job: &WriteJob) -> Result<String, crate::twilio::Error> {
    let read = client.number(job.sid, job.number.e164).await?;
    let service = match job.plan.membership().map(Membership::service) {
        Some(service) if client.is_member(service, job.sid).await? => Some(service),
        Some(_) | None => None,
    };
    Ok(in_service(read.raw.whole(), service))
}
