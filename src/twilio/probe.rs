//! Test calls and messages: made, looked up by SID or by their two numbers, ended.
//!
//! Here the other party is ours too, so these requests may name both numbers. A create is repeated only if
//! it was surely not processed: Twilio has no key by which it would know a second one for the first, and
//! nobody is called twice for one lost answer. Of a message's words only this is kept: does the nonce stand
//! in them.

use serde::Deserialize;

use super::wire::{self, PageRows, Text};
use super::{AlertLevel, Client, Error, ExpectedIdentity, day, query};
use crate::core::detect::observation::{Alert, CallStatus, Direction, Level, MessageStatus};
use crate::core::model::address::{self, Reach};
use crate::core::model::bounds;
use crate::core::model::code::Code;
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::id::Resource;
use crate::core::model::id::{AlertSid, CallSid, E164, MessageSid};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::routing::record::kept;
use crate::twilio::host::Product;
use crate::twilio::limit::Precedence;

/// Rows looked at when the legs between two numbers are searched: the newest come first.
const ROWS: usize = 20;

/// The same of all legs from one number: those of every test call that is up.
const TRUNK_ROWS: usize = 200;

/// Which end of a call a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It arrived at the number.
    Inbound,
    /// The handler dialled it.
    Child,
    /// A request made it.
    Outbound,
    Unknown,
}

/// One leg of a call as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLeg {
    pub sid: CallSid,
    pub end: CallEnd,
    pub status: CallStatus,
    pub created_at: Time,
    /// Absent until it was dialled.
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// Whole seconds.
    pub duration: Option<u32>,
}

/// A message as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texted {
    pub sid: MessageSid,
    pub direction: Direction,
    pub status: MessageStatus,
    pub error: Option<Code>,
    pub sent_at: Time,
    /// The probe's nonce stands in it.
    pub is_ours: bool,
}

mod endpoint {
    pub const CREATE_CALL: &str = "create_call";
    pub const END_CALL: &str = "end_call";
    pub const FETCH_LEG: &str = "fetch_leg";
    pub const LIST_LEGS: &str = "list_legs";
    pub const LIST_CALL_NOTIFICATIONS: &str = "list_call_notifications";
    pub const CREATE_MESSAGE: &str = "create_message";
    pub const LIST_TEXTS: &str = "list_texts";
}

/// A call to make.
#[derive(Clone, Debug)]
pub struct CallForm {
    pub from: E164,
    pub to: E164,
    /// What our end of the call does.
    pub twiml: String,
    /// Seconds it may ring, and seconds it may last.
    pub timeout: u64,
    pub time_limit: u64,
    /// Both channels, with every silence.
    pub record: bool,
}

impl CallForm {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut form = vec![
            ("To", self.to.to_string()),
            ("From", self.from.to_string()),
            ("Twiml", self.twiml.clone()),
            ("Timeout", self.timeout.to_string()),
            ("TimeLimit", self.time_limit.to_string()),
        ];
        if self.record {
            form.push(("Record", "true".to_owned()));
            form.push(("RecordingChannels", "dual".to_owned()));
            // Silence is what is to be heard (Twilio trims it by default).
            form.push(("Trim", "do-not-trim".to_owned()));
        }
        form
    }
}

impl Client {
    /// Makes a call. An error that [`Error::is_ambiguous`] leaves open whether there is one.
    pub async fn create_call(&self, form: &CallForm) -> Result<CallLeg, Error> {
        let path = self.account_path("Calls.json");
        let read = self.asked().number("from", form.from).number("to", form.to).one(leg);
        self.transport
            .update(Precedence::Other, endpoint::CREATE_CALL, Product::Api, &path, &form.parameters(), read)
            .await
    }

    /// Hangs up, in whatever state the call is.
    pub async fn end_call(&self, sid: CallSid) -> Result<CallLeg, Error> {
        let path = self.account_path(&format!("Calls/{sid}.json"));
        let form = [("Status", "completed".to_owned())];
        self.transport
            .update(Precedence::Other, endpoint::END_CALL, Product::Api, &path, &form, self.asked().sid(sid).one(leg))
            .await
    }

    pub async fn leg(&self, sid: CallSid) -> Result<CallLeg, Error> {
        let path = self.account_path(&format!("Calls/{sid}.json"));
        let read = self.asked().sid(sid).one(leg);
        self.transport.read(Precedence::Other, endpoint::FETCH_LEG, Product::Api, &path, read).await
    }

    /// The newest legs from one of our numbers to another since the UTC day of `since` by Twilio's clock, as the
    /// list shows them by now.
    pub async fn legs_between(&self, from: E164, to: E164, since: Time) -> Result<Vec<CallLeg>, Error> {
        let asked = self.asked().number("from", from).number("to", to);
        let [from, to, rows] = [from.to_string(), to.to_string(), ROWS.to_string()];
        self.legs(asked, &[("From", &from), ("To", &to), ("StartTime>", &day(since)), ("PageSize", &rows)]).await
    }

    /// The same at a number behind a trunk: there `to` is a SIP URI, which a search for the number does not find
    /// (twilio-csharp#541). So all newest legs from our own number are looked at.
    pub async fn legs_over_a_trunk(&self, from: E164, to: E164, since: Time) -> Result<Vec<CallLeg>, Error> {
        let asked = self.asked().number("from", from);
        let [from, rows] = [from.to_string(), TRUNK_ROWS.to_string()];
        let path = [("From", from.as_str()), ("StartTime>", &day(since)), ("PageSize", &rows)];
        let path = self.account_path(&format!("Calls.json?{}", query(&path)));
        let (roster, is_it) = (&self.roster, |number: E164| number == to);
        let reaches = |leg: &RawLeg<'_>| {
            let text = leg.to.get().unwrap_or("");
            address::reach(text, roster.calling_codes(), is_it, |_| false) == Reach::Number(to)
        };
        let read = asked.rows("calls", |body| legs_that(body, reaches));
        self.transport.read(Precedence::Other, endpoint::LIST_LEGS, Product::Api, &path, read).await
    }

    /// The newest leg of the account that the list shows by now, of those since the UTC day of `since`.
    pub async fn newest_leg(&self, since: Time) -> Result<Option<CallLeg>, Error> {
        let rows = [("StartTime>", day(since)), ("PageSize", "1".to_owned())];
        let legs = self.legs(self.asked(), &rows.each_ref().map(|(name, value)| (*name, value.as_str()))).await?;
        Ok(legs.into_iter().next())
    }

    /// The legs that were dialled for `parent`.
    pub async fn children(&self, parent: CallSid) -> Result<Vec<CallLeg>, Error> {
        let [parent, rows] = [parent.to_string(), ROWS.to_string()];
        self.legs(self.asked().belongs("parent_call_sid", &parent), &[("ParentCallSid", &parent), ("PageSize", &rows)])
            .await
    }

    async fn legs(&self, asked: ExpectedIdentity, pairs: &[(&str, &str)]) -> Result<Vec<CallLeg>, Error> {
        let path = self.account_path(&format!("Calls.json?{}", query(pairs)));
        let read = asked.rows("calls", legs);
        self.transport.read(Precedence::Other, endpoint::LIST_LEGS, Product::Api, &path, read).await
    }

    /// The alerts of one call: the same as the debugger's, and sooner told from others.
    pub async fn call_alerts(&self, sid: CallSid) -> Result<Vec<Alert>, Error> {
        let path = self.account_path(&format!("Calls/{sid}/Notifications.json?PageSize={ROWS}"));
        let of_it = self.asked().belongs("call_sid", sid);
        let read = of_it.rows("notifications", |body| notifications(body, sid, &self.roster));
        self.transport.read(Precedence::Other, endpoint::LIST_CALL_NOTIFICATIONS, Product::Api, &path, read).await
    }

    /// The alerts of one message, among all since `since`.
    pub async fn message_alerts(&self, sid: MessageSid, since: Time) -> Result<Vec<Alert>, Error> {
        let (alerts, _) = self.alerts(AlertLevel::Error, since, LARGEST_PAGE).all().await?;
        Ok(alerts.into_iter().filter(|a| a.resource == Some(Resource::Message(sid))).collect())
    }

    /// Sends a message. The caution of [`Client::create_call`] applies.
    pub async fn create_message(&self, from: E164, to: E164, body: &str) -> Result<Texted, Error> {
        let form = [("To", to.to_string()), ("From", from.to_string()), ("Body", body.to_owned())];
        let path = self.account_path("Messages.json");
        let read = self.asked().number("from", from).number("to", to).one(|answer| text(answer, body));
        self.transport.update(Precedence::Other, endpoint::CREATE_MESSAGE, Product::Api, &path, &form, read).await
    }

    /// The newest messages from one of our numbers to another since the UTC day of `since`; those with
    /// `nonce` in them are marked.
    pub async fn texts_between(&self, from: E164, to: E164, since: Time, nonce: &str) -> Result<Vec<Texted>, Error> {
        let asked = self.asked().number("from", from).number("to", to);
        let [from, to, rows] = [from.to_string(), to.to_string(), ROWS.to_string()];
        let query = query(&[("From", &from), ("To", &to), ("DateSent>", &day(since)), ("PageSize", &rows)]);
        let path = self.account_path(&format!("Messages.json?{query}"));
        let read = asked.rows("messages", |body| texts(body, nonce));
        self.transport.read(Precedence::Other, endpoint::LIST_TEXTS, Product::Api, &path, read).await
    }
}

#[derive(Deserialize)]
struct RawLeg<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
    #[serde(borrow, default)]
    start_time: Text<'a>,
    #[serde(borrow, default)]
    end_time: Text<'a>,
    #[serde(borrow, default)]
    duration: Text<'a>,
}

fn optional_date(text: &Text<'_>) -> Result<Option<Time>, String> {
    text.get().map(wire::date).transpose()
}

fn sid<T: std::str::FromStr<Err: ToString>>(text: &Text<'_>) -> Result<T, String> {
    text.get().unwrap_or("").parse().map_err(|e: T::Err| e.to_string())
}

impl RawLeg<'_> {
    fn convert(&self) -> Result<CallLeg, String> {
        let started_at = optional_date(&self.start_time)?;
        let created_at = optional_date(&self.date_created)?.or(started_at);
        let end = match self.direction.get() {
            Some("inbound" | "trunking-originating") => CallEnd::Inbound,
            Some("outbound-dial") => CallEnd::Child,
            Some("outbound-api") => CallEnd::Outbound,
            _ => CallEnd::Unknown,
        };
        Ok(CallLeg {
            sid: sid(&self.sid)?,
            end,
            status: CallStatus::from_wire(self.status.get().unwrap_or("")),
            created_at: created_at.ok_or("neither date_created nor start_time is set")?,
            started_at,
            ended_at: optional_date(&self.end_time)?,
            duration: self.duration.get().and_then(|d| d.parse().ok()),
        })
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|e| e.to_string())
}

/// One leg, as an answer has it.
pub fn leg(body: &[u8]) -> Result<CallLeg, String> {
    json::<RawLeg<'_>>(body)?.convert()
}

/// The legs of a page.
pub fn legs(body: &[u8]) -> Result<Vec<CallLeg>, String> {
    legs_that(body, |_| true)
}

fn legs_that(body: &[u8], wanted: impl Fn(&RawLeg<'_>) -> bool) -> Result<Vec<CallLeg>, String> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        calls: PageRows<RawLeg<'a>>,
    }
    json::<Page<'_>>(body)?.calls.0.iter().filter(|leg| wanted(leg)).map(RawLeg::convert).collect()
}

/// The alerts of a call's own list.
pub fn notifications(body: &[u8], call: CallSid, ours: &Roster) -> Result<Vec<Alert>, String> {
    #[derive(Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        sid: Text<'a>,
        #[serde(borrow, default)]
        error_code: Text<'a>,
        #[serde(borrow, default)]
        log: Text<'a>,
        #[serde(borrow, default)]
        request_url: Text<'a>,
        #[serde(borrow, default)]
        message_date: Text<'a>,
        #[serde(borrow, default)]
        date_created: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        notifications: PageRows<Row<'a>>,
    }
    let convert = |row: &Row<'_>| {
        let at = optional_date(&row.message_date)?.or(optional_date(&row.date_created)?);
        Ok(Alert {
            sid: sid::<AlertSid>(&row.sid)?,
            number: None,
            resource: Some(Resource::Call(call)),
            code: wire::code(&row.error_code),
            level: match row.log.get() {
                Some("0") => Level::Error,
                Some("1") => Level::Warning,
                _ => Level::Notice,
            },
            url: row.request_url.get().map(|url| kept(&url[..url.floor_char_boundary(bounds::URL_BYTES)], ours).into()),
            http_status: None,
            at: at.ok_or("neither message_date nor date_created is set")?,
        })
    };
    json::<Page<'_>>(body)?.notifications.0.iter().map(convert).collect()
}

#[derive(Deserialize)]
struct RawText<'a> {
    #[serde(borrow)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    direction: Text<'a>,
    #[serde(borrow, default)]
    body: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    date_sent: Text<'a>,
    #[serde(borrow, default)]
    date_created: Text<'a>,
}

impl RawText<'_> {
    fn convert(&self, nonce: &str) -> Result<Texted, String> {
        let sent_at = optional_date(&self.date_sent)?.or(optional_date(&self.date_created)?);
        Ok(Texted {
            sid: sid(&self.sid)?,
            direction: match self.direction.get() {
                Some("inbound") => Direction::Inbound,
                Some("outbound-reply") => Direction::Reply,
                _ => Direction::Outbound,
            },
            status: MessageStatus::from_wire(self.status.get().unwrap_or("")),
            error: self.error_code.get().filter(|c| c.trim() != "0").map(|_| wire::code(&self.error_code)),
            sent_at: sent_at.ok_or("neither date_sent nor date_created is set")?,
            is_ours: self.body.get().is_some_and(|body| body.contains(nonce)),
        })
    }
}

/// One message, as an answer has it.
pub fn text(body: &[u8], nonce: &str) -> Result<Texted, String> {
    json::<RawText<'_>>(body)?.convert(nonce)
}

/// The messages of a page.
pub fn texts(body: &[u8], nonce: &str) -> Result<Vec<Texted>, String> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        messages: PageRows<RawText<'a>>,
    }
    json::<Page<'_>>(body)?.messages.0.iter().map(|row| row.convert(nonce)).collect()
}
