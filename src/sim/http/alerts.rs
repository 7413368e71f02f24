//! The debugger: alerts, the older notifications of the same events, and the audit trail.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::date::{Iso, Rfc2822};
use super::page::RowBody;
use super::view::{Null, Phone, ResourceAnswer, ResourceText, ResourceView, one};
use crate::core::model::id::{AccountSid, AlertSid, CallSid, NumberSid};
use crate::sim::chance;
use crate::sim::row::{Audit, AuditActor, SimAlert, SimLevel, SimSubject};

/// Twilio shows no more than this, however one pages.
const MOST: usize = 10_000;

#[derive(Serialize)]
struct AlertBody {
    account_sid: AccountSid,
    alert_text: String,
    api_version: &'static str,
    date_created: Iso,
    date_generated: Iso,
    date_updated: Iso,
    error_code: ResourceText<u32>,
    log_level: &'static str,
    more_info: String,
    request_method: Option<&'static str>,
    request_url: Option<String>,
    resource_sid: Option<String>,
    sid: AlertSid,
    url: String,
    service_sid: Null,
}

/// What a single alert says beyond its line in the list.
#[derive(Serialize)]
struct AlertDetail {
    #[serde(flatten)]
    line: AlertBody,
    #[serde(flatten)]
    exchange: Exchange,
    request_headers: &'static str,
}

/// The request that went wrong, form-encoded as Twilio keeps it.
#[derive(Serialize)]
struct Exchange {
    request_variables: String,
    response_headers: String,
    response_body: String,
}

impl RowBody for AlertBody {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

#[derive(Serialize)]
struct NotificationBody {
    account_sid: AccountSid,
    api_version: &'static str,
    call_sid: Option<CallSid>,
    date_created: Rfc2822,
    date_updated: Rfc2822,
    error_code: ResourceText<u32>,
    log: &'static str,
    message_date: Rfc2822,
    message_text: String,
    more_info: String,
    request_method: Option<&'static str>,
    request_url: Option<String>,
    sid: AlertSid,
    uri: String,
}

#[derive(Serialize)]
struct NotificationDetail {
    #[serde(flatten)]
    line: NotificationBody,
    #[serde(flatten)]
    exchange: Exchange,
}

impl RowBody for NotificationBody {
    fn sid(&self) -> String {
        self.sid.to_string()
    }
}

/// What happened, in the words of Twilio's debugger.
fn message(alert: &SimAlert) -> String {
    let url = &alert.url;
    match (alert.code, alert.http) {
        (11200 | 15003, Some(status)) => format!("Got HTTP {status} response to {url}"),
        (11205, _) => "HTTP Connection Failure - Read timed out".into(),
        (11210, _) => format!("HTTP bad host name: {url}"),
        (11220 | 11235..=11237, _) => format!("SSL/TLS handshake error: {url}"),
        (12100, _) => "Document parse failure".into(),
        (12300, _) => "Invalid Content-Type: attempt to fetch TwiML returned an unusable type".into(),
        (13224, _) => "Dial: Twilio does not support calling this number or the number is invalid".into(),
        (32010, _) => "Trunk has no valid origination URI".into(),
        (32011, _) => format!("Error communicating with your SIP communications infrastructure: {url}"),
        (82004 | 82005, _) => "console output of a Function".into(),
        (code, _) => format!("Error {code}"),
    }
}

fn text(alert: &SimAlert) -> String {
    let (code, level) = (alert.code.to_string(), SimLevel::of(alert.code).label().to_ascii_uppercase());
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Msg", &message(alert));
    form.append_pair("EmailNotification", "false");
    form.append_pair("LogLevel", if level == "WARNING" { "WARN" } else { &level });
    form.append_pair("sourceComponent", "12000");
    if let Some(status) = alert.http {
        form.append_pair("httpResponse", &status.to_string());
    }
    form.append_pair("ErrorCode", &code);
    if !alert.url.is_empty() {
        form.append_pair("url", &alert.url);
    }
    form.finish()
}

fn more_info(code: u32) -> String {
    format!("https://www.twilio.com/docs/errors/{code}")
}

fn call_of(alert: &SimAlert) -> Option<CallSid> {
    match alert.subject {
        SimSubject::Call(sid) => Some(sid),
        SimSubject::Message(_) | SimSubject::Number(_) | SimSubject::Request | SimSubject::Function => None,
    }
}

impl ResourceView<'_> {
    fn alert(&self, a: &SimAlert) -> AlertBody {
        let asked = (!a.url.is_empty()).then(|| a.url.to_string());
        AlertBody {
            account_sid: self.account(),
            alert_text: text(a),
            api_version: "2010-04-01",
            date_created: self.iso(a.created),
            date_generated: self.iso(a.generated),
            date_updated: self.iso(a.created),
            error_code: ResourceText(a.code),
            log_level: SimLevel::of(a.code).label(),
            more_info: more_info(a.code),
            request_method: asked.is_some().then_some("POST"),
            request_url: asked,
            resource_sid: match a.subject {
                SimSubject::Call(sid) => Some(sid.to_string()),
                SimSubject::Message(sid) => Some(sid.to_string()),
                SimSubject::Number(sid) => Some(sid.to_string()),
                SimSubject::Request => None,
                SimSubject::Function => Some(format!("ZF{:032x}", chance::sid("ZF", "function"))),
            },
            sid: a.sid,
            url: format!("{}/v1/Alerts/{}", self.base, a.sid),
            service_sid: Null,
        }
    }

    fn exchange(&self, a: &SimAlert) -> Exchange {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let phone =
            |n| serde_json::to_value(Phone(n)).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        form.append_pair("AccountSid", &self.account().to_string());
        match a.subject {
            SimSubject::Call(sid) => {
                let (to, from) = (phone(a.to), phone(a.from));
                for (name, value) in [
                    ("CallSid", sid.to_string().as_str()),
                    ("CallStatus", "ringing"),
                    ("Direction", "inbound"),
                    ("ApiVersion", "2010-04-01"),
                    ("To", &to),
                    ("Called", &to),
                    ("From", &from),
                    ("Caller", &from),
                ] {
                    form.append_pair(name, value);
                }
            }
            SimSubject::Message(sid) => {
                form.append_pair("MessageSid", &sid.to_string());
                form.append_pair("To", &phone(a.to));
                form.append_pair("From", &phone(a.from));
            }
            SimSubject::Number(_) | SimSubject::Request | SimSubject::Function => {}
        }
        let response_body = match a.http {
            Some(500..) => "Internal Server Error".into(),
            Some(404) => "Not Found".into(),
            _ => String::new(),
        };
        let response_headers = match a.http {
            Some(_) => format!("Content-Type=text%2Fplain&Content-Length={}", response_body.len()),
            None => String::new(),
        };
        Exchange { request_variables: form.finish(), response_headers, response_body }
    }

    fn notification(&self, a: &SimAlert) -> NotificationBody {
        let stem = format!("/2010-04-01/Accounts/{}", self.account());
        let stem = match call_of(a) {
            Some(call) if !self.route.parent.is_empty() => format!("{stem}/Calls/{call}"),
            _ => stem,
        };
        NotificationBody {
            account_sid: self.account(),
            api_version: "2010-04-01",
            call_sid: call_of(a),
            date_created: self.rfc2822(a.created),
            date_updated: self.rfc2822(a.created),
            error_code: ResourceText(a.code),
            log: SimLevel::of(a.code).digit(),
            message_date: self.rfc2822(a.generated),
            message_text: text(a),
            more_info: more_info(a.code),
            request_method: (!a.url.is_empty()).then_some("POST"),
            request_url: (!a.url.is_empty()).then(|| a.url.to_string()),
            sid: a.sid,
            uri: format!("{stem}/Notifications/{}.json", a.sid),
        }
    }

    pub fn alerts(&self) -> ResourceAnswer {
        let (paging, now) = (self.paging()?, self.listed());
        let level = self.query.get("LogLevel");
        let wanted = |a: &SimAlert| a.listed <= now && level.is_none_or(|l| SimLevel::of(a.code).label() == l);
        let between = self.inclusive("StartDate", "EndDate");
        let mut slice = self.world.alerts.page(between, paging.anchor, paging.size, wanted);
        if let Some(slice) = slice.as_mut().filter(|_| paging.seen() >= MOST) {
            slice.more = false;
        }
        self.list_v1("alerts", &paging, slice, |a| self.alert(a))
    }

    pub fn notifications(&self) -> ResourceAnswer {
        let (paging, now) = (self.paging()?, self.listed());
        let log = self.query.get("Log");
        let call = match self.route.parent {
            "" => None,
            sid => Some(sid.parse::<CallSid>().map_err(|_| self.not_found())?),
        };
        if call.is_some_and(|sid| self.world.calls.get(sid.as_u128()).is_none_or(|c| c.known_at(now).is_none())) {
            return Err(self.not_found());
        }
        let wanted = |a: &SimAlert| {
            a.listed <= now
                && !matches!(a.subject, SimSubject::Message(_))
                && call.is_none_or(|c| call_of(a) == Some(c))
                && log.is_none_or(|l| SimLevel::of(a.code).digit() == l)
        };
        let slice = self.world.alerts.page(self.between("MessageDate"), paging.anchor, paging.size, wanted);
        self.list_2010("notifications", &paging, slice, |a| self.notification(a))
    }

    fn alert_of_path(&self) -> Option<&SimAlert> {
        let seen_from = |a: &SimAlert| if self.is_fetched_at_once() { a.created } else { a.listed };
        let sid = self.route.sid.parse::<AlertSid>().ok()?;
        self.world.alerts.get(sid.as_u128()).filter(|a| seen_from(a) <= self.world.now)
    }

    pub fn alert_by_sid(&self) -> ResourceAnswer {
        let a = self.alert_of_path().ok_or_else(|| self.not_found())?;
        one(&AlertDetail { line: self.alert(a), exchange: self.exchange(a), request_headers: "" })
    }

    pub fn notification_by_sid(&self) -> ResourceAnswer {
        let a = self.alert_of_path().ok_or_else(|| self.not_found())?;
        one(&NotificationDetail { line: self.notification(a), exchange: self.exchange(a) })
    }
}

#[derive(Serialize)]
struct EventBody<'a> {
    account_sid: AccountSid,
    actor_sid: String,
    actor_type: &'static str,
    description: Null,
    event_data: Properties<'a>,
    event_date: Iso,
    event_type: &'static str,
    resource_sid: NumberSid,
    resource_type: &'static str,
    sid: String,
    source: &'static str,
    source_ip_address: &'static str,
    url: String,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    actor: String,
    resource: String,
}

/// `{"resource_properties": {"voice_url": {"previous": …, "updated": …}}}`
struct Properties<'a>(&'a Audit);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Property<'a> {
            previous: &'a str,
            updated: &'a str,
        }
        struct Changes<'a>(&'a Audit);
        impl Serialize for Changes<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_map(
                    self.0.changes.iter().map(|(name, previous, updated)| (name, Property { previous, updated })),
                )
            }
        }
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry("resource_properties", &Changes(self.0))?;
        map.end()
    }
}

impl RowBody for EventBody<'_> {
    fn sid(&self) -> String {
        self.sid.clone()
    }
}

/// Who changed it, as a SID.
fn actor_sid(by: AuditActor) -> String {
    let name = match by {
        AuditActor::Api => "account",
        AuditActor::Person => "person",
    };
    format!("US{:032x}", chance::sid("US", name))
}

impl ResourceView<'_> {
    fn event<'a>(&self, audit: &'a Audit) -> EventBody<'a> {
        let number = &self.world.numbers[audit.number as usize];
        let sid = format!("AE{:032x}", audit.sid);
        let account = format!("https://api.twilio.com/2010-04-01/Accounts/{}", self.account());
        EventBody {
            account_sid: self.account(),
            actor_sid: actor_sid(audit.by),
            actor_type: match audit.by {
                AuditActor::Api => "account",
                AuditActor::Person => "user",
            },
            description: Null,
            event_data: Properties(audit),
            event_date: self.iso(audit.at),
            event_type: "phone-number.updated",
            resource_sid: number.sid,
            resource_type: "phone-number",
            url: format!("{}/v1/Events/{sid}", self.base),
            sid,
            source: match audit.by {
                AuditActor::Api => "api",
                AuditActor::Person => "web",
            },
            source_ip_address: "192.0.2.1",
            links: Links { resource: format!("{account}/IncomingPhoneNumbers/{}", number.sid), actor: account },
        }
    }

    pub fn events(&self) -> ResourceAnswer {
        let paging = self.paging()?;
        let number = self.query.get("ResourceSid").map(|sid| sid.parse().ok().and_then(|s| self.world.number_with(s)));
        let (kind, actor) = (self.query.get("EventType"), self.query.get("ActorSid"));
        let wanted = |a: &Audit| {
            number.is_none_or(|n| n == Some(a.number))
                && kind.is_none_or(|k| k == "phone-number.updated")
                && actor.is_none_or(|s| s == actor_sid(a.by))
        };
        let slice = self.world.audits.page(self.inclusive("StartDate", "EndDate"), paging.anchor, paging.size, wanted);
        self.list_v1("events", &paging, slice, |a| self.event(a))
    }
}
