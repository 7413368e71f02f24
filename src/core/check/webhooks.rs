//! Handlers and fallbacks: what they make of a request as Twilio sends it, whom a fallback dials, and what rules of the
//! Webhooks configuration change on the way.

use super::code::FindingCode;
use super::facts::{Answer, Facts, FallbackAsked, HandlerAsked, Unlooked};
use super::report::{Finder, on};
use crate::model::dialled::calling_code;
use crate::model::facts::WEBHOOK_PATIENCE;
use crate::model::id::Channel;
use crate::model::order::FallbackState;
use crate::rollback::fallbacks::FallbackLook;
use crate::routing::twiml::BadTwiml;

const OF_A_HANDLER: [FindingCode; 4] =
    [FindingCode::HandlerSilent, FindingCode::HandlerWrong, FindingCode::HandlerSlow, FindingCode::HandlerTurnsAway];

const OF_A_FALLBACK: [FindingCode; 4] =
    [FindingCode::FallbackBroken, FindingCode::FallbackLoops, FindingCode::FallbackUntold, FindingCode::DialBarred];

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    if let Err(why) = &facts.numbers {
        finder.skip(&OF_A_HANDLER, why);
    }
    for asked in &facts.handlers {
        handler(asked, finder);
    }
    let roster = finder.roster;
    for (ix, group) in roster.groups() {
        for channel in Channel::ALL {
            let is_watched = group.numbers.iter().any(|n| roster.number(*n).channels[channel.index()]);
            if is_watched && group.fallback(channel).is_none() {
                finder.find_group(FindingCode::NoFallback, format!("none for {}", on(channel)), ix);
            }
        }
    }
    for asked in &facts.fallbacks {
        fallback(facts, asked, finder);
    }
    match &facts.rules {
        Ok(rules) => {
            for rule in rules {
                let seen = || format!("rule {:?} matches {}", rule.name, rule.url);
                if rule.signs {
                    finder.find(FindingCode::RuleSigns, seen());
                }
                if rule.times {
                    finder.find(FindingCode::RuleTimes, seen());
                }
            }
        }
        Err(why) => finder.skip(&[FindingCode::RuleSigns, FindingCode::RuleTimes], why),
    }
}

fn handler(asked: &HandlerAsked, finder: &mut Finder<'_>) {
    let HandlerAsked { url, channel, numbers, answer } = asked;
    let Answer { look, broken, took, .. } = match answer {
        Ok(answer) => answer,
        Err(why) => {
            for ix in numbers {
                finder.skip_number(&OF_A_HANDLER, why, *ix);
            }
            return;
        }
    };
    let found = match look {
        FallbackLook::Unasked(why) => {
            for ix in numbers {
                finder.skip_number(&OF_A_HANDLER, &Unlooked::optional(why), *ix);
            }
            return;
        }
        FallbackLook::Unanswered(why) => Some((FindingCode::HandlerSilent, why.clone())),
        FallbackLook::Told(FallbackState::Broken, why) => {
            wrong(*channel, broken.as_ref()).map(|code| (code, why.clone()))
        }
        // That a caller is handed to a stream or a conference is how many handlers work.
        FallbackLook::Told(FallbackState::Good | FallbackState::Unchecked, _) => None,
    };
    let slow = (*took > WEBHOOK_PATIENCE / 3 && found.is_none()).then(|| {
        let (took, patience) = (took.as_secs_f64(), WEBHOOK_PATIENCE.as_secs());
        (FindingCode::HandlerSlow, format!("it took {took:.1} s of the {patience} s that Twilio waits"))
    });
    for (code, why) in found.into_iter().chain(slow) {
        for ix in numbers {
            finder.find_number(code, format!("{} {url}: {why}", on(*channel)), *ix);
        }
    }
}

/// What a handler's answer is that would be a broken fallback; `None` if it may well be meant so.
fn wrong(channel: Channel, broken: Option<&BadTwiml>) -> Option<FindingCode> {
    let Some(broken) = broken else { return Some(FindingCode::HandlerWrong) };
    match broken {
        // A message need not be answered, and one that is answered with no TwiML is taken all the same.
        BadTwiml::Empty | BadTwiml::SaysNothing if channel == Channel::Messaging => None,
        _ if broken.is_no_twiml() && channel == Channel::Messaging => Some(FindingCode::HandlerTurnsAway),
        BadTwiml::NotXml(_)
        | BadTwiml::Root(_)
        | BadTwiml::ContentType(_)
        | BadTwiml::TooLarge
        | BadTwiml::Empty
        | BadTwiml::SaysNothing
        | BadTwiml::NoVerb(_)
        | BadTwiml::RedirectLoop
        | BadTwiml::Circle => Some(FindingCode::HandlerWrong),
        BadTwiml::TurnsAway(_)
        | BadTwiml::DialsNothing
        | BadTwiml::Loop(_)
        | BadTwiml::MessageLoop(_)
        | BadTwiml::DialsCaller
        | BadTwiml::TestNumber(_)
        | BadTwiml::PlaysNothing(_)
        | BadTwiml::LeadsBack(_) => Some(FindingCode::HandlerTurnsAway),
    }
}

/// True if the call, or the message, comes round again.
const fn leads_back(broken: &BadTwiml) -> bool {
    match broken {
        BadTwiml::Loop(_)
        | BadTwiml::MessageLoop(_)
        | BadTwiml::DialsCaller
        | BadTwiml::RedirectLoop
        | BadTwiml::Circle
        | BadTwiml::LeadsBack(_) => true,
        BadTwiml::NotXml(_)
        | BadTwiml::Root(_)
        | BadTwiml::ContentType(_)
        | BadTwiml::TooLarge
        | BadTwiml::Empty
        | BadTwiml::SaysNothing
        | BadTwiml::NoVerb(_)
        | BadTwiml::TurnsAway(_)
        | BadTwiml::DialsNothing
        | BadTwiml::PlaysNothing(_)
        | BadTwiml::TestNumber(_) => false,
    }
}

fn fallback(facts: &Facts, asked: &FallbackAsked, finder: &mut Finder<'_>) {
    let FallbackAsked { group, channel, url, number, answer } = asked;
    let Answer { look, broken, dials, .. } = match answer {
        Ok(answer) => answer,
        Err(why) => return finder.skip(&OF_A_FALLBACK, why),
    };
    let seen = |why: &str| format!("{} {url}: {why}", on(*channel));
    let codes = match look {
        FallbackLook::Unasked(why) => {
            let group = &finder.roster.group(*group).name;
            let why = format!("the fallback of {group} could not be asked: {why}");
            return finder.skip(&OF_A_FALLBACK, &Unlooked::needed(why));
        }
        FallbackLook::Unanswered(why) => Some((FindingCode::FallbackBroken, seen(why))),
        FallbackLook::Told(FallbackState::Broken, why) if broken.as_ref().is_some_and(leads_back) => {
            Some((FindingCode::FallbackLoops, seen(why)))
        }
        FallbackLook::Told(FallbackState::Broken, why) => Some((FindingCode::FallbackBroken, seen(why))),
        FallbackLook::Told(FallbackState::Unchecked, why) => Some((FindingCode::FallbackUntold, seen(why))),
        FallbackLook::Told(FallbackState::Good, _) => None,
    };
    if let Some((code, seen)) = codes {
        finder.find_number(code, seen, *number);
    }
    if *channel == Channel::Messaging {
        return;
    }
    for dialled in dials {
        let code = calling_code(*dialled);
        match facts.countries.get(&code) {
            Some(Ok(false)) => {
                // Whom a fallback dials may be anybody's number: where it is says enough.
                finder.find_group(FindingCode::DialBarred, format!("{url} dials a number of +{code}"), *group);
            }
            Some(Err(why)) => finder.skip(&[FindingCode::DialBarred], why),
            Some(Ok(true)) | None => {}
        }
    }
}
