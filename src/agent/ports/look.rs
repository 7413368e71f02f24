//! One look at the Porting API.
//!
//! Every request is in the list. Only those are asked for whose numbers may have news: those that are not over, and
//! those that have changed since. A request that cannot be read is said, and the others are used.

use std::collections::HashMap;

use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, PortRequestSid};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::port::news::PortFound;
use crate::core::port::sight::ApiSight;
use crate::core::port::status::PortStatus;
use crate::twilio::porting::{PortRequestLine, is_not_for_us};
use crate::twilio::{Client, Error};

/// Looks, and remembers what is over.
#[derive(Default)]
pub struct PortLook {
    /// Requests that are over, as the list had them, with what their numbers are.
    over: HashMap<PortRequestSid, (PortRequestLine, Vec<PortFound>)>,
}

impl PortLook {
    /// What the API shows now, of all its numbers that are in the roster, and what orders show of hosted ones.
    pub async fn look(&mut self, now: Time, client: &Client, roster: &Roster) -> (ApiSight, Vec<PortFound>) {
        let (sight, mut found) = self.look_at_requests(now, client, roster).await;
        match client.hosted_orders().await {
            Ok(hosted) => {
                found.extend(hosted);
                (sight, found)
            }
            // What is ported with its calls is never a hosted number.
            Err(error) if is_not_for_us(&error) && !may_host(roster) => (sight, found),
            Err(error) => match sight {
                ApiSight::Read { .. } | ApiSight::NotYet => (sight_of(now, &error), found),
                ApiSight::NotForUs { .. } | ApiSight::CouldNotLook { .. } => (sight, found),
            },
        }
    }

    async fn look_at_requests(&mut self, now: Time, client: &Client, roster: &Roster) -> (ApiSight, Vec<PortFound>) {
        let (lines, mut failed) = match client.port_requests().await {
            Ok(read) => read,
            Err(error) => return (sight_of(now, &error), Vec::new()),
        };
        let mut found = Vec::new();
        for line in lines {
            if let Some((known, numbers)) = self.over.get(&line.sid)
                && *known == line
            {
                found.extend(numbers.iter().cloned());
                continue;
            }
            match client.port_request(line.sid, roster).await {
                Ok((mut numbers, unread)) => {
                    numbers.retain(|n| roster.has(n.number));
                    found.extend(numbers.iter().cloned());
                    match unread {
                        Some(error) => failed = Some(error),
                        None => self.remember(line, numbers),
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        (failed.map_or(ApiSight::Read { at: now }, |error| sight_of(now, &error)), found)
    }

    fn remember(&mut self, line: PortRequestLine, numbers: Vec<PortFound>) {
        let is_over = matches!(line.status, PortStatus::Completed | PortStatus::Canceled | PortStatus::Expired);
        let is_over_for = |n: &PortFound| {
            matches!(n.state.status, PortStatus::Completed | PortStatus::Canceled | PortStatus::Expired)
        };
        if is_over && numbers.iter().all(is_over_for) {
            self.over.insert(line.sid, (line, numbers));
        } else {
            self.over.remove(&line.sid);
        }
    }
}

/// True if a number is watched on messages alone, as hosted ones are.
fn may_host(roster: &Roster) -> bool {
    roster.numbers().any(|(_, n)| !n.channels[Channel::Voice.index()])
}

fn sight_of(now: Time, error: &Error) -> ApiSight {
    let why = Line::new(&error.to_string());
    if is_not_for_us(error) {
        ApiSight::NotForUs { at: now, why }
    } else {
        ApiSight::CouldNotLook { at: now, why, cure: Line::new(error.cure()) }
    }
}
