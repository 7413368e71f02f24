//! Looks whether the fallbacks work, before they are needed and ever again.
//!
//! Each is asked for its TwiML as Twilio would ask. What answers and would not serve a caller is
//! broken at once; what does not answer is broken after three looks, since one lost request must not
//! take the fallback away from a failing number; one that is known to be broken stays so until it answers.
//! Where nothing can be signed, it is unchecked, and
//! that is said.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::{ControlMessage, Shared};
use crate::core::model::id::{Channel, GroupName};
use crate::core::model::order::FallbackState;
use crate::core::model::redact::told;
use crate::core::routing::twiml::examine;
use crate::twilio::webhook::Unasked;

/// Between looks at all fallbacks.
const EVERY: Duration = Duration::from_secs(300);

/// Between looks at one that did not answer.
const AGAIN: Duration = Duration::from_secs(20);

/// Looks without an answer after which a fallback is called broken.
const SILENT: u32 = 3;

/// What was found of one fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackChecked {
    pub group: GroupName,
    pub channel: Channel,
    pub state: FallbackState,
    /// It did not answer: that says nothing good of one that was broken.
    pub is_silent: bool,
    pub detail: String,
}

pub async fn run(shared: Shared, stop: CancellationToken) {
    let clock = shared.clock.clone();
    let mut silent: HashMap<String, u32> = HashMap::new();
    while !stop.is_cancelled() {
        let next = round(&shared, &mut silent).await;
        clock.wait(Some(clock.now() + next), stop.cancelled()).await;
    }
}

/// Looks at every fallback once: for who acts at once and does not stay.
pub async fn once(shared: &Shared) {
    round(shared, &mut HashMap::new()).await;
}

/// Looks at every fallback and reports to the control task. Gives how long until the next check.
async fn round(shared: &Shared, silent: &mut HashMap<String, u32>) -> Duration {
    let mut next = EVERY;
    let mut found: HashMap<String, (FallbackState, bool, String)> = HashMap::new();
    for (_, group) in shared.roster.groups() {
        for channel in Channel::ALL {
            let Some(url) = group.fallback(channel) else { continue };
            if !found.contains_key(url) {
                let looked = look(shared, url, silent.entry(url.to_owned()).or_default()).await;
                found.insert(url.to_owned(), looked);
            }
            if silent.get(url).is_some_and(|n| *n > 0) {
                next = AGAIN;
            }
            let (state, is_silent, detail) = found[url].clone();
            // It may quote what was answered.
            let detail = told(&detail, &shared.roster);
            let looked = FallbackChecked { group: group.name.clone(), channel, state, is_silent, detail };
            // The inbox closes only when the agent stops.
            let _ = shared.clock.wait(None, shared.inbox.send(ControlMessage::Fallback(looked))).await;
        }
    }
    next
}

async fn look(shared: &Shared, url: &str, silent: &mut u32) -> (FallbackState, bool, String) {
    let broken = |why: String| (FallbackState::Broken, false, why);
    match shared.client.ask_webhook(url).await {
        Ok(answer) if (500..600).contains(&answer.status) => unanswered(silent, &format!("HTTP {}", answer.status)),
        Ok(answer) => {
            *silent = 0;
            if answer.status != 200 {
                return broken(format!("it answers HTTP {}", answer.status));
            }
            match examine(&answer.body, |n| shared.roster.has(n)) {
                Ok(()) => (FallbackState::Good, false, "it answers valid TwiML".to_owned()),
                Err(bad) => broken(bad.to_string()),
            }
        }
        Err(Unasked::Silent(why)) => unanswered(silent, &why),
        Err(unasked @ (Unasked::NoToken | Unasked::NotTwilio)) => {
            (FallbackState::Unchecked, false, unasked.to_string())
        }
    }
}

fn unanswered(silent: &mut u32, why: &str) -> (FallbackState, bool, String) {
    *silent = silent.saturating_add(1);
    let state = if *silent >= SILENT { FallbackState::Broken } else { FallbackState::Unchecked };
    (state, true, format!("it does not answer: {why}"))
}
