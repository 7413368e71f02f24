//! `[[notify]]` and `[heartbeat]`: ways to people, with their secrets in the environment or in files.
//!
//! The address of a Slack or Teams webhook lets anybody post, so it is a secret like a key, and does not
//! belong in the configuration file. Other addresses may stand there as long as they hold no password.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::section::{Located, Section};
use super::{Env, HOUR, MINUTE, SECOND, address, secret_file, shown};
use crate::core::model::facts::DOMAINS;
use crate::core::model::id::GroupName;
use crate::core::model::roster::Roster;
use crate::core::notice::Severity;
use crate::notify::{Heartbeat, Notifier, NotifyChannel, alertmanager, email, opsgenie, pagerduty};

#[derive(Clone, Copy)]
enum Kind {
    Desktop,
    Slack,
    Teams,
    PagerDuty,
    Opsgenie,
    Alertmanager,
    Email,
    Webhook,
    Command,
}

const KINDS: [(&str, Kind); 9] = [
    ("desktop", Kind::Desktop),
    ("slack", Kind::Slack),
    ("teams", Kind::Teams),
    ("pagerduty", Kind::PagerDuty),
    ("opsgenie", Kind::Opsgenie),
    ("alertmanager", Kind::Alertmanager),
    ("email", Kind::Email),
    ("webhook", Kind::Webhook),
    ("command", Kind::Command),
];

/// Notices a minute that a person can read; pagers fold what has one key by themselves.
const PER_MINUTE: u32 = 20;
const PER_MINUTE_PAGER: u32 = 120;

/// Where secrets come from.
struct Sources<'e> {
    dir: &'e Path,
    env: &'e dyn Env,
}

impl Sources<'_> {
    /// A secret by its variable or its file.
    fn secret(&self, s: &mut Section<'_>, by_env: &'static str, by_file: &'static str) -> Option<SecretString> {
        let faults = s.faults();
        match (s.text(by_env), s.text(by_file)) {
            (Some(_), Some(file)) => {
                faults.at(file.span, format!("{}: {} is there too; use one of them", s.key(by_file), s.key(by_env)));
                None
            }
            (Some(name), None) => {
                let found = self.env.var(&name.value);
                if found.is_none() {
                    faults.at(
                        name.span,
                        format!(
                            "{} = {}: this variable is not set, or empty",
                            s.key(by_env),
                            shown::variable(&name.value)
                        ),
                    );
                }
                found.map(SecretString::from)
            }
            (None, Some(file)) => secret_file(&self.dir.join(&file.value), s.faults(), |problem| {
                faults.at(file.span.clone(), format!("{} = {}: {problem}", s.key(by_file), shown::file(&file.value)));
            }),
            (None, None) => None,
        }
    }

    /// An address, which may stand in the file unless `is_secret`.
    ///
    /// What is sent there with a secret, of `has_key` or in the address itself, is sent encrypted, unless the file
    /// says that it need not be.
    fn address(&self, s: &mut Section<'_>, is_secret: bool, has_key: bool, schemes: &[&str]) -> Option<SecretString> {
        let is_mail = schemes.contains(&"smtp");
        let is_plain_allowed = !is_mail && s.boolean("plain_http").unwrap_or(false);
        let hidden = self.secret(s, "url_env", "url_file");
        if is_secret {
            s.forbid(
                "url",
                "whoever has this address can post to it: name a file with url_file, or a variable with url_env",
            );
        }
        let open = if is_secret { None } else { s.text("url") };
        let (text, span) = match (open, hidden) {
            (Some(open), Some(_)) => {
                s.faults()
                    .at(open.span, format!("{}: url_env or url_file is there too; use one of them", s.key("url")));
                return None;
            }
            (Some(Located { value, span }), None) => (SecretString::from(value), Some(span)),
            (None, Some(hidden)) => (hidden, None),
            (None, None) => return None,
        };
        let place = span.clone().unwrap_or_else(|| s.span());
        // What comes from a secret place is not shown.
        let written = text.expose_secret();
        let shown = span.as_ref().map_or_else(String::new, |_| format!(" = {}", address::shown(written)));
        match written.parse::<Url>() {
            Ok(url) if !schemes.contains(&url.scheme()) || url.host().is_none() => {
                let schemes = schemes.iter().map(|x| format!("{x}://")).collect::<Vec<_>>().join(" or ");
                s.faults().at(place, format!("{}{shown}: must be {schemes} and a host", s.key("url")));
                None
            }
            Ok(url) if let Some(problem) = address::misleads(written, &url) => {
                s.faults().at(place, format!("{}{shown}: {problem}", s.key("url")));
                None
            }
            Ok(url) if span.is_some() && (url.password().is_some() || !is_mail && address::has_user(written, &url)) => {
                s.faults().at(
                    place,
                    format!(
                        "{}{shown}: a user's name or password does not belong in this file: name a file with url_file",
                        s.key("url")
                    ),
                );
                None
            }
            Ok(url) if url.fragment().is_some() => {
                s.faults().at(
                    place,
                    format!("{}{shown}: a fragment is never sent: remove the # and what follows", s.key("url")),
                );
                None
            }
            Ok(url) if Self::is_exposed(&url, has_key, is_mail, span.is_none()) && !is_plain_allowed => {
                let cure = if is_mail {
                    "write smtps://, or add ?tls=required"
                } else {
                    "write https://, or plain_http = true beside it if nobody else is on the way there"
                };
                s.faults().at(place, format!("{}{shown}: a secret would be sent in the clear: {cure}", s.key("url")));
                None
            }
            Ok(_) => Some(text),
            Err(e) => {
                s.faults().at(place, format!("{}{shown}: not an address: {e}", s.key("url")));
                None
            }
        }
    }
}

impl Sources<'_> {
    /// True if a secret goes to this address in the clear: a key, a password, or the address itself, where it comes
    /// from a secret place. A mail server's address is none.
    fn is_exposed(url: &Url, has_key: bool, is_mail: bool, is_hidden: bool) -> bool {
        let has_secret = has_key || url.password().is_some() || !is_mail && (is_hidden || !url.username().is_empty());
        has_secret && address::is_in_the_clear(url)
    }
}

/// Reads every `[[notify]]`.
pub fn read(sections: Vec<Section<'_>>, roster: &Roster, dir: &Path, env: &dyn Env) -> Vec<Notifier> {
    let mut notifiers: Vec<Notifier> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for mut s in sections {
        s.require("name", "a word by which logs, metrics and commands call it");
        s.require("kind", "what it is: slack, email, pagerduty, …");
        let name = s.text("name");
        if let Some(name) = &name {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.value.is_empty() || !name.value.chars().all(fits) || name.value == "heartbeat" {
                let text = format!(
                    "{} = {:?}: use letters, digits, - and _; \"heartbeat\" is taken",
                    s.key("name"),
                    name.value
                );
                s.faults().at(name.span.clone(), text);
            } else if names.contains(&name.value) {
                let text = format!("{} = {:?}: another notifier has this name", s.key("name"), name.value);
                s.faults().at(name.span.clone(), text);
            }
            names.push(name.value.clone());
        }
        let kind = s.choice("kind", &KINDS);
        let channel = kind.and_then(|kind| read_channel(&mut s, kind, &Sources { dir, env }));
        let severities = s.list::<SeverityName>("severities").map(|l| l.into_iter().map(|x| x.value.0).collect());
        if s.is_empty_list("severities") {
            s.faults().at(s.span(), format!("{} is empty: nothing would be sent", s.key("severities")));
        }
        let groups = read_groups(&mut s, roster);
        let is_pager = channel.as_ref().is_some_and(NotifyChannel::keeps_incidents);
        let most = if is_pager { PER_MINUTE_PAGER } else { PER_MINUTE };
        let per_minute = s.integer("per_minute", 1, 1000).and_then(|n| u32::try_from(n).ok()).unwrap_or(most);
        let timeout = s.duration("timeout", SECOND, 15 * SECOND).map_or(10 * SECOND, |d| d.value);
        let said = s.boolean("through_twilio");
        s.finish();
        if let (Some(name), Some(channel)) = (name, channel) {
            let through_twilio = said.or_else(|| passes_through_twilio(&channel));
            let severities: BTreeSet<Severity> = severities.unwrap_or_else(|| Severity::ALL.into());
            notifiers.push(Notifier {
                name: name.value,
                channel,
                severities,
                groups,
                per_minute,
                timeout,
                through_twilio,
            });
        }
    }
    notifiers
}

fn read_groups(s: &mut Section<'_>, roster: &Roster) -> Vec<GroupName> {
    let mut groups = Vec::new();
    for group in s.list::<GroupName>("groups").unwrap_or_default() {
        if roster.groups().any(|(_, g)| g.name == group.value) {
            groups.push(group.value);
        } else {
            s.faults().at(group.span, format!("{}: there is no group {:?}", s.key("groups"), group.value.as_str()));
        }
    }
    groups
}

fn read_channel(s: &mut Section<'_>, kind: Kind, from: &Sources<'_>) -> Option<NotifyChannel> {
    const HTTP: [&str; 2] = ["http", "https"];
    let missing = |s: &Section<'_>, what: &str| s.faults().at(s.span(), format!("{} is missing: {what}", s.key("url")));
    let needed = |s: &mut Section<'_>, is_secret: bool, schemes: &[&str], what: &str| {
        let has_one = ["url", "url_env", "url_file"].iter().any(|k| s.has(k));
        let url = from.address(s, is_secret, false, schemes);
        if !has_one {
            missing(s, what);
        }
        url
    };
    let key = |s: &mut Section<'_>, what: &str| {
        s.forbid("key", "name a file with key_file, or a variable with key_env");
        let has_one = ["key", "key_env", "key_file"].iter().any(|k| s.has(k));
        let key = from.secret(s, "key_env", "key_file");
        if !has_one && !what.is_empty() {
            s.faults().at(s.span(), format!("{} is missing: {what}", s.key("key_file")));
        }
        key
    };
    let or = |url: Option<SecretString>, default: &str| url.unwrap_or_else(|| SecretString::from(default.to_owned()));
    match kind {
        Kind::Desktop => Some(NotifyChannel::Desktop),
        Kind::Slack => {
            let what = "the webhook's address, in url_file or url_env";
            Some(NotifyChannel::Slack { url: needed(s, true, &HTTP, what)? })
        }
        Kind::Teams => {
            let what = "the workflow's address, in url_file or url_env";
            Some(NotifyChannel::Teams { url: needed(s, true, &HTTP, what)? })
        }
        Kind::PagerDuty => {
            let url = or(from.address(s, false, true, &HTTP), pagerduty::URL);
            let key = key(s, "the integration key, in key_file or key_env")?;
            Some(NotifyChannel::PagerDuty { url, key })
        }
        Kind::Opsgenie => {
            let url = or(from.address(s, false, true, &HTTP), opsgenie::URL);
            let key = key(s, "the API key, in key_file or key_env")?;
            Some(NotifyChannel::Opsgenie { url, key })
        }
        Kind::Alertmanager => {
            let url = needed(s, false, &HTTP, "such as \"http://127.0.0.1:9093\"")?;
            Some(NotifyChannel::Alertmanager { url: alertmanager::address(&url) })
        }
        Kind::Email => {
            let url = needed(s, false, &["smtp", "smtps"], "such as \"smtp://mail.example.com:587?tls=required\"");
            s.require("from", "the sender's address");
            s.require("to", "a list of addresses");
            let sender = s.parse::<MailAddress>("from");
            let to = s.list::<MailAddress>("to").unwrap_or_default();
            if s.is_empty_list("to") {
                s.faults().at(s.span(), format!("{} is empty: nobody would get it", s.key("to")));
            }
            let url = url?;
            if let Err(problem) = email::is_usable(&url) {
                s.faults().at(s.span(), format!("{}: {problem}", s.key("url")));
            }
            let to = to.into_iter().map(|l| l.value.0).collect();
            Some(NotifyChannel::Email(email::Mailbox { url, from: sender?.value.0, to }))
        }
        Kind::Webhook => {
            let url = needed(s, false, &HTTP, "where to post to");
            let key = key(s, "");
            Some(NotifyChannel::Webhook { url: url?, key })
        }
        Kind::Command => {
            s.require("argv", "the program and its arguments: [\"/usr/local/bin/page\", \"ops\"]");
            let argv: Vec<String> = s.list::<String>("argv")?.into_iter().map(|l| l.value).collect();
            if s.is_empty_list("argv") {
                s.faults().at(s.span(), format!("{} is empty: name a program", s.key("argv")));
            }
            Some(NotifyChannel::Command { argv })
        }
    }
}

/// Law 13, as far as it can be told from outside.
fn passes_through_twilio(channel: &NotifyChannel) -> Option<bool> {
    match channel {
        NotifyChannel::Command { .. } => None,
        NotifyChannel::Webhook { url, .. } => {
            let host = url.expose_secret().parse::<Url>().ok()?.host_str()?.to_ascii_lowercase();
            let of = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
            Some(DOMAINS.into_iter().any(of))
        }
        NotifyChannel::Desktop
        | NotifyChannel::Slack { .. }
        | NotifyChannel::Teams { .. }
        | NotifyChannel::PagerDuty { .. }
        | NotifyChannel::Opsgenie { .. }
        | NotifyChannel::Alertmanager { .. }
        | NotifyChannel::Email(_) => Some(false),
    }
}

/// `[heartbeat]`.
pub fn read_heartbeat(mut s: Section<'_>, dir: &Path, env: &dyn Env) -> Option<Heartbeat> {
    let has_one = ["url", "url_env", "url_file"].iter().any(|k| s.has(k));
    let url = Sources { dir, env }.address(&mut s, false, false, &["http", "https"]);
    if !has_one {
        s.faults().at(s.span(), "heartbeat.url is missing: the address that the dead-man service gave you");
    }
    let every = s.duration("every", 10 * SECOND, HOUR).map_or(MINUTE, |d| d.value);
    s.finish();
    Some(Heartbeat { url: url?, every })
}

/// A mail address as the file has it.
struct MailAddress(email::Address);

impl std::str::FromStr for MailAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<MailAddress, &'static str> {
        let wrong = "not a mail address; write it as \"ops@example.com\" or \"Maria <maria@example.com>\"";
        text.parse().map(MailAddress).map_err(|_| wrong)
    }
}

/// A severity as the file names it.
struct SeverityName(Severity);

impl std::str::FromStr for SeverityName {
    type Err = String;

    fn from_str(text: &str) -> Result<SeverityName, String> {
        let found = Severity::ALL.into_iter().find(|s| s.label() == text).map(SeverityName);
        found.ok_or_else(|| format!("{text:?} is no severity: use \"critical\", \"warning\" or \"info\""))
    }
}

/// What an operator should hear at the start (law 13); `None` if there is nothing to say.
pub fn warn_if_only_through_twilio(notifiers: &[Notifier]) -> Option<String> {
    if notifiers.is_empty() {
        return Some("no notifier is configured: nobody is told of anything; add a [[notify]]".to_owned());
    }
    if notifiers.iter().any(|n| n.through_twilio == Some(false)) {
        return None;
    }
    let unknown = notifiers.iter().any(|n| n.through_twilio.is_none());
    Some(if unknown {
        "no notifier is known to reach people past Twilio, which is what is watched: if a command does, say so with \
         through_twilio = false"
            .to_owned()
    } else {
        "every notifier passes through Twilio, which is what is watched: add one that does not".to_owned()
    })
}
