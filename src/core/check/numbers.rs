//! Our numbers: whether they are there, what they can do, and who really answers them.

use std::collections::{BTreeMap, BTreeSet};

use super::code::FindingCode;
use super::facts::{Facts, NumberFound, NumbersFound, Unlooked};
use super::report::{Finder, on};
use crate::model::handler::WantedTarget;
use crate::model::id::Channel;
use crate::model::roster::{NumberIx, PortAt};
use crate::routing::history::RoutingState;
use crate::routing::record::{CannotSwap, Handler, NumberRecord, bare};

/// Whether a number is there and can do what is watched.
const OF_THE_NUMBER: [FindingCode; 4] =
    [FindingCode::NumberMissing, FindingCode::NumberNotYet, FindingCode::LacksChannel, FindingCode::HostedVoice];

/// Who answers it.
const OF_ITS_HANDLER: [FindingCode; 12] = [
    FindingCode::NobodyAnswers,
    FindingCode::Demo,
    FindingCode::HandlerGone,
    FindingCode::TrunkWins,
    FindingCode::ApplicationWins,
    FindingCode::ServiceWins,
    FindingCode::ServiceDropsMessages,
    FindingCode::CannotSwap,
    FindingCode::FallbackWithoutPrimary,
    FindingCode::Fax,
    FindingCode::OnFallback,
    FindingCode::NeitherOwners,
];

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    let found = match &facts.numbers {
        Ok(found) => found,
        Err(why) => {
            finder.skip(&[&OF_THE_NUMBER[..], &OF_ITS_HANDLER[..]].concat(), why);
            finder.skip(&[FindingCode::VoiceRegion, FindingCode::MessagingRegion], why);
            finder.skip(&[FindingCode::TrunkLeadsNowhere], why);
            return;
        }
    };
    let there: BTreeMap<NumberIx, &NumberFound> = found.there.iter().map(|n| (n.ix, n)).collect();
    let roster = finder.roster;
    for (ix, number) in roster.numbers() {
        let Some(n) = there.get(&ix) else {
            absent(facts, found, number.port, ix, finder);
            continue;
        };
        for channel in Channel::ALL.into_iter().filter(|c| number.channels[c.index()]) {
            handler(facts, &n.record, channel, n, finder);
        }
    }
    regions(facts, finder);
    trunks(facts, found, finder);
}

fn absent(facts: &Facts, found: &NumbersFound, port: PortAt, ix: NumberIx, finder: &mut Finder<'_>) {
    if let Some(why) = &found.unread {
        let why = Unlooked::needed(format!("the account's numbers could not be read to their end: {why}"));
        finder.skip_number(&OF_THE_NUMBER, &why, ix);
        finder.skip_number(&OF_ITS_HANDLER, &why, ix);
        return;
    }
    let account = facts.account;
    let code = match port {
        PortAt::At(at) if at > facts.at => {
            finder.find_number(FindingCode::NumberNotYet, format!("its port is due at {at}"), ix);
            FindingCode::NumberNotYet
        }
        PortAt::Unknown => {
            finder.find_number(FindingCode::NumberNotYet, "when its port is due is not said", ix);
            FindingCode::NumberNotYet
        }
        PortAt::Done | PortAt::At(_) => {
            finder.find_number(FindingCode::NumberMissing, format!("account {account} does not have it"), ix);
            FindingCode::NumberMissing
        }
    };
    let why = Unlooked::depends_on(code);
    finder.skip_number(&[FindingCode::LacksChannel, FindingCode::HostedVoice], &why, ix);
    finder.skip_number(&OF_ITS_HANDLER, &why, ix);
}

/// Who answers a channel of a number, and what seems to and does not.
fn handler(facts: &Facts, record: &NumberRecord, channel: Channel, n: &NumberFound, finder: &mut Finder<'_>) {
    use FindingCode::{
        CannotSwap as NoSwap, Demo, Fax, HandlerGone, HostedVoice, LacksChannel, NobodyAnswers, ServiceDropsMessages,
    };
    let ix = n.ix;
    let effective = record.handler(channel);
    match RoutingState::of(record, channel) {
        RoutingState::Handled | RoutingState::NotInAccount | RoutingState::Elsewhere => {}
        RoutingState::Unread => {
            let why = Unlooked::needed(format!("what the number points at for {} could not be read", on(channel)));
            finder.skip_number(&OF_ITS_HANDLER, &why, ix);
            return;
        }
        RoutingState::Nobody => match effective {
            Handler::Service(sid) => {
                finder.find_number(ServiceDropsMessages, format!("messaging service {sid} has no inbound URL"), ix);
            }
            Handler::Application(sid) => {
                finder.find_number(NobodyAnswers, format!("application {sid} has no {} URL", on(channel)), ix);
            }
            Handler::Nobody
            | Handler::Trunk(_)
            | Handler::Url(_)
            | Handler::Region(_)
            | Handler::Fax
            | Handler::Lacking => {
                finder.find_number(NobodyAnswers, format!("nothing is set for {}", on(channel)), ix);
            }
        },
        // It is there, and sends its calls nowhere, which is a finding of its own.
        RoutingState::Gone if matches!(effective, Handler::Trunk(sid) if matches!(facts.trunks.get(&sid), Some(Ok(0)))) =>
            {}
        RoutingState::Gone => finder.find_number(HandlerGone, format!("{effective} is not in this account"), ix),
        RoutingState::Demo => {
            let url = record.answering_url(channel).map(bare).unwrap_or_default();
            finder.find_number(Demo, format!("{} is answered by {url}", on(channel)), ix);
        }
        RoutingState::Lacking if n.is_hosted && channel == Channel::Voice => {
            finder.find_number(HostedVoice, "its origin is hosted, and it has no voice at Twilio", ix);
            return;
        }
        RoutingState::Lacking => {
            finder.find_number(LacksChannel, format!("its capabilities have no {}", on(channel)), ix);
            return;
        }
        RoutingState::Fax => finder.find_number(Fax, "voice_receive_mode is fax", ix),
    }
    overrides(record, channel, ix, finder);
    owner(record, channel, ix, finder);
    let Some(fallback) = finder.roster.group_of(ix).fallback(channel) else { return };
    if record.leads_to(channel, fallback) {
        finder.find_number(FindingCode::OnFallback, format!("{} is answered by {}", on(channel), bare(fallback)), ix);
    }
    match record.swap(channel, fallback) {
        Ok(_) => {}
        Err(CannotSwap::ServiceWins { service, .. }) => {
            finder.find_number(NoSwap, format!("messaging service {service} has a webhook of its own"), ix);
        }
        // These have findings of their own.
        Err(CannotSwap::AnotherRegion { .. } | CannotSwap::Lacking { .. }) => {}
    }
}

/// Whether the number is as the file asks, or with whom the file says that it will be.
fn owner(record: &NumberRecord, channel: Channel, ix: NumberIx, finder: &mut Finder<'_>) {
    let group = finder.roster.group_of(ix);
    let wanted = &group.handler[channel.index()];
    let (Some(owner), Some(target)) = (&wanted.owner, &wanted.target) else { return };
    let handler = record.handler(channel);
    let is_asked = match target {
        WantedTarget::Url(url) => handler.is_url(url.whole()),
        WantedTarget::Application(sid) => handler == Handler::Application(*sid),
        WantedTarget::Trunk(sid) => handler == Handler::Trunk(*sid),
    };
    let is_on_fallback = group.fallback(channel).is_some_and(|url| record.leads_to(channel, url));
    let has_findings = matches!(handler, Handler::Nobody | Handler::Lacking | Handler::Region(_) | Handler::Fax);
    let is_known = !record.unread[channel.index()] && !has_findings;
    if !is_known || is_asked || is_on_fallback || owner.answers(record, channel) {
        return;
    }
    let seen = format!("{handler} answers {}, which is none of {}'s", on(channel), owner.name);
    finder.find_number(FindingCode::NeitherOwners, seen, ix);
}

/// What is set on a number and has no say.
fn overrides(record: &NumberRecord, channel: Channel, ix: NumberIx, finder: &mut Finder<'_>) {
    use FindingCode::{ApplicationWins, FallbackWithoutPrimary, ServiceWins, TrunkWins};
    let (url, own_fallback, application) = match channel {
        Channel::Voice => (&record.voice_url, &record.voice_fallback_url, &record.voice_application),
        Channel::Messaging => (&record.sms_url, &record.sms_fallback_url, &record.sms_application),
    };
    let shown =
        |url: &Option<crate::model::value::FieldValue>| url.as_ref().map(|u| bare(u.whole())).filter(|u| !u.is_empty());
    let app = application.as_ref().map(|a| format!("application {}", a.sid));
    match record.handler(channel) {
        Handler::Trunk(sid) => {
            if let Some(other) = app.or_else(|| shown(url)) {
                finder.find_number(TrunkWins, format!("trunk {sid} answers, and {other} has no say"), ix);
            }
        }
        Handler::Application(sid) => {
            let same = record.answering_url(channel).map(bare) == shown(url);
            if let Some(other) = shown(url).filter(|_| !same) {
                let seen = format!("application {sid} answers {}, and {other} has no say", on(channel));
                finder.find_number(ApplicationWins, seen, ix);
            }
        }
        Handler::Service(sid) => {
            if let Some(other) = app.or_else(|| shown(url)) {
                finder.find_number(ServiceWins, format!("messaging service {sid} answers, and {other} has no say"), ix);
            }
        }
        Handler::Nobody => {
            if let Some(fallback) = shown(own_fallback) {
                let seen = format!("for {} there is the fallback URL {fallback} alone", on(channel));
                finder.find_number(FallbackWithoutPrimary, seen, ix);
            }
        }
        Handler::Url(_) | Handler::Region(_) | Handler::Fax | Handler::Lacking => {}
    }
}

fn regions(facts: &Facts, finder: &mut Finder<'_>) {
    let both = [FindingCode::VoiceRegion, FindingCode::MessagingRegion];
    let (left, asked) = (facts.regions.left_out, facts.regions.asked.len());
    let of_a_sample = match (left, asked) {
        (0, _) | (_, 0) => String::new(),
        (left, asked) => format!(" (in a sample of {asked} of {} numbers)", asked + left),
    };
    for (ix, looked) in &facts.regions.asked {
        match looked {
            Ok(regions) => {
                for channel in Channel::ALL {
                    let is_watched = finder.roster.number(*ix).channels[channel.index()];
                    let Some(region) = regions[channel.index()].as_ref().filter(|r| **r != facts.regions.ours) else {
                        continue;
                    };
                    if is_watched {
                        let seen = format!("it is {region}, and the agent asks {}{of_a_sample}", facts.regions.ours);
                        finder.find_number(both[channel.index()], seen, *ix);
                    }
                }
            }
            Err(why) => finder.skip_number(&both, why, *ix),
        }
    }
    let watches_messages = finder.roster.numbers().any(|(_, n)| n.channels[Channel::Messaging.index()]);
    if facts.regions.without_messaging && watches_messages {
        let why = "the Routes API says where calls are processed, and not where messages are (version 3 of it does not \
                   answer, or does not say)";
        finder.skip(&[FindingCode::MessagingRegion], &Unlooked::needed(why));
    }
    if left > 0 {
        let why = if asked == 0 {
            format!("each number's region costs a request, and none of {left} numbers was asked for")
        } else {
            format!(
                "each number's region costs a request: a sample of {asked} numbers of all groups was asked for, and what \
                 is true of it need not be of the other {left} (--all-regions asks for all)"
            )
        };
        finder.skip(&both, &Unlooked::optional(why));
    }
}

fn trunks(facts: &Facts, found: &NumbersFound, finder: &mut Finder<'_>) {
    let mut unread = BTreeSet::new();
    for n in &found.there {
        let Handler::Trunk(sid) = n.record.handler(Channel::Voice) else { continue };
        let is_watched = finder.roster.number(n.ix).channels[Channel::Voice.index()];
        match facts.trunks.get(&sid).filter(|_| is_watched) {
            Some(Ok(0)) => {
                finder.find_number(FindingCode::TrunkLeadsNowhere, format!("trunk {sid} has none"), n.ix);
            }
            Some(Err(why)) => _ = unread.insert((why.because.clone(), why.is_needed)),
            Some(Ok(_)) | None => {}
        }
    }
    for (because, is_needed) in unread {
        finder.skip(&[FindingCode::TrunkLeadsNowhere], &Unlooked { because, is_needed });
    }
}
