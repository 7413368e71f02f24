//! What can go wrong with the API: which fault, on which requests, how often, for how long.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::http::route::EndpointClass;
use super::scenario::span;
use crate::core::model::time::Time;

/// The API misbehaves for a while.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiFault {
    pub kind: ApiFaultKind,
    /// Which requests it meets.
    #[serde(default)]
    pub on: ApiFaultScope,
    /// Which share of them.
    #[serde(default = "one")]
    pub share: f64,
    /// For how long; for good if not given.
    #[serde(default, rename = "for", with = "span::option")]
    pub lasts: Option<Duration>,
    /// Of `hang` and `slow`: how long an answer takes; of `late`, after how long the update happens.
    #[serde(default = "minute", with = "span")]
    pub takes: Duration,
    /// Of `refuse`: Twilio's error code.
    #[serde(default = "forbidden")]
    pub code: u32,
}

impl ApiFault {
    /// Every request in scope meets `kind`, until the end.
    pub fn new(kind: ApiFaultKind, on: ApiFaultScope) -> ApiFault {
        ApiFault { kind, on, share: one(), lasts: None, takes: minute(), code: forbidden() }
    }

    pub fn lasts(self, span: Duration) -> ApiFault {
        ApiFault { lasts: Some(span), ..self }
    }

    pub fn share(self, share: f64) -> ApiFault {
        ApiFault { share, ..self }
    }
}

fn one() -> f64 {
    1.0
}

/// No permission to call there.
fn forbidden() -> u32 {
    21215
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiFaultKind {
    /// 429, code 20429. Not processed.
    TooMany,
    /// 500 with Twilio's JSON. Not processed.
    ServerError,
    /// 502 with a proxy's HTML. Not processed.
    BadGateway,
    /// 503 with nothing. Not processed.
    Unavailable,
    /// 401, code 20003, whatever the credentials.
    Unauthorized,
    /// 400 with the fault's `code`: no permission, no credit. Not processed.
    Refuse,
    /// 400 for every page but the first: the list can be read no further.
    LaterPages,
    /// The connection closes before anything is processed.
    Drop,
    /// Processed, but the answer does not come.
    Hang,
    /// The connection closes, and a number's update happens all the same, so much later. Other requests: as [`Drop`].
    ///
    /// [`Drop`]: ApiFaultKind::Drop
    Late,
    /// Processed, but the connection closes within the answer.
    Cut,
    /// Processed; the answer trickles in.
    Slow,
    /// Processed; the answer is JSON that stops in the middle.
    Truncated,
    /// One row of a page is malformed.
    BadRow,
    /// One row has a value that nobody has seen before, and a new field.
    Unknown,
    /// The list shows nothing new while this lasts.
    Stall,
    /// The `Date` header and the dates of rows are an hour ahead.
    Skew,
    /// A number's update is answered as if it had happened, and has not.
    Ineffective,
}

impl fmt::Display for ApiFaultKind {
    /// As scenario files have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Which requests a fault meets: all, those that only read, those that write, or one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFaultScope {
    #[default]
    Any,
    Reads,
    Writes,
    Class(EndpointClass),
}

impl ApiFaultScope {
    pub fn meets(self, class: EndpointClass) -> bool {
        match self {
            ApiFaultScope::Any => true,
            ApiFaultScope::Reads => !class.writes(),
            ApiFaultScope::Writes => class.writes(),
            ApiFaultScope::Class(c) => c == class,
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            ApiFaultScope::Any => "any",
            ApiFaultScope::Reads => "reads",
            ApiFaultScope::Writes => "writes",
            ApiFaultScope::Class(c) => c.label(),
        }
    }
}

impl<'de> Deserialize<'de> for ApiFaultScope {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ApiFaultScope, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        let all = || {
            [ApiFaultScope::Any, ApiFaultScope::Reads, ApiFaultScope::Writes]
                .into_iter()
                .chain(EndpointClass::ALL.map(ApiFaultScope::Class))
        };
        all().find(|s| s.label() == text).ok_or_else(|| {
            let labels: Vec<&str> = all().map(ApiFaultScope::label).collect();
            D::Error::custom(format!("{text:?} is no kind of request; write one of {}", labels.join(", ")))
        })
    }
}

/// A fault that is at work.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub fault: ApiFault,
    pub since: Time,
}

impl Active {
    pub fn at_work(&self, now: Time) -> bool {
        self.fault.lasts.is_none_or(|d| now < self.since + d)
    }
}
