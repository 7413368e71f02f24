//! How a notice reaches people: one file a channel, each a pure mapping from [`Notice`] to a request,
//! and one sender for all of them.
//!
//! | file | reaches |
//! |---|---|
//! | [`slack`] | Slack and what takes its webhooks (Mattermost, Rocket.Chat) |
//! | [`teams`] | Microsoft Teams, through a Workflow |
//! | [`pagerduty`] | PagerDuty, Events API v2 |
//! | [`opsgenie`] | Opsgenie, Alert API |
//! | [`alertmanager`] | a Prometheus Alertmanager, API v2 |
//! | [`email`] | mailboxes, over SMTP |
//! | [`webhook`] | anything that takes JSON, signed |
//! | [`command`] | a program of yours |
//! | [`desktop`] | the screen of whoever runs the agent |
//!
//! Queues, retries and the record of deliveries are the agent's business; here is a single try,
//! and what its answer means. The mappings add no facts: what a channel cannot show is left out.
//!
//! A notice quotes others: who changed a number, what Twilio answered, why an operator held something. That it is one
//! line without orders to a terminal is so before it comes here ([`crate::core::model::foreign`]). What a channel's own
//! markup would make of it, a link, a mention of everybody, a picture, is prevented in that channel's file, for all
//! texts alike: by its escapes, by a kind of text that has no markup, or by [`inert`].
//!
//! Promises: addresses and keys are secrets and stand in no error, log or `Debug` text. Redirects are
//! not followed. An answer says whether another try may help, and when.

pub mod alertmanager;
pub mod command;
pub mod desktop;
pub mod email;
pub mod opsgenie;
pub mod pagerduty;
pub mod slack;
pub mod teams;
pub mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::clock::Clock;
use crate::core::model::bounds;
use crate::core::model::foreign;
use crate::core::model::id::GroupName;
use crate::core::model::redact::own::OwnSecrets;
use crate::core::model::redact::without_secrets;
use crate::core::model::time::Time;
use crate::core::notice::{Notice, NoticeKind, Severity};

/// One way to people, as the configuration names it.
#[derive(Debug, Clone)]
pub struct Notifier {
    pub name: String,
    pub channel: NotifyChannel,
    /// Notices of these severities, and whatever follows in an incident that one of them reported.
    pub severities: BTreeSet<Severity>,
    /// Notices of these groups, and those that are of none. All groups if empty.
    pub groups: Vec<GroupName>,
    /// Notices in a minute; what comes beyond them is summed up.
    pub per_minute: u32,
    /// For one try.
    pub timeout: Duration,
    /// Whether it passes through Twilio (law 13); `None` if nobody said.
    pub through_twilio: Option<bool>,
}

/// A sign of life that a dead-man service waits for.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub url: SecretString,
    pub every: Duration,
}

/// Where a notifier sends to, with what it needs for that.
#[derive(Debug, Clone)]
pub enum NotifyChannel {
    Desktop,
    Slack { url: SecretString },
    Teams { url: SecretString },
    PagerDuty { url: SecretString, key: SecretString },
    Opsgenie { url: SecretString, key: SecretString },
    Alertmanager { url: SecretString },
    Email(email::Mailbox),
    Webhook { url: SecretString, key: Option<SecretString> },
    Command { argv: Vec<String> },
}

impl NotifyChannel {
    pub const fn label(&self) -> &'static str {
        match self {
            NotifyChannel::Desktop => "desktop",
            NotifyChannel::Slack { .. } => "slack",
            NotifyChannel::Teams { .. } => "teams",
            NotifyChannel::PagerDuty { .. } => "pagerduty",
            NotifyChannel::Opsgenie { .. } => "opsgenie",
            NotifyChannel::Alertmanager { .. } => "alertmanager",
            NotifyChannel::Email(_) => "email",
            NotifyChannel::Webhook { .. } => "webhook",
            NotifyChannel::Command { .. } => "command",
        }
    }

    /// True if the other side keeps an incident a key, and so is told of every end.
    pub const fn keeps_incidents(&self) -> bool {
        match self {
            NotifyChannel::PagerDuty { .. } | NotifyChannel::Opsgenie { .. } | NotifyChannel::Alertmanager { .. } => {
                true
            }
            NotifyChannel::Desktop
            | NotifyChannel::Slack { .. }
            | NotifyChannel::Teams { .. }
            | NotifyChannel::Email(_)
            | NotifyChannel::Webhook { .. }
            | NotifyChannel::Command { .. } => false,
        }
    }
}

impl Notifier {
    /// What its receiver is given and nobody else is to know.
    fn secrets(&self) -> OwnSecrets {
        let mut own = OwnSecrets::default();
        match &self.channel {
            NotifyChannel::Desktop | NotifyChannel::Command { .. } => {}
            NotifyChannel::Slack { url } | NotifyChannel::Teams { url } | NotifyChannel::Alertmanager { url } => {
                own.add_url(url.expose_secret());
            }
            NotifyChannel::PagerDuty { url, key } | NotifyChannel::Opsgenie { url, key } => {
                own.add_url(url.expose_secret());
                own.add(key.expose_secret());
            }
            NotifyChannel::Webhook { url, key } => {
                own.add_url(url.expose_secret());
                key.iter().for_each(|key| own.add(key.expose_secret()));
            }
            NotifyChannel::Email(mailbox) => own.add_url(mailbox.url.expose_secret()),
        }
        own
    }

    /// Whether this notice is for it, if it has been told nothing of the incident.
    pub fn wants(&self, notice: &Notice) -> bool {
        self.concerns(notice) && self.severities.contains(&notice.severity)
    }

    /// Whether this notice may go to it: whoever was told of an incident is also told how it goes on and that it is
    /// over, whatever the severity of that.
    pub fn concerns(&self, notice: &Notice) -> bool {
        if notice.kind == NoticeKind::NotifierFailing && notice.key == format!("notifier/{}", self.name) {
            return false;
        }
        notice.group.as_ref().is_none_or(|g| self.groups.is_empty() || self.groups.contains(g))
    }

    /// What would be sent, with its secrets left out: for a person to look at.
    pub fn render(&self, notice: &Notice) -> Value {
        match &self.channel {
            NotifyChannel::Desktop => desktop::render(notice),
            NotifyChannel::Slack { .. } => slack::body(notice),
            NotifyChannel::Teams { .. } => teams::body(notice),
            NotifyChannel::PagerDuty { .. } => pagerduty::body(notice, "********"),
            NotifyChannel::Opsgenie { .. } => opsgenie::render(notice),
            NotifyChannel::Alertmanager { .. } => alertmanager::body(&[notice], notice.at.at),
            NotifyChannel::Email(mailbox) => email::render(mailbox, notice),
            NotifyChannel::Webhook { .. } => webhook::body(notice),
            NotifyChannel::Command { argv } => serde_json::json!({ "argv": argv, "stdin": webhook::body(notice) }),
        }
    }
}

/// An HTTP request that carries a notice.
#[derive(Debug, Clone)]
pub struct NotifyRequest {
    pub url: SecretString,
    pub headers: Vec<(&'static str, SecretString)>,
    pub body: String,
}

impl NotifyRequest {
    pub fn json(url: SecretString, body: &Value) -> NotifyRequest {
        NotifyRequest { url, headers: Vec::new(), body: body.to_string() }
    }
}

/// The result of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifierReply {
    /// Delivered; the receiver's answer.
    Delivered(String),
    /// Another try may help.
    Again { problem: String, after: Option<Duration> },
    /// No other try will help.
    Refused(String),
}

impl NotifierReply {
    pub fn text(&self) -> &str {
        match self {
            NotifierReply::Delivered(text) | NotifierReply::Refused(text) => text,
            NotifierReply::Again { problem, .. } => problem,
        }
    }

    /// The same as it may be told: whoever answered wrote it, and may quote what they were sent. Their own secrets are
    /// taken out first, before anything is cut.
    #[must_use]
    fn harmless(self, own: &OwnSecrets) -> NotifierReply {
        let line = |text: String| {
            let text = own.kept_from(&text).split_whitespace().collect::<Vec<_>>().join(" ");
            without_secrets(&foreign::line(&cut(&text, ANSWER_SHOWN), foreign::LONGEST_PART)).into_owned()
        };
        match self {
            NotifierReply::Delivered(text) => NotifierReply::Delivered(line(text)),
            NotifierReply::Again { problem, after } => NotifierReply::Again { problem: line(problem), after },
            NotifierReply::Refused(text) => NotifierReply::Refused(line(text)),
        }
    }

    fn again(problem: impl Into<String>) -> NotifierReply {
        NotifierReply::Again { problem: problem.into(), after: None }
    }
}

/// Sends notices. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    http: reqwest::Client,
    /// For receivers on this machine, which are never behind the company's proxy, and for what is not encrypted.
    local: reqwest::Client,
    clock: Clock,
}

/// Most of an answer that is kept, with what says how it came.
const ANSWER_SHOWN: usize = 220;

/// The longest that a receiver may make us wait.
const AFTER_AT_MOST: Duration = Duration::from_secs(3600);

impl Sender {
    pub fn new(clock: Clock) -> reqwest::Result<Sender> {
        // An error only means that this process has one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
        };
        Ok(Sender { http: builder().build()?, local: builder().no_proxy().build()?, clock })
    }

    fn client(&self, url: &SecretString) -> &reqwest::Client {
        let url = url.expose_secret().parse::<url::Url>().ok();
        // Nor is what goes there in the clear shown to a proxy, which only passes on what is encrypted.
        let is_plain = url.as_ref().is_some_and(|url| url.scheme() == "http");
        let is_local = match url.as_ref().and_then(url::Url::host) {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if is_local || is_plain { &self.local } else { &self.http }
    }

    /// One try to deliver `notice`.
    pub async fn send(&self, notifier: &Notifier, notice: &Notice) -> NotifierReply {
        let now = self.clock.now();
        let limit = notifier.timeout;
        let work = async {
            match &notifier.channel {
                NotifyChannel::Desktop => desktop::send(notice).await,
                NotifyChannel::Slack { url } => self.post(NotifyRequest::json(url.clone(), &slack::body(notice))).await,
                NotifyChannel::Teams { url } => self.post(NotifyRequest::json(url.clone(), &teams::body(notice))).await,
                NotifyChannel::PagerDuty { url, key } => {
                    self.post(NotifyRequest::json(url.clone(), &pagerduty::body(notice, key.expose_secret()))).await
                }
                NotifyChannel::Opsgenie { url, key } => self.post(opsgenie::request(notice, url, key)).await,
                NotifyChannel::Alertmanager { url } => {
                    self.post(NotifyRequest::json(url.clone(), &alertmanager::body(&[notice], now))).await
                }
                NotifyChannel::Email(mailbox) => email::send(mailbox, notice).await,
                NotifyChannel::Webhook { url, key } => {
                    self.post(webhook::request(notice, url, key.as_ref(), now)).await
                }
                NotifyChannel::Command { argv } => command::run(&self.clock, argv, notice).await,
            }
        };
        match self.clock.timeout(limit, work).await {
            Ok(answer) => answer.harmless(&notifier.secrets()),
            Err(late) => NotifierReply::again(late.to_string()),
        }
    }

    /// Tells an Alertmanager again of all that stands.
    pub async fn send_standing(&self, url: &SecretString, standing: &[&Notice], limit: Duration) -> NotifierReply {
        let body = alertmanager::body(standing, self.clock.now());
        match self.clock.timeout(limit, self.post(NotifyRequest::json(url.clone(), &body))).await {
            Ok(answer) => answer.harmless(&of_url(url)),
            Err(late) => NotifierReply::again(late.to_string()),
        }
    }

    /// Asks for a page and looks at nothing but whether it is there.
    pub async fn ping(&self, url: &SecretString, limit: Duration) -> Result<(), String> {
        let asked = async {
            match self.client(url).get(url.expose_secret()).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("HTTP {}", answer.status().as_u16())),
                Err(e) => Err(of_url(url).kept_from(&problem(e))),
            }
        };
        self.clock.timeout(limit, asked).await.unwrap_or_else(|late| Err(late.to_string()))
    }

    async fn post(&self, request: NotifyRequest) -> NotifierReply {
        let mut post =
            self.client(&request.url).post(request.url.expose_secret()).header("content-type", "application/json");
        for (name, value) in &request.headers {
            post = post.header(*name, value.expose_secret());
        }
        let answer = match post.body(request.body).send().await {
            Ok(answer) => answer,
            Err(e) => return NotifierReply::again(problem(e)),
        };
        let status = answer.status().as_u16();
        let after = answer
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|text| retry_after(text, self.clock.now()));
        let said = beginning(answer).await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        judge(status, after, &said)
    }
}

/// The secrets of a URL.
fn of_url(url: &SecretString) -> OwnSecrets {
    let mut own = OwnSecrets::default();
    own.add_url(url.expose_secret());
    own
}

/// As much of an answer as is looked at; the rest is left unread.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = bounds::RECEIVER_BYTES - said.len();
        said.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// What an HTTP answer means: 2xx is delivered; 408, 425, 429 and 5xx may be better next time; whatever
/// else is refused for good.
pub fn judge(status: u16, after: Option<Duration>, said: &str) -> NotifierReply {
    let text = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
    match status {
        200..=299 => NotifierReply::Delivered(text),
        408 | 425 | 429 | 500..=599 => NotifierReply::Again { problem: text, after },
        _ => NotifierReply::Refused(text),
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Time) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let date = || jiff::fmt::rfc2822::parse(text.trim()).ok().map(|z| Time::from(z.timestamp()).since(now));
    seconds.or_else(date).map(|d| d.min(AFTER_AT_MOST))
}

/// An error of the HTTP client without the address, which may be a secret.
fn problem(e: reqwest::Error) -> String {
    let what = if e.is_connect() {
        "cannot connect"
    } else if e.is_timeout() {
        "timed out"
    } else {
        "the request failed"
    };
    let e = e.without_url();
    let mut cause: &dyn std::error::Error = &e;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("{what}: {cause}")
}

/// `text` for a receiver that hands it on to who knows which chat: nothing in it is a tag, a mention, a link with
/// words of its own, or a template's action. Whoever copies it from there copies a joiner that nobody sees.
fn inert(text: &str) -> String {
    const JOINER: char = '\u{2060}';
    let (mut out, mut before) = (String::with_capacity(text.len()), ' ');
    for c in text.chars() {
        let is_joint = matches!((before, c), (']', '(') | ('{', '{'))
            || before == '@' && c.is_alphanumeric()
            || before == '!' && c == '[';
        if is_joint {
            out.push(JOINER);
        }
        out.push(match c {
            '<' => '‹',
            '>' => '›',
            c => c,
        });
        before = c;
    }
    out
}

/// At most `most` characters of `text`, the cut shown.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
