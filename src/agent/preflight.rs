//! What is asked of Twilio before an agent starts, and before a configuration takes another's place.

use super::StartError;
use super::poll;
use crate::clock::Clock;
use crate::core::model::id::Channel;
use crate::core::model::roster::Roster;
use crate::twilio::host::Product;
use crate::twilio::{self, AlertLevel, Client, ErrorKind};

/// Asks each endpoint once, so that a wrong token or a missing permission stops the start and not
/// the port day. What may pass by itself does not, nor does a list of texts that Twilio refuses for another reason
/// ([`costs_texts_alone`]), which costs no caller: the agent starts blind and says so.
pub async fn preflight(client: &Client, roster: &Roster, clock: &Clock) -> Result<(), StartError> {
    let now = clock.now();
    let voice = roster.numbers().any(|(_, n)| n.channels[Channel::Voice.index()]);
    let messaging = roster.numbers().any(|(_, n)| n.channels[Channel::Messaging.index()]);
    let mut results = vec![
        (Product::Api, None, client.numbers(1).next().await.map(drop)),
        (Product::Monitor, None, client.alerts(AlertLevel::Error, now, 1).next().await.map(drop)),
    ];
    if voice {
        results.push((Product::Api, Some(Channel::Voice), client.calls(now, 1).next().await.map(drop)));
    }
    if messaging {
        results.push((Product::Api, Some(Channel::Messaging), client.messages(now, 1).next().await.map(drop)));
        results.push((Product::Messaging, Some(Channel::Messaging), client.services().await.map(drop)));
    }
    for (product, of, result) in results {
        let Err(error) = result else { continue };
        let failed = client.at_host(product, error);
        if failed.error.is_passing() {
            let twilio::HostError { error, asked, cure } = failed;
            tracing::error!(%error, asked, cure, "starting all the same, blind until Twilio answers");
            return Ok(());
        }
        if voice && of == Some(Channel::Messaging) && costs_texts_alone(failed.error.kind) {
            let twilio::HostError { error, asked, cure } = failed;
            tracing::error!(%error, asked, cure, "starting all the same, blind for texts until Twilio answers");
            continue;
        }
        return Err(StartError::Twilio(Box::new(failed)));
    }
    poll::check_clock(clock, client).map_err(StartError::ClockSkew)?;
    Ok(())
}

/// True of a refusal that is neither of the credentials nor of what they may do: of a product that the account does not
/// have, or a request that Twilio does not take any more.
const fn costs_texts_alone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Refused | ErrorKind::NotFound)
}
