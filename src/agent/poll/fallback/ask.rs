//! One question to a webhook: what would it make of a call, or a message, to this number? Fallbacks are asked so by the
//! agent, and handlers too by `ringback check`.
//!
//! Asked and read as Twilio does: with the parameters of an incoming call, by the method that the number has, up to ten
//! HTTP redirects, and the document that its `<Redirect>` leads to. A second `<Redirect>` is not followed, and what
//! comes of it is not known, unless it leads back: to what was asked before, or to the handler of one of the group's
//! numbers. A bin is asked by GET, as Twilio's support says it can be
//! (<https://support.twilio.com/hc/en-us/articles/223132187>): it renders the same either way. Nobody's number calls.

use url::Url;

use crate::caller::CallerKey;
use crate::core::model::facts::TEST_CALLER;
use crate::core::model::id::{CallSid, Channel, MessageSid};
use crate::core::model::order::FallbackState;
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::rollback::fallbacks::FallbackLook;
use crate::core::routing::record::is_same_fallback;
use crate::core::routing::twiml::{self, BadTwiml, Effect, Untold};
use crate::twilio::Client;
use crate::twilio::webhook::{Method, Unasked, is_bin};

/// HTTP redirects that Twilio follows (error 11215).
const REDIRECTS: usize = 10;

/// What was seen of a fallback for one number.
#[derive(Debug, Clone)]
pub struct FallbackSeen {
    pub look: FallbackLook,
    /// What is wrong with its TwiML, if that is what is wrong.
    pub broken: Option<BadTwiml>,
    /// The documents that were answered, byte by byte.
    pub answers: Vec<Vec<u8>>,
    /// It was Twilio's bins that answered, which render texts and do nothing else.
    pub by_bins_alone: bool,
    /// It leads to another address, by a redirect of either kind.
    pub leads: bool,
    /// Whether it puts callers through before anything else; `None` if that was not learnt.
    pub dials: Option<bool>,
}

/// What is asked with, and what is known of the numbers.
pub struct Asking<'a> {
    pub client: &'a Client,
    pub roster: &'a Roster,
    /// Whether Twilio asks the number's webhooks by GET; `None` while the number has not been read.
    pub by_get: Option<bool>,
    /// A number of the same group whose handler is at an address, if there is one.
    pub handler_of: &'a (dyn Fn(&str) -> Option<NumberIx> + Send + Sync),
    /// The same whose handler is on the address's host.
    pub handler_beside: &'a (dyn Fn(&str) -> Option<NumberIx> + Send + Sync),
}

pub async fn ask(asking: &Asking<'_>, webhook: &str, channel: Channel, number: NumberIx) -> FallbackSeen {
    let look = FallbackLook::Unasked(String::new());
    let mut seen =
        FallbackSeen { look, broken: None, answers: Vec::new(), by_bins_alone: true, leads: false, dials: None };
    seen.look = follow(asking, webhook, channel, number, &mut seen).await;
    seen
}

async fn follow(
    asking: &Asking<'_>,
    webhook: &str,
    channel: Channel,
    ix: NumberIx,
    seen: &mut FallbackSeen,
) -> FallbackLook {
    let told = |state: FallbackState, why: &str, is_second: bool| {
        let after = if is_second { "after its <Redirect>, " } else { "" };
        FallbackLook::Told(state, format!("{after}{why}"))
    };
    let mut url = match Url::parse(webhook) {
        Ok(url) => url,
        Err(error) => return FallbackLook::Told(FallbackState::Broken, format!("its address is none: {error}")),
    };
    let by_get = if is_bin(&url) { Some(true) } else { asking.by_get };
    let mut method = if by_get == Some(true) { Method::Get } else { Method::Post };
    let parameters = parameters(asking.roster, channel, ix);
    let (mut form, mut redirects, mut is_second) = (&parameters[..], 0, false);
    // Whatever leads back to what serves the numbers leads to what fails when the fallback is needed.
    let back = |next: &Url| {
        let of = (asking.handler_of)(next.as_str())?;
        Some(BadTwiml::LeadsBack(asking.roster.name_of(of).to_string()))
    };
    let broken = |seen: &mut FallbackSeen, why: BadTwiml, is_second: bool| {
        let look = told(FallbackState::Broken, &why.to_string(), is_second);
        seen.broken = Some(why);
        look
    };
    let mut asked: Vec<(Url, Method, bool)> = Vec::new();
    loop {
        asked.push((url.clone(), method, form.is_empty()));
        seen.by_bins_alone &= is_bin(&url);
        let answer = match asking.client.ask_webhook(url.as_str(), method, form).await {
            Ok(answer) => answer,
            Err(Unasked::Silent(why)) => return FallbackLook::Unanswered(why),
            Err(unasked @ (Unasked::NoToken | Unasked::NotTwilio)) if redirects == 0 && !is_second => {
                return FallbackLook::Unasked(unasked.to_string());
            }
            Err(unasked @ (Unasked::NoToken | Unasked::NotTwilio)) => {
                return told(FallbackState::Unchecked, &format!("it leads elsewhere: {unasked}"), false);
            }
        };
        match (answer.status, &answer.location) {
            // Busy or broken for the moment: that says nothing of what it would answer.
            (status @ (408 | 425 | 429 | 500..=599), _) => return FallbackLook::Unanswered(format!("HTTP {status}")),
            (status @ (301 | 302 | 303 | 307 | 308), Some(location)) => {
                redirects += 1;
                let Ok(next) = url.join(location) else {
                    return told(FallbackState::Broken, "its HTTP redirect leads to no address", is_second);
                };
                seen.leads = true;
                if let Some(why) = back(&next) {
                    return broken(seen, why, is_second);
                }
                if redirects > REDIRECTS {
                    return FallbackLook::Unanswered(format!("it redirects more than {REDIRECTS} times"));
                }
                url = next;
                if method == Method::Get || !matches!(status, 307 | 308) {
                    (method, form) = (Method::Get, &[]);
                }
                // Asked the same once more, it answers the same.
                if asked.contains(&(url.clone(), method, form.is_empty())) {
                    return broken(seen, BadTwiml::Circle, is_second);
                }
                continue;
            }
            (200, _) => {}
            // An application may have the address for one method alone.
            (status @ 400..=499, _) if by_get.is_none() => {
                return FallbackLook::Unanswered(format!("HTTP {status}, before it was read how Twilio asks it"));
            }
            (status, _) => return told(FallbackState::Broken, &format!("it answers HTTP {status}"), is_second),
        }
        let effect = twiml::read(answer.document(), channel, asking.roster);
        let leads_on = twiml::leads_on(answer.document());
        let plays = if channel == Channel::Voice { twiml::plays_alone(answer.document()) } else { Vec::new() };
        seen.answers.push(answer.body);
        seen.dials = Some(effect == Effect::Dials);
        match effect {
            Effect::Serves | Effect::Dials => {
                let to_handler = leads_on.into_iter().find_map(|(verb, to)| {
                    let of = (asking.handler_of)(url.join(&to).ok()?.as_str())?;
                    Some(Untold::LeadsOn { verb, of: asking.roster.name_of(of).to_string() })
                });
                if let Some(why) = to_handler {
                    return told(FallbackState::Unchecked, &why.to_string(), is_second);
                }
                return match played(asking, &url, &plays).await {
                    None => told(FallbackState::Good, "it answers valid TwiML", false),
                    Some(Effect::Broken(why)) => broken(seen, why, is_second),
                    Some(Effect::Untold(why)) => told(FallbackState::Unchecked, &why.to_string(), is_second),
                    Some(Effect::Serves | Effect::Dials | Effect::Redirects { .. }) => {
                        told(FallbackState::Good, "it answers valid TwiML", false)
                    }
                };
            }
            Effect::Broken(why) => return broken(seen, why, is_second),
            Effect::Untold(why) => return told(FallbackState::Unchecked, &why.to_string(), is_second),
            Effect::Redirects { url: to, by_get } => {
                let Ok(next) = url.join(&to) else {
                    return told(FallbackState::Broken, "its <Redirect> leads to no address", is_second);
                };
                seen.leads = true;
                if next == url {
                    return broken(seen, BadTwiml::RedirectLoop, is_second);
                }
                if let Some(why) = back(&next) {
                    return broken(seen, why, is_second);
                }
                // With the same parameters it comes to the same, by whichever address it is reached.
                if asked.iter().any(|(before, ..)| is_same_fallback(before.as_str(), next.as_str())) {
                    return broken(seen, BadTwiml::Circle, is_second);
                }
                if is_second {
                    return told(FallbackState::Unchecked, &Untold::Redirects.to_string(), false);
                }
                let by_get = by_get || is_bin(&next);
                (method, form) = (if by_get { Method::Get } else { Method::Post }, &parameters);
                (url, redirects, is_second) = (next, 0, true);
            }
        }
    }
}

/// Of a document that plays files, and does nothing else: why no caller may hear any of them; nothing if one is there.
async fn played(asking: &Asking<'_>, document: &Url, files: &[String]) -> Option<Effect> {
    let mut worst = None;
    for file in files {
        let address = document.join(file).ok()?;
        if let Some(of) = (asking.handler_beside)(address.as_str()) {
            worst = Some(Effect::Untold(Untold::PlaysFrom(asking.roster.name_of(of).to_string())));
            continue;
        }
        match asking.client.ask_file(&address).await {
            Ok(status @ 400..=499) => worst = worst.or(Some(Effect::Broken(BadTwiml::PlaysNothing(status)))),
            Ok(status @ 500..=599) => {
                worst = worst.or(Some(Effect::Untold(Untold::PlaysUntold(format!("HTTP {status}")))));
            }
            Err(Unasked::Silent(why)) => worst = worst.or(Some(Effect::Untold(Untold::PlaysUntold(why)))),
            // It is there; or nobody may ask here whether it is.
            Ok(_) | Err(Unasked::NoToken | Unasked::NotTwilio) => return None,
        }
    }
    worst
}

/// What Twilio sends with a call, or a message, to this number. The SIDs are those of nothing.
fn parameters(roster: &Roster, channel: Channel, ix: NumberIx) -> Vec<(&'static str, String)> {
    let id = roster.number(ix).id;
    let digits = u128::from(CallerKey::public().hash(&id.key()));
    let to = id.e164.to_string();
    let mut all = vec![("From", TEST_CALLER.to_owned()), ("To", to.clone()), ("ApiVersion", "2010-04-01".to_owned())];
    match channel {
        Channel::Voice => all.extend([
            ("CallSid", CallSid::from_u128(digits).to_string()),
            ("Caller", TEST_CALLER.to_owned()),
            ("Called", to),
            ("CallStatus", "ringing".to_owned()),
            ("Direction", "inbound".to_owned()),
        ]),
        Channel::Messaging => {
            let sid = MessageSid::from_u128(digits).to_string();
            all.extend([
                ("MessageSid", sid.clone()),
                ("SmsSid", sid.clone()),
                ("SmsMessageSid", sid),
                ("SmsStatus", "received".to_owned()),
                ("Body", "Ringback checks that this is answered".to_owned()),
                ("NumMedia", "0".to_owned()),
                ("NumSegments", "1".to_owned()),
            ]);
        }
    }
    all
}
