//! Which numbers belong together: those whose channels the same handlers answer, and that port alike.
//!
//! Twilio's precedence says who answers ([`NumberRecord::handler`]); of URLs it is host and path that count. A number
//! that nobody answers is in no group, unless it is on the old provider's list: then it is to be watched, and has no
//! handler yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::account::Inventory;
use crate::config::provider_list::ListedNumber;
use crate::core::model::facts::BIN_HOST;
use crate::core::model::foreign::line;
use crate::core::model::id::{ApplicationSid, Channel, E164, GroupName, ServiceSid, TrunkSid};
use crate::core::routing::record::{self, Handler, NumberRecord};
use crate::twilio::wire::Named;

/// What the file is to say.
#[derive(Debug, Default)]
pub struct Proposal {
    pub groups: Vec<ProposedGroup>,
    /// Numbers that can call, that nobody answers and that are on no list: test calls may come from them.
    pub probers: Vec<E164>,
    /// Numbers of the account that are in no group, by why.
    pub left: BTreeMap<LeftOut, Vec<E164>>,
    /// Of the old provider's list: how many are in the account, and how many were not seen there.
    pub present: usize,
    pub absent: usize,
}

/// Why a number of the account is in no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// No URL, or Twilio's demo.
    NobodyAnswers,
    /// There is a list of those that port, and it is not on it.
    NotListed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedGroup {
    pub name: GroupName,
    pub numbers: Vec<ListedNumber>,
    pub channels: [bool; 2],
    /// Who answers each channel now, for people; none if nobody does, or it is not known.
    pub handlers: [Option<String>; 2],
    pub port: ProposedPort,
}

/// What is known of the group's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProposedPort {
    /// Its numbers are in the account, and on no list of numbers to be ported.
    Done,
    /// They are to be ported and in the account already, which they are a day or two before.
    Appeared,
    /// They are to be ported and were not seen in the account.
    Absent,
}

/// Who answers a channel, as far as it makes numbers alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Answers {
    Trunk(TrunkSid),
    Application(ApplicationSid),
    Service(ServiceSid),
    /// Scheme, host and path. It may have secrets in it, and is not shown.
    Url(String),
}

/// Who answers `channel` of a number, if somebody does.
fn answers(number: &NumberRecord, channel: Channel) -> Option<Answers> {
    if number.is_demo(channel) || number.has_empty_handler(channel) {
        return None;
    }
    match number.handler(channel) {
        Handler::Trunk(sid) => Some(Answers::Trunk(sid)),
        Handler::Application(sid) => Some(Answers::Application(sid)),
        Handler::Service(sid) => Some(Answers::Service(sid)),
        Handler::Url(url) => Some(Answers::Url(record::address(url.whole()))),
        Handler::Region(_) | Handler::Fax | Handler::Lacking | Handler::Nobody => None,
    }
}

/// Puts together what the file is to say. `listed`: the old provider's list, if there is one.
pub fn propose(inventory: Option<&Inventory>, listed: Option<&[ListedNumber]>) -> Proposal {
    let mut proposal = Proposal::default();
    let mut wanted: HashMap<E164, &ListedNumber> = listed.unwrap_or_default().iter().map(|l| (l.number, l)).collect();
    let mut alike: BTreeMap<([Option<Answers>; 2], ProposedPort, [bool; 2]), Vec<ListedNumber>> = BTreeMap::new();
    for Named { it: number, name } in inventory.map_or(&[][..], |i| &i.numbers) {
        let by = Channel::ALL.map(|channel| answers(number, channel));
        let lacks = number.lacks;
        let (port, label) = match wanted.remove(&number.number) {
            Some(listed) => {
                proposal.present += 1;
                (ProposedPort::Appeared, &*listed.label)
            }
            None => (ProposedPort::Done, ""),
        };
        let label = if label.is_empty() { label_of(number.number, name.as_str()) } else { label.to_owned() };
        let is_answered = by.iter().any(Option::is_some);
        if port == ProposedPort::Done {
            if !is_answered && !lacks[Channel::Voice.index()] {
                proposal.probers.push(number.number);
            }
            if let Some(why) = match (is_answered, listed.is_some()) {
                (false, _) => Some(LeftOut::NobodyAnswers),
                (true, true) => Some(LeftOut::NotListed),
                (true, false) => None,
            } {
                proposal.left.entry(why).or_default().push(number.number);
                continue;
            }
        }
        // Without a handler it is watched on what it has: one is to come.
        let on = if is_answered { [by[0].is_some(), by[1].is_some()] } else { lacks.map(|lacks| !lacks) };
        let row = ListedNumber { number: number.number, label };
        alike.entry((by, port, on)).or_default().push(row);
    }
    // In the order of the list.
    let absent = listed.unwrap_or_default().iter().filter(|l| wanted.contains_key(&l.number));
    let absent: Vec<ListedNumber> = absent.cloned().collect();
    proposal.absent = absent.len();
    if !absent.is_empty() {
        alike.insert(([None, None], ProposedPort::Absent, [true; 2]), absent);
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    // The largest first, and what has no handler yet last.
    alike.sort_by_key(|((by, port, _), numbers)| (*port, by == &[None, None], std::cmp::Reverse(numbers.len())));
    let mut names = BTreeSet::new();
    for ((by, port, channels), numbers) in alike {
        let name = unused_name(&name_of(inventory, &by, port), &mut names);
        let handlers = [0, 1].map(|i| by[i].as_ref().map(|answers| shown(inventory, answers)));
        proposal.groups.extend(name.map(|name| ProposedGroup { name, numbers, channels, handlers, port }));
    }
    proposal
}

/// What people call a number; nothing if that is the number once more, as Twilio names new ones.
fn label_of(number: E164, name: &str) -> String {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let own = digits(&number.to_string());
    let is_number = !name.chars().any(char::is_alphabetic) && own.ends_with(&digits(name));
    if is_number { String::new() } else { line(name, 190) }
}

/// Somebody who answers, for people.
fn shown(inventory: Option<&Inventory>, answers: &Answers) -> String {
    let named = |kind: &str, sid: String, name: Option<&str>| match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{kind} {sid} ({name})"),
        None => format!("{kind} {sid}"),
    };
    match answers {
        Answers::Trunk(sid) => named("trunk", sid.to_string(), name_of_trunk(inventory, *sid)),
        Answers::Application(sid) => named("application", sid.to_string(), name_of_application(inventory, *sid)),
        Answers::Service(sid) => named("Messaging Service", sid.to_string(), name_of_service(inventory, *sid)),
        Answers::Url(url) => record::bare(url),
    }
}

fn name_of_trunk(inventory: Option<&Inventory>, sid: TrunkSid) -> Option<&str> {
    inventory.and_then(|i| i.trunks.get(&sid)).map(|name| name.as_str())
}

fn name_of_application(inventory: Option<&Inventory>, sid: ApplicationSid) -> Option<&str> {
    inventory.and_then(|i| i.applications.get(&sid)).map(|name| name.as_str())
}

fn name_of_service(inventory: Option<&Inventory>, sid: ServiceSid) -> Option<&str> {
    let mut services = inventory.into_iter().flat_map(|i| &i.services);
    services.find(|(service, _)| service.it.sid == sid).map(|(service, _)| service.name.as_str())
}

/// A telling name: of whoever answers calls, or messages where nobody answers calls.
fn name_of(inventory: Option<&Inventory>, by: &[Option<Answers>; 2], port: ProposedPort) -> String {
    let Some(answers) = by[0].as_ref().or(by[1].as_ref()) else {
        return match port {
            ProposedPort::Absent => "to-come".to_owned(),
            ProposedPort::Appeared | ProposedPort::Done => "no-handler-yet".to_owned(),
        };
    };
    let by_name = |kind: &str, sid: String, name: Option<&str>| {
        let name = slug(name.unwrap_or_default());
        if name.is_empty() { format!("{kind}-{}", sid.get(30..).unwrap_or_default()) } else { name }
    };
    match answers {
        Answers::Trunk(sid) => by_name("trunk", sid.to_string(), name_of_trunk(inventory, *sid)),
        Answers::Application(sid) => by_name("application", sid.to_string(), name_of_application(inventory, *sid)),
        Answers::Service(sid) => by_name("service", sid.to_string(), name_of_service(inventory, *sid)),
        Answers::Url(url) => name_of_url(&record::bare(url)),
    }
}

/// Words of a path that say what every handler is.
const EVERYWHERE: [&str; 22] = [
    "answer",
    "api",
    "call",
    "calls",
    "handler",
    "hook",
    "hooks",
    "inbound",
    "incoming",
    "message",
    "messages",
    "messaging",
    "sms",
    "text",
    "twilio",
    "twiml",
    "v1",
    "v2",
    "voice",
    "webhook",
    "webhooks",
    "xml",
];

/// Of a URL as it may be shown: what its path says, or else its host.
fn name_of_url(shown: &str) -> String {
    let rest = shown.split_once("://").map_or(shown, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host == BIN_HOST {
        return format!("bin-{}", slug(path.get(path.len().saturating_sub(4)..).unwrap_or_default()));
    }
    let words = path.split(['/', '.', '-', '_']).map(slug).filter(|w| !w.is_empty());
    let told: Vec<String> = words.filter(|w| !EVERYWHERE.contains(&w.as_str())).collect();
    let host: Vec<&str> = host.split(':').next().unwrap_or_default().split('.').collect();
    let host = if host.len() > 2 { &host[..host.len() - 1] } else { &host[..] };
    let host: Vec<&str> = host.iter().copied().filter(|part| *part != "www").collect();
    let name = if told.is_empty() { slug(&host.join("-")) } else { slug(&told.join("-")) };
    if name.is_empty() { "numbers".to_owned() } else { name }
}

/// Lower-case letters and digits, with one dash between words.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == 40 {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// `name`, or with a count behind it if it is used.
fn unused_name(name: &str, used: &mut BTreeSet<String>) -> Option<GroupName> {
    let counted = (2..).map(|n| format!("{name}-{n}"));
    let name = std::iter::once(name.to_owned()).chain(counted).find(|name| !used.contains(name))?;
    used.insert(name.clone());
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_answers() {
        for (url, name) in [
            ("https://app.example.com/support/voice", "support"),
            ("https://app.example.com/voice", "app-example"),
            ("https://www.example.com/", "example"),
            ("https://example.com", "example-com"),
            ("https://app.example.com/api/v1/…/sales-desk/incoming", "sales-desk"),
            ("https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001", "bin-0001"),
            ("https://…/…", "numbers"),
        ] {
            assert_eq!(name_of_url(url), name, "{url}");
        }
        let mut used = BTreeSet::new();
        let names: Vec<_> = ["a", "a", "a"].map(|n| unused_name(n, &mut used).unwrap().to_string()).into();
        assert_eq!(names, ["a", "a-2", "a-3"]);
    }

    #[test]
    fn a_number_as_its_own_name_is_none() {
        let number = "+14155550100".parse().unwrap();
        for name in ["(415) 555-0100", "+14155550100", "4155550100", ""] {
            assert_eq!(label_of(number, name), "", "{name}");
        }
        assert_eq!(label_of(number, "Desk 100"), "Desk 100");
        assert_eq!(label_of(number, "555-0199"), "555-0199");
    }
}
